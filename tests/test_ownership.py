"""Who owns an array: functions that reuse their buffers or change their arguments, callbacks that keep what they got.

Every optimiser is tried against itself with functions that do neither.
"""

from functools import partial

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse
from registry import small_objective

from meganet import Adam, DenseLayer, Momentum, Objective, Tikhonov, sgd
from meganet.backend import get_backend
from meganet.ground.validate import InputError
from meganet.interop.scipy import scipy_arguments
from meganet.linop import Identity
from meganet.objective import StackedObjective, VariableProjection, observer
from meganet.optim import (
    Armijo,
    Coarse,
    Control,
    History,
    Run,
    StrongWolfe,
    bfgs,
    bounds,
    gmres,
    lbfgs,
    meganet_cg,
    meganet_descent,
    meganet_newton,
    mg_opt,
    newton_cg,
    nonlinear_cg,
    prox_l1,
    prox_tikhonov,
    proximal_gradient,
    sgd_stacked,
    steepest_descent,
    steihaug,
    trust_region,
)
from meganet.regularizers import SmoothedL1

N = 6


class Functions:
    """The Rosenbrock function with all that optimisers take, honest or careless with arrays."""

    def __init__(self, backend, careless):
        self.backend, self.careless, self.buffers = backend, careless, {}

    def out(self, name, argument, result):
        """Return a result in the same array each time, after the argument has been spoilt."""
        if not self.careless:
            return result
        argument[...] = argument * 0 - 7
        buffer = self.buffers.setdefault((name, tuple(result.shape)), result.copy())
        buffer[...] = result
        return buffer

    def host(self, x):
        return self.backend.to_host(x).astype(float)

    def device(self, x, like):
        return self.backend.asarray(np.asarray(x), like.dtype)

    def fun(self, x):
        h = self.host(x)
        gradient = self.device(scipy.optimize.rosen_der(h), x)
        return float(scipy.optimize.rosen(h)), self.out("gradient", x, gradient)

    def hessian(self, x):
        return (
            self.out("hessian", x, self.device(scipy.optimize.rosen_hess(self.host(x)), x))
            if (not self.careless)
            else Products(self, scipy.optimize.rosen_hess(self.host(x)), x)
        )

    def project(self, x):
        return self.out("project", x, bounds(-3, 0.9)(x))

    def prox(self, p, tau):
        return self.out("prox", p, prox_l1(0.1)(p, tau))

    def penalty(self, x):
        value = 0.1 * abs(self.host(x)).sum()
        if self.careless:
            x[...] = x * 0
        return value

    def preconditioner(self, r):
        return self.out("preconditioner", r, r * 0.5)

    def observe(self, x):
        row = {"first": float(self.host(x)[0])}
        if self.careless:
            x[...] = x * 0
        return row

    def callback(self, result):
        if self.careless:
            result.x[...] = result.x * 0
            result.gradient[...] = result.gradient * 0
            result.state.clear()
            result.history.append(dict.fromkeys(result.history.columns, -1.0))
            for row in result.history:
                row["value"] = -1.0


class Products:
    """A Hessian that answers in one buffer and spoils what it is applied to."""

    def __init__(self, functions, matrix, x):
        self.functions, self.matrix = functions, functions.device(matrix, x)

    def __matmul__(self, v):
        return self.functions.out("product", v, self.matrix @ v)


def direction(problem, point):
    return -point.gradient, {}


def searching(f):
    """A line search of one's own, which works in its arguments if it is careless."""

    def search(problem, point, way, step):
        found = Armijo()(problem, point, way, step)
        if not f.careless or found is None:
            return found
        x = f.buffers.setdefault("trial", found[0].x.copy())
        x[...] = found[0].x
        for array in (point.x, point.gradient, way):
            array[...] = array * 0
        found = problem.at(x), found[1]
        problem.evaluations -= 1
        x[...] = x * 0
        return found

    return search


def descending(f):
    def along(problem, point):
        return f.out("direction", point.x, -f.out("negative", point.gradient, 1 * point.gradient)), {}

    return along


