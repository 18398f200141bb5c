"""MG/OPT: independence of the size, the first-order correction, what becomes of bad coarse steps, who owns what."""

from functools import partial

import numpy as np
import pytest
import scipy.sparse

import meganet as mn
from meganet.ground.validate import InputError
from meganet.multigrid import prolongation, restriction
from meganet.optim import (
    Armijo,
    Coarse,
    Control,
    Corrected,
    Problem,
    StrongWolfe,
    lbfgs,
    mg_opt,
    newton_cg,
    sgd,
    steepest_descent,
    trust_region,
)

ACCEPTANCES = ("line search", "trust region")


def poisson(n):
    """-u'' = 1 on n cells, the values at the ends being 0: function and Hessian."""
    a = n * (2 * scipy.sparse.eye_array(n) - scipy.sparse.eye_array(n, k=1) - scipy.sparse.eye_array(n, k=-1)).tocsr()
    return lambda x: (0.5 * x @ (a @ x) - x.sum() / n, a @ x - 1 / n), lambda x: a


def transfers(n):
    """R and P between n and n / 2 cells."""
    return restriction((1, n), backend="numpy"), prolongation((1, n), backend="numpy")


def hierarchy(n, coarsest=16):
    """Rediscretised problems on n / 2, n / 4, ... cells, coarse to fine."""
    found = []
    while n > coarsest:
        r, p = transfers(n)
        n //= 2
        found.insert(0, Coarse(poisson(n)[0], r, p, poisson(n)[1]))
    return found


def galerkin(n, coarsest=16):
    """The same with P'AP."""
    found, a = [], poisson(n)[1](None)
    b = np.full(n, 1 / n)
    while n > coarsest:
        r, p = transfers(n)
        a, b, n = p.T @ a @ p, p.T @ b, n // 2
        fun = partial(lambda a, b, x: (0.5 * x @ (a @ x) - b @ x, a @ x - b), a, b)
        found.insert(0, Coarse(fun, r, p, lambda x, a=a: a))
    return found


def wavy(n):
    """A function with many minima: a chain in a periodic potential."""

    def fun(x):
        d = np.diff(np.concatenate([[0.0], x, [1.0]]))
        value = 0.5 * n * (d * d).sum() + np.cos(7 * x).sum() / n * 3
        return value, n * (d[:-1] - d[1:]) - 21 * np.sin(7 * x) / n

    def hessian(x):
        eye = partial(scipy.sparse.eye_array, n)
        return n * (2 * eye() - eye(k=1) - eye(k=-1)) - scipy.sparse.diags_array(147 * np.cos(7 * x) / n)

    return fun, hessian


EXACTLY = partial(steepest_descent, line_search=Armijo(0.5))
SMOOTHERS = {"sd": EXACTLY, "lbfgs": lbfgs, "newton_cg": newton_cg, "trust_region": trust_region}


@pytest.mark.parametrize(
    ("levels", "cycle", "smoother"),
    [
        (hierarchy, "V", lbfgs),
        (hierarchy, "W", EXACTLY),
        (galerkin, "W", EXACTLY),
        (galerkin, "W", lbfgs),
    ],
)
def test_cycles_do_not_depend_on_the_size(levels, cycle, smoother):
    """Where the smoother alone needs the more iterations the larger the problem."""
    counts, alone = [], []
    for n in (32, 128, 512):
        fun, x0, control = poisson(n)[0], np.zeros(n), Control(400, rtol=1e-4)
        options = {"smoother": smoother, "coarsest": 30, "cycle": cycle, "control": control}
        result = mg_opt(fun, x0, coarse=levels(n), **options)
        assert result.converged
        counts.append(result.iterations)
        alone.append(smoother(fun, x0, control=control).iterations)
    assert max(counts) <= 16 and counts[2] <= counts[1] + 2
    assert alone[2] >= 3 * alone[1] >= 9 * alone[0] or alone[2] == 400


@pytest.mark.parametrize("name", SMOOTHERS)
@pytest.mark.parametrize("acceptance", ACCEPTANCES)
def test_every_smoother_solves_poisson(name, acceptance):
    fun, hessian = poisson(256)
    options = {"acceptance": acceptance, "smoother": SMOOTHERS[name], "coarsest": 20}
    result = mg_opt(fun, np.zeros(256), hessian, coarse=hierarchy(256), control=Control(60), **options)
    assert result.converged
    values = result.history.column("value")
    assert all(b <= a + 1e-15 for a, b in zip(values[:-1], values[1:], strict=True))
    solution = scipy.sparse.linalg.spsolve(hessian(None).tocsc(), np.full(256, 1 / 256))
    np.testing.assert_allclose(result.x, solution, atol=1e-4)


