"""The multilevel estimate of gradients: what it is in exact arithmetic, what it costs, when it is switched off."""

import itertools
import math
from functools import lru_cache

import numpy as np
import pytest

import meganet as mn
from meganet import Chain, ConvolutionLayer, DenseLayer, Momentum, Objective, PoolingLayer, Tikhonov, sgd
from meganet.backend import use_backend
from meganet.checks import check_derivative
from meganet.ground.validate import InputError
from meganet.linop import BlockDiagonal, Identity, Matrix
from meganet.multigrid import restrict, restrict_images, weights_restriction
from meganet.multilevel import LevelVariances, MultilevelGradient
from meganet.networks.work import step_flop
from meganet.optim import History

KINDS = [("copy", "linear"), ("galerkin", "constant"), ("galerkin", "linear")]


def smooth_images(count=40, size=16, noise=0.0):
    """Images of a few waves, which coarse grids see too, and of noise, which they do not."""
    rng, at = np.random.default_rng(0), (np.arange(size) + 0.5) / size
    waves = [np.cos(np.outer(rng.random(count), at) + rng.random((count, 1))) for _ in range(2)]
    images = waves[0][:, None, :, None] * waves[1][:, None, None, :]
    return images + noise * rng.standard_normal(images.shape), rng.integers(0, 3, count)


def network_on(n, backend=None):
    return Chain([ConvolutionLayer((1, n, n), 2, activation="tanh", backend=backend), PoolingLayer(..., 2)])


@lru_cache
def restriction_matrix(n, kernels, interpolation):
    """Return restriction of the weights for three classes, column by column."""
    network = network_on(n, "numpy")
    parts = network.parameters.size, 3 * (math.prod(network.range_shape) + 1)
    units = (np.split(unit, parts[:1]) for unit in np.eye(sum(parts)))
    found = [restrict(network, *unit, kernels=kernels, interpolation=interpolation) for unit in units]
    return np.array([np.concatenate([one.theta, one.W]) for one in found]).T


def problem(backend, dtype="float64", kind=KINDS[0], noise=0.0, levels=3, penalised=True, **options):
    """Return the estimator of a small network with pooling on some grids."""
    images, labels = smooth_images(noise=noise)
    dtype, sets = np.dtype(dtype), [images]
    while len(sets) < levels:
        sets.insert(0, restrict_images(sets[0]))
    funs, maps = [], []
    for number, of_level in enumerate(sets):
        g = network_on(of_level.shape[-1], backend)
        w = DenseLayer(g.range_shape, 3, backend=backend)
        alpha = 0.1 * (number + 1)
        penalties = {
            "theta_regularizer": Tikhonov(Identity(g.parameters.size, backend=backend), alpha),
            "W_regularizer": Tikhonov(Identity(w.parameters.size, backend=backend), alpha),
        }
        funs.append(Objective(g, w, backend.asarray(of_level, dtype), labels, **penalties if penalised else {}))
        if number:
            matrix = restriction_matrix(of_level.shape[-1], *kind)
            maps.append(Matrix(matrix, matrix.shape[1:], matrix.shape[:1], dtype, backend))
    options = {"batch_size": 8, "sample": 32} | options
    return MultilevelGradient(funs, maps, **options)


def point(fun, seed=0):
    return fun.backend.asarray(0.3 * np.random.default_rng(seed).standard_normal(fun.finest.parameters.size), fun.dtype)