def coarser(f, x0):
    """The same function of every other unknown."""
    halves = f.backend.asarray(np.repeat(np.eye(N // 2), 2, axis=1), x0.dtype)
    return [Coarse(lambda x: f.fun(x), halves / 2, halves.T, lambda x: f.hessian(x))]


def cycling(f, x0, control, **options):
    return mg_opt(lambda x: f.fun(x), x0, f.hessian, coarse=coarser(f, x0), control=control, **options)


METHODS = {
    "steepest_descent": lambda f, x0, c: steepest_descent(f.fun, x0, control=c),
    "projected": lambda f, x0, c: steepest_descent(f.fun, x0, project=f.project, control=c),
    "wolfe": lambda f, x0, c: steepest_descent(f.fun, x0, line_search=StrongWolfe(), control=c),
    "armijo": lambda f, x0, c: lbfgs(f.fun, x0, line_search=Armijo(), control=c),
    "nonlinear_cg": lambda f, x0, c: nonlinear_cg(f.fun, x0, control=c),
    "bfgs": lambda f, x0, c: bfgs(f.fun, x0, control=c),
    "lbfgs": lambda f, x0, c: lbfgs(f.fun, x0, control=c),
    "proximal": lambda f, x0, c: proximal_gradient(f.fun, x0, f.prox, f.penalty, tau=300.0, control=c),
    "newton_cg": lambda f, x0, c: newton_cg(f.fun, x0, f.hessian, preconditioner=f.preconditioner, control=c),
    "trust_region": lambda f, x0, c: trust_region(f.fun, x0, f.hessian, preconditioner=f.preconditioner, control=c),
    "gmres": lambda f, x0, c: trust_region(f.fun, x0, f.hessian, subproblem="gmres", control=c),
    "meganet_newton": lambda f, x0, c: meganet_newton(f.fun, x0, f.hessian, preconditioner=f.preconditioner, control=c),
    "meganet_descent": lambda f, x0, c: meganet_descent(f.fun, x0, descending(f), {}, control=c),
    "mg_opt": cycling,
    "mg_opt trust": lambda f, x0, c: cycling(f, x0, c, smoother=trust_region, acceptance="trust region", cycle="W"),
    "own search": lambda f, x0, c: bfgs(f.fun, x0, line_search=searching(f), control=c),
}


def start(backend, dtype):
    return backend.asarray(np.tile([-1.2, 1.0], N // 2), dtype)


@pytest.mark.parametrize("name", METHODS)
class TestEveryMinimiser:
    def test_careless_functions_change_nothing(self, name, backend, dtype):
        results = []
        for careless in (False, True):
            f, x0 = Functions(backend, careless), start(backend, dtype)
            control = Control(12, observe=f.observe, callback=f.callback)
            results.append(METHODS[name](f, x0, control))
            np.testing.assert_array_equal(backend.to_host(x0), backend.to_host(start(backend, dtype)))
        honest, careless = results
        np.testing.assert_array_equal(backend.to_host(careless.x), backend.to_host(honest.x))
        np.testing.assert_array_equal(backend.to_host(careless.gradient), backend.to_host(honest.gradient))
        assert careless.history.to_csv() == honest.history.to_csv() and careless.state == honest.state

    def test_what_callbacks_keep_stays_as_it_was(self, name):
        f, kept = Functions(get_backend("numpy"), False), []
        result = METHODS[name](f, start(f.backend, "float64"), Control(6, callback=kept.append))
        assert len(kept) == result.iterations > 2
        for k, one in enumerate(kept, start=1):
            assert one.iterations == k and len(one.history) == k + 1
            assert one.history[-1]["value"] == one.value == f.fun(one.x)[0]
            np.testing.assert_array_equal(one.gradient, f.fun(one.x)[1])
        assert kept[-1].x is not result.x
        result.history.append(result.history[0])
        assert len(kept[-1].history) == len(kept) + 1

    def test_the_result_is_not_the_start(self, name):
        f, x0 = Functions(get_backend("numpy"), False), np.ones(N)
        result = METHODS[name](f, x0, Control(0))
        assert not np.shares_memory(result.x, x0)

    def test_columns_of_the_optimiser_are_its_own(self, name):
        f, calls = Functions(get_backend("numpy"), False), []

        def fun(x):
            calls.append(x)
            return f.fun(x)

        f2 = Functions(f.backend, False)
        f2.fun = fun
        columns = METHODS[name](f, start(f.backend, "float64"), Control(1)).history.columns
        assert {"iteration", "value", "gradient_norm", "step", "evaluations", "products"} <= set(columns)
        for column in columns:
            calls.clear()
            control = Control(observe=lambda x, c=column: {"fine": 1.0, c: 2.0})
            with pytest.raises(InputError, match=f"observe: expected other names than .*got '{column}'"):
                METHODS[name](f2, start(f.backend, "float64"), control)
            assert len(calls) == 1

    @pytest.mark.parametrize(
        ("result", "message"),
        [
            (lambda x: 1.0, r"fun: expected a pair of value and gradient from it, got a float"),
            (lambda x: None, r"fun: expected a pair of value and gradient from it, got None"),
            (lambda x: (1.0, x, x), r"fun: expected a pair of value and gradient from it, got a tuple of 3"),
            (lambda x: np.zeros(2), r"fun: expected a pair .*, got an array of shape \(2,\), float64"),
            (lambda x: (np.ones(1), x), r"value: expected a real number, got an array of shape \(1,\), float64"),
            (lambda x: (np.ones((1, 1)), x), r"value: expected a real number, got an array of shape \(1, 1\)"),
            (lambda x: (None, x), r"value: expected a real number, got None"),
            (lambda x: ("1", x), r"value: expected a real number, got '1'"),
            (lambda x: (1j, x), r"value: expected a real number, got 1j"),
            (lambda x: (np.complex128(1), x), r"value: expected a real number, got an array of shape \(\), complex128"),
            (lambda x: (np.array(None), x), r"value: expected a real number, got an array of shape \(\), object"),
            (lambda x: ([1.0], x), r"value: expected a real number, got a list of 1"),
            (lambda x: (1.0, None), "gradient: expected an array of the numpy backend, got"),
            (lambda x: (1.0, list(x)), "gradient: expected an array of the numpy backend, got builtins list"),
            (lambda x: (1.0, 2.0), "gradient: expected an array of the numpy backend, got builtins float"),
            (lambda x: (1.0, x[None]), r"gradient: expected an array of shape \(6,\), got shape \(1, 6\)"),
            (lambda x: (1.0, x + 0j), "gradient: expected float64, the dtype of x0, got complex128"),
            (lambda x: (1.0, np.ones(6, int)), "gradient: expected float64, the dtype of x0, got int64"),
        ],
    )
    def test_results_of_another_kind_are_refused(self, name, result, message):
        f = Functions(get_backend("numpy"), False)
        f.fun = result
        with pytest.raises(InputError, match=message):
            METHODS[name](f, np.ones(N), None)

    @pytest.mark.parametrize(
        ("control", "message"),
        [
            ({"observe": lambda x: None}, "observe: expected a dict from names to numbers from it, got None"),
            ({"observe": lambda x: 1.0}, "observe: expected a dict from names to numbers from it, got a float"),
            ({"observe": lambda x: {1: 1.0}}, "observe: expected a dict from names to numbers from it, got a dict"),
            ({"observe": lambda x: {"a": None}}, "observe, column a: expected a real number, got None"),
            ({"observe": lambda x: {"a": "1"}}, "observe, column a: expected a real number, got '1'"),
            ({"observe": lambda x: {"a": x}}, r"observe, column a: expected a real number, got an array of shape \(6,"),
            ({"callback": lambda r: 1}, "callback: expected True, False or None from it, got an int"),
            ({"callback": lambda r: r.x}, r"callback: expected True, False or None from it, got an array"),
        ],
    )
    def test_reports_of_another_kind_are_refused(self, name, control, message):
        f = Functions(get_backend("numpy"), False)
        with pytest.raises(InputError, match=message):
            METHODS[name](f, start(f.backend, "float64"), Control(2, **control))

    def test_scalars_of_any_kind_are_taken(self, name):
        """What is a real number counts as one: of Python, of NumPy, an array of shape ()."""
        plain = Functions(get_backend("numpy"), False)
        expected = METHODS[name](plain, start(plain.backend, "float64"), Control(4))
        for kind in (np.float64, np.array, np.longdouble):
            f = Functions(plain.backend, False)
            f.fun = lambda x, kind=kind: (kind(plain.fun(x)[0]), plain.fun(x)[1])
            control = Control(np.int64(4), rtol=np.float32(1e-6), observe=lambda x, kind=kind: {"a": kind(x[0])})
            result = METHODS[name](f, start(plain.backend, "float64"), control)
            np.testing.assert_array_equal(result.x, expected.x)
            assert all(type(v) in (int, float) for row in result.history for v in row.values())


@pytest.mark.parametrize("name", ["newton_cg", "trust_region", "gmres", "meganet_newton"])
@pytest.mark.parametrize(
    ("hessian", "message"),
    [
        (lambda x: None, "hessian: expected a matrix or operator H of shape .* from it, got None"),
        (lambda x: [[1.0]], "hessian: expected a matrix or operator H of shape .* from it, got a list of 1"),
        (lambda x: np.eye(5), r"hessian: expected a matrix or operator .*, got an array of shape \(5, 5\), float64"),
        (lambda x: np.ones(6), r"hessian: expected a matrix or operator .*, got an array of shape \(6,\), float64"),
        (lambda x: np.eye(6, dtype=complex), "H @ v: expected float64, the dtype of x0, got complex128"),
        (lambda x: Answer(None), "H @ v: expected an array of the numpy backend, got"),
        (lambda x: Answer(np.ones(5)), r"H @ v: expected an array of shape \(6,\), got shape \(5,\)"),
        (lambda x: Answer(np.ones(6, "float32")), "H @ v: expected float64, the dtype of x0, got float32"),
        (np.eye(6), "hessian: expected a function of the point, got an array"),
    ],
)
def test_hessians_of_another_kind_are_refused(name, hessian, message):
    f = Functions(get_backend("numpy"), False)
    f.hessian, f.preconditioner = hessian, None
    with pytest.raises(InputError, match=message):
        METHODS[name](f, start(f.backend, "float64"), None)


class Answer:
    """An operator that gives one answer."""

    def __init__(self, answer):
        self.answer = answer

    def __matmul__(self, v):
        return self.answer


@pytest.mark.parametrize("kind", [scipy.sparse.csr_array, scipy.sparse.linalg.aslinearoperator, np.asarray])
def test_hessians_of_other_libraries(kind):
    f, plain = Functions(get_backend("numpy"), False), Functions(get_backend("numpy"), False)
    f.hessian = lambda x: kind(plain.hessian(x))
    expected = METHODS["trust_region"](plain, start(plain.backend, "float64"), Control(8))
    np.testing.assert_allclose(METHODS["trust_region"](f, start(f.backend, "float64"), Control(8)).x, expected.x)


def test_a_hessian_in_one_buffer_with_the_value():
    """A function that fills value, gradient and Hessian at once; a rejected step must not change the model."""
    buffer = np.zeros((N, N))

    def fun(x):
        buffer[...] = scipy.optimize.rosen_hess(x)
        return scipy.optimize.rosen(x), scipy.optimize.rosen_der(x)

    def hessian(x):
        buffer[...] = scipy.optimize.rosen_hess(x)
        return buffer

    x0 = start(get_backend("numpy"), "float64")
    expected = trust_region(lambda x: (scipy.optimize.rosen(x), scipy.optimize.rosen_der(x)), x0,
                            scipy.optimize.rosen_hess)  # fmt: skip
    assert 0 in expected.history.column("accepted")
    np.testing.assert_array_equal(trust_region(fun, x0, hessian).x, expected.x)


@pytest.mark.parametrize("part", ["project", "prox", "preconditioner"])
@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "{}: expected an array of the numpy backend, got"),
        ([1.0] * N, "{}: expected an array of the numpy backend, got builtins list"),
        (np.ones(5), r"{}: expected an array of shape \(6,\), got shape \(5,\)"),
        (np.ones(6, "float32"), "{}: expected float64, the dtype of .*, got float32"),
    ],
)
def test_maps_of_another_kind_are_refused(part, answer, message):
    f = Functions(get_backend("numpy"), False)
    setattr(f, part, lambda *arguments: answer)
    method = {"project": "projected", "prox": "proximal", "preconditioner": "trust_region"}[part]
    with pytest.raises(InputError, match=message.format(part)):
        METHODS[method](f, start(f.backend, "float64"), None)
    with pytest.raises(InputError, match=f"{part}: expected a function"):
        setattr(f, part, 3)
        METHODS[method](f, start(f.backend, "float64"), None)


def test_linear_solvers_own_what_they_keep(backend, dtype):
    rng = np.random.default_rng(0)
    a = rng.standard_normal((N, N))
    a, b = backend.asarray(a @ a.T + np.eye(N), dtype), backend.asarray(rng.standard_normal(N), dtype)
    x0 = backend.asarray(rng.standard_normal(N), dtype)
    before = backend.to_host(b).copy(), backend.to_host(x0).copy()
    results = []
    for careless in (False, True):
        f = Functions(backend, careless)

        def product(v, f=f):
            return f.out("product", v, a @ v)

        results.append(
            [
                steihaug(product, b, 1.0, preconditioner=f.preconditioner).step,
                steihaug(product, -b, np.inf, preconditioner=f.preconditioner).product,
                gmres(product, b, 4, x0=x0),
                meganet_cg(product, b, x0=x0, preconditioner=f.preconditioner).x,
            ]
        )
    for honest, careless in zip(*results, strict=True):
        np.testing.assert_array_equal(backend.to_host(careless), backend.to_host(honest))
    np.testing.assert_array_equal(backend.to_host(b), before[0])
    np.testing.assert_array_equal(backend.to_host(x0), before[1])
    exact = backend.asarray(np.ones(N), dtype)
    for found in (gmres(lambda v: v, exact, 2, x0=exact), meganet_cg(lambda v: v, exact, x0=exact).x):
        assert not np.shares_memory(getattr(found, "_hidden", found), getattr(exact, "_hidden", exact))


RULES = {"plain": Momentum(), "momentum": Momentum(0.9), "nesterov": Momentum(0.9, nesterov=True), "adam": Adam()}


@pytest.mark.parametrize("rule", RULES)
class TestSGD:
    def run(self, f, x0, rule, together=False, **options):
        settings = {"epochs": 4, "learning_rate": 1e-4, "batch_size": 2, "rule": RULES[rule], **options}

        def fun(x, indices):
            value, gradient = f.fun(x)
            return value, gradient

        if not together:
            return sgd(fun, x0, 4, **settings)

        def stack(funs):
            def stacked(x, indices):
                values, gradients = zip(*(g(x[t].copy(), indices[t]) for t, g in enumerate(funs)), strict=True)
                return f.backend.asarray(np.array(values)), f.out("stacked", x, f.backend.xp.stack(gradients))

            return stacked

        names = ("observe", "callback", "order")
        run = Run(fun, x0, **{name: settings.pop(name) for name in names if name in settings})
        return sgd_stacked([run], 4, stack=stack, **settings)[0]

    @pytest.mark.parametrize("together", [False, True])
    def test_careless_functions_change_nothing(self, rule, backend, dtype, together):
        states = []
        for careless in (False, True):
            f, x0 = Functions(backend, careless), start(backend, dtype)

            def callback(state, f=f):
                if f.careless:
                    state.x[...] = state.x * 0
                    for part in state.memory:
                        part[...] = part * 0
                    state.history.append(dict.fromkeys(state.history.columns, -1.0))
                    state.seconds.clear()
                    state.epoch = 0

            states.append(self.run(f, x0, rule, together, observe=f.observe, callback=callback, project=f.project))
            np.testing.assert_array_equal(backend.to_host(x0), backend.to_host(start(backend, dtype)))
        honest, careless = states
        for a, b in zip((honest.x, *honest.memory), (careless.x, *careless.memory), strict=True):
            np.testing.assert_array_equal(backend.to_host(a), backend.to_host(b))
        assert careless.history.to_csv() == honest.history.to_csv() and len(careless.seconds) == 4

    def test_what_callbacks_keep_stays_as_it_was(self, rule):
        f, kept = Functions(get_backend("numpy"), False), []
        x0 = start(f.backend, "float64")
        state = self.run(f, x0, rule, callback=kept.append)
        for epoch, one in enumerate(kept, start=1):
            alone = self.run(f, x0, rule, epochs=epoch)
            np.testing.assert_array_equal(one.x, alone.x)
            assert one.epoch == epoch == len(one.seconds) and one.history.to_csv() == alone.history.to_csv()
        assert not np.shares_memory(kept[-1].x, state.x)
        again = self.run(f, x0, rule, state=kept[1])
        np.testing.assert_array_equal(again.x, state.x)
        assert kept[1].epoch == 2
        finished = self.run(f, x0, rule, state=state)
        assert not np.shares_memory(finished.x, state.x) and not np.shares_memory(
            self.run(f, x0, rule, learning_rate=1e-300).x, x0
        )


class TestSchedules:
    def settings(self, calls, **change):
        def learning_rate(epoch):
            calls.append(("rate", epoch))
            return 0.1 * 0.5 ** (len([c for c in calls if c[0] == "rate"]) - 1)

        def order(epoch):
            calls.append(("order", epoch))
            return np.arange(4)

        return {"epochs": 3, "learning_rate": learning_rate, "batch_size": 2, "order": order, **change}

    def test_each_is_asked_once_an_epoch(self):
        calls = []
        state = sgd(lambda x, i: (0.0, x), np.ones(2), 4, **self.settings(calls))
        assert calls == [(what, epoch) for epoch in (1, 2, 3) for what in ("rate", "order")]
        assert state.history.column("learning_rate") == [0.0, 0.1, 0.05, 0.025]
        # the rates that are logged are those that were used
        assert state.history.column("step")[1] == pytest.approx(2**0.5 * (1 - 0.9 * 0.9))
        calls.clear()
        sgd(lambda x, i: (0.0, x), np.ones(2), 4, state=state, **self.settings(calls, epochs=5))
        assert calls == [(what, epoch) for epoch in (4, 5) for what in ("rate", "order")]

    def test_a_schedule_that_ends_with_the_run(self):
        rates = iter([0.3, 0.2, 0.1])
        state = sgd(lambda x, i: (0.0, x), np.ones(2), 4, epochs=3, learning_rate=lambda e: next(rates), batch_size=2)
        assert state.history.column("learning_rate") == [0.0, 0.3, 0.2, 0.1]

    def test_runs_side_by_side_share_the_rate(self):
        calls = []
        settings = self.settings(calls)
        order = settings.pop("order")

        def stack(funs):
            return lambda x, i: (np.zeros(len(x)), x.copy())

        runs = [Run(lambda x, i: (0.0, x), np.ones(2), order=order) for _ in range(3)]
        sgd_stacked(runs, 4, stack=stack, **settings)
        assert [c for c in calls if c[0] == "rate"] == [("rate", epoch) for epoch in (1, 2, 3)]
        assert [c for c in calls if c[0] == "order"] == [("order", epoch) for epoch in (1, 2, 3) for _ in runs]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"observe": lambda x: {"epoch": 1}}, "observe: expected other names than epoch, learning_rate, step, the"),
        ({"observe": lambda x: {"step": 1}}, "observe: expected other names than .*, got 'step'"),
        ({"observe": lambda x: {"learning_rate": 1}}, "observe: expected other names than .*, got 'learning_rate'"),
        ({"observe": lambda x: None}, "observe: expected a dict from names to numbers from it, got None"),
        ({"observe": lambda x: {"a": x}}, r"observe, column a: expected a real number, got an array of shape \(2,\)"),
        ({"observe": 1}, "observe: expected a function or None, got 1"),
        ({"callback": 1}, "callback: expected a function or None, got 1"),
        ({"project": 1}, "project: expected a function or None, got 1"),
        ({"project": lambda x: None}, "project: expected an array of the numpy backend, got"),
        ({"project": lambda x: x[:1]}, r"project: expected an array of shape \(2,\), got shape \(1,\)"),
        ({"rule": "adam"}, "rule: expected Momentum, Adam or another rule, got 'adam'"),
        ({"rule": Adam}, "rule: expected Momentum, Adam or another rule, got <class"),
        ({"learning_rate": None}, "learning_rate: expected a finite number above 0, got None"),
        ({"learning_rate": lambda e: None}, "learning_rate: expected a finite number above 0, got None"),
        ({"order": None}, "order: expected an integer of at least 0, got None"),
        ({"order": -1}, "order: expected an integer of at least 0, got -1"),
        ({"order": lambda e: None}, "order: expected a permutation of 0 to 3 for epoch 1, got None"),
        ({"order": lambda e: [0.0, 1.0, 2.0, 3.0]}, "order: expected a permutation of 0 to 3 for epoch 1"),
        ({"order": lambda e: [[0, 1], [2, 3]]}, "order: expected a permutation of 0 to 3 for epoch 1"),
        ({"order": lambda e: [[0, 1], [2]]}, "order: expected a permutation of 0 to 3 for epoch 1"),
        ({"order": lambda e: "0123"}, "order: expected a permutation of 0 to 3 for epoch 1, got '0123'"),
        ({"state": {"x": 1}}, "state: expected an SGDState or None, got"),
        ({"fun": 3}, "fun: expected a function, got 3"),
        ({"fun": lambda x, i: x}, r"fun: expected a pair of value and gradient from it, got an array of shape \(2,\)"),
        ({"fun": lambda x, i: (None, x)}, "value: expected a real number, got None"),
        (
            {"fun": lambda x, i: (np.ones(1), x)},
            r"value: expected a real number, got an array of shape \(1,\), float64",
        ),
        ({"fun": lambda x, i: (0.0, [1.0, 2.0])}, "gradient: expected an array of the numpy backend, got"),
        ({"x0": [1.0, 2.0]}, "x0: expected an array of the numpy backend, got builtins list"),
        ({"x0": np.ones((2, 1))}, r"x0: expected an array of shape \(n,\), got shape \(2, 1\)"),
    ],
)
def test_what_sgd_refuses(change, message):
    steps = []

    def fun(x, indices):
        steps.append(indices)
        return 0.0, x

    arguments = {"fun": fun, "x0": np.ones(2), "examples": 4, "epochs": 2, "learning_rate": 0.1, "batch_size": 2}
    with pytest.raises(InputError, match=message):
        sgd(**{**arguments, **change})
    assert not steps


