"""The CUDA kernels: run on the host they give what the engines of the CPU give."""

import math

import numpy as np
import pytest
from cuda_emulation import COMPILER, RawModule
from graph_emulation import Graph
from guard_array import GUARD
from hypothesis import given, settings
from hypothesis import strategies as st

import meganet
from meganet import (
    Adam,
    Chain,
    ConvolutionLayer,
    DenseLayer,
    Momentum,
    PoolingLayer,
    SoftmaxCrossEntropy,
    Tikhonov,
    sgd,
    use_backend,
)
from meganet.backend import cuda
from meganet.backend.cuda import Kernels
from meganet.backend.layout import from_memory, to_memory
from meganet.ground.validate import InputError
from meganet.layers.activations import ACTIVATIONS
from meganet.linop import (
    AveragePooling,
    CirculantConvolution,
    DepthwiseConvolution,
    Gradient,
    Identity,
    Matrix,
)
from meganet.linop._engines import choose_engine
from meganet.objective import StackedObjective
from meganet.optim import Run, sgd_stacked

emulated = pytest.mark.skipif(COMPILER is None, reason="needs a C++ compiler to run the kernels on the host")


@st.composite
def convolutions(draw, sizes=(3,)):
    k1, k2 = draw(st.sampled_from(sizes)), draw(st.sampled_from(sizes))
    shape = (draw(st.integers(1, 9)), draw(st.integers(1, 7)), k1, k2)
    image = (draw(st.integers(max(k1, 3), 11)), draw(st.integers(max(k2, 3), 11)))
    return shape, image, draw(st.integers(1, 3)), draw(st.sampled_from([(), (1,), (3,)]))


def check(shape, image, n, stack, engine, dtype):
    rng = np.random.default_rng(0)
    kernel = rng.standard_normal((*stack, *shape))
    x, y = rng.standard_normal((*stack, n, shape[1], *image)), rng.standard_normal((*stack, n, shape[0], *image))
    operators = []
    for backend, name, kind in ((GUARD, engine, dtype), ("numpy", "sparse", "float64")):
        backend = meganet.get_backend(backend)
        kernels = backend.asarray(kernel, kind)
        one = kernels[0] if stack else kernels
        operators.append(CirculantConvolution(one, image, name, backend).with_kernel(kernels))
    device, exact = operators
    assert choose_engine(engine, GUARD, shape).__module__.endswith("device")
    dx, dy = GUARD.asarray(x, dtype), GUARD.asarray(y, dtype)
    results = [device @ dx, device.T @ dy, device.kernel_adjoint(dx, dy)]
    out = GUARD.asarray(np.zeros(kernel.shape), dtype)
    results.append(device.gradients_unchecked(device.recorded_unchecked(dx)[1], dy, out, True))
    expected = [exact @ x, exact.T @ y, exact.kernel_adjoint(x, y), exact.T @ y]
    for got, wanted in zip([*results, out], [*expected, expected[2]], strict=True):
        assert got.dtype == dtype
        error = np.linalg.norm((GUARD.to_host(got) - wanted).ravel())
        assert error <= 40 * np.finfo(dtype).eps * np.linalg.norm(wanted.ravel())


@emulated
@settings(max_examples=40, deadline=None)
@given(convolutions(), st.sampled_from(["float32", "float64"]))
def test_winograd_agrees_with_the_explicit_matrix(case, dtype):
    check(*case, "winograd", dtype)


@emulated
@settings(max_examples=30, deadline=None)
@given(convolutions(sizes=(1, 3, 5)), st.sampled_from(["float32", "float64"]))
def test_direct_sum_agrees_with_the_explicit_matrix(case, dtype):
    check(*case, "direct", dtype)


@emulated
@pytest.mark.parametrize("threads", [1, 2000, 2**18])
@pytest.mark.parametrize("shape", [(2, 1, 3, 3), (9, 10, 5, 1), (8, 12, 1, 1), (3, 9, 5, 5)])
def test_gradients_of_direct_sums_in_any_number_of_strips(shape, threads, dtype, monkeypatch):
    """However many image rows a thread takes; a stack gives the sums of each network alone, to the bit."""
    monkeypatch.setattr("meganet.linop._engines.device.THREADS", threads)
    check(shape, (7, 6), 2, (3,), "direct", dtype)
    rng, engine = np.random.default_rng(0), choose_engine("direct", GUARD, shape)
    x, y = (GUARD.asarray(rng.standard_normal((3, 2, c, 7, 6)), dtype) for c in (shape[1], shape[0]))
    together = engine.kernel_gradient(GUARD, x, y, shape)
    for t in range(3):
        alone = engine.kernel_gradient(GUARD, x[t], y[t], shape)
        np.testing.assert_array_equal(GUARD.to_host(together[t]), GUARD.to_host(alone))