@pytest.mark.parametrize("kernels", ["copy", "galerkin"])
@pytest.mark.parametrize("interpolation", ["constant", "linear"])
def test_three_grids_with_the_restrictions_of_multigrid(backend, dtype, kernels, interpolation):
    images, labels = smooth_images(size=28)
    sets = [images]
    while len(sets) < 3:
        sets.insert(0, restrict_images(sets[0]))
    networks = [Chain([ConvolutionLayer((1, n, n), 2, backend=backend), ConvolutionLayer(..., 3)]) for n in (7, 14, 28)]
    funs = [
        Objective(g, DenseLayer(g.range_shape, 3, backend=backend), backend.asarray(part, dtype), labels)
        for g, part in zip(networks, sets, strict=True)
    ]
    how = {"kernels": kernels, "interpolation": interpolation}
    maps = [weights_restriction(network, 3, **how) for network in networks[1:]]
    fun = MultilevelGradient(funs, maps, batch_size=8, sample=32)
    x = point(fun)
    gradient, expected = (backend.to_host(g) for g in (fun.telescoped(x, [None] * 3)[1], funs[-1](x)[1]))
    assert gradient.dtype == np.dtype(dtype)
    tolerance = 1e-12 if gradient.dtype == np.float64 else 1e-5
    assert np.linalg.norm(gradient - expected) <= tolerance * np.linalg.norm(expected)
    assert fun.observe(x)["V[h2]"] > 0


@pytest.mark.parametrize("kind", KINDS)
def test_all_examples_on_every_level_are_the_finest_objective(backend, dtype, kind):
    fun = problem(backend, dtype, kind)
    x = point(fun)
    value, gradient = fun.finest(x)
    everything = backend.asarray(np.arange(fun.finest.examples))
    tolerance = 1e-12 if gradient.dtype == np.float64 else 1e-5
    for parts in ([None] * 3, [None] * 2, [None], [everything] * 3):
        found = fun.telescoped(x, parts)
        assert found[1].dtype == x.dtype and found[1].shape == x.shape and found[0].shape == ()
        host, expected = backend.to_host(found[1]), backend.to_host(gradient)
        assert np.linalg.norm(host - expected) <= tolerance * np.linalg.norm(expected)
        assert float(backend.to_host(found[0])) == pytest.approx(float(backend.to_host(value)), rel=tolerance)


def test_the_mean_over_all_choices_is_the_finest_gradient():
    fun = problem(mn.get_backend("numpy"), levels=2)
    few = [
        Objective(
            f.network,
            f.classifier,
            f.images[:5],
            f.labels[:5],
            theta_regularizer=f.theta_regularizer,
            W_regularizer=f.W_regularizer,
        )
        for f in fun.objectives
    ]
    # all of five examples in all orders: three on the coarse grid, two for the difference
    small = MultilevelGradient(few, fun.restrictions, batch_size=4)
    small.variances = LevelVariances((1.0, 1.0), (0.05,), (1.0, 4.0))
    assert small.counts(5) == (3, 2)
    x = point(fun)
    orders = [np.array(order) for order in itertools.permutations(range(5))]
    found = [small.telescoped(x, [order[:3], order[3:]]) for order in orders]
    value, gradient = few[-1](x)
    assert np.mean([v for v, _ in found]) == pytest.approx(float(value), rel=1e-12)
    np.testing.assert_allclose(np.mean([g for _, g in found], axis=0), gradient, rtol=0, atol=1e-13)
    # which a step is, in every fourth of which the variances are seen
    for order, (v, g) in zip(orders[:9], found[:9], strict=True):
        small.variances = LevelVariances((1.0, 1.0), (0.05,), (1.0, 4.0))
        step = small(x, order)
        assert float(step[0]) == pytest.approx(float(v), rel=1e-12)
        np.testing.assert_allclose(step[1], g, rtol=0, atol=1e-13)
    # which no single one of them is
    assert min(np.linalg.norm(g - gradient) for _, g in found) > 1e-6


def test_it_is_the_gradient_of_its_value():
    fun = problem(mn.get_backend("numpy"))
    x, d = point(fun), point(fun, 1)
    parts = [np.arange(20), np.arange(20, 30), np.arange(30, 33)]
    gradient = fun.telescoped(x, parts)[1]
    check_derivative(lambda at: fun.telescoped(at, parts)[0], lambda v: gradient @ v, x, d)


