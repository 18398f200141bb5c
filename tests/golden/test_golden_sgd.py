"""sgd with recorded permutations, on least squares, a softmax classifier and a residual network."""

import numpy as np
from test_golden_losses import vector, weights
from test_golden_optimizers import residual_objective

from meganet import Adam, DenseLayer, Momentum, SoftmaxCrossEntropy, Tikhonov, sgd
from meganet.interop.matlab import from_matlab, to_matlab
from meganet.linop import Identity

RULES = {
    "plain": Momentum(),
    "momentum": Momentum(0.9),
    "nesterov": Momentum(0.9, nesterov=True),
    "adam": Adam(variant="meganet"),
    "schedule": Momentum(0.5),
    "work": Momentum(0.9, nesterov=True),
    "bound": Momentum(0.9, nesterov=True),
}
LOSS = SoftmaxCrossEntropy()


def replay(golden, case, problem, fun, x0, objective):
    """Run the recorded permutations; compare iterates and history."""
    rate, perms = golden.number(problem, "learningRate"), golden(case, "perms").astype(int) - 1
    variant = case.split("_", 1)[1]
    bounds = [golden.number(case, name) for name in ("lo", "hi")] if variant == "bound" else None
    iterates = []

    def recorded(x, indices):
        return 0.0, fun(x, indices)

    def project(x):
        x = x if bounds is None else np.clip(x, *bounds)
        iterates.append(x)
        return x

    state = sgd(
        recorded,
        x0,
        perms.shape[1],
        epochs=len(perms),
        learning_rate=(lambda e: rate / e**0.5) if variant == "schedule" else rate,
        batch_size=int(golden.number(problem, "miniBatch")),
        rule=RULES[variant],
        order=lambda epoch: perms[epoch - 1],
        project=project,
        observe=lambda x: {"J": float(objective(x))},
    )
    if golden.has(case, "iterates"):
        golden.compare(np.array(iterates).T, golden(case, "iterates"), 1e-10)
    golden.compare(state.x[:, None], golden(case, "x"), 1e-8)
    ours = np.array([[row[name] for name in ("epoch", "J", "step", "learning_rate")] for row in state.history])[1:]
    if bounds:  # the original measures the first step from the start before its projection
        ours[0, 2] = np.linalg.norm(iterates[perms.shape[1] // int(golden.number(problem, "miniBatch"))] - x0)
    titles = golden(case, "his_names").tolist()
    places = [titles.index(next(t for t in titles if t.startswith(name))) for name in ("epoch", "J", "|x-xOld|", "lr")]
    golden.compare(ours, golden(case, "his")[:, places], 1e-8)


def variants(golden, problem, *required):
    found = [c for c in golden.cases(*(required or ("perms", "iterates", "x"))) if c.startswith(problem + "_")]
    assert found
    return found


def test_least_squares(golden):
    a, y, alpha = golden("ls", "A"), golden("ls", "y").ravel(), golden.number("ls", "alpha")

    def fun(x, rows):
        return a[rows].T @ (a[rows] @ x - y[rows]) / len(rows) + alpha * x

    def objective(x):
        residual = a @ x - y
        return residual @ residual / (2 * len(y)) + alpha / 2 * x @ x

    for case in variants(golden, "ls"):
        replay(golden, case, "ls", fun, golden("ls", "x0").ravel(), objective)


def test_classifier(golden):
    y, labels = golden("class", "Y").T.copy(), golden("class", "C").argmax(axis=0)
    classes, features = len(golden("class", "C")), y.shape[1]
    layer = DenseLayer((features,), classes)
    penalty = Tikhonov(Identity(classes * (features + 1)), golden.number("class", "alpha"))

    def both(x, rows):
        logits, tape = layer.forward(weights(x, classes, features, True), y[rows])
        value, slope = LOSS.value_and_gradient(logits, labels[rows])
        more, slope_more = penalty.value_and_gradient(x)
        return value + more, vector(layer.vjp(slope, tape)[0], classes, features, True).ravel() + slope_more

    for case in variants(golden, "class"):
        replay(
            golden,
            case,
            "class",
            lambda x, rows: both(x, rows)[1],
            golden("class", "W0").ravel(),
            lambda x: both(x, np.arange(len(y)))[0],
        )


def test_residual_network(golden):
    objective = residual_objective(golden, "dnn")

    def both(x, rows):
        # the recorded runs are in MATLAB's order
        value, gradient = objective(from_matlab(objective.parameters, x), rows)
        return value, to_matlab(objective.parameters, gradient).ravel()

    for case in variants(golden, "dnn", "perms", "x"):
        replay(
            golden,
            case,
            "dnn",
            lambda x, rows: both(x, rows)[1],
            golden("dnn", "x0").ravel(),
            lambda x: both(x, np.arange(objective.examples))[0],
        )
