"""A scikit-learn classifier: a residual network with a softmax classifier, trained as a whole."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, check_random_state, validate_data

from meganet.backend import get_backend
from meganet.ground import validate
from meganet.layers import ConvolutionLayer, DenseLayer, Layer
from meganet.linop import CirculantConvolution, Dense
from meganet.model import Model
from meganet.networks import Chain, ResidualNetwork, SymmetricLayer
from meganet.optim import Adam, Control, Result, lbfgs, trust_region

IMAGES = (4, 5)
"""Axes of images as arrays."""
SOLVERS = ("lbfgs", "trust_region", "adam")


class MeganetClassifier(ClassifierMixin, BaseEstimator):
    """Classifier with a residual network, for vectors or images: `Model` as an estimator of scikit-learn.

    An opening layer ``tanh(K x + b)`` with `width` outputs or channels, then `depth` steps of
    ``x + h (-K' tanh(K x + b))``, ``h = 1 / depth``; then an affine classifier with softmax. Everything is trained
    together, with ``alpha/2 ||.||^2`` on all weights.

    Parameters
    ----------
    image_shape : tuple of int, optional
        (C, H, W): the features are then images, flattened in C order, and the layers 3x3 convolutions; 1x3 for
        signals, (C, 1, L). (C, T, H, W) for videos. Not needed for images that come as arrays (N, C, H, W); either form
        is then understood.
    width, depth : int
    network : callable, optional
        ``domain_shape -> Layer``, in place of that network; it gets ``(features,)``, (C, H, W) or (C, T, H, W).
    alpha : float
    solver : {"lbfgs", "trust_region", "adam"} or callable
        "adam" uses mini-batches, the others all examples at once; so does a function such as `newton_cg`, see the
        `optimizer` of `Model.fit`.
    max_iter : int
        Iterations, or epochs of "adam".
    tol : float
        Relative gradient at which those of all examples stop; a function with a control of its own stops by that.
    batch_size : int
        Of "adam", at most; fewer examples than that are one batch.
    learning_rate : float
        Of "adam".
    dtype : {"float32", "float64"}
    backend : str, optional
        "numpy" or "cupy"; the active one if not given.
    random_state : int, RandomState or None

    Attributes
    ----------
    classes_ : ndarray
    model_ : Model
        With the names of the classes; if these are floats, with their numbers 0 to K - 1.
    network_, classifier_ : Layer
        Statistics over examples are fixed as those of all training examples.
    theta_, W_ : array
        Their weights, on the backend.
    n_features_in_, n_iter_ : int
        Of images the features are all their pixels, C H W.
    history_ : History

    Examples
    --------
    >>> from sklearn.datasets import make_moons
    >>> from sklearn.model_selection import cross_val_score
    >>> from meganet.interop.sklearn import MeganetClassifier
    >>> x, y = make_moons(200, noise=0.1, random_state=0)
    >>> classifier = MeganetClassifier(max_iter=20, random_state=0)
    >>> bool(cross_val_score(classifier, x, y, cv=3).mean() > 0.95)
    True
    >>> classifier.fit(x, y).predict_proba(x).shape
    (200, 2)
    """

    def __init__(
        self,
        image_shape: tuple[int, ...] | None = None,
        width: int = 16,
        depth: int = 4,
        network: Callable[[tuple[int, ...]], Layer] | None = None,
        alpha: float = 1e-3,
        solver: str | Callable[..., Result] = "lbfgs",
        max_iter: int = 200,
        tol: float = 1e-4,
        batch_size: int = 32,
        learning_rate: float = 0.01,
        dtype: str = "float64",
        backend: str | None = None,
        random_state: Any = None,
    ) -> None:
        self.image_shape, self.width, self.depth, self.network = image_shape, width, depth, network
        self.alpha, self.solver, self.max_iter, self.tol = alpha, solver, max_iter, tol
        self.batch_size, self.learning_rate, self.dtype = batch_size, learning_rate, dtype
        self.backend, self.random_state = backend, random_state

    def fit(self, X: Any, y: Any) -> Self:
        """Train on features `X`, (N, d), or images, (N, C, H, W), and classes `y`, (N,)."""
        validate.plain("y", y)
        X, shape = _flat(X, self._image_shape())
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            validate.reject("y", "two classes or more", "one class")
        validate.integer("max_iter", self.max_iter)
        validate.real("alpha", self.alpha, minimum=0)
        validate.float_dtype("dtype", self.dtype)
        training = self._training(len(labels))
        images = self._images(X, X.shape[1:] if shape is None else shape)
        random = check_random_state(self.random_state)
        make = self._residual if self.network is None else self.network
        expected = "a function from domain_shape to a layer"
        if not callable(make) or isinstance(make, Layer):  # a layer is called with weights and examples
            validate.reject("network", f"{expected}, or None", validate.shown(make))
        network = make(tuple(int(n) for n in images.shape[1:]))
        validate.instance("network", network, Layer, expected)
        names = np.array(self.classes_.tolist())
        named = names.dtype.kind != "f"
        self.model_ = Model(network, names if named else len(names))
        self.model_.fit(
            images,
            names[labels] if named else labels,
            **training,
            epochs=self.max_iter,
            theta_regularizer=self.alpha,
            W_regularizer=self.alpha,
            rng=np.random.default_rng(random.randint(2**31 - 1)),
            progress=False,
        )
        self.theta_, self.W_, self.classifier_ = self.model_.theta, self.model_.W, self.model_.classifier
        self.history_, self.n_iter_ = self.model_.history, max(self.model_.epochs, 1)
        # an example's class must not depend on the others that are asked about
        frozen = self.model_.state().frozen
        self.network_ = self.model_.network if frozen is None else frozen
        return self

    def _training(self, examples: int) -> dict[str, Any]:
        """Return the arguments of `Model.fit` that make the solver."""
        if not callable(self.solver) or isinstance(self.solver, type):
            validate.choice("solver", self.solver, SOLVERS)
        if self.solver == "adam":
            batch = min(validate.integer("batch_size", self.batch_size), examples)
            return {"rule": Adam(), "batch_size": batch, "learning_rate": self.learning_rate}
        known: dict[str, Callable[..., Result]] = {"lbfgs": lbfgs, "trust_region": trust_region}
        minimise = known[self.solver] if isinstance(self.solver, str) else self.solver
        if "control" not in getattr(minimise, "keywords", {}):
            minimise = partial(minimise, control=Control(rtol=self.tol))
        return {"optimizer": minimise}

    def _image_shape(self) -> tuple[int, ...] | None:
        given = self.image_shape
        if given is None:
            return None
        return validate.shape("image_shape", tuple(given) if isinstance(given, np.ndarray) else given, ndim=(3, 4))

    def _images(self, X: np.ndarray[Any, Any], shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
        """Return rows of features as the network takes them."""
        if X.shape[1] != math.prod(shape):
            validate.reject("X", f"{math.prod(shape)} features, an image of shape {shape}", str(X.shape[1]))
        return X.astype(self.dtype, copy=False).reshape(-1, *shape)

    def _residual(self, domain_shape: tuple[int, ...]) -> Layer:
        home = get_backend(self.backend)
        width, depth = validate.integer("width", self.width), validate.integer("depth", self.depth)
        if len(domain_shape) == 1:
            opening: Layer = DenseLayer(domain_shape, width, activation="tanh", backend=home)
            kernel: Any = Dense(home.xp.zeros((width, width)), home)
        else:
            stencil = tuple(3 if n >= 3 else 1 for n in domain_shape[1:])
            opening = ConvolutionLayer(domain_shape, width, stencil, activation="tanh", bias=True, backend=home)
            kernel = CirculantConvolution(home.xp.zeros((width, width, *stencil)), domain_shape[1:], backend=home)
        return Chain([opening, ResidualNetwork(SymmetricLayer(kernel, bias_in=True), depth, 1 / depth)])

    def predict_proba(self, X: Any) -> np.ndarray[Any, Any]:
        """Return the probabilities of the classes, (N, K)."""
        check_is_fitted(self)
        X, shape = _flat(X, self.network_.domain_shape)
        X = validate_data(self, X, reset=False, dtype=np.float64)
        found = self.model_.predict_proba(self._images(X, shape)).astype(np.float64)
        # those of float32 add up to 1 to its precision
        return found / found.sum(axis=1, keepdims=True)

    def predict(self, X: Any) -> np.ndarray[Any, Any]:
        """Return the most probable classes, (N,)."""
        check_is_fitted(self)
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


def _flat(X: Any, shape: Any) -> tuple[Any, Any]:
    """Return images or videos as rows of features, with their shape; of other `X` it is the expected one, `shape`.

    What counts features, as scikit-learn does along the second axis, then counts pixels and not channels.
    """
    validate.plain("X", X)
    array = np.asarray(X) if isinstance(X, list | tuple) or getattr(X, "ndim", 0) in IMAGES else X
    if getattr(array, "ndim", 0) not in IMAGES:
        return X, shape
    if shape is not None:
        validate.array_shape("X", array, ("N", *shape))
    return array.reshape(len(array), math.prod(array.shape[1:])), array.shape[1:]
