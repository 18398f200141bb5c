"""Labels as users have them, and regressions: what `Model` takes and gives back."""

import numpy as np
import pytest
from sklearn.metrics import r2_score

import meganet as mn
from meganet.ground.validate import InputError

rng = np.random.default_rng(0)
NUMBERS = np.arange(12) % 3
IMAGES = rng.standard_normal((12, 1, 4, 4)) + 2 * NUMBERS[:, None, None, None]
NAMES = np.array(["ant", "bee", "cat"])
HOT = np.eye(3)[NUMBERS]


def model(classes=3, **options):
    return mn.Model([mn.ConvolutionLayer((1, 4, 4), 2)], classes, **options)


class Series:
    """What pandas' columns are to NumPy."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype=object)


TAKEN = {
    "from 0": (NUMBERS, [0, 1, 2]),
    "a list": (NUMBERS.tolist(), [0, 1, 2]),
    "a tuple": (tuple(NUMBERS.tolist()), [0, 1, 2]),
    "uint8": (NUMBERS.astype(np.uint8), [0, 1, 2]),
    "big-endian": (NUMBERS.astype(">i4"), [0, 1, 2]),
    "whole floats": (NUMBERS.astype(np.float32), [0, 1, 2]),
    "from 1": (NUMBERS + 1, [1, 2, 3]),
    "MATLAB's row": ((NUMBERS + 1.0)[None], [1, 2, 3]),
    "MATLAB's column": ((NUMBERS + 1.0)[:, None], [1, 2, 3]),
    "negative": (NUMBERS * 5 - 5, [-5, 0, 5]),
    "text": (NAMES[NUMBERS], ["ant", "bee", "cat"]),
    "a list of text": (NAMES[NUMBERS].tolist(), ["ant", "bee", "cat"]),
    "bytes": (NAMES[NUMBERS].astype("S"), ["ant", "bee", "cat"]),
    "objects": (NAMES[NUMBERS].astype(object), ["ant", "bee", "cat"]),
    "numbers as objects": ((NUMBERS + 1).astype(object), [1, 2, 3]),
    "bytes as objects": (NAMES[NUMBERS].astype("S").astype(object), ["ant", "bee", "cat"]),
    "pandas": (Series(NAMES[NUMBERS].tolist()), ["ant", "bee", "cat"]),
    "one-hot": (HOT, [0, 1, 2]),
    "one-hot integers": (HOT.astype(int), [0, 1, 2]),
    "one-hot booleans": (HOT > 0, [0, 1, 2]),
    "one-hot columns": (HOT.T, [0, 1, 2]),
    "read-only": (np.broadcast_to(NUMBERS[:1], 12) + NUMBERS, [0, 1, 2]),
}


@pytest.mark.parametrize("kind", TAKEN)
def test_labels_of_any_kind_train_alike(kind):
    labels, classes = TAKEN[kind]
    expected = model().fit(IMAGES, NUMBERS, epochs=2)
    found = model().fit(IMAGES, labels, validation=(IMAGES[:5], first_of(labels, 5)), epochs=2)
    assert found.classes.tolist() == classes
    np.testing.assert_array_equal(found.theta, expected.theta)
    np.testing.assert_array_equal(found.predict(IMAGES), np.array(classes)[expected.predict(IMAGES)])
    np.testing.assert_array_equal(found.predict_proba(IMAGES), expected.predict_proba(IMAGES))
    assert found.score(IMAGES, labels) == expected.score(IMAGES, NUMBERS)
    assert found.history[-1]["accuracy"] == found.score(IMAGES, labels)
    # one-hot labels are understood afterwards whatever the names are
    assert found.score(IMAGES, HOT) == found.score(IMAGES, HOT.T) == found.score(IMAGES, labels)


def first_of(labels, count):
    """Return the first labels, whichever way they lie."""
    array = labels if isinstance(labels, (list, tuple)) else np.asarray(labels)
    wide = isinstance(array, np.ndarray) and array.ndim == 2 and array.shape[1] == 12
    return array[:, :count] if wide else array[:count]


def test_names_may_be_given_in_any_order_and_be_missing():
    found = model(["cat", "dog", "ant", "bee"]).fit(IMAGES, NAMES[NUMBERS], epochs=5, learning_rate=0.1)
    assert found.classes.tolist() == ["cat", "dog", "ant", "bee"]
    p = found.predict_proba(IMAGES)
    assert p.shape == (12, 4)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    np.testing.assert_array_equal(found.predict(IMAGES), found.classes[p.argmax(axis=1)])
    assert found.score(IMAGES[:1], ["dog"]) in (0.0, 1.0)
    with pytest.raises(InputError, match=r"labels: expected the classes .*, got 'eel' at position 1"):
        found.score(IMAGES[:2], ["cat", "eel"])


def test_classes_missing_in_training():
    labels = np.where(NUMBERS == 1, 2, NUMBERS)
    found = model().fit(IMAGES, labels, validation=(IMAGES, NUMBERS), epochs=1)
    assert found.classes.tolist() == [0, 1, 2] and np.isfinite(found.history[-1]["validation_loss"])
    one = model(["a", "b", "c"]).fit(IMAGES, ["b"] * 12, epochs=1)
    assert one.score(IMAGES, ["a"] * 12) + one.score(IMAGES, ["b"] * 12) + one.score(IMAGES, ["c"] * 12) == 1


def test_booleans_of_two_classes():
    found = model(2).fit(IMAGES, NUMBERS > 0, epochs=1)
    assert found.classes.dtype == bool and found.predict(IMAGES).dtype == bool
    assert found.score(IMAGES, NUMBERS > 0) == found.score(IMAGES, (NUMBERS > 0).astype(int))
    objects = model(2).fit(IMAGES, (NUMBERS > 0).astype(object), epochs=1)
    assert objects.classes.tolist() == [False, True]
    np.testing.assert_array_equal(objects.theta, found.theta)


REFUSED = {
    "too many": np.arange(12),
    "too few kinds of text": np.array(["ant", "bee"])[NUMBERS % 2],
    "fractions": NUMBERS + 0.5,
    "NaN": np.where(NUMBERS == 1, np.nan, NUMBERS),
    "None among text": np.array(["ant", "bee", None])[NUMBERS],
    "text and numbers": np.array(["ant", 1, 2], dtype=object)[NUMBERS],
    "bytes that are no text": np.array([b"\xff", b"b", b"c"])[NUMBERS],
    "too short": NUMBERS[:-1],
    "too long": np.append(NUMBERS, 0),
    "empty": [],
    "scalar": 1,
    "complex": NUMBERS + 0j,
    "dates": np.array(["2020-01-01"] * 12, dtype="M8[D]"),
    "booleans of three classes": NUMBERS > 0,
    "two-hot": np.ones((12, 3)),
    "four columns": np.eye(4)[NUMBERS],
    "a text matrix": np.array([NAMES[NUMBERS]] * 2),
    "three axes": NUMBERS[None, None],
    "ragged": [[0], [1, 2]] * 6,
    "masked": np.ma.masked_array(NUMBERS, NUMBERS == 1),
    "matrix": np.zeros((1, 12)).view(np.matrix),
    "nothing": None,
    "one text": "ant",
}


@pytest.mark.parametrize("kind", REFUSED)
def test_wrong_labels_are_one_line_and_change_nothing(kind):
    labels, found = REFUSED[kind], model()
    with pytest.raises(InputError, match=r"^labels: expected ") as error:
        found.fit(IMAGES, labels)
    assert "\n" not in str(error.value)
    assert found.classes.tolist() == [0, 1, 2] and not found.epochs and found._x is None
    # nor have they named the classes
    assert found.fit(IMAGES, NUMBERS + 1, epochs=1).classes.tolist() == [1, 2, 3]
    with pytest.raises(InputError, match=r"^labels: expected "):
        found.score(IMAGES, labels)


@pytest.mark.parametrize("labels", [["ant"] * 4 + ["eel"], ["ant"] * 4, [0] * 5])
def test_wrong_validation_labels_name_themselves(labels):
    found = model()
    with pytest.raises(InputError, match=r"^validation\[1\]: expected "):
        found.fit(IMAGES, NAMES[NUMBERS], validation=(IMAGES[:5], labels))
    assert found.classes.tolist() == [0, 1, 2] and found._x is None


@pytest.mark.parametrize(
    "classes", [0, 1, True, 2.0, "ab", b"ab", [], ["a"], ["a", "a"], [0.5, 1], [["a", "b"]], {"a", "b"}, [None, 1]]
)
def test_wrong_classes(classes):
    with pytest.raises(InputError, match=r"^classes: expected .* at least 2|^classes: expected names that differ"):
        model(classes)


def test_classes_after_the_first_labels():
    found = model().fit(IMAGES, NUMBERS + 1, epochs=1)
    with pytest.raises(InputError, match=r"labels: expected the classes 1, 2, 3, got 0 at position 0"):
        found.fit(IMAGES, NUMBERS)
    assert found.epochs == 1


@pytest.mark.parametrize("shape", [(12,), (12, 1), (12, 3)])
def test_regression(shape):
    targets = np.random.default_rng(1).standard_normal(shape)
    outputs = shape[1] if len(shape) > 1 else 1
    found = model(None, outputs=outputs).fit(IMAGES, targets, validation=(IMAGES[:4], targets[:4]), epochs=3)
    assert found.classes is None and found.predict(IMAGES).shape == shape
    np.testing.assert_allclose(found.score(IMAGES, targets), r2_score(targets, found.predict(IMAGES)), rtol=1e-12)
    assert np.isnan(found.history[-1]["accuracy"])
    fun = mn.Objective(found.network, found.classifier, IMAGES, targets.reshape(12, -1), loss=mn.losses.LeastSquares())
    assert found.history[-1]["loss"] == fun.evaluate(np.concatenate([found.theta, found.W])).loss
    with pytest.raises(InputError, match="probabilities"):
        found.predict_proba(IMAGES)
    same = found.prolongate().predict(np.repeat(np.repeat(IMAGES, 2, 2), 2, 3))
    assert same.shape == shape


def test_r2_of_constant_targets_is_that_of_sklearn():
    found = model(None).fit(IMAGES, IMAGES.mean(axis=(1, 2, 3)), epochs=1)
    targets = np.ones(12)
    assert found.score(IMAGES, targets) == r2_score(targets, found.predict(IMAGES)) == 0


@pytest.mark.parametrize("targets", [np.ones(11), np.ones((12, 2)), np.full(12, np.nan), ["a"] * 12, None, 1.0])
def test_wrong_targets(targets):
    found = model(None)
    with pytest.raises(InputError, match=r"^labels: expected "):
        found.fit(IMAGES, targets)
    with pytest.raises(InputError, match=r"^validation\[1\]: expected "):
        found.fit(IMAGES, np.ones(12), validation=(IMAGES, targets))
    assert found._x is None and not len(found.history)


def test_several_yes_or_no_answers():
    answers = np.stack([NUMBERS > 0, NUMBERS > 1], axis=1)
    found = model(None, outputs=2, loss=mn.losses.LogisticLoss()).fit(IMAGES, answers, epochs=30, learning_rate=0.1)
    assert found.predict(IMAGES).dtype == bool and found.predict(IMAGES).shape == (12, 2)
    right = (found.predict(IMAGES) == answers).all(axis=1).mean()
    assert found.score(IMAGES, answers) == found.history[-1]["accuracy"] == right > 0.5


def test_losses_and_outputs_that_do_not_fit():
    with pytest.raises(InputError, match="loss: expected a SoftmaxCrossEntropy"):
        model(3, loss=mn.losses.LeastSquares())
    with pytest.raises(InputError, match="outputs"):
        model(3, outputs=2)
    with pytest.raises(InputError, match="loss: expected a Loss"):
        model(3, loss="mse")