def test_the_coarse_model_agrees_to_first_order():
    rng = np.random.default_rng(0)
    x, e = rng.standard_normal(16), rng.standard_normal(8)
    (fine, _), (coarse, _), (r, p) = wavy(16), wavy(8), transfers(16)
    gradient = fine(x)[1]
    start = Problem(coarse, r @ x).at(r @ x)
    model = Corrected(coarse, start, p.T @ gradient)
    value, found = model(r @ x)
    np.testing.assert_allclose(found, p.T @ gradient, rtol=1e-14, atol=1e-13)
    assert value == start.value == model.start.value and model.start.norm == pytest.approx(np.linalg.norm(found))
    # along a coarse direction both fall alike
    assert (gradient @ (p @ e)) == pytest.approx(found @ e, rel=1e-12)
    t = 1e-6
    slope = (model(r @ x + t * e)[0] - model(r @ x - t * e)[0]) / (2 * t)
    assert slope == pytest.approx(found @ e, rel=1e-6)


@pytest.mark.parametrize("acceptance", ACCEPTANCES)
@pytest.mark.parametrize("name", SMOOTHERS)
@pytest.mark.parametrize("cycle", ["V", "W"])
def test_a_function_with_many_minima_falls_in_every_cycle(acceptance, name, cycle):
    n = 32
    coarse = [Coarse(wavy(m)[0], *transfers(2 * m), wavy(m)[1]) for m in (8, 16)]
    x0 = np.random.default_rng(1).standard_normal(n)
    options = {"acceptance": acceptance, "smoother": SMOOTHERS[name], "cycle": cycle, "pre": 1, "post": 1}
    result = mg_opt(*wavy(n)[:1], x0, wavy(n)[1], coarse=coarse, control=Control(100, rtol=1e-5), **options)
    values = result.history.column("value")
    assert result.converged and all(b <= a for a, b in zip(values[:-1], values[1:], strict=True))


def test_coarse_directions_that_do_not_descend_are_not_taken():
    fun, _ = poisson(32)
    r, p = transfers(32)
    calls = []

    def uphill(coarse, x0, control):
        """On the finest level plain descent, on the coarse one a step to the wrong side."""
        if len(x0) == 32:
            return steepest_descent(coarse, x0, control=control)
        calls.append(x0)
        gradient = coarse(x0)[1]
        x = x0 + gradient
        return mn.optim.Result(x, *coarse(x), iterations=1, evaluations=2)

    for acceptance in ACCEPTANCES:
        options = {"smoother": uphill, "acceptance": acceptance, "control": Control(4)}
        result = mg_opt(fun, np.ones(32), coarse=[Coarse(poisson(16)[0], r, p)], **options)
        assert result.history.column("refused") == [0, 1, 1, 1, 1] and not any(result.history.column("coarse_length"))
        values = result.history.column("value")
        assert all(b < a for a, b in zip(values[:-1], values[1:], strict=True)) and result.reason == "max_iterations"
    assert len(calls) == 8
    # with nothing but the coarse steps there is no way on
    result = mg_opt(fun, np.ones(32), coarse=[Coarse(poisson(16)[0], r, p)], smoother=uphill, pre=0, post=0)
    assert result.reason == "line search" and result.iterations == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("acceptance", ACCEPTANCES)
def test_a_coarse_problem_that_is_not_finite_is_no_help_and_no_harm(acceptance, bad):
    fun, _ = poisson(32)
    coarse = [Coarse(lambda x: (bad, x * bad), *transfers(32))]
    options = {"coarse": coarse, "acceptance": acceptance, "control": Control(200)}
    with np.errstate(invalid="ignore"):
        result = mg_opt(fun, np.ones(32), **options)
    assert result.converged and sum(result.history.column("refused")) == result.iterations


def test_the_radius_bounds_coarse_steps_and_continues():
    n = 32
    fun, hessian = wavy(n)
    coarse = [Coarse(wavy(16)[0], *transfers(n), wavy(16)[1])]
    x0 = np.random.default_rng(1).standard_normal(n)
    run = partial(mg_opt, fun, hessian=hessian, coarse=coarse, smoother=trust_region, acceptance="trust region")
    whole = run(x0, radius=0.1, control=Control(6, rtol=0))
    assert whole.history[1]["coarse_length"] <= 0.1 * 2**2 and whole.history[1]["step"] > 0
    alone = run(x0, radius=0.1, pre=0, post=0, control=Control(1))
    assert alone.history[1]["coarse_length"] == pytest.approx(alone.history[1]["step"]) == pytest.approx(0.1)
    first = run(x0, radius=0.1, control=Control(3, rtol=0))
    second = run(first.x, control=Control(3, rtol=0), **first.state)
    np.testing.assert_array_equal(second.x, whole.x)
    assert second.state == whole.state


