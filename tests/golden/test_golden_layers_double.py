"""doubleLayer and doubleSymLayer.

The file says neither the number of channels in between nor the size of the stencils, the activations, nor where the
normalisation stands: of what the number of weights allows, that is taken which gives the stored result.
"""

from itertools import product

import numpy as np
from layout import bias, compare_all, fitting, stencils_within
from test_golden_layers_single import EPS, normalisation

from meganet.linop import CirculantConvolution, Dense
from meganet.networks import DoubleLayer, SymmetricLayer

NORMS = ("tv", "tvw", "batchw", "instw")
ACTIVATIONS = ("tanh", "relu", "identity")


def words(case):
    found = case.removeprefix("sym_").split("_")
    return found, next((w for w in found if w in NORMS), None)


def norms(norm, shapes):
    """Yield the normalisations of both operators, of the first or of the second."""
    if norm is None:
        yield {}
        return
    for eps in EPS:
        both = {f"normalisation{i}": normalisation(norm, shape, eps) for i, shape in enumerate(shapes, 1)}
        yield both
        for name, layer in both.items():
            yield {name: layer}


def double(golden, case):
    found, norm = words(case)
    everything, n = "all" in found, golden(case, "theta").size
    names = {"bias1": "Bin1", "bias2": "Bin2", "bias_out": "Bout"}

    def pairs():
        """Yield both kernels and the biases."""
        if found[0] == "dense":
            ins, outs, middle = len(golden(case, "Y")), len(golden(case, "Z")), len(golden("bias", "Bin1"))
            used = names if everything else {"bias1": "Bin1"} if "Bin1" in found else {}
            biases = {ours: bias(golden("bias", theirs)) for ours, theirs in used.items()}
            yield [Dense(np.zeros((middle, ins))), Dense(np.zeros((outs, middle)))], biases
            return
        *image, c = golden.shape(case, "Y", 4)[:3]
        d = golden.shape(case, "Z", 4)[2]
        sizes = sorted(product(stencils_within(image), repeat=2), key=lambda pair: pair[0] != pair[1])
        for (first, second), middle in product(sizes, range(1, n + 1)):
            rest = n - middle * (c * first[0] * first[1] + d * second[0] * second[1])
            # what is left are biases and the weights of normalisations
            if rest - everything * (middle + 2 * d) in (0, 2 * middle, 2 * d, 2 * (middle + d)):
                shapes = (middle, c, *first), (d, middle, *second)
                yield [CirculantConvolution(np.zeros(s), image) for s in shapes], dict.fromkeys(names, everything)

    def candidates():
        for kernels, biases in pairs():
            for norm_layers in norms(norm, [k.range_shape for k in kernels]):
                for activations in product(ACTIVATIONS, repeat=2):
                    yield DoubleLayer(*kernels, *activations, **biases, **norm_layers)

    return fitting(golden, case, candidates())


def symmetric(golden, case):
    found, norm = words(case)
    everything, n = "all" in found, golden(case, "theta").size

    def kernels():
        """Yield kernel and biases."""
        if found[0] == "dense":
            names = {"bias_in": "Bin", "bias_out": "Bout"} if everything else {}
            biases = {ours: bias(golden("symbias", theirs)) for ours, theirs in names.items()}
            yield Dense(np.zeros((len(golden("symbias", "Bin")), len(golden(case, "Y"))))), biases
            return
        *image, c = golden.shape(case, "Y", 4)[:3]
        for size, middle in product(stencils_within(image), range(1, n + 1)):
            rest = n - middle * c * size[0] * size[1]
            if rest - everything * (middle + c) in (0, 2 * middle, 2 * c, 2 * (middle + c)):
                kernel = CirculantConvolution(np.zeros((middle, c, *size)), image)
                yield kernel, dict.fromkeys(("bias_in", "bias_out"), everything)

    def candidates():
        for kernel, biases in kernels():
            for norm_layers in norms(norm, (kernel.range_shape, kernel.domain_shape)):
                for activation in ACTIVATIONS:
                    yield SymmetricLayer(kernel, activation, **biases, **norm_layers)

    return fitting(golden, case, candidates())


def test_double(golden):
    compare_all(golden, lambda c: None if c.startswith("sym_") else double(golden, c), "Z", "theta")


def test_symmetric(golden):
    compare_all(golden, lambda c: symmetric(golden, c) if c.startswith("sym_") else None, "Z", "theta")