def test_an_order_as_a_list_or_in_one_buffer():
    buffer, seen = np.arange(4), []

    def order(epoch):
        buffer[...] = np.roll(np.arange(4), epoch)
        return buffer if epoch % 2 else buffer.tolist()

    def fun(x, indices):
        seen.append(indices.tolist())
        buffer[...] = 0
        return 0.0, x

    sgd(fun, np.ones(2), 4, epochs=2, learning_rate=0.1, batch_size=2, order=order)
    assert seen == [[3, 0], [1, 2], [2, 3], [0, 1]]


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("rule", RULES)
def test_states_kept_of_a_recorded_run(backend, rule, together):
    """On a device the steps of an epoch are one graph with buffers of its own; what callbacks got is not among them."""
    rng = np.random.default_rng(0)
    images, labels = rng.standard_normal((8, 3)), np.arange(8) % 2
    given = labels.copy()
    fun = Objective(DenseLayer((3,), 4), DenseLayer((4,), 2), backend.asarray(images), given)
    given[:] = 0
    np.testing.assert_array_equal(backend.to_host(fun.labels), labels)
    x0 = backend.asarray(rng.standard_normal(fun.parameters.size))
    settings, kept = {"learning_rate": 0.1, "batch_size": 2, "rule": RULES[rule]}, []

    def trained(epochs, callback=None):
        if together:
            runs = [Run(fun, x0, callback=callback), Run(fun, 2 * x0, order=1)]
            return sgd_stacked(runs, 8, stack=StackedObjective, epochs=epochs, **settings)[0]
        return sgd(fun, x0, 8, epochs=epochs, callback=callback, **settings)

    trained(3, kept.append)
    for epoch, one in enumerate(kept, start=1):
        alone = trained(epoch)
        for a, b in zip((one.x, *one.memory), (alone.x, *alone.memory), strict=True):
            np.testing.assert_array_equal(backend.to_host(a), backend.to_host(b))
        assert one.history.to_csv() == alone.history.to_csv()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"runs": [3]}, r"runs\[0\]: expected a Run, got 3"),
        ({"runs": 3}, "runs: expected a sequence of Run, got 3"),
        ({"stack": 3}, "stack: expected a function or None, got 3"),
        ({"stack": lambda funs: None}, "stack: expected a function of stacks from it, got None"),
        (
            {"stack": lambda funs: lambda x, i: (0.0, x)},
            r"value: expected real numbers, an array of shape \(2,\), got a fl",
        ),
        (
            {"stack": lambda funs: lambda x, i: (np.zeros(2), x[0])},
            r"gradient: expected an array of shape \(2, 2\), got",
        ),
        ({"shape": 3}, r"runs\[1\].x0: expected an array of shape \(2,\), got shape \(3,\)"),
        ({"dtype": "float32"}, r"runs\[1\].x0: expected float64, the dtype of the first run's, got float32"),
    ],
)
def test_what_sgd_together_refuses(change, message):
    def fun(x, indices):
        return 0.0, x

    def stack(funs):
        return lambda x, i: (np.zeros(len(x)), x)

    second = np.ones(change.pop("shape", 2), change.pop("dtype", "float64"))
    arguments = {"runs": [Run(fun, np.ones(2)), Run(fun, second)], "stack": stack}
    with pytest.raises(InputError, match=message):
        sgd_stacked(**{**arguments, **change}, examples=4, epochs=1, learning_rate=0.1, batch_size=2)


