"""singleLayer: dense and convolution, activations, biases, normalisation, second derivatives."""

import numpy as np
from layout import bias, compare_all, matlab, side, tensors

from meganet.interop.matlab import from_matlab, to_matlab
from meganet.layers import (
    BiasLayer,
    NormalisationLayer,
    ScalingLayer,
    TVNormalisationLayer,
)
from meganet.linop import CirculantConvolution, Dense, Sparse
from meganet.networks import Chain, SingleLayer

EPS = 1e-4
"""The original's default; the file does not hold it."""
KINDS = ("tv", "batch", "inst", "batch2")
OVER = {"batch": ("examples",), "inst": ("pixels",), "batch2": ("examples", "pixels")}


def normalisation(word, shape):
    """From the suffix of a case: the kind, and a "w" if it has weights."""
    kind = word.removesuffix("w")
    if kind == "tv":
        norm = TVNormalisationLayer(shape, eps=EPS)
    else:
        norm = NormalisationLayer(shape, OVER[kind], eps=EPS)
    return Chain([norm, ScalingLayer(shape), BiasLayer(shape)]) if word.endswith("w") else norm


def parts(golden, case):
    """Return the kernel's size and what the name of the case says of activation, normalisation and biases."""
    words = case.split("_")[1:]
    norm = next((w for w in words if w.removesuffix("w") in KINDS), None)
    activation = next((w for w in words if w in ("relu", "tanh", "identity", "smoothRelu")), "tanh")
    return {
        "activation": {"smoothRelu": "smooth_relu"}.get(activation, activation),
        "norm": norm,
        "Bin": "Bin" in words,
        "Bout": "Bout" in words,
    }


def build(golden, case):
    kind, found = case.split("_")[0].removesuffix("1"), parts(golden, case)
    inputs, outputs = golden(case, "Y"), golden(case, "Z") if golden.has(case, "Z") else golden(case, "W")
    if kind == "dense":
        kernel = Dense(np.zeros((outputs.shape[0], inputs.shape[0])))
        b = {name: bias(golden("bias", name)) if found[name] else False for name in ("Bin", "Bout")}
    elif kind == "sparse":
        places = [np.array(golden.integers(case, name)) - 1 for name in ("ival", "jval")]
        kernel = Sparse(np.zeros(len(places[0])), *places, (outputs.shape[0], inputs.shape[0]))
        b = {"Bin": False, "Bout": False}
    else:
        channels = [inputs.shape[2], outputs.shape[2]]
        weights = int(golden.number(case, "nTheta")) - channels[1] * (found["Bin"] + found["Bout"])
        weights -= 2 * channels[1] if (found["norm"] or "").endswith("w") else 0
        k = side(weights // (channels[0] * channels[1]))
        kernel = CirculantConvolution(np.zeros((channels[1], channels[0], k, k)), inputs.shape[:2])
        b = {name: found[name] for name in ("Bin", "Bout")}
        if case == "conv_Bin":
            found["activation"] = "relu"
    norm = normalisation(found["norm"], kernel.range_shape) if found["norm"] else None
    return SingleLayer(kernel, found["activation"], bias_in=b["Bin"], bias_out=b["Bout"], normalisation=norm)


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
        w, no, none = tensors(golden(c, "W"), layer.range_shape), 0 * theta, 0 * x
        tape = layer.forward(theta, x)[1]
        # <W, d/de J_Y V> along a direction u is <curvature(0, V; W), u>, for every W: its rows by unit W
        in_theta, in_x = layer.curvature(no, v, w, tape)
        golden.compare(matlab(in_x, golden(c, "JYTJYmv")), golden(c, "JYTJYmv"))
        if golden.has(c, "JthetaTJYmv"):
            golden.compare(to_matlab(layer.parameters, in_theta), golden(c, "JthetaTJYmv"))
        if golden.has(c, "JthJthetaTmv"):
            along = layer.curvature(dtheta, none, w, tape)[0]
            golden.compare(to_matlab(layer.parameters, along), golden(c, "JthJthetaTmv"))
        for name, direction in (("JYJYmv", (no, dx)), ("JJYmv", (dtheta, dx))):
            ours = np.zeros_like(w)
            for n in range(w.shape[0]):
                for k in range(w.shape[1]):
                    unit = np.zeros_like(w)
                    unit[n, k] = 1
                    a, b = layer.curvature(no, v, unit, tape)
                    ours[n, k] = a @ direction[0] + (b * direction[1]).sum()
            golden.compare(matlab(ours, golden(c, name)), golden(c, name))
