"""Recorded steps: whose memory they take, what ends a recording, which steps can be recorded."""

import threading
import warnings

import numpy as np
import pytest
from cuda_emulation import COMPILER
from graph_emulation import USUAL, Graph, MemoryPool, OutOfMemoryError, Stream
from guard_array import GUARD

import meganet
from meganet import Chain, ConvolutionLayer, DenseLayer, Objective, sgd, stencils, use_backend
from meganet.backend.cuda import graph as recorder
from meganet.layers import ActivationLayer, AffineLayer, BiasLayer, LinearLayer, ScalingLayer
from meganet.linop import CirculantConvolution, DepthwiseConvolution, Diagonal, Sparse, Transposed
from meganet.networks import DoubleHamiltonian, DoubleLayer, Reparametrised, ResidualNetwork, SingleLayer
from meganet.objective import StackedObjective
from meganet.optim import Run, sgd_stacked
from meganet.regularizers import BlockRegularizer, SmoothedL1, Tikhonov

emulated = pytest.mark.skipif(COMPILER is None, reason="needs a C++ compiler to run the kernels on the host")


def doubled(state, one):
    return (state[0] * 2 + one,)


def run(step=doubled, steps=4, advance=lambda: None):
    inputs = GUARD.asarray(np.ones((steps, 3)))
    return GUARD.to_host(GUARD.iterate(step, (GUARD.asarray(np.zeros(3)),), inputs, advance)[0])


def kept():
    """Return the pools of the emulated device that wait for the next iteration."""
    return [space.pool for (xp, _), idle in recorder._idle.items() if xp == id(GUARD.xp) for space in idle]


def nothing_left():
    return all(pool.used == pool.held == 0 for pool in kept()) and Graph.active is None


def objective(network, backend=GUARD, n=12, seed=0, **more):
    rng = np.random.default_rng(seed)
    images = meganet.get_backend(backend).asarray(rng.standard_normal((n, *network.domain_shape)))
    return Objective(network, DenseLayer(network.range_shape, 3), images, rng.integers(0, 3, n), **more)


def test_one_pool_serves_all_iterations_and_gives_its_memory_back():
    run()
    made, lost = MemoryPool.made, MemoryPool.lost
    for _ in range(5):
        np.testing.assert_array_equal(run(), 15.0)
        assert nothing_left()
    assert MemoryPool.made == made and MemoryPool.lost == lost


def test_a_dropped_pool_never_returns_its_memory_in_the_emulation():
    before, pool = MemoryPool.lost, MemoryPool()
    with GUARD.xp.cuda.using_allocator(pool.malloc):
        array = GUARD.xp.zeros(100)
    assert pool.used == pool.held == 800
    del array
    assert pool.used == 0 and pool.held == 800
    del pool
    assert MemoryPool.lost == before + 800


@emulated
def test_epochs_take_no_more_memory_and_constants_are_not_in_the_pool():
    """What a step uploads once, such as the transform of kernels, stays valid after its first epoch."""
    from meganet.linop._engines.device import _gg

    with use_backend(GUARD):
        _gg.cache_clear()
        fun = objective(Chain([ConvolutionLayer((8, 8, 8), 8), ActivationLayer((8, 8, 8), "tanh")]))
        x = GUARD.asarray(0.1 * np.random.default_rng(1).standard_normal(fun.parameters.size))
        settings = {"examples": 12, "learning_rate": 0.1, "batch_size": 3}
        lost = MemoryPool.lost
        state = sgd(fun, x, epochs=1, **settings)
        assert nothing_left() and _gg.cache_info().currsize == 1
        used = USUAL.used
        for epochs in (2, 3, 4):
            state = sgd(fun, x, epochs=epochs, state=state, **settings)
            assert nothing_left() and USUAL.used == used
    assert MemoryPool.lost == lost


