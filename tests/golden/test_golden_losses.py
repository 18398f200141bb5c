"""softmaxLoss, logRegressionLoss, regressionLoss: as functions of the outputs, of the weights and of the features."""

import numpy as np

from meganet import DenseLayer, SoftmaxCrossEntropy
from meganet.linop import Matrix
from meganet.losses import LeastSquares, LogisticLoss

LOSS = SoftmaxCrossEntropy()


def weights(vector, classes, features, bias):
    """From MATLAB's vec of [classes, features (+1)] to a DenseLayer's flat vector."""
    matrix = vector.reshape(classes, -1, order="F")
    return np.concatenate([matrix[:, :features].ravel(), matrix[:, features:].ravel()])


def vector(w, classes, features, bias):
    """The other way."""
    parts = [w[: classes * features].reshape(classes, features)] + ([w[classes * features :, None]] if bias else [])
    return np.hstack(parts).reshape(-1, 1, order="F")


def test_in_weights_and_features(golden):
    cases = [c for c in golden.cases("W", "Y", "d2WF_v") if c.startswith("softmax")]
    assert cases
    for c in cases:
        size = [int(golden.number(c, name)) for name in ("nc", "nf")] + [bool(golden.number(c, "addBias"))]
        y, labels = golden(c, "Y").T.copy(), golden(c, "C").argmax(axis=0)
        shift = golden.number(c, "loss_theta") / len(y)  # theirs adds it to the Hessian, see the README there
        layer = DenseLayer((size[1],), size[0], bias=size[2])
        w = weights(golden(c, "W"), *size)
        logits, tape = layer.forward(w, y)
        value, slope = LOSS.value_and_gradient(logits, labels)
        golden.compare(value.reshape(1, 1), golden(c, "F"))
        para = [value * len(y), len(y), (LOSS.predictions(logits) != labels).sum()]
        golden.compare(np.array([para]), golden(c, "para"))
        golden.compare(slope.T, golden(c, "dWYF"))
        dw, dy = layer.vjp(slope, tape)
        golden.compare(vector(dw, *size), golden(c, "dWF"))
        golden.compare(dy.reshape(-1, 1), golden(c, "dYF"))

        def hessian(v, logits=logits, labels=labels, shift=shift):
            return LOSS.hessian_product(logits, labels, v) + shift * v

        golden.compare(hessian(golden(c, "vWY").T).T, golden(c, "d2WYF_v"))
        v = layer.jvp(weights(golden(c, "vW"), *size), np.zeros_like(y), tape)
        golden.compare(vector(layer.vjp(hessian(v), tape)[0], *size), golden(c, "d2WF_v"))
        v = layer.jvp(np.zeros_like(w), golden(c, "vY").T, tape)
        golden.compare(layer.vjp(hessian(v), tape)[1].T, golden(c, "d2YF_v"))
        if golden.has(c, "prob"):
            golden.compare(LOSS.probabilities(logits).T, golden(c, "prob"))
            hot = np.eye(size[0])[LOSS.predictions(logits)].T
            golden.compare(hot, golden(c, "labels").astype(float))


def test_in_logits_example_by_example(golden):
    cases = [c for c in golden.cases("WY", "dF", "H") if c.startswith("softmax")]
    assert cases
    for c in cases:
        logits, labels, x = golden(c, "WY").T, golden(c, "C").argmax(axis=0), golden(c, "x").T
        results = []
        for n in range(len(logits)):
            z, label = logits[n : n + 1], labels[n : n + 1]
            value, slope = LOSS.value_and_gradient(z, label)
            product = LOSS.hessian_product(z, label, x[n : n + 1])
            hessian = np.vstack([LOSS.hessian_product(z, label, e[None]) for e in np.eye(logits.shape[1])])
            results.append((value, slope[0], product[0], hessian))
        # theirs are the shares of the examples in the mean
        shares = (np.array(r) / len(logits) for r in zip(*results, strict=True))
        values, slopes, products, hessians = shares
        golden.compare(values[None], golden(c, "F"))
        golden.compare(slopes.T, golden(c, "dF"))
        golden.compare(products.T, golden(c, "d2F_x"))
        golden.compare(hessians.transpose(1, 2, 0), golden(c, "H").reshape(golden.shape(c, "H", 3)))
        golden.compare(values.sum().reshape(1, 1), golden(c, "F_red"))
        golden.compare(slopes.sum(axis=0)[:, None], golden(c, "dF_red"))
        # here theirs begins with the mean, not with the sum
        para = [values.sum(), len(logits), (LOSS.predictions(logits) != labels).sum()]
        for name in ("para", "para_red"):
            golden.compare(np.array([para]), golden(c, name))


def test_ties_and_large_logits(golden):
    c = "softmax_ext"
    y, labels = golden(c, "Y").T.copy(), golden(c, "C").argmax(axis=0)
    classes, features = len(golden(c, "C")), y.shape[1]
    layer = DenseLayer((features,), classes, bias=False)
    logits, tape = layer.forward(weights(golden(c, "W"), classes, features, False), y)
    value, slope = LOSS.value_and_gradient(logits, labels)
    golden.compare(value.reshape(1, 1), golden(c, "F"))
    golden.compare(vector(layer.vjp(slope, tape)[0], classes, features, False), golden(c, "dWF"))
    golden.compare(np.eye(classes)[LOSS.predictions(logits)].T, golden(c, "Cp").astype(float))
    golden.compare(LOSS.probabilities(logits).T, golden(c, "P"))
    para = [value * len(y), len(y), (LOSS.predictions(logits) != labels).sum()]
    golden.compare(np.array([para]), golden(c, "para"))