class TestHistory:
    def test_rows_handed_out_are_copies(self):
        row = {"epoch": 1, "loss": 2.0}
        history = History([row])
        row["loss"] = 3.0
        history[0]["loss"] = 4.0
        for one in history:
            one["loss"] = 5.0
        assert history.column("loss") == [2.0]
        copy = history.copy()
        copy.append({"epoch": 2, "loss": 1.0})
        assert len(history) == 1 and len(copy) == 2

    def test_what_it_refuses(self):
        history = History([{"epoch": 1}])
        for row, message in (
            ({"epoch": None}, "row, column epoch: expected a real number, got None"),
            ({"epoch": np.ones(1)}, r"row, column epoch: expected a real number, got an array of shape \(1,\)"),
            ({"step": 1}, "row: expected the columns"),
        ):
            with pytest.raises(InputError, match=message):
                history.append(row)
        with pytest.raises(InputError, match="name: expected one of 'epoch', got 'loss'"):
            history.column("loss")
        assert len(history) == 1 and History().column("loss") == []

    def test_names_in_another_order(self):
        history = History([{"epoch": 1, "loss": 2.0}])
        history.append({"loss": 1.0, "epoch": 2})
        assert list(history[1].items()) == [("epoch", 2), ("loss", 1.0)]
        assert History.from_csv(history.to_csv())[1] == history[1]


