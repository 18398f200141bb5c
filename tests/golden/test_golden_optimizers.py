"""newton, sd, nlcg step by step; bfgs, lbfgs, trnewton by the minimum that ours finds.

The first three are `meganet_descent` with the original's directions. The original's Wolfe search and its bookkeeping of
steps make the iterates of bfgs and lbfgs its own, and its trnewton takes uphill steps and enlarges the radius without
moving: ours must get at least as low, and converge.
"""

import numpy as np
import pytest
from test_golden_linesearch import function, hessian
from test_golden_losses import weights

from meganet import DenseLayer, Objective, Tikhonov
from meganet.interop.matlab import from_matlab, matlab_positions
from meganet.layers import LinearLayer
from meganet.linop import Dense, Identity, Matrix
from meganet.networks import Chain, ResidualNetwork, SingleLayer
from meganet.optim import Control, bfgs, lbfgs, meganet_descent, meganet_newton, trust_region


class LeastSquaresProblem:
    """``||A x - y||^2 / (2 n) + alpha/2 ||x||^2``."""

    def __init__(self, golden):
        self.a, self.y, self.alpha = golden("ls", "A"), golden("ls", "y").ravel(), golden.number("ls", "alpha")

    def __call__(self, x):
        residual, n = self.a @ x - self.y, len(self.y)
        value = residual @ residual / (2 * n) + self.alpha / 2 * x @ x
        return value, self.a.T @ residual / n + self.alpha * x

    def hessian(self, x):
        return self.a.T @ self.a / len(self.y) + self.alpha * np.eye(len(x))


def residual_objective(golden, name):
    """NN, ResNN with an inner bias of ones, softmax; Tikhonov on both."""
    y, c = golden(name, "Y").T.copy(), golden(name, "C")
    m, steps = int(golden.number(name, "m")), int(golden.number(name, "nt"))
    first = SingleLayer(Dense(np.zeros((m, y.shape[1]))))
    layer = SingleLayer(Dense(np.zeros((m, m))), bias_in=Matrix(np.ones((m, 1))))
    network = Chain([first, ResidualNetwork(layer, steps, golden.number(name, "h"))])
    classifier = DenseLayer((m,), len(c))
    return Objective(
        network,
        classifier,
        y,
        c.argmax(axis=0),
        theta_regularizer=Tikhonov(Identity((network.parameters.size,)), golden.number(name, "alphaTheta")),
        W_regularizer=Tikhonov(Identity((classifier.parameters.size,)), golden.number(name, "alphaW")),
    )


def classifier_objective(golden, name):
    y, c = golden(name, "Y").T.copy(), golden(name, "C")
    classifier = DenseLayer((y.shape[1],), len(c))
    penalty = Tikhonov(Identity((classifier.parameters.size,)), golden.number(name, "alpha"))
    network = LinearLayer(Identity((y.shape[1],)))
    return Objective(network, classifier, y, c.argmax(axis=0), W_regularizer=penalty)


def block_diagonal(objective):
    """Return the original's Hessian, without the coupling of theta and W."""
    n = objective.network.parameters.size

    def made(x):
        whole = objective.hessian(x)

        class Blocks:
            def __matmul__(self, v):
                in_theta, in_w = v.copy(), v.copy()
                in_theta[n:], in_w[:n] = 0, 0
                return np.concatenate([(whole @ in_theta)[:n], (whole @ in_w)[n:]])

        return Blocks()

    return made


def problem(golden, name):
    """Return function, Hessian and start, all in MATLAB's order of weights."""
    if name == "ls":
        fun = LeastSquaresProblem(golden)
        return fun, fun.hessian, golden("ls", "x0").ravel()
    if name == "rosen":
        a = golden.number("rosen", "a")
        return function(a), hessian(a), golden("rosen", "x0").ravel()
    if name == "quad":
        return lambda x: (x @ x / 2, x), lambda x: np.eye(len(x)), golden("quad", "x0").ravel()
    objective = classifier_objective(golden, name) if name == "class" else residual_objective(golden, name)
    x0 = golden(name, "W0") if name == "class" else golden(name, "x0")
    return objective, block_diagonal(objective), from_matlab(objective.parameters, x0)


def back(golden, name, x):
    """Return an iterate in MATLAB's order."""
    fun = problem(golden, name)[0]
    return x[matlab_positions(fun.parameters)] if isinstance(fun, Objective) else x


def steps(golden, case):
    """Return how many steps the original made: its last row has no step if it is short."""
    his, names = golden(case, "his"), golden(case, "his_names").tolist()
    return len(his) - (his[-1, names.index("LS")] == 0)


def directions(name):
    """The original's directions of `sd` and `nlcg`."""
    state = {}

    def steepest(problem, point):
        return -point.gradient / point.norm, {}

    def conjugate(problem, point):
        g, s = point.gradient, -point.gradient
        if state:
            y, old = g - state["g"], state["s"]
            curvature = old @ y
            s = s + ((y - 2 * old * (y @ y) / curvature) @ g / curvature) * old
        state.update(g=g, s=s)
        return s, {}

    return steepest if name == "sd" else conjugate


def normalised(fun):
    """Return the function with gradients of length at most 1, as `nlcg` sees it."""

    def scaled(x):
        value, gradient = fun(x)
        return value, gradient / max(1.0, float(np.linalg.norm(gradient)))

    return scaled