@emulated
@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("need_x", [False, True])
@pytest.mark.parametrize("stack", [(), (3,)])
@pytest.mark.parametrize("size, engine", [(3, "winograd"), (3, "direct"), (5, "direct"), (3, "sparse")])
def test_gradients_behind_a_mask(engine, size, stack, need_x, dtype, rng):
    """To the bit those of the product with the mask, which is not a choice: 0 times infinity is nan."""
    kernel, x = rng.standard_normal((*stack, 9, 8, size, size)), rng.standard_normal((*stack, 2, 8, 7, 6))
    y, mask = rng.standard_normal((*stack, 2, 9, 7, 6)), rng.random((*stack, 2, 9, 7, 6)) < 0.5
    kernel, x, y = (GUARD.asarray(a.astype(dtype)) for a in (kernel, x, y))
    one = CirculantConvolution(kernel[0] if stack else kernel, (7, 6), engine, GUARD).with_kernel_unchecked(kernel)
    record, results = one.recorded_unchecked(x)[1], []
    for infinite in (False, True):
        y = GUARD.xp.where(GUARD.asarray(mask), y, y * np.inf) if infinite else y
        product = from_memory(to_memory(GUARD, y)) * GUARD.asarray(mask)
        for memory in (lambda a: a, lambda a: from_memory(to_memory(GUARD, a))):
            outs = [GUARD.xp.empty(kernel.shape, dtype=dtype) for _ in "ab"]
            wanted = one.gradients_unchecked(record, product, outs[0], need_x)
            got = one.sloped_gradients_unchecked(record, memory(y.copy()), memory(GUARD.asarray(mask)), outs[1], need_x)
            pairs = [outs, (wanted, got)] if need_x else [outs]
            assert need_x or (wanted, got) == (None, None)
            for a, b in pairs:
                np.testing.assert_array_equal(GUARD.to_host(a), GUARD.to_host(b))
            results.append(bool(np.isnan(GUARD.to_host(outs[1])).any()))
    assert results == [False, False, True, True]


@emulated
@settings(max_examples=30, deadline=None)
@given(convolutions(sizes=(1, 3, 5)), st.sampled_from(["float32", "float64"]))
def test_the_explicit_matrix_on_a_device(case, dtype):
    check(*case, "sparse", dtype)


@emulated
@pytest.mark.parametrize("kernel_size", [(1, 1), (3, 5), (5, 3)])
@pytest.mark.parametrize("stack", [(), (3,)])
def test_depthwise_convolution_agrees_with_the_cpu(dtype, stack, kernel_size, rng):
    kernel = rng.standard_normal((*stack, 3, *kernel_size)).astype(dtype)
    x, y = rng.standard_normal((2, *stack, 2, 3, 6, 5)).astype(dtype)
    one = DepthwiseConvolution(kernel.reshape(-1, 3, *kernel_size)[0], (6, 5))
    cpu, device = one.with_kernel(kernel), one.to(GUARD).with_kernel(GUARD.asarray(kernel))
    pairs = [(device @ GUARD.asarray(x), cpu @ x), (device.T @ GUARD.asarray(y), cpu.T @ y)]
    pairs += [(device.kernel_adjoint(GUARD.asarray(x), GUARD.asarray(y)), cpu.kernel_adjoint(x, y))]
    for got, expected in pairs:
        assert got.dtype == dtype and got.shape == expected.shape
        error = np.finfo(dtype).eps * np.abs(expected).max()
        np.testing.assert_allclose(GUARD.to_host(got), expected, rtol=0, atol=40 * error)


@emulated
@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.floats(0, 1), st.sampled_from(["float32", "float64"]))
def test_sparse_matrices_on_a_device(m, n, density, dtype):
    """Rows without numbers, and no numbers at all, included."""
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((m, n)) * (rng.random((m, n)) < density)
    device, x, y = Matrix(matrix, backend=GUARD), rng.standard_normal((3, n)), rng.standard_normal((3, m))
    for got, expected in (
        (device @ GUARD.asarray(x, dtype), x @ matrix.T),
        (device.T @ GUARD.asarray(y, dtype), y @ matrix),
    ):
        assert got.dtype == dtype
        np.testing.assert_allclose(GUARD.to_host(got), expected, rtol=0, atol=40 * np.finfo(dtype).eps)


