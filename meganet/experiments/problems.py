"""The minimisation problems of the coarse-to-fine protocol, and the weights from which each run starts."""

from __future__ import annotations

import math
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse

from meganet import _validate
from meganet.backend import Array, Backend, backend_of, is_finite, random_stream
from meganet.datasets import ImageSet, load_digits, load_mnist, scale_images, split
from meganet.experiments.protocol import Protocol, build_network
from meganet.layers import ConnectorLayer, DenseLayer, clipped_normal, he_normal, smoothed_normal
from meganet.linop import Gradient, Identity, LinearOperator, Matrix
from meganet.multigrid import prolongate, prolongate_images, restrict_images
from meganet.networks import Chain
from meganet.objective import Objective
from meganet.regularizers import Tikhonov

# numbers of the random streams within a trial; the arms share the order of the fine examples
SPLIT, COARSE_WEIGHTS, FINE_WEIGHTS, COARSE_ORDER, FINE_ORDER = range(5)
# the same of what is measured and drawn afterwards
NOISE, CHANNELS, BLOCKS, DIRECTIONS = range(9, 13)
KERNELS = {"transfer": "copy", "multigrid": "galerkin"}
"""How the stencils of the arms that go on with coarse weights are carried to the fine grid."""
FEATURES_AT_ONCE = 256


class Level(NamedTuple):
    """The training problem on one grid: what is minimised, and the same function over validation data."""

    training: Objective
    validation: Objective

    def initial(self, rng: np.random.Generator, protocol: Protocol) -> Array:
        """Return fresh weights: normal ones for the network, smooth ones for the classifier."""
        network, classifier = self.training.network, self.training.classifier
        draw = {"he": he_normal, "meganet": clipped_normal}[protocol.theta_init]
        theta = draw(network, rng, protocol.float_dtype)
        w = smoothed_normal(
            classifier, rng, protocol.W_std, protocol.W_clip, protocol.W_smoothing, protocol.float_dtype
        )
        return network.backend.xp.concatenate([theta, w])

    def of_classifier(self, x: Array) -> Level | None:
        """Return the problem of the classifier alone, on the features that the network has with its weights in `x`.

        None if these are not finite, which leaves nothing to be trained.
        """
        training, validation = (_classifier_only(objective, x) for objective in self)
        return None if training is None or validation is None else Level(training, validation)


def _classifier_only(objective: Objective, x: Array) -> Objective | None:
    """Return the problem on the features as vectors, in the order of the classifier's weights."""
    theta, _ = objective.split(x)
    images, network, backend = objective.images, objective.network, objective.backend
    size = math.prod(network.range_shape)
    features = backend.xp.empty((objective.examples, size), dtype=objective.dtype)
    for start in range(0, objective.examples, FEATURES_AT_ONCE):
        batch = slice(start, start + FEATURES_AT_ONCE)
        features[batch] = network(theta, images[batch]).reshape(-1, size)
    if not is_finite(features):
        return None
    return Objective(
        ConnectorLayer(Identity(size, backend=backend)),
        DenseLayer(size, *objective.classifier.range_shape, backend=backend),
        features,
        backend.to_host(objective.labels),
        W_regularizer=objective.W_regularizer,
    )


def load_data(protocol: Protocol, folder: str | None = None, progress: bool = True) -> ImageSet:
    """Return the data set that the protocol asks for; `folder` is where to look first for MNIST."""
    if protocol.dataset == "mnist":
        return load_mnist(folder, progress=progress)
    if folder is not None:
        _validate.reject("data", "no folder, since the embedded digits are used (dataset=digits)", repr(folder))
    return load_digits()


def build_levels(protocol: Protocol, data: ImageSet, trial: int, backend: Backend) -> tuple[Level, Level]:
    """Return the coarse and the fine training problem of one trial.

    Images are scaled once on the fine grid; the coarse ones are ``R x``. The three sets of examples are disjoint and
    drawn in an order, validation, coarse, fine, in which none depends on the sizes of those after it: runs of one seed
    and trial that differ in their training examples validate on the same images, and of two sizes of a set the smaller
    set is part of the larger one.
    """
    sizes = (protocol.validation_examples, protocol.coarse_examples, protocol.fine_examples)
    parts = split(len(data), sizes, random_stream(protocol.seed, trial, SPLIT))
    validation, coarse, fine = (
        backend.asarray(scale_images(data.images[part], protocol.data_scaling, protocol.float_dtype)) for part in parts
    )
    labels = [data.labels[part] for part in parts]
    level = partial(_level, protocol, data.classes, backend)
    coarse_sets = (restrict_images(coarse), labels[1]), (restrict_images(validation), labels[0])
    fine_sets = (
        (_seen(fine, protocol.training_images), labels[2]),
        (_seen(validation, protocol.validation_images), labels[0]),
    )
    return level(protocol.W_alpha_coarse, coarse_sets), level(protocol.W_alpha, fine_sets)