def compare(golden, case, name, result, fun):
    golden.compare(back(golden, name, result.x)[:, None], golden(case, "x"), 1e-8)
    his, names = golden(case, "his"), golden(case, "his_names").tolist()
    rows = [result.history[k] for k in range(len(result.history))]
    n = steps(golden, case)
    golden.compare(np.array([row["value"] for row in rows[:n]]), his[:n, names.index("Jc")], 1e-9)
    golden.compare(np.array([row["step"] for row in rows[:n]]), his[:n, names.index("|x-xOld|")], 1e-7)
    norms = np.array([row["norm"] for row in rows[:n]])
    golden.compare(norms / norms[0], his[:n, names.index("|dJ|/|dJ0|")], 1e-8)
    for ours, theirs in (("mu", "mu"), ("trials", "LS"), ("cg_best", "iterCG"), ("cg_relres", "relresCG")):
        if theirs in names and ours in rows[0]:
            found, stored = np.array([float(row[ours]) for row in rows[1 : n + 1]]), his[:n, names.index(theirs)]
            if ours == "cg_relres":  # absolutely: some are round-off
                np.testing.assert_allclose(found, stored, rtol=1e-6, atol=1e-9)
            else:
                golden.compare(found, stored)
    # the last columns are the parts of the objective, without their factors, and the validation, after the step
    own = list(observer(golden, name, fun)(result.x))[1:]
    places = [k for k in range(names.index("LS") + 1, len(names)) if names[k] not in ("TotalWork", "alpha")]
    found = np.array([[row[column] for column in own] for row in rows[1 : n + 1]])
    golden.compare(found, his[:n, places], 1e-8)


def observer(golden, name, fun):
    """Return the function for further columns: the norm of the gradient, then what the original reports."""
    validation = None
    if isinstance(fun, Objective):
        y, c = golden(name, "Yv").T.copy(), golden(name, "Cv").argmax(axis=0)
        validation = Objective(fun.network, fun.classifier, y, c)

    def observe(x):
        row = {"norm": float(np.linalg.norm(fun(x)[1]))}
        if name == "ls":
            row |= {"F(x)": float(fun(x)[0]), "R(x)": float(fun.alpha / 2 * x @ x)}
        elif name == "rosen":
            row |= {"F": float(fun(x)[0])}
        elif validation is not None:
            metrics, other = fun.evaluate(x), validation.evaluate(x)
            row |= {"F": metrics.loss, "accuracy": 100 * metrics.accuracy}
            row |= {f"R{k}": float(penalty.value(x[part])) for k, (penalty, part) in enumerate(fun.terms.penalties())}
            row |= {"F_val": other.loss, "accuracy_val": 100 * other.accuracy}
        return row

    return observe


def variants(golden, *methods):
    found = [c for c in golden.cases("x", "his") if c.split("_")[1] in methods]
    assert found
    return found


def test_newton(golden):
    for case in variants(golden, "newton", "newton2"):
        name, method = case.split("_")
        fun, second, x0 = problem(golden, name)
        options = {"tol": 0.01, "max_products": 30} if method == "newton2" else {}
        control = Control(max_iterations=steps(golden, case), rtol=0, observe=observer(golden, name, fun))
        compare(golden, case, name, meganet_newton(fun, x0, second, control=control, **options), fun)


@pytest.mark.parametrize("method", ["sd", "nlcg"])
def test_first_order(golden, method):
    for case in variants(golden, method):
        name = case.split("_")[0]
        fun, _, x0 = problem(golden, name)
        seen = fun if method == "sd" else normalised(fun)
        control = Control(max_iterations=steps(golden, case), rtol=0, observe=observer(golden, name, fun))
        compare(golden, case, name, meganet_descent(seen, x0, directions(method), {}, control=control), fun)


@pytest.mark.parametrize("method", ["bfgs", "lbfgs", "lbfgs3", "trnewton"])
def test_ours_gets_as_low(golden, method):
    for case in variants(golden, method):
        name = case.split("_")[0]
        fun, second, x0 = problem(golden, name)
        theirs = golden(case, "x").ravel()
        theirs = from_matlab(fun.parameters, theirs) if isinstance(fun, Objective) else theirs
        value = float(fun(theirs)[0])
        # the residual network's valley is flat: no method is through with it soon
        control = Control(max_iterations=60 if name == "dnn" else 300, rtol=1e-7, atol=1e-8)
        if method == "trnewton":
            second = fun.hessian if name == "dnn" else second
            result = trust_region(fun, x0, second, subproblem="gmres", control=control)
        elif method == "bfgs":
            result = bfgs(fun, x0, control=control)
        else:
            result = lbfgs(fun, x0, memory=3 if method == "lbfgs3" else 10, control=control)
        assert result.converged or name == "dnn", (case, result.reason)
        # from one start two methods may go to different valleys of a function that has several
        lower = result.value <= value * (1 + 1e-9) + 1e-12
        assert lower or (name in ("rosen", "dnn") and result.value < float(fun(x0)[0])), case


def test_weights_of_the_classifier_are_in_the_same_order(golden):
    objective = classifier_objective(golden, "class")
    classes, features = len(golden("class", "C")), len(golden("class", "Y"))
    ours = weights(golden("class", "W0"), classes, features, True)
    np.testing.assert_array_equal(ours, from_matlab(objective.parameters, golden("class", "W0")))
