"""Image arrays keep their memory order through a network on a device, where elementwise functions do not keep it."""

import numpy as np
import pytest
from cuda_emulation import COMPILER
from guard_array import GUARD, LAYOUT

from meganet import Chain, ConvolutionLayer, DenseLayer, Objective, PoolingLayer, use_backend
from meganet.backend.layout import from_memory
from meganet.layers import (
    ActivationLayer,
    AffineLayer,
    BiasLayer,
    GlobalPoolingLayer,
    LinearLayer,
    NormalisationLayer,
    ScalingLayer,
    TVNormalisationLayer,
    UpsamplingLayer,
)
from meganet.linop import (
    AveragePooling,
    CirculantConvolution,
    DepthwiseConvolution,
    Diagonal,
    Identity,
    RemoveMean,
    Transposed,
)
from meganet.networks import (
    DoubleHamiltonian,
    DoubleLayer,
    Hamiltonian,
    Leapfrog,
    ResidualNetwork,
    RungeKutta4,
    SingleLayer,
    SymmetricLayer,
)
from meganet.objective.selection import Batch

N, SHAPE = 11, (8, 12, 10)
"""No other axis is 11 long, so the shapes with it are those of images of a batch."""


def operator(o, i, k=3, **more):
    return CirculantConvolution(GUARD.asarray(np.zeros((o, i, k, k))), SHAPE[1:], **more)


def between(*layers):
    return lambda: Chain([ConvolutionLayer((2, *SHAPE[1:]), 8, activation="tanh"), *(make() for make in layers)])


def convolutions(activation, size):
    return between(
        lambda: ConvolutionLayer(SHAPE, 9, size, activation=activation, bias=True),
        lambda: PoolingLayer((9, *SHAPE[1:])),
        lambda: ConvolutionLayer((9, 6, 5), 3, size, activation=activation),
    )


def normalised(over):
    return between(
        lambda: NormalisationLayer(SHAPE, over),
        lambda: ScalingLayer(SHAPE),
        lambda: BiasLayer(SHAPE),
        lambda: ActivationLayer(SHAPE, "relu"),
        lambda: ConvolutionLayer(SHAPE, 8),
    )


NETWORKS = {
    **{(a, k): convolutions(a, k) for a in ("identity", "relu", "tanh", "smooth_relu") for k in (1, 3, 5)},
    **{over: normalised(over) for over in (("examples", "pixels"), ("pixels",), ("channels", "pixels"), ("examples",))},
    "residual": between(
        lambda: ResidualNetwork(
            DoubleLayer(operator(8, 8), operator(8, 8, 5), bias1=True, bias2=True, bias_out=True), 3
        )
    ),
    "leapfrog": between(lambda: Leapfrog(SymmetricLayer(operator(8, 8), bias_in=True), 3)),
    "hamiltonian": between(lambda: Hamiltonian(operator(8, 8), 3, bias=True)),
    "halves": between(
        lambda: DoubleHamiltonian(SingleLayer(operator(4, 4), "smooth_relu"), SingleLayer(operator(4, 4)), 3)
    ),
    "runge-kutta": between(lambda: RungeKutta4(SingleLayer(operator(8, 8)), [0, 1, 2])),
    "pixel vectors": between(
        lambda: TVNormalisationLayer(SHAPE),
        lambda: ActivationLayer(SHAPE, "smooth_relu"),
        lambda: ScalingLayer(SHAPE, (1, 2)),
        lambda: ConvolutionLayer(SHAPE, 8),
    ),
    "connectors": between(
        lambda: LinearLayer(Identity(SHAPE)),
        lambda: LinearLayer(Diagonal(GUARD.asarray(np.ones(SHAPE))), GUARD.asarray(np.ones(SHAPE))),
        lambda: LinearLayer(2.0 * (RemoveMean(SHAPE) + Identity(SHAPE))),
        lambda: LinearLayer(AveragePooling(SHAPE)),
        lambda: ConvolutionLayer((8, 6, 5), 8),
    ),
    "fixed statistics": between(
        lambda: NormalisationLayer(SHAPE, ("examples", "pixels")).frozen_on(
            GUARD.xp.zeros(0), GUARD.asarray(np.random.default_rng(0).standard_normal((4, *SHAPE)))
        ),
        lambda: ConvolutionLayer(SHAPE, 8),
    ),
    "depthwise": between(
        lambda: AffineLayer(
            DepthwiseConvolution(GUARD.asarray(np.zeros((8, 3, 5))), SHAPE[1:]), activation="tanh", bias=True
        ),
        lambda: ConvolutionLayer(SHAPE, 8),
    ),
    "two grids": between(
        lambda: ResidualNetwork(Chain([PoolingLayer(SHAPE), ConvolutionLayer(..., 8), UpsamplingLayer(...)]), 1),
        lambda: ConvolutionLayer(SHAPE, 8),
    ),
    "whole images": between(lambda: ConvolutionLayer(SHAPE, 8), lambda: GlobalPoolingLayer(SHAPE)),
    "stride": between(
        lambda: ConvolutionLayer(SHAPE, 9, stride=2, bias=True), lambda: ConvolutionLayer((9, 6, 5), 8, 5)
    ),
    "transposed": between(
        lambda: ConvolutionLayer(SHAPE, 9, stride=2),
        lambda: AffineLayer(Transposed(operator(9, 8, stride=2)), activation="tanh", bias=True),
    ),
}


