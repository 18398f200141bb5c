"""Classes in the conventions of other programs: read where there is one way to read them, else said what to write."""

import re

import numpy as np
import pytest

import meganet as mn
from meganet.ground.validate import InputError
from meganet.losses import LeastSquares, LogisticLoss, SoftmaxCrossEntropy

CLASSES = np.array([2, 0, 1, 2, 0])
HOT = np.eye(3)[CLASSES]


def read(labels, classes=3):
    return SoftmaxCrossEntropy().targets("labels", labels, classes)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64, np.float32, np.float64])
def test_whole_numbers_of_any_type_are_classes(dtype):
    found = read(CLASSES.astype(dtype))
    assert found.dtype == np.int64 and found.tolist() == CLASSES.tolist()
    assert read(CLASSES.tolist()).tolist() == CLASSES.tolist()


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32, np.float64])
@pytest.mark.parametrize("matrix", [HOT, HOT.T, np.asfortranarray(HOT), HOT[:1], HOT[:1].T])
def test_one_hot_matrices_are_read_either_way_round(matrix, dtype):
    assert read(matrix.astype(dtype)).tolist() == CLASSES[: max(matrix.size // 3, 1)].tolist()


def test_two_classes_as_booleans():
    assert read(np.array([True, False, True]), 2).tolist() == [1, 0, 1]
    with pytest.raises(InputError, match="labels: expected a vector of integers, got shape"):
        read(np.array([True, False, True]))


def test_a_square_one_hot_matrix_is_read_where_both_ways_agree():
    assert read(np.eye(3)).tolist() == [0, 1, 2]
    with pytest.raises(InputError, match=re.escape("write labels.argmax(axis=1) for examples in rows")):
        read(np.eye(3)[[1, 2, 0]])
    # two examples of one class: only one way is one-hot
    assert read(np.eye(3)[[1, 1, 0]]).tolist() == [1, 1, 0] == read(np.eye(3)[[1, 1, 0]].T).tolist()


@pytest.mark.parametrize(
    ("labels", "advice"),
    [
        (CLASSES[None], "a row or column of classes is labels.ravel()"),
        (CLASSES[:, None], "a row or column of classes is labels.ravel()"),
        (CLASSES + 1, "got 3 at position 0; MATLAB's classes 1 to 3 are labels - 1 here"),
        (CLASSES + 1.0, "got 3 at position 0; MATLAB's classes 1 to 3 are labels - 1 here"),
        (np.array(["a", "b"]), "text is numbered by np.unique(labels, return_inverse=True)[1]"),
        (["a", "b"], "text is numbered by np.unique(labels, return_inverse=True)[1]"),
        ([None, 1], "text is numbered by"),
        (CLASSES + 0.5, "expected whole numbers, got 2.5 at position 0"),
        ([0.0, np.nan], "expected whole numbers, got nan at position 1"),
        ([0.0, np.inf], "expected whole numbers, got inf at position 1"),
        (CLASSES * 1j, "expected a vector of integers"),
        (HOT[:, :2], "3 one-hot columns or rows"),
        (2 * HOT, "3 one-hot columns or rows"),
        (HOT + 1.0, "3 one-hot columns or rows"),
        (HOT[None], "expected a vector of integers, got shape (1, 5, 3)"),
        (np.zeros((0, 3)), "expected a vector of integers, got shape (0, 3)"),
        (np.int64(3), "expected a vector of integers, got shape ()"),
        ([0, 1, 3], "expected classes 0 to 2, got 3 at position 2"),
        ([[0, 1], [2]], "expected a vector of integers, got sequences of different lengths"),
        ([0, -1], "expected classes 0 to 2, got -1 at position 1"),
    ],
)
def test_for_the_rest_the_error_says_what_to_write(labels, advice):
    with pytest.raises(InputError, match=re.escape(advice)):
        read(labels)


def test_an_objective_is_the_same_for_all_ways_to_write_its_labels(rng):
    network, classifier = mn.DenseLayer((4,), 5), mn.DenseLayer((5,), 3)
    images = rng.standard_normal((5, 4))
    x = rng.standard_normal(network.parameters.size + classifier.parameters.size)
    values = {float(mn.Objective(network, classifier, images, y)(x)[0]) for y in (CLASSES, 1.0 * CLASSES, HOT, HOT.T)}
    assert len(values) == 1
    with pytest.raises(InputError, match="labels: expected one label for each of 5 images, got 4"):
        mn.Objective(network, classifier, images, HOT.T[:, :4])


def test_a_loss_is_the_same_for_all_ways_to_write_its_targets(backend, rng):
    loss, logits = SoftmaxCrossEntropy(), backend.asarray(rng.standard_normal((5, 3)))
    expected = [backend.to_host(a) for a in loss.value_and_gradient(logits, backend.asarray(CLASSES))]
    for targets in (HOT, HOT.T, CLASSES.astype(float)):
        found = loss.value_and_gradient(logits, backend.asarray(targets))
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(backend.to_host(a), b)
        assert float(backend.to_host(loss.value(logits, backend.asarray(targets)))) == float(expected[0])


@pytest.mark.parametrize("loss", [LogisticLoss(), LeastSquares()])
def test_targets_with_examples_in_columns_are_told_how_to_be_turned(loss):
    with pytest.raises(InputError, match=re.escape("examples in columns, as in MATLAB, are targets.T here")):
        loss.targets("targets", HOT.T, 3)
