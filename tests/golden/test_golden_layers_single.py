"""singleLayer: dense and convolution, activations, biases, normalisation, second derivatives."""

from itertools import product

import numpy as np
from layout import bias, compare_all, conditioned, fitting, matlab, stencils_within, tensors

from meganet.interop.matlab import from_matlab, to_matlab
from meganet.layers import (
    BiasLayer,
    NormalisationLayer,
    ScalingLayer,
    TVNormalisationLayer,
)
from meganet.linop import CirculantConvolution, Dense, Sparse
from meganet.networks import Chain, SingleLayer

EPS = (1e-4, 1e-3, 1e-2, 1e-5)
"""The original's default is the first; the file does not hold it, so it is the one that gives the stored result."""
KINDS = ("tv", "batch", "inst", "batch2")
SECOND = ("JYTJYmv", "JthetaTJYmv", "JthJthetaTmv", "JYJYmv", "JJYmv")
OVER = {"batch": ("examples",), "inst": ("pixels",), "batch2": ("examples", "pixels")}


def normalisation(word, shape, eps):
    """From the suffix of a case: the kind, and a "w" if it has weights."""
    kind = word.removesuffix("w")
    if kind == "tv":
        norm = TVNormalisationLayer(shape, eps=eps)
    else:
        norm = NormalisationLayer(shape, OVER[kind], eps=eps)
    return Chain([norm, ScalingLayer(shape), BiasLayer(shape)]) if word.endswith("w") else norm


def build(golden, case):
    """Return the layer of a case; its name says which parts it has."""
    kind, *words = case.split("_")
    norm_word = next((w for w in words if w.removesuffix("w") in KINDS), None)
    names = {"relu": "relu", "tanh": "tanh", "identity": "identity", "smoothRelu": "smooth_relu"}
    # tanh unless the name says otherwise, but one case has another without saying so
    named = [names[w] for w in words if w in names]
    activations = named or ["tanh", "relu", "identity"]
    output = "Z" if golden.has(case, "Z") else "W"

    def candidates():
        for kernel in kernels(golden, case, kind, output, words, norm_word):
            if kind == "dense":
                b = {n: bias(golden("bias", n)) if n in words else False for n in ("Bin", "Bout")}
            else:
                b = {n: n in words for n in ("Bin", "Bout")}
            norms = [normalisation(norm_word, kernel.range_shape, eps) for eps in EPS] if norm_word else [None]
            for norm, activation in product(norms, activations):
                yield SingleLayer(kernel, activation, bias_in=b["Bin"], bias_out=b["Bout"], normalisation=norm)

    return fitting(golden, case, candidates()) if output == "Z" else next(candidates())


def kernels(golden, case, kind, output, words, norm_word):
    """Yield the kernels that the numbers of weights allow."""
    if kind in ("dense", "sparse"):
        shape = (len(golden(case, output)), len(golden(case, "Y")))
        if kind == "dense":
            yield Dense(np.zeros(shape))
        else:
            places = [np.array(golden.integers(case, name)) - 1 for name in ("ival", "jval")]
            yield Sparse(np.zeros(len(places[0])), *places, shape)
        return
    *image, ins = golden.shape(case, "Y", 4)[:3]
    outs = golden.shape(case, output, 4)[2]
    extra = ("Bin" in words) + ("Bout" in words) + 2 * (norm_word or "").endswith("w")
    entries = (golden(case, "theta").size - outs * extra) // (ins * outs)
    for size in stencils_within(image, entries):
        yield CirculantConvolution(np.zeros((outs, ins, *size)), image)


def test_products(golden):
    compare_all(golden, lambda case: build(golden, case), "Z", "theta")


def test_second_derivatives(golden):
    """The original's separate second-order products, all from `curvature` and products along (theta, Y)."""
    cases = golden.cases("JYJYmv", "V")
    assert cases
    for c in cases:
        layer = build(golden, c)
        theta, dtheta = (from_matlab(layer.parameters, golden(c, name)) for name in ("theta", "dtheta"))
        x, dx, v = (tensors(golden(c, name), layer.domain_shape) for name in ("Y", "dY", "V"))
        w = tensors(golden(c, "W"), layer.range_shape)
        names = [name for name in SECOND if golden.has(c, name)]
        functions = second_products(golden, c, layer)
        results, tolerances = conditioned(functions, (theta, x), (dtheta, dx, v, w), dict.fromkeys(SECOND, 2))
        for name in names:
            golden.compare(results[name], golden(c, name), tolerances[name])


def second_products(golden, case, layer):
    """Return a function of point and directions, with results in MATLAB's order."""

    def evaluated(theta, x, dtheta, dx, v, w):
        no, none, results = 0 * theta, 0 * x, {}
        tape = layer.forward(theta, x)[1]
        # <W, d/de J_Y V> along a direction u is <curvature(0, V; W), u>, for every W: its rows by unit W
        in_theta, in_x = layer.curvature(no, v, w, tape)
        results["JYTJYmv"] = matlab(in_x, golden(case, "JYTJYmv"))
        results["JthetaTJYmv"] = to_matlab(layer.parameters, in_theta)
        results["JthJthetaTmv"] = to_matlab(layer.parameters, layer.curvature(dtheta, none, w, tape)[0])
        for name, direction in (("JYJYmv", (no, dx)), ("JJYmv", (dtheta, dx))):
            ours = np.zeros_like(w)
            for n in range(w.shape[0]):
                for k in range(w.shape[1]):
                    unit = np.zeros_like(w)
                    unit[n, k] = 1
                    a, b = layer.curvature(no, v, unit, tape)
                    ours[n, k] = a @ direction[0] + (b * direction[1]).sum()
            results[name] = matlab(ours, golden(case, name))
        return results

    return evaluated