def test_work_counts_what_was_evaluated():
    counts = {}

    def counted(n):
        counts[n] = 0

        def fun(x):
            counts[n] += 1
            return wavy(n)[0](x)

        return fun

    coarse = [Coarse(counted(m), *transfers(2 * m), work=w) for m, w in ((8, None), (16, 0.3))]
    result = mg_opt(counted(32), np.full(32, 0.3), coarse=coarse, cycle="W", control=Control(5, rtol=0))
    last = result.history[-1]
    assert (last["evaluations"], last["evaluations_1"], last["evaluations_0"]) == (counts[32], counts[16], counts[8])
    assert last["work"] == pytest.approx(counts[32] + 0.3 * counts[16] + 0.25 * counts[8])
    assert result.history[0]["work"] == result.history[0]["evaluations"] == 1


def test_epochs_of_mini_batches_smooth_too():
    """A smoother of one's own, which asks for the gradients of mini-batches."""
    rng = np.random.default_rng(0)
    data = rng.standard_normal((40, 16)) + np.linspace(0, 1, 16)
    r, p = transfers(16)
    coarse_data = data @ r.T

    def of(rows):
        def fun(x, indices=slice(None)):
            apart = x - rows[indices]
            return 0.5 * (apart * apart).sum(axis=1).mean(), apart.mean(axis=0)

        return fun

    def epochs(fun, x0, control):
        state = sgd(fun, x0, 40, epochs=control.max_iterations, learning_rate=0.1, batch_size=8)
        return mn.optim.Result(state.x, *fun(state.x), evaluations=control.max_iterations + 1)

    coarse = [Coarse(of(coarse_data), r, p, work=0.5)]
    options = {"smoother": epochs, "pre": 1, "post": 0, "coarsest": 1}
    result = mg_opt(of(data), np.zeros(16), coarse=coarse, control=Control(15), **options)
    np.testing.assert_allclose(result.x, data.mean(axis=0), atol=0.1)
    assert result.history[1]["evaluations_0"] == 3 and result.history[1]["refused"] == 0