@pytest.mark.parametrize("name", ["newton_cg", "trust_region", "gmres", "meganet_newton"])
@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_a_hessian_that_is_not_finite(name, number):
    """The run ends with a reason, after a product or two; the original goes along the gradient instead."""
    f = Functions(get_backend("numpy"), False)
    f.hessian, f.preconditioner = lambda x: np.full((N, N), number), None
    with np.errstate(invalid="ignore"):
        result = METHODS[name](f, start(f.backend, "float64"), Control(3))
    if name == "meganet_newton":
        assert result.reason == "max_iterations" and np.isfinite(result.x).all()
    else:
        assert result.reason == "not finite" and not result.converged and result.iterations == 0
        assert result.products <= N


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_a_start_that_is_not_finite(name, number):
    f, x0 = Functions(get_backend("numpy"), False), start(get_backend("numpy"), "float64")
    x0[2] = number
    f.project = lambda x: x
    with np.errstate(invalid="ignore"):
        result = METHODS[name](f, x0, Control(3))
    assert result.reason == "not finite" and result.iterations == 0 and not result.converged


def test_an_objective_whose_start_is_not_finite():
    """As after a training that has diverged: value, reason and the layer; no traceback of what comes after."""
    objective, x = small_objective(get_backend("numpy"), "float64")
    x[3] = np.nan
    for result in (
        trust_region(objective, x, objective.hessian),
        trust_region(objective, x, objective.hessian, subproblem="gmres"),
        meganet_newton(objective, x, objective.hessian),
        newton_cg(objective, x, objective.hessian),
        lbfgs(objective, x),
    ):
        assert result.reason == "not finite" and result.iterations == 0
    assert objective.first_non_finite(x).startswith("layer theta.0 (ConvolutionLayer")
    solved = gmres(lambda v: v * np.nan, np.ones(3), 2)
    assert np.isnan(solved).all()


