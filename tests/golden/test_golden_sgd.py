"""sgd with recorded permutations, on least squares, a softmax classifier and a residual network."""

import numpy as np
import pytest
from test_golden_optimizers import LeastSquaresProblem, classifier_objective, residual_objective

from meganet import Adam, Momentum, Objective, sgd
from meganet.interop.matlab import from_matlab, matlab_positions

MOMENTA = [k / 100 for k in range(100)]
"""The file does not hold the momentum: it is the one that leads through the stored points."""


def made(variant, momentum):
    """Return the rule of a variant, whose name says of which kind it is."""
    if variant == "adam":
        return Adam(beta1=momentum, variant="meganet")
    return Momentum(momentum, nesterov=variant in ("nesterov", "work", "bound"))


def run(golden, case, gradient, x0, rule, observe=None):
    """Run the recorded permutations; return the state and all iterates, one a column."""
    problem, variant = case.split("_", 1)
    rate, perms = golden.number(problem, "learningRate"), golden(case, "perms").astype(int) - 1
    bounds = [golden.number(case, name) for name in ("lo", "hi")] if golden.has(case, "lo") else None
    iterates = []

    def project(x):
        x = x if bounds is None else np.clip(x, *bounds)
        iterates.append(x)
        return x

    state = sgd(
        lambda x, indices: (0.0, gradient(x, indices)),
        x0,
        perms.shape[1],
        epochs=len(perms),
        learning_rate=(lambda e: rate / e**0.5) if variant == "schedule" else rate,
        batch_size=int(golden.number(problem, "miniBatch")),
        rule=rule,
        order=lambda epoch: perms[epoch - 1],
        project=project,
        observe=observe,
    )
    return state, np.array(iterates).T


def replay(golden, case, gradient, x0, rule, observe, order=slice(None)):
    """Compare iterates and history; `order` are the places in our vector of MATLAB's entries.

    Returns the points at the ends of the epochs, in MATLAB's order.
    """
    state, points = run(golden, case, gradient, x0, rule, observe)
    points = points[order]
    if golden.has(case, "iterates"):
        golden.compare(points, golden(case, "iterates"), 1e-10)
    golden.compare(state.x[order, None], golden(case, "x"), 1e-8)
    ends = points[:, :: golden(case, "perms").shape[1] // int(golden.number(case.split("_")[0], "miniBatch"))][:, 1:]
    names = ["epoch", "J", "step", "learning_rate", *(name for name in observe(x0) if name != "J")]
    ours = np.array([[row[name] for name in names] for row in state.history])[1:]
    if golden.has(case, "lo"):  # the original measures the first step from the start before its projection
        ours[0, 2] = np.linalg.norm(ends[:, 0] - x0[order])
    titles = golden(case, "his_names").tolist()
    places = [next(k for k, t in enumerate(titles) if t.startswith(name)) for name in ("epoch", "J", "|x-xOld|", "lr")]
    # the parts of the objective, without their factors, and the validation stand behind the time
    places += [k for k in range(titles.index("Time") + 1, len(titles)) if titles[k] != "alpha"]
    golden.compare(ours, golden(case, "his")[:, places], 1e-8)
    return ends


def variants(golden, problem, *required):
    found = [c for c in golden.cases(*(required or ("perms", "iterates", "x"))) if c.startswith(problem + "_")]
    assert found
    return found


@pytest.fixture
def rules(golden):
    """The rule of every variant, with the momentum that leads least squares through the stored points."""
    found, gradient = {}, least_squares(golden)[0]
    for case in variants(golden, "ls"):
        variant = case.split("_", 1)[1]

        def error(momentum, case=case, variant=variant):
            _, points = run(golden, case, gradient, golden("ls", "x0").ravel(), made(variant, momentum))
            return np.linalg.norm(points - golden(case, "iterates"))

        found[variant] = made(variant, min(MOMENTA, key=error))
    return found


def least_squares(golden):
    """Return the gradient over some rows, and what the history holds."""
    problem = LeastSquaresProblem(golden)

    def gradient(x, rows):
        residual = problem.a[rows] @ x - problem.y[rows]
        return problem.a[rows].T @ residual / len(rows) + problem.alpha * x

    def observe(x):
        # the original's F(x) is the whole
        value = float(problem(x)[0])
        return {"J": value, "F(x)": value, "R(x)": float(problem.alpha / 2 * x @ x)}

    return gradient, observe


def test_least_squares(golden, rules):
    gradient, observe = least_squares(golden)
    for case in variants(golden, "ls"):
        replay(golden, case, gradient, golden("ls", "x0").ravel(), rules[case.split("_", 1)[1]], observe)


@pytest.mark.parametrize(
    ("name", "build", "start"), [("class", classifier_objective, "W0"), ("dnn", residual_objective, "x0")]
)
def test_classifier_and_residual_network(golden, rules, name, build, start):
    """Also the points with the best validation, the first of several."""
    objective = build(golden, name)
    y, c = golden(name, "Yv").T.copy(), golden(name, "Cv").argmax(axis=0)
    validation = Objective(objective.network, objective.classifier, y, c)

    def observe(x):
        metrics, other = objective.evaluate(x), validation.evaluate(x)
        row = {"J": metrics.objective, "F": metrics.loss, "accuracy": 100 * metrics.accuracy}
        row |= {f"R{k}": float(penalty.value(x[part])) for k, (penalty, part) in enumerate(objective.terms.penalties())}
        return row | {"F_val": other.loss, "accuracy_val": 100 * other.accuracy}

    x0, order = from_matlab(objective.parameters, golden(name, start)), matlab_positions(objective.parameters)
    for case in variants(golden, name, "perms", "x"):
        rule = rules[case.split("_", 1)[1]]
        ends = replay(golden, case, lambda x, rows: objective(x, rows)[1], x0, rule, observe, order)
        values = [observe(from_matlab(objective.parameters, end)) for end in ends.T]
        for best, column, sign in (("bestAcc", "accuracy_val", -1), ("bestLoss", "F_val", 1)):
            k = int(np.argmin([sign * value[column] for value in values]))
            golden.compare(np.array([[values[k][column]]]), golden(case, best), 1e-8)
            golden.compare(ends[:, [k]], golden(case, f"x_{best}"), 1e-8)