@emulated
def test_a_size_beyond_an_int_is_an_error():
    """Not a kernel that counts wrong."""
    array = GUARD.asarray(np.ones(2))
    with pytest.raises(OverflowError):
        Kernels(GUARD.xp).launch("csr_product", array.dtype, 1, array, array, 2**31)
    with pytest.raises(InputError, match="fewer than 2,147,483,648 numbers in a row of pixels, got 2,147,483,648"):
        Kernels(GUARD.xp).launch_rows("pool", array.dtype, (2**31, 1, 1), array, array, 1, 1, 1, 1, 1)


@emulated
def test_relu_keeps_nan_and_has_slope_one_at_zero(dtype):
    z = np.array([[-1.0, 0.0, -0.0, 2.0, np.nan, np.inf, -np.inf]]).astype(dtype)
    for array in (GUARD.asarray(z), GUARD.asarray(z)[:, ::2]):
        host = GUARD.to_host(array)
        y, slope = ACTIVATIONS["relu"].evaluate(GUARD, array)
        np.testing.assert_array_equal(GUARD.to_host(y), np.maximum(host, 0))
        np.testing.assert_array_equal(GUARD.to_host(slope), host >= 0)


@emulated
@pytest.mark.parametrize("stack", [(), (4,)])
def test_pooling_softmax_and_momentum_agree_with_the_cpu(dtype, stack, rng):
    eps = np.finfo(dtype).eps

    def agree(device, host):
        assert device.dtype == dtype
        np.testing.assert_allclose(GUARD.to_host(device), host, rtol=0, atol=20 * eps * np.abs(host).max())

    x, y = (rng.standard_normal((*stack, 3, 2, *size)).astype(dtype) for size in ((6, 8), (2, 4)))
    cpu, device = (AveragePooling((2, 6, 8), (3, 2), dtype, backend) for backend in ("numpy", GUARD))
    agree(device.apply_unchecked(GUARD.asarray(x)), cpu.apply_unchecked(x))
    agree(device.adjoint_unchecked(GUARD.asarray(y)), cpu.adjoint_unchecked(y))
    logits, labels = 30 * rng.standard_normal((*stack, 5, 4)).astype(dtype), rng.integers(0, 4, (*stack, 5))
    loss = SoftmaxCrossEntropy()
    with use_backend(GUARD):
        results = loss.value_and_gradient_unchecked(GUARD.asarray(logits), GUARD.asarray(labels))
    for got, wanted in zip(results, loss.value_and_gradient_unchecked(logits, labels), strict=True):
        agree(got, wanted)
    x, g, d = rng.standard_normal((3, *stack, 7)).astype(dtype)
    for rule, memory in ((Momentum(), ()), (Momentum(0.9), (d,))):
        arrays = [GUARD.asarray(a) for a in (x, g)], tuple(GUARD.asarray(m) for m in memory)
        got = rule.step(GUARD, *arrays[0], arrays[1], 0.1, 1, 1)
        wanted = rule.step(meganet.get_backend("numpy"), x, g, memory, 0.1, 1, 1)
        agree(got[0], wanted[0])
        assert len(got[1]) == len(wanted[1]) == len(memory)
        for a, b in zip(got[1], wanted[1], strict=True):
            agree(a, b)