@pytest.mark.parametrize("acceptance", ACCEPTANCES)
def test_dtype_and_backend_are_kept(backend, dtype, acceptance):
    n = 16
    a, half = (backend.asarray(poisson(m)[1](None).toarray(), dtype) for m in (n, n // 2))
    r, p = (backend.asarray(m.toarray(), dtype) for m in transfers(n))

    def of(matrix):
        return lambda x: (0.5 * (x * (matrix @ x)).sum() - x.sum() / len(x), matrix @ x - 1 / len(x))

    x0 = backend.asarray(np.ones(n), dtype)
    options = {"coarse": [Coarse(of(half), r, p)], "acceptance": acceptance, "control": Control(50, rtol=1e-3)}
    result = mg_opt(of(a), x0, **options)
    assert result.converged and result.x.dtype == result.gradient.dtype == dtype
    np.testing.assert_array_equal(backend.to_host(x0), 1)


@pytest.mark.parametrize("optimizer", ["line search", "trust region"])
def test_a_model_is_fitted_with_coarse_images_and_goes_on(optimizer):
    """R and P of the weights as matrices, by unit vectors; four epochs are two and two."""
    rng = np.random.default_rng(0)
    images, labels = rng.standard_normal((12, 1, 8, 8)), np.arange(12) % 3
    small = mn.Objective(
        mn.ConvolutionLayer((1, 4, 4), 2), mn.DenseLayer((2, 4, 4), 3), mn.multigrid.restrict_images(images), labels
    )
    size = small.network.parameters.size

    def carried(change, network, n):
        columns = [change(network, e[:size], e[size:], kernels="copy") for e in np.eye(n)]
        return np.column_stack([np.concatenate([c.theta, c.W]) for c in columns])

    p = carried(mn.prolongate, small.network, small.parameters.size)
    r = carried(mn.restrict, mn.ConvolutionLayer((1, 8, 8), 2), p.shape[0])
    coarse = [Coarse(small, r, p, small.hessian, work=0.25)]
    smoother = {"smoother": trust_region} if optimizer == "trust region" else {}
    how = partial(mg_opt, coarse=coarse, acceptance=optimizer, pre=1, post=1, **smoother)
    models = [mn.Model([mn.ConvolutionLayer((1, 8, 8), 2)], 3) for _ in range(2)]
    models[0].fit(images, labels, epochs=4, optimizer=how, rng=0)
    models[1].fit(images, labels, epochs=2, optimizer=how, rng=0)
    models[1].fit(images, labels, epochs=2, optimizer=how)
    np.testing.assert_array_equal(models[0].theta, models[1].theta)
    objective = models[0].history.column("objective")
    assert len(objective) == 5 and objective[-1] < 0.9 * objective[0]


QUADRATIC = poisson(8)[0]
R, P = transfers(8)
ONE = Coarse(poisson(4)[0], R, P)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Coarse(3, R, P), "fun: expected a function, got 3"),
        (lambda: Coarse(print, R, P, 3), "hessian: expected a function or None, got 3"),
        (lambda: Coarse(print, print, P), "restriction: expected a matrix or operator A of two axes .*, got a builtin"),
        (lambda: Coarse(print, R, np.ones(3)), r"prolongation: expected a matrix .*, got an array of shape \(3,\)"),
        (lambda: Coarse(print, R, R), r"prolongation: expected shape \(8, 4\), that of the restriction turned round"),
        (lambda: Coarse(print, R, P, work=0), "work: expected a finite number above 0"),
        (lambda: mg_opt(QUADRATIC, np.ones(8), coarse=[]), "coarse: expected a sequence of one or more Coarse, got"),
        (lambda: mg_opt(QUADRATIC, np.ones(8), coarse=ONE), "coarse: expected a sequence .*, got a Coarse"),
        (lambda: mg_opt(QUADRATIC, np.ones(8), coarse=[3]), r"coarse\[0\]: expected a Coarse"),
        (
            lambda: mg_opt(poisson(16)[0], np.ones(16), coarse=[ONE]),
            r"coarse\[0\]: expected a restriction from 16 unknowns, those of the next finer problem, got one from 8",
        ),
        (lambda: mg_opt(QUADRATIC, np.ones(8), coarse=[ONE], pre=-1), "pre: expected an integer of at least 0"),
        (lambda: mg_opt(QUADRATIC, np.ones(8), coarse=[ONE], coarsest=0), "coarsest: expected "),
        (lambda: mg_opt(QUADRATIC, np.ones(8), coarse=[ONE], cycle="F"), "cycle: expected .*'V', 'W'.*, got 'F'"),
        (lambda: mg_opt(QUADRATIC, np.ones(8), coarse=[ONE], acceptance="no"), "acceptance: expected "),
        (lambda: mg_opt(QUADRATIC, np.ones(8), coarse=[ONE], accept=0.5), r"accept: expected a number in \[0, 1/4\)"),
        (lambda: mg_opt(QUADRATIC, np.ones(8), coarse=[ONE], radius=0), "radius: expected a finite number above 0"),
        (lambda: mg_opt(QUADRATIC, np.ones(8), coarse=[ONE], smoother=3), "smoother: expected a minimiser such as"),
        (lambda: mg_opt(QUADRATIC, np.ones(8), coarse=[ONE], smoother=abs), "smoother: expected a minimiser that take"),
        (
            lambda: mg_opt(QUADRATIC, np.ones(8), coarse=[ONE], smoother=lambda f, x, control: 3),
            "smoother: expected a Result from it",
        ),
        (lambda: mg_opt(QUADRATIC, np.ones(8), coarse=[ONE], smoother=newton_cg), "hessian: expected a function"),
        (
            lambda: mg_opt(QUADRATIC, np.ones(8), coarse=[ONE], acceptance="trust region", line_search=StrongWolfe()),
            "line_search: expected None with the acceptance 'trust region', got ",
        ),
        (
            lambda: mg_opt(lambda x: (x @ x, 2 * x), np.ones(8, "float32"), coarse=[ONE]),
            r"coarse\[0\], restriction @ x: expected float32, the dtype of x0, got float64",
        ),
    ],
)
def test_bad_arguments_in_one_line(call, message):
    with pytest.raises(InputError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_careless_operators_change_nothing():
    class Careless:
        def __init__(self, matrix):
            self.matrix, self.shape, self.buffer = matrix, matrix.shape, np.empty(matrix.shape[0])

        @property
        def T(self):
            return Careless(self.matrix.T)

        def __matmul__(self, x):
            self.buffer[...] = self.matrix @ x
            x[...] = -7
            return self.buffer

    fun, x0 = wavy(16)[0], np.full(16, 0.3)
    (r, p), coarse = transfers(16), wavy(8)[0]
    results = [
        mg_opt(fun, x0, coarse=[Coarse(coarse, *operators)], control=Control(5))
        for operators in ((r, p), (Careless(r), Careless(p)))
    ]
    np.testing.assert_array_equal(results[0].x, results[1].x)
    assert results[0].history.to_csv() == results[1].history.to_csv()
