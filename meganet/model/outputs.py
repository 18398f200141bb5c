"""What a model's outputs stand for: classes under the user's own names, numbers, or images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from meganet.backend import Backend, to_host
from meganet.datasets.labels import class_numbers
from meganet.ground import validate
from meganet.layers import DenseLayer, Layer, LinearLayer
from meganet.linop import Reshape
from meganet.losses import LeastSquares, Loss, MeanSquares, SoftmaxCrossEntropy

FEW = 5
"""Names that an error lists."""
IMAGE = "image"
"""The argument `outputs` of a model whose results are images."""
KINDS = (str, bytes, bool | np.bool_, Real)
"""What labels may be, all of one kind."""


@dataclass(frozen=True)
class Classes:
    """The names of K classes, in the order of the classifier's outputs.

    Attributes
    ----------
    names : ndarray, (K,)
        Different from each other: integers, text or booleans.
    known : bool
        They were given, or read off labels; else they are the numbers 0 to K - 1 until labels have been seen.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.model.outputs import Classes
    >>> classes = Classes.of(3).fitted("labels", [1, 3, 2, 3], examples=4)
    >>> print(classes.names, classes.numbers("labels", [1, 3, 2, 3], examples=4))
    [1 2 3] [0 2 1 2]
    >>> print(classes.predictions(classes.usual_loss(), np.array([[0.0, 0.0, 1.0], [5.0, 1.0, 2.0]])))
    [3 1]
    """

    names: np.ndarray[Any, Any]
    known: bool = True

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.names)

    @classmethod
    def of(cls, classes: Any) -> Classes:
        """Return them from the argument `classes`: their number, or a sequence of their names."""
        expected = "the number of classes, at least 2, or their names"
        if isinstance(classes, Sequence | np.ndarray) and not isinstance(classes, str | bytes):
            names = _texts("classes", validate.read("classes", classes, expected))
            if names.ndim != 1 or len(names) < 2 or names.dtype.kind not in "iubU":
                validate.reject("classes", expected, validate.shown(classes))
            if len(np.unique(names)) < len(names):
                validate.reject("classes", "names that differ", validate.shown(classes))
            return cls(names.copy())
        if isinstance(classes, bool) or not isinstance(classes, int | np.integer) or classes < 2:
            validate.reject("classes", expected, validate.shown(classes))
        return cls(np.arange(validate.size("classes", classes)), known=False)

    def usual_loss(self) -> Loss:
        """Return the loss if none was given."""
        return SoftmaxCrossEntropy()

    def check_loss(self, loss: Loss) -> None:
        """Refuse a loss whose targets are no classes."""
        if not isinstance(loss, SoftmaxCrossEntropy):
            validate.reject("loss", "a SoftmaxCrossEntropy for classes", repr(loss))

    def predictions(self, loss: Loss, outputs: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return the names of the classes of outputs (N, K)."""
        return self.names[np.asarray(loss.predictions(outputs))]

    def fitted(self, argument: str, labels: Any, examples: int) -> Classes:
        """Return them with the names that `labels` have, if they are not known yet.

        Labels are taken as 0 to K - 1 if they can be, else as 1 to K, else as K different names in their order.
        """
        if self.known:
            return self
        array, count = self._vector(argument, labels, examples), self.count
        if array is None:
            return Classes(self.names)
        if array.dtype.kind == "b" and count == 2:
            return Classes(np.array([False, True]))
        distinct = np.unique(array)
        if array.dtype.kind == "i":
            for first in (0, 1):
                if first <= distinct[0] and distinct[-1] < first + count:
                    return Classes(np.arange(first, first + count))
        if len(distinct) == count:
            return Classes(distinct)
        what = f"{count} different ones, or classes=[...] with all names when the model is made"
        validate.reject(argument, what, f"{len(distinct)} ({_few(distinct)})")

    def numbers(self, argument: str, labels: Any, examples: int) -> np.ndarray[Any, Any]:
        """Return the numbers 0 to K - 1 of labels that have these names, or are one-hot, (N,)."""
        array = self._vector(argument, labels, examples)
        if array is None:
            found = class_numbers(argument, labels, len(self.names))
        else:
            same = (array.dtype.kind == "U") == (self.names.dtype.kind == "U")
            order = np.argsort(self.names)
            places = np.searchsorted(self.names, array, sorter=order) if same else np.zeros(len(array), int)
            found = order[np.minimum(places, len(order) - 1)]
            wrong = np.flatnonzero(self.names[found] != array) if same else np.arange(len(array))
            if len(wrong):
                got = f"{array[wrong[0]].item()!r} at position {wrong[0]}"
                validate.reject(argument, f"the classes {_few(self.names)}", got)
        if len(found) != examples:
            validate.reject(argument, f"one label for each of {examples} images", str(len(found)))
        return found.astype(np.int64)

    def _vector(self, argument: str, labels: Any, examples: int) -> np.ndarray[Any, Any] | None:
        """Return labels as a vector of integers, booleans or text; None if they are one-hot."""
        array = _texts(argument, validate.read(argument, to_host(labels), "labels, one for each image"))
        if array.ndim == 2 and 1 in array.shape and array.size == examples:
            # MATLAB's row or column; a single example may be one-hot
            array = array.ravel()
        if array.ndim != 1:
            if array.ndim != 2 or array.dtype.kind not in "iubf":
                got = f"shape {array.shape}, dtype {array.dtype}"
                validate.reject(argument, "a vector of labels, or one-hot ones", got)
            return None
        validate.not_empty(argument, array, "label")
        if array.dtype.kind in "uf":
            whole = np.isfinite(array) & (array == np.round(array)) & (np.abs(array) < 2**53)
            if not whole.all():
                first = int(np.flatnonzero(~whole)[0])
                validate.reject(argument, "whole numbers or text", f"{array[first]} at position {first}")
            return array.astype(np.int64)
        if array.dtype.kind not in "ibU":
            validate.reject(argument, "whole numbers or text", f"dtype {array.dtype}")
        return array