def _seen(images: Array, kind: str) -> Array:
    """Return fine images as they are, or what the coarse grid knows of them, carried back by P."""
    return images if kind == "original" else prolongate_images(restrict_images(images), kind)


def _level(protocol: Protocol, classes: int, backend: Backend, alpha: float, sets: Any) -> Level:
    network, classifier, regularizers = _parts(protocol, classes, backend, alpha, tuple(sets[0][0].shape[2:]))
    return Level(*(Objective(network, classifier, images, labels, **regularizers) for images, labels in sets))


# trials that share their parts need not be compared, number by number, each time that they are evaluated together
@lru_cache(maxsize=8)
def _parts(
    protocol: Protocol, classes: int, backend: Backend, alpha: float, image_shape: tuple[int, int]
) -> tuple[Chain, DenseLayer, dict[str, Any]]:
    network = build_network(protocol.network, image_shape, backend)
    classifier = DenseLayer(network.range_shape, classes, backend=backend)
    penalty = Tikhonov(Identity(network.parameters.size, backend=backend), protocol.theta_alpha)
    gradient: LinearOperator = Gradient((classes, *network.range_shape), protocol.mesh_width, backend=backend)
    if protocol.W_neighbours == "vec":
        gradient = gradient @ _vec_as_images(gradient.domain_shape, protocol.float_dtype, backend)
    return network, classifier, {"theta_regularizer": penalty, "W_regularizer": Tikhonov(gradient, alpha)}


@lru_cache(maxsize=4)
def _vec_as_images(shape: tuple[int, ...], dtype: Any, backend: Backend) -> LinearOperator:
    """Return the permutation that takes MATLAB's ``vec(W)`` for images, as the original's MNIST example does.

    There W is a matrix, classes by features, stored column by column: the classes run fastest. Who takes this vector
    for images of (H, W) pixels, column by column, finds other classes and pixels where he expects the neighbours.
    """
    classes, channels, height, width = shape
    place = np.arange(classes * channels * height * width).reshape(-1, width, height).swapaxes(1, 2).ravel()
    rest, k = np.divmod(place, classes)
    rest, i = np.divmod(rest, height)
    c, j = np.divmod(rest, width)
    columns = ((k * channels + c) * height + i) * width + j
    matrix = scipy.sparse.csr_array((np.ones(len(columns), dtype), columns, np.arange(len(columns) + 1)))
    return Matrix(matrix, domain_shape=shape, range_shape=shape, backend=backend)


def coarse_start(protocol: Protocol, coarse: Level, trial: int) -> Array:
    """Return the weights from which a trial's coarse training starts."""
    return coarse.initial(random_stream(protocol.seed, trial, COARSE_WEIGHTS), protocol)


def starting_point(protocol: Protocol, levels: tuple[Level, Level], arm: str, x: Array | None, trial: int) -> Array:
    """Return the fine weights from which an arm starts: fresh ones, or the trained coarse weights `x` carried over."""
    coarse, fine = levels
    if arm == "new":
        return fine.initial(random_stream(protocol.seed, trial, FINE_WEIGHTS), protocol)
    theta, w = coarse.training.split(x)
    as_vec = protocol.W_transfer == "vec"
    if as_vec:
        w = _permuted(_vec_as_images_of(coarse, protocol), w)
    result = prolongate(
        coarse.training.network,
        theta,
        w,
        interpolation=protocol.interpolation,
        kernels=KERNELS[arm],
        classifier_scaling=protocol.classifier_scaling,
    )
    fine_w = _permuted(_vec_as_images_of(fine, protocol).T, result.W) if as_vec else result.W
    return fine.training.backend.xp.concatenate([result.theta, fine_w])


def _vec_as_images_of(level: Level, protocol: Protocol) -> LinearOperator:
    kernel = level.training.classifier.parameters[0]
    return _vec_as_images(kernel.shape, protocol.float_dtype, level.training.backend)


def _permuted(order: LinearOperator, w: Array) -> Array:
    """Return a classifier's weights with those of its kernel in another order, and the bias as it is."""
    size = order.shape[1]
    kernel = order @ w[:size].reshape(order.domain_shape)
    return backend_of(w).xp.concatenate([kernel.reshape(-1), w[size:]])
