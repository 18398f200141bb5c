"""dnnObjFctn, dnnBatchObjFctn, dnnObjFctn2, classObjFctn, variable projection.

The original's Hessian is block diagonal: Gauss-Newton in theta, exact in W; ours has the coupling too, so the blocks
are taken from products with directions in theta or W alone.
"""

import numpy as np
from layout import conditioned, images, stencils_within

from meganet import DenseLayer, Objective, Tikhonov
from meganet.interop.matlab import from_matlab, matlab_positions, to_matlab
from meganet.layers import LinearLayer, PoolingLayer
from meganet.linop import BlockDiagonal, CirculantConvolution, Dense, Difference, Gradient, Identity, Matrix
from meganet.losses import LeastSquares, LogisticLoss, SoftmaxCrossEntropy
from meganet.networks import Chain, Leapfrog, ResidualNetwork, SingleLayer, SymmetricLayer
from meganet.objective import VariableProjection
from meganet.optim import Control
from meganet.regularizers import BlockRegularizer


def permuted(operator, parameters):
    """Let an operator act on weights in MATLAB's order, as one flat vector."""
    order = matlab_positions(parameters)
    permutation = Matrix(np.eye(len(order))[order], range_shape=operator.domain_shape)
    return operator @ permutation


def compare(golden, case, objective, x, indices=None, names=("Jc", "dJ", "H_v")):
    """Compare value, gradient and the blocks of the Hessian, as their conditioning allows."""
    parameters, n = objective.parameters, objective.network.parameters.size
    v = from_matlab(parameters, direction(golden, case)) if "H_v" in names else 0 * x

    def evaluated(x, v):
        value, gradient = objective(x, indices)
        in_theta, in_w = v.copy(), v.copy()
        in_theta[n:], in_w[:n] = 0, 0
        hessian = objective.hessian(x, indices=indices)
        product = np.concatenate([(hessian @ in_theta)[:n], (hessian @ in_w)[n:]])
        return {
            "Jc": value.reshape(1, 1),
            "dJ": to_matlab(parameters, gradient),
            "H_v": to_matlab(parameters, product),
        }

    results, tolerances = conditioned(evaluated, (x,), (v,), {"Jc": 0, "dJ": 0})
    if golden.has(case, "F"):
        compare_history(golden, case, objective, x, indices)
    for name in dict.fromkeys(("dJ", *names)):
        golden.compare(results[name], golden(case, name), tolerances[name])


def direction(golden, case):
    """Return the direction of a case, or of the problem that its name begins with."""
    words = case.split("_")
    for k in range(len(words), 0, -1):
        if golden.has("_".join(words[:k]), "v"):
            return golden("_".join(words[:k]), "v")
    raise KeyError(case)