def noted(function):
    """Return what was noted of the images of a batch while a function ran."""
    LAYOUT.clear()
    function()
    return [note for note in LAYOUT if N in note[2]]


@pytest.mark.skipif(COMPILER is None, reason="needs a C++ compiler to run the kernels on the host")
@pytest.mark.parametrize("stack", [(), (3,)], ids=["one", "stack"])
@pytest.mark.parametrize("name", NETWORKS, ids=str)
def test_a_step_converts_the_images_once_and_nothing_else(name, stack):
    rng = np.random.default_rng(0)
    with use_backend(GUARD):
        network = NETWORKS[name]()
        images = GUARD.asarray(rng.standard_normal((*stack, N, *network.domain_shape)))
        labels = rng.integers(0, 3, (*stack, N))
        one = images[0] if stack else images
        fun = Objective(network, DenseLayer(network.range_shape, 3), one, labels[0] if stack else labels)
        x = GUARD.asarray(0.1 * rng.standard_normal((*stack, fun.parameters.size)))
        given = ("conversion", "ascontiguousarray", (*stack, *network.domain_shape[1:], N, 2))
        assert noted(lambda: fun.terms.mean_loss(x, Batch(images, GUARD.asarray(labels), 1.0))) == [given]
        if not stack:
            assert noted(lambda: fun.evaluate(x)) == [given]
            # the direction in the images, zero, is an input too; all else is the network's own
            others = set(noted(lambda: fun.hessian(x, "exact") @ x)) - {given}
            assert not others


@pytest.mark.skipif(COMPILER is None, reason="needs a C++ compiler to run the kernels on the host")
@pytest.mark.parametrize("kernel", [(1, 3, 3), (3, 1, 1), (1, 5, 1)], ids=str)
def test_videos_are_converted_once_too(kernel):
    rng, shape = np.random.default_rng(0), (2, 4, 6, 5)
    with use_backend(GUARD):
        network = Chain(
            [
                ConvolutionLayer(shape, 8, kernel, bias=True),
                ConvolutionLayer(..., 8, kernel),
                NormalisationLayer(..., ("pixels",)),
                PoolingLayer(..., (2, 3, 1)),
                ConvolutionLayer(..., 3, (1, 1, 5)),
                GlobalPoolingLayer(...),
            ]
        )
        videos = GUARD.asarray(rng.standard_normal((N, *shape)))
        fun = Objective(network, DenseLayer(network.range_shape, 3), videos, rng.integers(0, 3, N))
        x = GUARD.asarray(0.1 * rng.standard_normal(fun.parameters.size))
        LAYOUT.clear()
        fun.evaluate(x)
        # frames are images too, T N of them
        notes = [note for note in LAYOUT if N in note[2] or 4 * N in note[2] or 2 * N in note[2]]
        assert notes == [("conversion", "ascontiguousarray", (6, 5, 4, N, 2))]


def test_the_guard_loses_memory_order_as_cupy_does():
    x = from_memory(GUARD.asarray(np.arange(120.0).reshape(4, 5, 2, 3)))
    assert not x.flags.c_contiguous
    for result in (x * 2, 1 - x, x + x, GUARD.xp.tanh(x), GUARD.xp.where(x > 0, x, x), x.copy(), abs(x), x >= 0):
        assert result.flags.c_contiguous
    for result in (GUARD.xp.zeros_like(x), GUARD.xp.empty_like(x, dtype=bool), x.astype("float32")):
        assert result.transpose(2, 3, 0, 1).flags.c_contiguous
    LAYOUT.clear()
    x *= 2
    assert LAYOUT == [("strided", "imul", (2, 3, 4, 5))]
    LAYOUT.clear()
    GUARD.xp.ascontiguousarray(x), x.reshape(2, -1)
    assert [kind for kind, _, _ in LAYOUT] == ["conversion", "conversion"]


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (2, 3, 0, 1), (3, 2, 1, 0), (1, 0, 3, 2)])
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (1, 3, 4, 5), (2, 1, 4, 1), (1, 1, 4, 5)])
def test_elementwise_work_in_any_memory_order(order, shape, rng):
    """Results are NumPy's, in the order of the arguments; vectors and numbers of an axis broadcast."""
    host = rng.standard_normal(shape)
    memory = np.ascontiguousarray(host.transpose(order))
    x = GUARD.asarray(memory).transpose(*np.argsort(order).tolist())
    bias = rng.standard_normal(shape[-1])
    backend = GUARD

    def check(got, expected):
        np.testing.assert_array_equal(GUARD.to_host(got), expected)
        assert got.transpose(*order).flags.c_contiguous

    check(backend.elementwise(lambda a, b: 2 * a + b, x, GUARD.asarray(bias)), 2 * host + bias)
    check(backend.copied(x), host)
    big, small = backend.elementwise(lambda a: (a * a, a > 0), x)
    check(big, host * host)
    check(small, host > 0)
    for axis in range(-4, 4):
        np.testing.assert_array_equal(
            GUARD.to_host(backend.concatenate([x, x * 2, x], axis=axis)), np.concatenate([host, host * 2, host], axis)
        )
    np.testing.assert_array_equal(GUARD.to_host(backend.stack([x] * 9)), np.stack([host] * 9))
    assert backend.stack([x] * 9)[3].transpose(*order).flags.c_contiguous
    y = backend.copied(x)
    assert backend.elementwise(lambda a, b: a.__iadd__(b), y, x) is not None
    check(y, host + host)