@pytest.mark.parametrize("when", ["first step", "recording", "replay", "fallback"])
@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), OutOfMemoryError("out of memory"), MemoryError(), ZeroDivisionError("a bug"),
              RuntimeError("a bug"), NotImplementedError("a bug"), RecursionError("a bug"), SystemExit(1)],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_any_error_ends_the_recording_and_gives_the_memory_back(error, when):
    calls, capturing = [], Stream.left_capturing

    def step(state, one):
        calls.append(None)
        big = state[0] * 3
        if when == "fallback" and len(calls) == 2:
            GUARD.to_host(big)
        if len(calls) == {"first step": 1, "recording": 2, "fallback": 3}.get(when):
            raise error
        return (big + one,)

    def advance():
        if when == "replay" and Graph.launches > before + 1:
            raise error

    before = Graph.launches
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if when == "fallback" else "error")
        with pytest.raises(type(error)) as caught:
            run(step, advance=advance)
        assert caught.value is error
    # the traceback is still held
    assert nothing_left() and Stream.left_capturing == capturing
    np.testing.assert_array_equal(run(), 15.0)
    assert nothing_left()


def test_out_of_memory_while_recording():
    run()
    (pool,) = kept()

    def growing(state, one):
        # the recording keeps what the first step gave back, so it takes more
        parts = [state[0] * k for k in range(20)]
        return (sum(parts),)

    pool.count.room = 1000
    try:
        with pytest.raises(OutOfMemoryError):
            run(growing)
    finally:
        pool.count.room = None
    assert nothing_left()
    np.testing.assert_array_equal(run(), 15.0)