@emulated
@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from([(2, 3, 4, 5), (3, 1, 7), (6, 1), (2, 40, 30)]),
    st.sampled_from([(), (1,), (3,)]),
    st.sampled_from([1.0, (2.0, 0.5)]),
    st.booleans(),
    st.sampled_from([1, 256]),
    st.sampled_from(["float32", "float64"]),
)
def test_penalties_of_differences(domain, stack, h, referred, blocks, dtype):
    """Of weights within a longer vector, as a classifier's are; a stack has the values of each alone, to the bit."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((*stack, math.prod(domain) + 7)).astype(dtype)
    reference = rng.standard_normal(domain).astype(dtype) if referred else None
    cpu = Tikhonov(Gradient(domain, h), 0.3, reference)
    device = Tikhonov(Gradient(domain, h, backend=GUARD), 0.3, GUARD.asarray(reference) if referred else None)
    on_device = GUARD.asarray(x)[..., 3:-4]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cuda, "BLOCKS", blocks)
        found = device.value_and_gradient(on_device)
        for got, wanted in zip(found, cpu.value_and_gradient(x[..., 3:-4]), strict=True):
            assert got.dtype == dtype and got.shape == wanted.shape
            error = 20 * np.finfo(dtype).eps * np.abs(wanted).max()
            np.testing.assert_allclose(GUARD.to_host(got), wanted, rtol=0, atol=error)
        if stack:
            value, gradient = (GUARD.to_host(a) for a in device.value_and_gradient(on_device[-1]))
            assert GUARD.to_host(found[0])[-1] == value
            np.testing.assert_array_equal(GUARD.to_host(found[1])[-1], gradient)


@emulated
def test_the_emulation_refuses_what_it_cannot_judge():
    kernels = Kernels(GUARD.xp)
    gaps = GUARD.asarray(np.ones((4, 4)))[:, ::2]
    with pytest.raises(TypeError, match="relu: an array with gaps"):
        kernels.launch("relu", gaps.dtype, 8, gaps, gaps, np.int64(8))
    with pytest.raises(TypeError, match="relu: 2 arguments for 3 parameters"):
        kernels.launch("relu", gaps.dtype, 8, GUARD.asarray(np.ones(8)), np.int64(8))
    with pytest.raises(TypeError, match="relu: a float has no fixed size in C"):
        kernels.launch("relu", gaps.dtype, 8, GUARD.asarray(np.ones(8)), GUARD.asarray(np.ones(8)), 8.0)
    with pytest.raises(AssertionError, match="atomic cannot be emulated"):
        RawModule("__global__ void f(int *a) { atomicAdd(a, 1); }", (), None)


def training(backend, rule, stacked):
    rng = np.random.default_rng(2)
    network = Chain([ConvolutionLayer((1, 8, 8), 9, backend=backend), PoolingLayer((9, 8, 8), backend=backend)])
    network = Chain([*network.layers, ConvolutionLayer((9, 4, 4), 8, activation="relu", backend=backend)])
    classifier = DenseLayer(network.range_shape, 3, backend=backend)
    functions = [
        meganet.Objective(
            network,
            classifier,
            meganet.get_backend(backend).asarray(rng.standard_normal((12, 1, 8, 8))),
            rng.integers(0, 3, 12),
            theta_regularizer=Tikhonov(Identity(network.parameters.size, backend=backend), 0.1),
            W_regularizer=Tikhonov(Gradient((3, *network.range_shape), backend=backend), 0.1),
        )
        for _ in range(3 if stacked else 1)
    ]
    settings = {"epochs": 2, "learning_rate": lambda epoch: 0.05 / epoch, "batch_size": 4, "rule": rule}
    starts = [0.2 * rng.standard_normal(functions[0].parameters.size) for _ in functions]
    runs = [Run(f, f.backend.asarray(x), order=k) for k, (f, x) in enumerate(zip(functions, starts, strict=True))]
    if stacked:
        states = sgd_stacked(runs, 12, stack=StackedObjective, **settings)
    else:
        states = [sgd(**vars(runs[0]), examples=12, **settings)]
    return [meganet.get_backend(backend).to_host(state.x) for state in states]


@emulated
@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize("rule", [Momentum(), Momentum(0.9, nesterov=True), Adam()])
def test_training_as_a_graph_agrees_with_the_cpu(rule, stacked):
    before = Graph.launches
    with use_backend(GUARD):
        device = training(GUARD, rule, stacked)
    # two epochs of three steps, of which the first runs kernel by kernel; Adam's steps differ, so none is recorded
    assert Graph.launches - before == (0 if isinstance(rule, Adam) else 4)
    for got, expected in zip(device, training("numpy", rule, stacked), strict=True):
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12)


def test_a_graph_needs_a_step_that_stays_on_the_device():
    inputs = GUARD.asarray(np.arange(5.0).reshape(5, 1))

    def through_the_host(state, one):
        return (state[0] * float(GUARD.to_host(one)[0]),)

    def through_a_library(state, one):
        return (state[0] * (one @ one),)

    for step, expected in ((through_the_host, 120.0), (through_a_library, 14400.0)):
        with pytest.warns(UserWarning, match="no CUDA graph of the training step .*; it runs kernel by kernel"):
            (result,) = GUARD.iterate(step, (GUARD.asarray(np.ones(1)),), inputs + 1, lambda: None)
        assert GUARD.to_host(result).tolist() == [expected]
    counter = iter(range(10))

    def with_a_memory(state, one):
        return (state[0] + one * next(counter),)

    # the emulation repeats what was recorded, as a device would: the counter stands still
    (result,) = GUARD.iterate(with_a_memory, (GUARD.asarray(np.zeros(1)),), inputs * 0 + 1, lambda: None)
    assert GUARD.to_host(result).tolist() == [4.0]