def quadratic(x):
    return 0.5 * (x @ x), x


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda x: lbfgs(quadratic, x, line_search=lambda *a: 1.0),
            "line_search: expected a Point with its step length",
        ),
        (lambda x: lbfgs(quadratic, x, line_search=lambda *a: (a[1], None)), "step length of line_search: expected a"),
        (lambda x: lbfgs(quadratic, x, line_search="wolfe"), "line_search: expected a function, got 'wolfe'"),
        (
            lambda x: lbfgs(quadratic, x, line_search=lambda p, s, d, t: (p.at((s.x + d).astype("float32")), t)),
            "x: expected float64, the dtype of x0, got float32",
        ),
        (
            lambda x: meganet_descent(quadratic, x, lambda p, q: -q.gradient, {}),
            "direction: expected a vector and a dict",
        ),
        (
            lambda x: meganet_descent(quadratic, x, lambda p, q: (1.0, {}), {}),
            "direction: expected an array of the numpy",
        ),
        (lambda x: meganet_descent(quadratic, x, direction, {"mu": 1.0}), "columns: expected other names than mu, tri"),
        (
            lambda x: meganet_descent(quadratic, x, direction, {"value": 1.0}),
            "columns: expected other names than iterat",
        ),
        (lambda x: lbfgs(quadratic, x, control={"max_iterations": 3}), "control: expected a Control or None, got {"),
        (lambda x: lbfgs(3, x), "fun: expected a function, got 3"),
        (lambda x: lbfgs(quadratic, list(x)), "x0: expected an array of the numpy backend, got builtins list"),
        (lambda x: Control(observe=3), "observe: expected a function or None, got 3"),
        (lambda x: Control(callback=[].append(1) or 3), "callback: expected a function or None, got 3"),
        (lambda x: Armijo(project=3), "project: expected a function or None, got 3"),
        (lambda x: steihaug(3, x, 1.0), "product: expected a function, got 3"),
        (lambda x: steihaug(lambda v: None, x, 1.0), "product: expected an array of the numpy backend, got"),
        (lambda x: steihaug(lambda v: v[:2], x, 1.0), r"product: expected an array of shape \(6,\), got shape \(2,\)"),
        (lambda x: gmres(lambda v: v, x, 2, x0=x[:2]), r"x0: expected an array of shape \(6,\), got shape \(2,\)"),
        (lambda x: gmres(lambda v: v, x * np.nan, 2), "start: expected a vector that is not zero, got one that is not"),
        (lambda x: observer(3), "training: expected an Objective, got 3"),
        (
            lambda x: observer(small_objective(get_backend("numpy"), "float64")[0], 3),
            "validation: expected an Objective",
        ),
        (lambda x: Objective(3, DenseLayer((3,), 2), x, [0]), "network: expected a Layer, got 3"),
        (lambda x: Objective(DenseLayer((3,), 3), 3, x, [0]), "classifier: expected a Layer, got 3"),
        (lambda x: VariableProjection(3), "objective: expected an Objective, got 3"),
        (lambda x: StackedObjective([3]), r"objectives\[0\]: expected an Objective, got 3"),
        (lambda x: scipy_arguments(3), "objective: expected an Objective, got 3"),
    ],
)
def test_what_is_refused_besides(call, message):
    with pytest.raises(InputError, match=message):
        call(start(get_backend("numpy"), "float64"))


