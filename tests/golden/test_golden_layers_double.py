"""doubleLayer and doubleSymLayer."""

import numpy as np
from layout import bias, compare_all, side
from test_golden_layers_single import normalisation

from meganet.linop import CirculantConvolution, Dense
from meganet.networks import DoubleLayer, SymmetricLayer

NORMS = ("tv", "tvw", "batchw", "instw")
"""Normalisations by name; the cases have tv twice, those of the batch and the instance only as the first."""


def words(case):
    found = case.removeprefix("sym_").split("_")
    return found, next((w for w in found if w in NORMS), None)


def norm_weights(norm, first, second):
    """Return the number of weights of both normalisations."""
    if norm is None or not norm.endswith("w"):
        return 0
    return 2 * (first + second if norm == "tvw" else first)


def norms(norm, shapes):
    if norm is None:
        return {}
    made = {f"normalisation{i}": normalisation(norm, shape) for i, shape in enumerate(shapes, 1)}
    return made if norm.startswith("tv") else {"normalisation1": made["normalisation1"]}


def double(golden, case):
    found, norm = words(case)
    inputs, outputs, n = golden(case, "Y"), golden(case, "Z"), int(golden.number(case, "nTheta"))
    everything = "all" in found
    if found[0] == "dense":
        middle = len(golden("bias", "Bin1"))
        names = {"bias1": "Bin1", "bias2": "Bin2", "bias_out": "Bout"}
        used = names if everything else {"bias1": "Bin1"} if "Bin1" in found else {}
        biases = {ours: bias(golden("bias", theirs)) for ours, theirs in used.items()}
        kernels = [Dense(np.zeros((middle, inputs.shape[0]))), Dense(np.zeros((outputs.shape[0], middle)))]
    else:
        c, d = inputs.shape[2], outputs.shape[2]
        # the channels in between and the size of the stencils follow from the number of weights
        middle = next(m for m in range(c + 1, 10) if fits(n, c, m, d, everything, norm))
        k = fits(n, c, middle, d, everything, norm)
        shapes = (middle, c, k, k), (d, middle, k, k)
        kernels = [CirculantConvolution(np.zeros(shape), inputs.shape[:2]) for shape in shapes]
        biases = dict.fromkeys(("bias1", "bias2", "bias_out"), True) if everything else {}
    activations = ("relu", "identity") if "relu" in found else ("tanh", "tanh")
    return DoubleLayer(*kernels, *activations, **biases, **norms(norm, [k.range_shape for k in kernels]))


def fits(n, c, m, d, everything, norm):
    """Return the size of the stencils with which a double layer with m inner channels has n weights, or 0."""
    rest = n - (m + 2 * d if everything else 0) - norm_weights(norm, m, d)
    entries = rest // (m * (c + d))
    return next((k for k in (3, 5) if k * k * m * (c + d) == rest), 0) if entries else 0


def symmetric(golden, case):
    found, norm = words(case)
    inputs, n = golden(case, "Y"), int(golden.number(case, "nTheta"))
    everything = "all" in found
    if found[0] == "dense":
        middle = len(golden("symbias", "Bin"))
        kernel = Dense(np.zeros((middle, inputs.shape[0])))
        names = {"bias_in": "Bin", "bias_out": "Bout"} if everything else {}
        biases = {ours: bias(golden("symbias", theirs)) for ours, theirs in names.items()}
    else:
        c = inputs.shape[2]

        def stencils(m):
            return n - (m + c if everything else 0) - norm_weights(norm, m, c)

        middle = next(m for m in range(c + 1, 10) if stencils(m) in (9 * m * c, 25 * m * c))
        k = side(stencils(middle) // (middle * c))
        kernel = CirculantConvolution(np.zeros((middle, c, k, k)), inputs.shape[:2])
        biases = dict.fromkeys(("bias_in", "bias_out"), True) if everything else {}
    # the file does not say this of its cases: tv without weights stands only in front, one has another activation
    shapes = (kernel.range_shape,) if norm == "tv" else (kernel.range_shape, kernel.domain_shape)
    relu = "relu" in found or case == "sym_conv_all"
    return SymmetricLayer(kernel, "relu" if relu else "tanh", **biases, **norms(norm, shapes))


def test_double(golden):
    compare_all(golden, lambda c: None if c.startswith("sym_") else double(golden, c), "Z", "theta")


def test_symmetric(golden):
    compare_all(golden, lambda c: symmetric(golden, c) if c.startswith("sym_") else None, "Z", "theta")