def test_regularisers_count_once():
    fun, bare = problem(mn.get_backend("numpy")), problem(mn.get_backend("numpy"), penalised=False)
    x, parts = point(fun), [np.arange(20), np.arange(8), np.arange(2)]
    value, gradient = (a - b for a, b in zip(fun.telescoped(x, parts), bare.telescoped(x, parts), strict=True))
    assert value == pytest.approx(0.15 * x @ x) and np.allclose(gradient, 0.3 * x)


def test_variances_by_hand():
    """Of single examples, in batches of one mean each: the trace of the sample covariance."""
    fun = problem(mn.get_backend("numpy"), penalised=False)
    x, indices = point(fun), np.random.default_rng(3).permutation(40)
    found = fun.measure(x, indices)
    means, levels = [], range(3)
    pulled = [np.eye(x.size)]
    for matrix in reversed(fun.restrictions):
        pulled.insert(0, matrix.tosparse().toarray() @ pulled[0])
    for k in range(2):
        part = indices[16 * k : 16 * (k + 1)]
        means.append([t.T @ f(t @ x, part)[1] for f, t in zip(fun.objectives, pulled, strict=True)])
    own = [8 * np.sum((means[0][level] - means[1][level]) ** 2) for level in levels]
    pairs = [[m[level] - m[level - 1] for m in means] for level in (1, 2)]
    assert found.own == pytest.approx(own)
    assert found.differences == pytest.approx([8 * np.sum((a - b) ** 2) for a, b in pairs])
    assert found.work == tuple(step_flop(f.network, 3) for f in fun.objectives)
    # the regularisers do not vary
    assert problem(mn.get_backend("numpy")).measure(x, indices).own == pytest.approx(found.own)


def test_numbers_of_examples_are_those_of_least_variance():
    found = LevelVariances((2.0, 1.5, 1.0), (0.2, 0.1), (1.0, 4.0, 16.0))
    terms = [(2.0, 1.0), (0.2, 5.0), (0.1, 20.0)]
    least = sum(math.sqrt(v * c) for v, c in terms) ** 2
    assert found.gains[0] == pytest.approx(16 / least) and found.gains[2] == 1
    counts = found.counts(1000, 10**6)
    work = sum(n * c for n, (_, c) in zip(counts, terms, strict=True))
    assert 0.999 * 16000 < work <= 16000
    variance = sum(v / n for n, (v, _) in zip(counts, terms, strict=True))
    assert variance == pytest.approx(least / work, rel=1e-3)
    # compared with a mini-batch of the finest level at the same work
    assert (1.0 / 1000) / variance == pytest.approx(found.gain, rel=1e-3)
    # never more than there are, and two at least for each of several terms
    for examples, terms in ((1, 1), (2, 1), (3, 1), (4, 2), (6, 3), (7, 3), (50, 3)):
        few = found.counts(1000, examples)
        assert sum(few) <= examples and len(few) == terms and (terms == 1 or min(few) >= 2)
    # nor more work
    assert [len(found.counts(size, 1000)) for size in (1, 2, 3, 4)] == [1, 1, 2, 3]


def test_it_starts_with_the_level_that_pays_most():
    # the coarsest level knows nothing of the gradient, the middle one all
    found = LevelVariances((1.0, 1.0, 1.0), (2.0, 0.0), (1.0, 4.0, 16.0))
    assert found.gains == pytest.approx((16 / (1 + 10**0.5) ** 2, 4, 1)) and found.start == 1
    assert found.counts(10, 100) == (30, 2)
    for useless in (
        LevelVariances((1.0, 1.0), (2.0,), (1.0, 4.0)),
        LevelVariances((0.0, 0.0), (0.0,), (1.0, 4.0)),
        LevelVariances((1.0, math.nan), (math.nan,), (1.0, 4.0)),
        LevelVariances((1.0,), (), (4.0,)),
    ):
        assert useless.start == len(useless.own) - 1 and useless.counts(8, 100) == (8,) and useless.gain == 1
        assert len(useless.table()) == len(useless.own)