def cnn(golden, problem, regularised=True):
    """Return the objective of a convolutional network and its point, with the stencils that give its value."""
    (ch1, ch2), ins = golden.integers("opt", "ch"), golden.shape("data", "Y", 4)[2]
    entries = len(golden(problem, "theta")) // (ins * ch1 + ch1 * ch2)
    small = [n // pooling(golden, problem) for n in golden("data", "Y").shape[:2]]
    sizes = stencils_within(small, entries)
    made = [with_stencils(golden, problem, size, regularised) for size in sizes]
    case = problem if regularised else f"{problem}_noreg"
    return min(made, key=lambda one: abs(float(one[0](one[1])[0]) - golden.number(case, "Jc")))


def pooling(golden, problem):
    """Return by how much the images are pooled, as the number of the classifier's weights says."""
    height, width = golden("data", "Y").shape[:2]
    features = len(golden(problem, "W")) // int(golden.number("opt", "nc")) - 1
    return round((height * width * golden.integers("opt", "ch")[1] / features) ** 0.5)


def with_stencils(golden, problem, size, regularised):
    """Return the objective with stencils of one size, and its point."""
    x, labels = images(golden("data", "Y")), golden("data", "C").argmax(axis=0)
    (ch1, ch2), classes = golden.integers("opt", "ch"), int(golden.number("opt", "nc"))
    shape = x.shape[1:]
    layers = [SingleLayer(CirculantConvolution(np.zeros((ch1, shape[0], *size)), shape[1:]), "relu")]
    if "pool" in problem:
        layers.append(PoolingLayer(layers[-1].range_shape, pooling(golden, problem)))
    image = layers[-1].range_shape[1:]
    layers.append(SingleLayer(CirculantConvolution(np.zeros((ch2, ch1, *size)), image), "relu"))
    network = Chain(layers)
    classifier = DenseLayer(network.range_shape, classes)
    penalties = {}
    if regularised:
        gradient = BlockDiagonal([Gradient((classes * ch2, *image)), Identity((classes,))])
        # vec of the matrix as it is: its first dimension runs over the classes, theirs takes it for rows of pixels
        order = np.arange(gradient.shape[1])
        inside = np.arange(classes * ch2 * image[0] * image[1]).reshape(image[0], image[1], -1, order="F")
        order[: inside.size] = inside.transpose(2, 0, 1).ravel()
        columns = matlab_positions(classifier.parameters)[order]
        penalties["W_regularizer"] = Tikhonov(
            gradient @ Matrix(np.eye(len(order))[columns]), golden.number("opt", "alphaW")
        )
        n = network.parameters.size
        penalties["theta_regularizer"] = Tikhonov(Identity((n,)), golden.number("opt", "alphaTheta"))
    objective = Objective(network, classifier, x, labels, **penalties)
    return objective, from_matlab(
        objective.parameters, np.concatenate([golden(problem, "theta"), golden(problem, "W")])
    )


def problems(golden):
    return [c for c in golden.cases("theta", "W", "v") if c.startswith("cnn")]


def compare_history(golden, case, objective, x, indices=None):
    """Compare loss, accuracy and regularisers with their factors as the original reports them."""
    chosen = slice(None) if indices is None else indices
    outputs, targets = objective.outputs(x, objective.images[chosen]), objective.labels[chosen]
    loss, hits = objective.loss.value(outputs, targets), objective.loss.hits(outputs, targets)
    golden.compare(loss.reshape(1, 1), golden(case, "F"))
    # theirs counts half of the errors for the logistic loss
    counted = 0.5 if isinstance(objective.loss, LogisticLoss) else 1.0
    row = [float(loss)] + ([] if hits is None else [100 * (1 - counted * (~hits).mean())])
    for penalty, part in objective.terms.penalties():
        # blocks have their factors inside
        row += [float(penalty.value(x[part])), getattr(penalty, "alpha", 1.0)]
    golden.compare(np.array([row]), golden(case, "hisVals"))


def test_convolutional_networks(golden):
    assert problems(golden)
    for problem in problems(golden):
        objective, x = cnn(golden, problem)
        compare(golden, problem, objective, x)
        bare, _ = cnn(golden, problem, regularised=False)
        compare(golden, f"{problem}_noreg", bare, x)
        for variant in ("idx", "onebatch"):
            case = f"{problem}_{variant}"
            compare(golden, case, objective, x, np.array(golden.integers(case, "idx")) - 1)


def test_batches(golden):
    """The same function in batches; the original's Hessian takes the first batch only, so ours is the whole one."""
    assert problems(golden)
    for problem in problems(golden):
        objective, x = cnn(golden, problem)
        case = f"{problem}_batch"
        compare(golden, case, objective, x, names=("Jc", "dJ"))
        size, perm = int(golden.number("opt", "batchSize")), np.array(golden.integers(case, "perm")) - 1
        losses = []
        for start in range(0, len(perm), size):
            batch = perm[start : start + size]
            logits = objective.outputs(x, objective.images[batch])
            value = float(objective.loss.value(logits, objective.labels[batch]))
            wrong = int((~objective.loss.hits(logits, objective.labels[batch])).sum())
            losses.append([value * len(batch), len(batch), wrong])
        golden.compare(np.array(losses[::-1]), golden(case, "hisLoss"))
        golden.compare(objective.evaluate(x, size).objective * np.ones((1, 1)), golden(case, "Jc"))
        logits = objective.outputs(x, objective.images)
        golden.compare(objective.loss.probabilities(logits).T, golden(case, "prob"))
        hot = np.eye(logits.shape[1])[objective.loss.predictions(logits)].T
        golden.compare(hot, golden(case, "labels").astype(float))
        # the Hessian is the same for every split, and its W block that of the original
        v, n = from_matlab(objective.parameters, golden(problem, "v")), objective.network.parameters.size
        in_w = np.concatenate([0 * v[:n], v[n:]])
        ours = (objective.hessian(x, batch_size=size) @ in_w)[n:]
        theirs = from_matlab(objective.parameters, golden(case, "H_v"))[n:]
        golden.compare(ours, theirs)


STEPS = [k / 200 for k in range(1, 401)]
"""Step lengths to choose from where the file does not hold one."""


def step_length(golden, case, made):
    """Return the step length with which a network and its classifier have the stored mean loss."""

    def error(h):
        objective, x = made(h)
        return abs(objective.evaluate(x).loss - golden.number(case, "F"))

    return min(STEPS, key=error)


def factors(golden, case, objective, x, penalties):
    """Return the factors of penalties on weights of the network that give the stored gradient."""
    n = objective.network.parameters.size
    whole = golden(case, "dJ").size > n
    stored = from_matlab(objective.parameters if whole else objective.network.parameters, golden(case, "dJ"))
    rest = stored[:n] - objective(x)[1][:n]
    columns = np.zeros((n, len(penalties)))
    for k, (part, operator) in enumerate(penalties):
        columns[part, k] = Tikhonov(operator, 1.0).value_and_gradient(x[:n][part])[1]
    found = np.linalg.lstsq(columns, rest, rcond=None)[0]
    return [float(f"{alpha:.5g}") for alpha in found]


def residual(golden, case, loss, targets, bias):
    """NN, ResNN with an inner bias of ones, LeapFrogNN with symmetric layers: the objective and its point."""
    m, steps, y = int(golden.number("res", "m")), int(golden.number("res", "nt")), golden("res", "Y").T.copy()
    classifier = DenseLayer((m,), golden(case, "W").size // (m + bias), bias=bias)

    def made(h, **penalties):
        first = SingleLayer(Dense(np.zeros((m, y.shape[1]))))
        inner = SingleLayer(Dense(np.zeros((m, m))), bias_in=Matrix(np.ones((m, 1))))
        middle = ResidualNetwork(inner, steps, h)
        last = Leapfrog(SymmetricLayer(Dense(np.zeros((m, m)))), steps, h)
        objective = Objective(Chain([first, middle, last]), classifier, y, targets, loss=loss, **penalties)
        return objective, from_matlab(objective.parameters, np.concatenate([golden("res", "theta"), golden(case, "W")]))

    h = step_length(golden, case, made)
    bare, x = made(h)
    sizes = [layer.parameters.size for layer in bare.network.layers]
    parts = [slice(a, b) for a, b in zip(np.cumsum([0, *sizes[:-1]]), np.cumsum(sizes), strict=True)]
    in_time = [Difference((steps, size // steps), 0, h) for size in sizes[1:]]
    operators = [Identity((sizes[0],)), *in_time, Identity((sizes[2],))]
    alphas = factors(golden, case, bare, x, list(zip([*parts, parts[2]], operators, strict=True)))
    opening, middle, last, small = map(Tikhonov, operators, alphas)
    alpha = history_value(golden, case, "alpha", -1)
    return made(
        h,
        theta_regularizer=BlockRegularizer([opening, middle, last + small]),
        W_regularizer=Tikhonov(Identity((classifier.parameters.size,)), alpha),
    )


def history_value(golden, case, name, number=0):
    """Return a stored value by its title, the first or another of that name."""
    places = [k for k, title in enumerate(golden(case, "hisNames").tolist()) if title == name]
    return float(golden(case, "hisVals").ravel()[places[number]])


def test_residual_networks(golden):
    targets = golden("res", "C").argmax(axis=0), golden("resregr", "D").T.copy()
    for case, loss, target, bias in (
        ("res", SoftmaxCrossEntropy(), targets[0], True),
        ("resregr", LeastSquares(), targets[1], False),
    ):
        compare(golden, case, *residual(golden, case, loss, target, bias))


def test_network_without_classifier(golden):
    """dnnObjFctn2: the last layer is the classifier here, which gives the same function."""
    y, m = golden("res", "Y").T.copy(), int(golden.number("res", "m"))
    layer, outputs = SingleLayer(Dense(np.zeros((m, m)))), len(golden("res", "C"))
    first = SingleLayer(Dense(np.zeros((m, y.shape[1]))))
    inner = len(golden("obj2", "theta")) - first.parameters.size - outputs * (m + 1)
    steps, classifier = inner // layer.parameters.size, DenseLayer((m,), outputs)
    for case, loss, targets in (
        ("obj2_softmax", SoftmaxCrossEntropy(), golden("res", "C").argmax(axis=0)),
        ("obj2_regr", LeastSquares(), golden("resregr", "D").T.copy()),
    ):
        alpha = history_value(golden, case, "alpha")

        def made(h, alpha=alpha, loss=loss, targets=targets):
            network = Chain([first, ResidualNetwork(layer, steps, h)])
            penalties = [Tikhonov(Identity((part.parameters.size,)), alpha) for part in (network, classifier)]
            objective = Objective(
                network, classifier, y, targets, loss=loss, theta_regularizer=penalties[0], W_regularizer=penalties[1]
            )
            return objective, from_matlab(objective.parameters, golden("obj2", "theta"))

        objective, x = made(step_length(golden, case, made))
        value, gradient = objective(x)
        golden.compare(value.reshape(1, 1), golden(case, "Jc"))
        golden.compare(to_matlab(objective.parameters, gradient), golden(case, "dJ"))
        # here the original's Hessian is the whole Gauss-Newton one
        v = from_matlab(objective.parameters, golden("obj2", "v"))
        golden.compare(to_matlab(objective.parameters, objective.hessian(x) @ v), golden(case, "H_v"))


def test_classification_only(golden):
    y, one_hot = golden("class", "Y").T.copy(), golden("class", "C")
    network = LinearLayer(Identity((y.shape[1],)))
    cases = (
        ("class_softmax", SoftmaxCrossEntropy(), one_hot.argmax(axis=0), len(one_hot), True),
        ("class_logreg", LogisticLoss(), golden("class_logreg", "C").T.copy(), len(golden("class_logreg", "C")), True),
        ("class_regr", LeastSquares(), golden("class_regr", "C").T.copy(), len(golden("class_regr", "C")), False),
    )
    for case, loss, targets, outputs, bias in cases:
        classifier = DenseLayer((y.shape[1],), outputs, bias=bias)
        n = classifier.parameters.size
        penalty = Tikhonov(Identity((n,)), history_value(golden, case, "alpha"))
        objective = Objective(network, classifier, y, targets, loss=loss, W_regularizer=penalty)
        w, v = (from_matlab(classifier.parameters, golden("class", name).ravel()[:n]) for name in ("W", "v"))
        some = np.array(golden.integers("cnn_idx", "idx")) - 1
        for variant, indices in ((case, None), (f"{case}_idx", some)):
            if not golden.has(variant, "dJ"):
                continue
            value, gradient = objective(w, indices)
            golden.compare(value.reshape(1, 1), golden(variant, "Jc"))
            golden.compare(to_matlab(objective.parameters, gradient), golden(variant, "dJ"))
            product = objective.hessian(w, indices=indices) @ v
            golden.compare(to_matlab(objective.parameters, product), golden(variant, "H_v"))
            compare_history(golden, variant, objective, w, indices)


def reduced(golden, case):
    """Return the reduced objective and its point: ResNN with an outer bias of ones."""
    nf, steps, y = (
        int(golden.number("varpro", "nf")),
        int(golden.number("varpro", "nt")),
        golden("varpro", "Y").T.copy(),
    )
    regression = golden.has(case, "D")
    one_hot = golden(case, "D") if regression else golden("varpro", "C")
    targets = one_hot.T.copy() if regression else one_hot.argmax(axis=0)
    loss, classifier = LeastSquares() if regression else SoftmaxCrossEntropy(), DenseLayer((nf,), len(one_hot))

    def made(h, case=case, **penalties):
        layer = SingleLayer(Dense(np.zeros((nf, nf))), bias_out=Matrix(np.ones((nf, 1))))
        objective = Objective(ResidualNetwork(layer, steps, h), classifier, y, targets, loss=loss, **penalties)
        weights = np.concatenate([golden("varpro", "theta").ravel(), golden(case, "W").ravel(order="F")])
        return objective, from_matlab(objective.parameters, weights)

    # the loss without regularisers is stored for two of the three problems of classification, which are the same
    with_loss = case if golden.has(case, "F") else next(c for c in golden.cases("F", "W", "dJ") if "varpro_" in c)
    h = step_length(golden, with_loss, lambda h: made(h, with_loss))
    bare, x = made(h)
    # of the weights themselves for the regression, of their change in time for the others
    n, m = bare.network.parameters.size, classifier.parameters.size
    operator = Identity((n,)) if regression else Difference((steps, n // steps), 0, h)
    if regression:
        alphas = [golden.number(case, name) for name in ("alpha1", "alpha2")]
    else:
        # the weights of the classifier are where the derivative vanishes, as far as the original's solver went
        alphas = factors(golden, case, bare, x, [(slice(0, n), operator)])
        alphas = [float(f"{a:.4g}") for a in (*alphas, -(bare(x)[1][n:] @ x[n:]) / (x[n:] @ x[n:]))]
    on_theta, on_w = Tikhonov(operator, alphas[0]), Tikhonov(Identity((m,)), alphas[1])
    objective, _ = made(h, theta_regularizer=on_theta, W_regularizer=on_w)
    control = Control(rtol=1e-12, atol=1e-14, max_iterations=50)
    return VariableProjection(objective, control=control), x[:n]


def test_variable_projection(golden):
    """Value, gradient and the eliminated weights.

    The original's Hessian products are neither the reduced Hessian nor its Gauss-Newton approximation, but products of
    a Jacobian of ``W(theta) Y(theta)`` whose inner solutions stop early; in batches they leave the elimination out.
    Ours are held against differences of the gradient elsewhere; the batches are replayed.
    """
    cases = golden.cases("dJ", "W", "H_v")
    cases = [c for c in cases if c.startswith("varpro")]
    assert cases
    for c in cases:
        projection, theta = reduced(golden, c)
        value, gradient = projection(theta)
        golden.compare(value.reshape(1, 1), golden(c, "Jc"), 1e-10)
        golden.compare(to_matlab(projection.parameters, gradient), golden(c, "dJ"), 1e-6)
        w = to_matlab(projection.objective.classifier.parameters, projection.W)
        golden.compare(w.ravel(), golden(c, "W").ravel(order="F"), 1e-6)
        if golden.has(c, "F"):
            loss = projection.objective.evaluate(np.concatenate([theta, projection.W])).loss
            golden.compare(np.array([[loss]]), golden(c, "F"), 1e-6)
        for name, (penalty, part) in zip(("R1", "R2"), projection.objective.terms.penalties(), strict=True):
            if golden.has(c, name):
                point = np.concatenate([theta, projection.W])
                golden.compare(penalty.value(point[part]).reshape(1, 1), golden(c, name), 1e-6)
        if c == "varprobatch":
            v = from_matlab(projection.parameters, golden("varpro", "v"))
            whole = projection.objective.hessian(np.concatenate([theta, projection.W]))
            ours = (whole @ np.concatenate([v, 0 * projection.W]))[: len(v)]
            golden.compare(to_matlab(projection.parameters, ours), golden(c, "H_v"), 1e-6)