def test_a_rule_that_widens_is_refused():
    class Widening(Momentum):
        def step(self, backend, x, gradient, memory, rate, steps, epoch):
            return x - np.float64(rate) * gradient, ()

    settings = {"epochs": 1, "learning_rate": 0.1, "batch_size": 2, "rule": Widening()}
    with pytest.raises(InputError, match="rule: expected float32, the dtype of x0, got float64"):
        sgd(lambda x, i: (0.0, x), np.ones(2, "float32"), 4, **settings)


def test_a_line_search_of_ones_own_with_numbers_of_numpy():
    def search(problem, point, direction, step):
        return Armijo()(problem, point, direction, np.float64(step))

    for method in (steepest_descent, nonlinear_cg, bfgs, lbfgs):
        x0 = np.linspace(1, 2, 5).astype("float32")
        result = method(lambda x: (np.float64(0.5 * (x @ x)), x), x0, line_search=search)
        assert result.x.dtype == "float32" and result.converged
        assert all(type(value) in (int, float) for row in result.history for value in row.values())


@pytest.mark.parametrize(
    "make",
    [
        lambda reference: Tikhonov(Identity((3,)), 1.0, reference).value,
        lambda reference: SmoothedL1(Identity((3,)), 1.0, 0.1, reference).value,
        lambda reference: partial(prox_tikhonov(Identity((3,)), 1.0, reference), tau=1.0),
    ],
)
def test_references_are_copied(make):
    reference, x = np.ones(3), np.arange(3.0)
    function = make(reference)
    before = function(x)
    reference[:] = 7
    np.testing.assert_array_equal(function(x), before)