def test_it_is_switched_off_where_levels_are_uncorrelated():
    backend = mn.get_backend("numpy")
    smooth, noisy = problem(backend), problem(backend, noise=20.0)
    for fun, starts in ((smooth, {0, 1}), (noisy, {2})):
        fun.observe(point(fun))
        assert fun.variances.start in starts
        assert fun.work(40) <= fun.batch_size * step_flop(fun.finest.network, 3)
    x, indices = point(noisy), np.random.default_rng(0).permutation(40)
    assert noisy.counts(40) == (8,)
    for found, expected in zip(noisy(x, indices), noisy.finest(x, indices[:8]), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert len(smooth.counts(40)) > 1 and sum(smooth.counts(40)) > 8


def test_less_variance_for_the_same_work():
    fun = problem(mn.get_backend("numpy"))
    x, rng = point(fun), np.random.default_rng(0)
    fun.observe(x)
    assert fun.variances.gain > 1.5
    orders = [rng.permutation(40) for _ in range(200)]
    exact = fun.finest(x)[1]
    several = np.mean([np.sum((fun(x, order)[1] - exact) ** 2) for order in orders])
    alone = np.mean([np.sum((fun.finest(x, order[:8])[1] - exact) ** 2) for order in orders])
    assert several < alone


def test_training_adapts_and_goes_on_to_the_bit(backend, dtype):
    def train(epochs, state=None, history=None):
        fun = problem(backend, dtype)
        if history is not None:
            fun.resume(history)
        x0, rule = point(fun), Momentum(0.9)
        settings = {"learning_rate": 0.02, "batch_size": 20, "rule": rule, "observe": fun.observe}
        return sgd(fun, x0, 40, epochs=epochs, state=state, **settings)

    whole, half = train(4), train(2)
    assert whole.history.columns[3:] == ("V[h0]", "V[h1]", "V[h2]", "V[h1-h0]", "V[h2-h1]", "gain")
    assert whole.history[0]["gain"] > 1 and whole.x.dtype == np.dtype(dtype)
    # a history that was stored as text
    rest = train(4, half, History.from_csv(half.history.to_csv()))
    np.testing.assert_array_equal(backend.to_host(rest.x), backend.to_host(whole.x))
    assert rest.history.to_csv() == whole.history.to_csv()
    np.testing.assert_array_equal(backend.to_host(train(4).x), backend.to_host(whole.x))


def test_a_step_tells_what_its_examples_vary_by():
    """By hand, from the halves of each term."""
    fun = problem(mn.get_backend("numpy"), penalised=False)
    x, indices = point(fun), np.random.default_rng(0).permutation(40)
    fun.observe(x)
    fun.variances = before = LevelVariances((9.0, 8.0, 7.0), (0.5, 0.4), fun.variances.work)
    counts = fun.counts(40)
    assert len(counts) == 3 and not fun.recordable
    for _ in range(3):
        fun(x, indices)
        assert fun.variances is before
    fun(x, indices)
    start = 0
    maps = [(fun.restrictions[0] @ fun.restrictions[1]).tosparse(), fun.restrictions[1].tosparse(), np.eye(x.size)]
    for level, count in enumerate(counts):
        part = indices[start : start + count]
        halves, start = (part[: count // 2], part[count // 2 :]), start + count
        scale = 1 / sum(1 / len(half) for half in halves)

        def gradients(level, halves=halves):
            one, other = (maps[level].T @ fun.objectives[level](maps[level] @ x, half)[1] for half in halves)
            return one - other

        own = scale * np.sum(gradients(level) ** 2)
        assert fun.variances.own[level] == pytest.approx(0.8 * before.own[level] + 0.2 * own)
        if level:
            apart = scale * np.sum((gradients(level) - gradients(level - 1)) ** 2)
            assert fun.variances.differences[level - 1] == pytest.approx(
                0.8 * before.differences[level - 1] + 0.2 * apart
            )


def test_it_is_switched_off_within_an_epoch():
    fun = problem(mn.get_backend("numpy"), noise=20.0)
    x, rng = point(fun), np.random.default_rng(0)
    # what it was far away
    fun.variances = LevelVariances((1.0, 1.0, 1.0), (1e-3, 1e-3), fun.measure(x).work)
    taken = [fun.counts(40)]
    for _ in range(40):
        fun(x, rng.permutation(40))
        taken.append(fun.counts(40))
    assert len(taken[0]) == 3 and taken[-1] == (8,) and fun.recordable


def test_measuring_fetches_once(backend, monkeypatch):
    fun = problem(backend)
    x, indices = point(fun), backend.asarray(np.arange(40))
    fetched = []
    to_host = type(backend).to_host
    monkeypatch.setattr(type(backend), "to_host", lambda self, a: fetched.append(a.shape) or to_host(self, a))
    fun(x, indices)
    fun.observe(x)
    fun.variances = LevelVariances((1.0, 1.0, 1.0), (0.05, 0.05), fun.variances.work)
    for _ in range(5):
        fun(x, indices)
    assert fetched == [(5,), (5,)]


def test_where_a_number_is_not_finite():
    fun = problem(mn.get_backend("numpy"))
    x = point(fun)
    assert fun.first_non_finite(x) is None
    x[:] = np.nan
    assert fun.first_non_finite(x).startswith("level 2: layer theta.0 (ConvolutionLayer")


def test_what_does_not_fit_is_refused():
    fun = problem(mn.get_backend("numpy"))
    funs, maps = fun.objectives, fun.restrictions
    other = problem(mn.get_backend("numpy"), "float32").objectives
    turned = Objective(funs[0].network, funs[0].classifier, funs[0].images, funs[0].labels[::-1])
    for objectives, restrictions, options, message in (
        ([], [], {}, "objectives: expected at least one Objective, got none"),
        (funs, maps[:1], {}, "restrictions: expected 2, one between each two of the objectives, got 1"),
        (funs, maps[::-1], {}, r"restrictions\[0\]: expected from \(117,\) to \(45,\) weights"),
        (funs, [maps[0], print], {}, r"restrictions\[1\]: expected a LinearOperator"),
        ([other[0], *funs[1:]], maps, {}, r"objectives\[0\]: expected 40 examples in float64"),
        ([turned, *funs[1:]], maps, {}, r"objectives\[0\]: expected the labels of the finest"),
        (funs, maps, {"sample": 1}, "sample: expected"),
        (funs, maps, {"batch_size": 0}, "batch_size: expected"),
    ):
        with pytest.raises(InputError, match=message):
            MultilevelGradient(objectives, restrictions, **{"batch_size": 4} | options)
    x = point(fun)
    for call, message in (
        (lambda: fun(x[:-1], np.arange(9)), "x: expected"),
        (lambda: fun(x.astype(np.float32), np.arange(9)), "x: expected float64"),
        (lambda: fun(x, np.array([99])), "indices: expected numbers 0 to 39"),
        (lambda: fun.telescoped(x, [None] * 4), "examples: expected those of 1 to 3 levels, got 4"),
        (lambda: fun.telescoped(x, [np.array([99])]), r"examples\[0\]: indices: expected numbers 0 to 39"),
        (lambda: fun.measure(x, np.arange(1)), "indices: expected at least 2 examples, got 1"),
        (lambda: fun.resume(History([{"epoch": 0}])), r"row: expected a column V\[h0\], got epoch"),
        (lambda: LevelVariances((1.0,), (1.0,), (1.0,)), "own, differences, work: expected"),
    ):
        with pytest.raises(InputError, match=message):
            call()


def test_operators_that_store_no_numbers_serve_any_dtype(dtype):
    with use_backend("numpy") as backend:
        fun = problem(backend, dtype, levels=1, penalised=False)
        copies = BlockDiagonal([Identity(fun.finest.parameters.size)])
        twice = MultilevelGradient([fun.finest, fun.finest], [copies], batch_size=8)
        x = point(fun)
        assert twice.measure(x).differences == (0.0,)
        assert twice.telescoped(x, [np.arange(8), np.arange(2)])[1].dtype == np.dtype(dtype)