def in_weights(golden, c, loss, targets, shift=0.0):
    """Compare value and derivatives in W and Y; return the outputs and the tape of the classifier."""
    size = [int(golden.number(c, name)) for name in ("nc", "nf")] + [bool(golden.number(c, "addBias"))]
    y = golden(c, "Y").T.copy()
    layer = DenseLayer((size[1],), size[0], bias=size[2])
    w = weights(golden(c, "W"), *size)
    outputs, tape = layer.forward(w, y)
    value, slope = loss.value_and_gradient(outputs, targets)
    golden.compare(value.reshape(1, 1), golden(c, "F"))
    dw, dy = layer.vjp(slope, tape)
    # theirs orders the gradient [features, classes] for logistic regression; the two agree for one class
    golden.compare(vector(dw, *size), golden(c, "dWF"))
    golden.compare(dy.reshape(-1, 1), golden(c, "dYF"))

    def hessian(v):
        return loss.hessian_product(outputs, targets, v) + shift * v

    v = layer.jvp(weights(golden(c, "vW"), *size), np.zeros_like(y), tape)
    golden.compare(vector(layer.vjp(hessian(v), tape)[0], *size), golden(c, "d2WF_v").reshape(-1, 1))
    if golden.has(c, "d2YF_v"):
        v = layer.jvp(np.zeros_like(w), golden(c, "vY").T, tape)
        theirs = golden(c, "d2YF_v").T
        # theirs divides the logistic Hessian in Y by the number of examples twice
        ours = layer.vjp(hessian(v), tape)[1]
        golden.compare(ours / len(y) if c.startswith("logreg") else ours, theirs)
    return outputs, slope


def test_logistic(golden):
    cases = [c for c in golden.cases("W", "d2WF_v", "dWYF") if c.startswith("logreg")]
    assert cases
    for c in cases:
        # theirs adds loss_theta to the Hessian in W and Y without dividing it by the number of examples
        targets, loss, shift = golden(c, "C").T.copy(), LogisticLoss(), golden.number(c, "loss_theta")
        outputs, slope = in_weights(golden, c, loss, targets, shift)
        para = golden(c, "para").ravel()
        golden.compare(np.array([loss.value(outputs, targets) * len(targets), len(targets)]), para[:2])
        # half the errors, as theirs counts them
        assert (~loss.hits(outputs, targets)).sum() / 2 == para[2]
        golden.compare(slope.T, golden(c, "dWYF"))
        golden.compare(loss.hessian_product(outputs, targets, golden(c, "vWY").T).T, golden(c, "d2WYF_v"))
        if golden.has(c, "prob"):
            golden.compare(1 / (1 + np.exp(-outputs.T)), golden(c, "prob"))
            golden.compare(loss.predictions(outputs).T.astype(float), golden(c, "labels").astype(float))


def least_squares(golden, c):
    gamma = golden(c, "Gamma") if golden.has(c, "Gamma") else golden(c.removesuffix("_eval"), "Gamma")
    matrix = gamma * np.eye(len(golden(c, "C"))) if gamma.size == 1 else gamma
    return LeastSquares(None if gamma.size == 1 and gamma.item() == 1 else Matrix(matrix))


def test_least_squares(golden):
    cases = golden.cases("W", "Gamma", "d2WF_v")
    assert cases
    for c in cases:
        loss, targets = least_squares(golden, c), golden(c, "C").T.copy()
        outputs, _ = in_weights(golden, c, loss, targets)
        value = loss.value(outputs, targets)
        golden.compare(np.array([[value, len(outputs), value]]), golden(c, "para"))


def test_least_squares_example_by_example(golden):
    cases = [c for c in golden.cases("WY", "dF", "H") if c.startswith("regr")]
    assert cases
    for c in cases:
        loss = least_squares(golden, c)
        z, targets = golden(c, "WY").T.copy(), golden(c, "C").T.copy()
        n, k = z.shape
        parts = [loss.value_and_gradient(z[i : i + 1], targets[i : i + 1]) for i in range(n)]
        golden.compare(np.array([value for value, _ in parts])[None] / n, golden(c, "F"))
        golden.compare(np.concatenate([slope for _, slope in parts]).T / n, golden(c, "dF"))
        golden.compare(loss.value(z, targets).reshape(1, 1), golden(c, "F_red"))
        hessian = np.vstack([loss.hessian_product(z[:1], targets[:1], e[None]) for e in np.eye(k)]) / n
        # of a multiple of the identity theirs is the number; it is the same for every example
        theirs = golden(c, "H").reshape(golden.shape(c, "H", 3))
        ours = hessian[: len(theirs), : len(theirs)]
        golden.compare(np.repeat(ours[:, :, None], n, axis=2), theirs)
        golden.compare(ours, golden(c, "d2F"))
