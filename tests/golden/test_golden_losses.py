"""softmaxLoss: as a function of the logits, of the weights and of the features."""

import numpy as np

from meganet import DenseLayer, SoftmaxCrossEntropy

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
            shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
            golden.compare((shifted / shifted.sum(axis=1, keepdims=True)).T, golden(c, "prob"))
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
        golden.compare(hessians.transpose(1, 2, 0), golden(c, "H"))


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