@dataclass(frozen=True)
class Numbers:
    """What a regression predicts.

    Attributes
    ----------
    count : int
        Numbers for each example.
    columns : bool
        Targets, and so predictions, have the shape (N, count); else, of a single number, (N,).

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.model.outputs import Numbers
    >>> outputs = Numbers(count=1, columns=False)
    >>> outputs.numbers("labels", [0.5, 1.5, 2.5], examples=3).shape
    (3, 1)
    >>> outputs.predictions(outputs.usual_loss(), np.zeros((3, 1))).shape
    (3,)
    """

    count: int
    columns: bool

    def usual_loss(self) -> Loss:
        """Return the loss if none was given."""
        return LeastSquares()

    def check_loss(self, loss: Loss) -> None:
        """Accept any."""

    def fitted(self, argument: str, targets: Any, examples: int) -> Numbers:
        """Return them in the shape that `targets` have."""
        return Numbers(self.count, _read(argument, targets, self.count).ndim == 2)

    def numbers(self, argument: str, targets: Any, examples: int) -> np.ndarray[Any, Any]:
        """Return the targets, (N, count)."""
        array = _read(argument, targets, self.count)
        array = array[:, None] if array.ndim == 1 and self.count == 1 else array
        if array.ndim and len(array) != examples:
            validate.reject(argument, f"targets for each of {examples} images", f"shape {array.shape}")
        return array

    def predictions(self, loss: Loss, outputs: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return what outputs (N, count) stand for."""
        found = np.asarray(loss.predictions(outputs))
        return found if self.columns else found[:, 0]


@dataclass(frozen=True)
class Images:
    """Images that a network makes of images: its features themselves, behind which there are no weights.

    Attributes
    ----------
    shape : tuple of int
        (C, H, W), the network's range.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.model.outputs import Images
    >>> outputs = Images((1, 4, 6))
    >>> outputs.numbers("labels", np.zeros((5, 1, 4, 6)), examples=5).shape
    (5, 24)
    >>> outputs.predictions(outputs.usual_loss(), np.zeros((5, 24))).shape
    (5, 1, 4, 6)
    """

    shape: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many numbers an image has."""
        return math.prod(self.shape)

    def usual_loss(self) -> Loss:
        """Return the loss if none was given."""
        return MeanSquares()

    def check_loss(self, loss: Loss) -> None:
        """Refuse one of classes."""
        if isinstance(loss, SoftmaxCrossEntropy):
            validate.reject("loss", "one of a regression, for images", repr(loss))

    def fitted(self, argument: str, targets: Any, examples: int) -> Images:
        """Return the same: their shape is the network's."""
        return self

    def numbers(self, argument: str, targets: Any, examples: int) -> np.ndarray[Any, Any]:
        """Return images (N, C, H, W), of one channel also (N, H, W), as vectors, (N, count)."""
        expected = f"an array of shape ({', '.join(map(str, (examples, *self.shape)))}), float32 or float64"
        array = validate.read(argument, to_host(targets), expected)
        fitting = [self.shape, self.shape[1:]] if self.shape[0] == 1 else [self.shape]
        if array.dtype not in validate.FLOAT_DTYPES or array.shape[1:] not in fitting or len(array) != examples:
            validate.reject(argument, expected, f"shape {array.shape}, dtype {array.dtype}")
        return array.reshape(examples, -1)

    def predictions(self, loss: Loss, outputs: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return the images that outputs (N, count) are."""
        return np.asarray(loss.predictions(outputs)).reshape(-1, *self.shape)


Outputs = Classes | Numbers | Images


def outputs_of(classes: Any, outputs: Any, feature_shape: tuple[int, ...]) -> Outputs:
    """Return what the outputs of a model with these arguments stand for; of another model it is known already.

    Examples
    --------
    >>> from meganet.model.outputs import outputs_of
    >>> outputs_of(["cat", "dog"], 1, (8, 4, 4))
    Classes(names=array(['cat', 'dog'], dtype='<U3'), known=True)
    >>> outputs_of(None, 2, (8, 4, 4))
    Numbers(count=2, columns=True)
    >>> outputs_of(None, "image", (8, 4, 4))
    Images(shape=(8, 4, 4))
    """
    if isinstance(classes, Images) or (classes is None and outputs == IMAGE):
        if len(feature_shape) != 3:
            validate.reject("layers", "a network whose result is an image (C, H, W)", str(feature_shape))
        return Images(feature_shape)
    if isinstance(classes, Outputs):
        return classes
    if classes is None:
        count = validate.size("outputs", outputs)
        return Numbers(count, count > 1)
    if outputs != 1:
        validate.reject("outputs", "none with classes, whose number it is", validate.shown(outputs))
    return Classes.of(classes)


def head_of(outputs: Outputs, feature_shape: tuple[int, ...], backend: Backend) -> Layer:
    """Return the layer from a network's features to the outputs: without weights for images, which become vectors.

    Examples
    --------
    >>> from meganet.backend import get_backend
    >>> from meganet.model.outputs import Images, Numbers, head_of
    >>> head_of(Numbers(2, columns=True), (1, 4, 6), get_backend("numpy"))
    DenseLayer((1, 4, 6) -> (2,), identity, bias)
    >>> head_of(Images((1, 4, 6)), (1, 4, 6), get_backend("numpy")).parameters.size
    0
    """
    if isinstance(outputs, Images):
        return LinearLayer(Reshape(feature_shape, backend=backend))
    return DenseLayer(feature_shape, outputs.count, backend=backend)


def score_of(kind: Outputs, loss: Loss, outputs: np.ndarray[Any, Any], targets: np.ndarray[Any, Any]) -> float:
    """Return the share of right predictions, or where nothing is right or wrong the mean of R^2 over the outputs.

    Of images it is that of all pixels together, some of which may be the same in all images.

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.losses import LeastSquares
    >>> from meganet.model.outputs import outputs_of, score_of
    >>> outputs = np.array([[2.0, 1.0], [0.0, 3.0], [1.0, 0.0], [4.0, 0.0]])
    >>> score_of(outputs_of(2, 1, (4,)), mn.SoftmaxCrossEntropy(), outputs, np.array([0, 1, 0, 1]))
    0.75
    >>> score_of(outputs_of(None, 2, (4,)), LeastSquares(), outputs, outputs)
    1.0
    """
    if isinstance(kind, Images):
        return _determination(outputs.reshape(-1, 1), targets.reshape(-1, 1))
    hits = loss.hits(outputs, targets)
    return _determination(outputs, targets) if hits is None else float(hits.mean())


def _read(argument: str, targets: Any, count: int) -> np.ndarray[Any, Any]:
    found: np.ndarray[Any, Any] = validate.numbers(
        argument, to_host(targets), f"numbers of shape (N, {count}), as classes=None", "iufb"
    )
    return found


def _determination(predicted: np.ndarray[Any, Any], targets: np.ndarray[Any, Any]) -> float:
    """Return the mean over the outputs of ``1 - sum (t - p)^2 / sum (t - mean)^2``; of constant targets 1 or 0."""
    t = targets.astype(np.float64)
    left = ((t - predicted) ** 2).sum(axis=0)
    spread = ((t - t.mean(axis=0)) ** 2).sum(axis=0)
    constant = spread == 0
    return float(np.where(constant, left == 0, 1 - left / np.where(constant, 1, spread)).mean())


def _texts(argument: str, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return arrays of bytes as text, and those of objects, as pandas has them, as text or numbers if they hold such.

    Text beside numbers stays an array of objects.
    """
    if array.dtype.kind == "S":
        try:
            return array.astype(str)
        except UnicodeDecodeError:
            validate.reject(argument, "text in ASCII, or str", "other bytes")
    if array.dtype.kind == "O" and array.size and all(isinstance(v, np.ndarray) and v.size == 1 for v in array.flat):
        # MATLAB's cell array of texts, as SciPy reads it
        array = np.array([v.item() for v in array.flat], dtype=object).reshape(array.shape)
    if array.dtype.kind == "O" and any(all(isinstance(v, kind) for v in array.flat) for kind in KINDS):
        return _texts(argument, np.array(array.tolist()))
    return array


def _few(names: np.ndarray[Any, Any]) -> str:
    shown = ", ".join(repr(name.item()) for name in names[:FEW])
    return shown if len(names) <= FEW else f"{shown}, ... ({len(names)} in total)"
