"""tvNormLayer, batchNormLayer, instNormLayer, batchNormLayer2, normLayer, affineScalingLayer, reshapeLayer."""

from itertools import permutations

import numpy as np
from layout import compare_all, fitting, images, tensors
from test_golden_layers_single import EPS

from meganet.interop.matlab import from_matlab, to_matlab
from meganet.layers import (
    BiasLayer,
    LinearLayer,
    NormalisationLayer,
    ScalingLayer,
    Statistics,
    TVNormalisationLayer,
)
from meganet.linop import Broadcast, Reshape
from meganet.networks import Chain

OVER = {"batch": ("examples",), "inst": ("pixels",)}
FLAGS = ("pixels", "channels", "examples")


def weighted(norm):
    shape = norm.domain_shape
    return Chain([norm, ScalingLayer(shape), BiasLayer(shape)])


def test_normalisation_of_images(golden):
    def build(case):
        kind = next((k for k in ("tv", "batch", "inst") if case.startswith(k)), None)
        if kind is None or case.startswith("batch2"):
            return None
        eps = golden.number(case, "eps")
        height, width, channels = golden.shape(case, "Y", 4)[:3]
        shape = (channels, height, width)
        norm = TVNormalisationLayer(shape, eps=eps) if kind == "tv" else NormalisationLayer(shape, OVER[kind], eps=eps)
        return weighted(norm) if golden(case, "theta").size else norm

    compare_all(golden, build, "Z", "eps", "Y")
    for case in golden.cases("initTheta", "eps"):
        compare_start(golden, case, build(case))


def batch_normalisation(golden, case, eps):
    height, width, channels = golden.shape(case, "Y", 4)[:3]
    return NormalisationLayer((channels, height, width), ("examples", "pixels"), eps=eps)


def test_batch_normalisation_over_pixels(golden):
    def build(case):
        if not case.startswith("batch2_nomom"):
            return None
        norms = (batch_normalisation(golden, case, eps) for eps in EPS)
        return fitting(golden, case, (weighted(norm) if golden(case, "theta").size else norm for norm in norms))

    compare_all(golden, build, "Z", "theta")


def test_running_statistics(golden):
    """Two training calls, the statistics after each, an evaluation before and after."""
    cases = golden.cases("momentum", "runningMean1", "train1")
    assert cases
    for c in cases:
        layer = batch_normalisation(golden, c, golden.number(c, "eps"))
        momentum, channels = golden.number(c, "momentum"), layer.domain_shape[0]
        network = weighted(layer)
        theta = from_matlab(network.parameters, golden(c, "theta"))
        running = Statistics(np.zeros((channels, 1, 1)), np.ones((channels, 1, 1)))

        def evaluated(x, running=running, layer=layer, network=network, theta=theta):
            return Chain([layer.frozen(running), *network.layers[1:]])(theta, x)

        for k, name in ((1, "Y"), (2, "Y2")):
            x = images(golden(c, name))
            if k == 1:
                golden.compare(evaluated(x), images(golden(c, "eval0")))
            golden.compare(network(theta, x), images(golden(c, f"train{k}")))
            running = running.updated(layer.statistics(x), momentum)
            golden.compare(running.mean.ravel(), golden(c, f"runningMean{k}").ravel())
            golden.compare(running.variance.ravel(), golden(c, f"runningVar{k}").ravel())
        golden.compare(evaluated(images(golden(c, "Y")), running), images(golden(c, "eval2")))


def test_normalisation_of_features(golden):
    def build(case):
        pixels, channels = golden.integers(case, "nData")[:2]
        over = [name for name, flag in zip(FLAGS, golden.integers(case, "doNorm"), strict=True) if flag]
        return NormalisationLayer((channels, pixels), over, eps=golden.number(case, "eps"))

    compare_all(golden, build, "Z", "doNorm")


def test_affine_scaling(golden):
    """Factors and shifts along pixels, channels, examples: the original's ``s1 s2 s3 Y + b1 + b2 + b3``."""

    def build(case):
        # all examples together are one of ours, so that there may be weights along them
        pixels, channels, examples = golden.integers(case, "nData")
        shape = (examples, pixels, channels)
        axes = [axis for axis, flag in zip((1, 2, 0), golden.integers(case, "isWeight"), strict=True) if flag]
        scalings = [ScalingLayer(shape, (axis,)) for axis in axes]
        biases = [BiasLayer(shape, Broadcast(shape, (axis,))) for axis in axes]
        # theirs keeps the shifts of an axis behind its factors
        storage = [k for pair in zip(range(len(axes)), range(len(axes), 2 * len(axes)), strict=True) for k in pair]
        return Chain([*scalings, *biases], storage=storage)

    compare_all(golden, build, "Z", "isWeight")
    for case in golden.cases("initTheta", "isWeight"):
        compare_start(golden, case, build(case))


def compare_start(golden, case, layer):
    """Compare the weights to begin with, which change nothing."""
    ones = np.concatenate([np.zeros(0), *(np.full(p.size, float(p.role == "scale")) for p in layer.parameters)])
    theirs = golden(case, "initTheta")
    golden.compare(to_matlab(layer.parameters, ones), theirs.reshape(-1, 1))


def test_reshape(golden):
    """vec of the original, and the same with rows and columns exchanged before."""

    def build(case):
        if not case.startswith("reshape"):
            return None
        height, width, channels = golden.shape(case, "Y", 4)[:3]
        # vec without a permutation; with one, that which maps Y to Z
        orders = permutations(range(3)) if "perm" in case else [(0, 2, 1)]
        shape = (channels, height, width)
        return fitting(golden, case, (LinearLayer(Reshape(shape, axes=order)) for order in orders))

    compare_all(golden, build, "Z", "W")


def test_layout_of_features():
    array = np.arange(24.0).reshape(2, 3, 4)
    assert tensors(array, (3, 2))[1, 2, 0] == array[0, 2, 1]