def test_iterations_within_iterations_and_in_threads_have_memory_of_their_own():
    inner = []
    np.testing.assert_array_equal(run(advance=lambda: inner.append(run())), 15.0)
    np.testing.assert_array_equal(inner, np.full((4, 3), 15.0))
    assert nothing_left()
    meeting, results = threading.Barrier(2, timeout=60), []

    def meet(state, one):
        meeting.wait()
        return (state[0] + one,)

    threads = [threading.Thread(target=lambda: results.append(run(meet, steps=1))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    np.testing.assert_array_equal(results, np.ones((2, 3)))
    assert nothing_left()


def test_an_upload_while_recording_is_refused_and_the_rest_runs_kernel_by_kernel():
    constants = []

    def uploads(state, one):
        constants.append(GUARD.asarray(np.full(3, 2.0)))
        return (state[0] * constants[-1] + one,)

    with pytest.warns(UserWarning, match="no CUDA graph of the training step .*while a graph is recorded"):
        np.testing.assert_array_equal(run(uploads), 15.0)
    assert nothing_left()
    np.testing.assert_array_equal([GUARD.to_host(c) for c in constants], 2.0)


def test_a_step_that_cannot_be_recorded_is_tried_once():
    tried = []

    def through_the_host(state, one):
        tried.append(Graph.active is not None)
        return (state[0] + float(GUARD.to_host(one)[0]),)

    with pytest.warns(UserWarning, match="it runs kernel by kernel") as told:
        for _ in range(3):
            np.testing.assert_array_equal(run(through_the_host), 4.0)
    assert len(told) == 1 and sum(tried) == 1


def test_a_training_that_cannot_be_recorded_says_so_once():
    class Reading:
        recordable = True

        def __call__(self, x, indices):
            return x.sum(), x * float(GUARD.to_host(x)[0])

    with use_backend(GUARD), pytest.warns(UserWarning, match="it runs kernel by kernel") as told:
        sgd(Reading(), GUARD.asarray(np.ones(2)), 6, epochs=4, learning_rate=0.1, batch_size=2)
    assert len(told) == 1


def test_joining_many_arrays_can_be_recorded():
    """CuPy uploads the addresses of more than eight, which a graph would read from memory that is reused."""

    def joined(state, one):
        parts = GUARD.concatenate([state[0][k % 3 : k % 3 + 1] for k in range(10)])
        return (GUARD.stack([one * k for k in range(10)]).sum(axis=0) + parts[:3],)

    launches = Graph.launches
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(run(joined), 180.0)
    assert Graph.launches == launches + 3
    with pytest.warns(UserWarning, match="an upload of many addresses"):
        run(lambda state, one: (GUARD.xp.stack([one] * 9).sum(axis=0),))


def circulant(o, i, k, **more):
    return CirculantConvolution(meganet.get_backend().asarray(np.zeros((o, i, k, k))), (6, 5), **more)


def sparse_layer(size):
    places = np.arange(3 * size)
    values = meganet.get_backend().asarray(np.zeros(3 * size))
    return AffineLayer(Sparse(values, places % size, (7 * places) % size, (size, size)), activation="tanh")


def in_stencils():
    basis = stencils.derivative_basis((4, 4, 3, 3))
    return Reparametrised(ConvolutionLayer((4, 6, 5), 4, activation="tanh"), basis)


NETWORKS = {
    "5x5, 9 channels": lambda: ConvolutionLayer((9, 6, 5), 10, 5, activation="relu", bias=True),
    "1x1, 8 channels": lambda: ConvolutionLayer((8, 6, 5), 8, 1, activation="tanh"),
    "3x5, 2 to 9 channels": lambda: ConvolutionLayer((2, 6, 5), 9, (3, 5), activation="smooth_relu"),
    "stride": lambda: ConvolutionLayer((9, 6, 5), 8, 5, stride=2),
    "dilation": lambda: ConvolutionLayer((9, 6, 6), 8, 3, dilation=2, bias=True),
    "transposed, 5x5": lambda: AffineLayer(Transposed(circulant(8, 9, 5, stride=(2, 1))), activation="tanh", bias=True),
    "explicit matrix": lambda: ConvolutionLayer((3, 6, 5), 2, 3, engine="sparse", bias=True),
    "depthwise": lambda: AffineLayer(DepthwiseConvolution(meganet.get_backend().asarray(np.zeros((3, 3, 5))), (6, 5))),
    "sparse": lambda: sparse_layer(7),
    "residual": lambda: ResidualNetwork(DoubleLayer(circulant(8, 8, 5), circulant(8, 8, 1), bias1=True), 3, 0.5),
    "weights in time": lambda: ResidualNetwork(
        SingleLayer(circulant(2, 2, 3)), 3, 0.5, coefficients=np.random.default_rng(0).standard_normal((2, 3))
    ),
    "halves": lambda: DoubleHamiltonian(SingleLayer(circulant(2, 2, 3)), SingleLayer(circulant(2, 2, 5)), 2, 0.5),
    "twelve layers": lambda: Chain(
        [layer for _ in range(4) for layer in (ConvolutionLayer((2, 6, 5), 2), BiasLayer((2, 6, 5)))]
        + [ScalingLayer((2, 6, 5)), LinearLayer(Diagonal(meganet.get_backend().asarray(np.full((2, 6, 5), 0.5))))]
        + [ActivationLayer((2, 6, 5)), ConvolutionLayer((2, 6, 5), 2)]
    ),
}


def penalties(network, backend):
    """Return regularisers that do not take stacks, one for each half of the weights."""
    size = network.parameters.size
    halves = (size // 2, size - size // 2)
    identity = [meganet.linop.Identity((n,), backend=backend) for n in halves]
    return BlockRegularizer([SmoothedL1(identity[0], 0.1), Tikhonov(identity[1], 0.1)])


def trained(backend, make, stacked):
    with use_backend(backend) as home:
        network = make()
        shared = {"theta_regularizer": penalties(network, home)}
        first = objective(network, home, **shared)
        functions = [first, *(Objective(network, first.classifier, first.images, first.labels, **shared) for _ in "ab")]
        rng = np.random.default_rng(3)
        starts = [home.asarray(0.2 * rng.standard_normal(first.parameters.size)) for _ in functions]
        settings = {"epochs": 2, "learning_rate": 0.05, "batch_size": 3}
        if not stacked:
            return [home.to_host(sgd(first, starts[0], 12, **settings).x)]
        runs = [Run(f, x, order=k) for k, (f, x) in enumerate(zip(functions, starts, strict=True))]
        return [home.to_host(state.x) for state in sgd_stacked(runs, 12, stack=StackedObjective, **settings)]


@emulated
@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_training_step_can_be_recorded(name, stacked):
    launches = Graph.launches
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        device = trained(GUARD, NETWORKS[name], stacked)
    assert Graph.launches - launches == 6 and nothing_left()
    for got, expected in zip(device, trained("numpy", NETWORKS[name], stacked), strict=True):
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12)
