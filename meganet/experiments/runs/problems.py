"""The minimisation problems of a trial, on any grid, and the weights from which each stage starts."""

from __future__ import annotations

import math
from functools import cached_property, lru_cache, partial
from typing import Any, NamedTuple

import numpy as np

from meganet import datasets
from meganet.backend import Array, Backend, random_stream
from meganet.datasets import ImageSet, scale_images
from meganet.experiments.setup.settings import MODELS, Setup
from meganet.experiments.setup.stages import FRESH, SAME, Stage
from meganet.ground import dropins, validate
from meganet.layers import DenseLayer, clipped_normal, he_normal, smoothed_normal
from meganet.linop import Gradient, Identity, LinearOperator
from meganet.multigrid import prolongate, prolongate_images, restrict, restrict_images, vec_order
from meganet.multigrid.transfer import image_axes, scaled
from meganet.networks import Chain
from meganet.objective import Objective
from meganet.regularizers import Tikhonov

# numbers of the random streams within a trial; all that is trained on the finest grid sees its examples in one order
SPLIT, COARSE_WEIGHTS, FINE_WEIGHTS, COARSE_ORDER, FINE_ORDER = range(5)
# the same of what is measured and drawn afterwards
NOISE, CHANNELS, BLOCKS, DIRECTIONS = range(9, 13)
SETS = ("validation", "coarse", "fine")
"""Of examples, in the order in which they are drawn."""
Shape = tuple[int, int, int]


class Level(NamedTuple):
    """The training problem on one grid: what is minimised, and the same function over validation data."""

    training: Objective
    validation: Objective

    def initial(self, rng: np.random.Generator, setup: Setup) -> Array:
        """Return fresh weights: normal ones for the network, smooth ones for the classifier."""
        network, classifier, model = self.training.network, self.training.classifier, setup.model
        draw = {"he": he_normal, "meganet": clipped_normal}[model.theta_init]
        dtype = np.dtype(model.dtype)
        theta = draw(network, rng, dtype)
        w = smoothed_normal(classifier, rng, model.W_std, model.W_clip, model.W_smoothing, dtype)
        return network.backend.xp.concatenate([theta, w])

    def of_classifier(self, x: Array) -> Level | None:
        """Return the problem of the classifier alone, see `Objective.of_classifier`."""
        training, validation = (objective.of_classifier(x) for objective in self)
        return None if training is None or validation is None else Level(training, validation)


def build_network(name: str, image_shape: Shape, backend: str | Backend | None = None) -> Chain:
    """Return a network by its name, for images (C, H, W); "A" and "B" are the thesis', section 3.2.

    Examples
    --------
    >>> from meganet.experiments import build_network
    >>> build_network("B", (1, 28, 28)).range_shape
    (64, 14, 14)
    """
    make = dropins.value_of(MODELS, name, "NETWORKS", "a function of image shape and backend", callable)
    network: Chain = make(image_shape, backend)
    validate.instance("network", network, Chain, f"a function that returns a Chain as net {name}")
    return network


def grid_shapes(setup: Setup, image_shape: Shape) -> tuple[Shape, ...]:
    """Return the shapes (C, H, W) of the images on all grids, from the coarsest to the finest.

    Raises
    ------
    InputError
        If images of this shape cannot be halved to the widths that the setup names, or on the finest grid once more
        where it shows P R x.

    Examples
    --------
    >>> from meganet.experiments import Setup, grid_shapes
    >>> grid_shapes(Setup.of(grids=(7, 14, 28)), (1, 28, 28))
    ((1, 7, 7), (1, 14, 14), (1, 28, 28))
    """
    widths = setup.levels.grids or (image_shape[2] // 2, image_shape[2])
    shape, known = image_shape, {image_shape[2]: image_shape}
    while shape[2] > widths[0]:
        along = image_axes(None, shape[1:])
        if any(shape[1 + axis] % 2 for axis in along):
            break
        height, width = scaled(shape[1:], along, finer=False)
        shape = (shape[0], height, width)
        known[shape[2]] = shape
    missing = [width for width in widths if width not in known]
    if missing:
        expected = f"widths that images of {image_shape[1]}x{image_shape[2]} have when they are halved again and again"
        validate.reject("grids", expected, ",".join(map(str, widths)))
    shapes = tuple(known[width] for width in widths)
    # which only a grid that stands alone can have
    odd = any(shapes[-1][1 + axis] % 2 for axis in image_axes(None, shapes[-1][1:]))
    if odd and {setup.data.training_images, setup.readings.validation_images} != {"original"}:
        seen = "even widths on the finest grid, or training_images=original and validation_images=original"
        validate.reject("grids", seen, ",".join(map(str, widths)))
    return shapes


def load_data(setup: Setup, folder: str | None = None, progress: bool = True) -> ImageSet:
    """Return the training images of the data set of a setup; `folder` is where to look first for its files."""
    return datasets.load(setup.data.dataset, folder, progress=progress)


def check_examples(
    setup: Setup, data: ImageSet, where: str = "", error: type[validate.InputError] = validate.InputError
) -> None:
    """Raise an error if there are fewer images than a trial needs; `where` says what needs them."""
    if setup.examples > len(data):
        sizes = "coarse_examples + fine_examples + validation_examples"
        validate.reject(sizes, f"at most the {len(data)} of {data.name}", f"{setup.examples}{where}", error)


class Problems:
    """The problems of one trial, each made when it is first wanted.

    Images are scaled once, as they are; those of a coarser grid are ``R x``. The three sets of examples are disjoint
    and drawn in an order, validation, coarse, fine, in which none depends on the sizes of those after it: runs of one
    seed and trial that differ in their training examples validate on the same images, and of two sizes of a set the
    smaller set is part of the larger one.

    Parameters
    ----------
    setup : Setup
    data : ImageSet
    number : int
        From 0.
    backend : Backend

    Examples
    --------
    >>> from meganet.backend import get_backend
    >>> from meganet.datasets import load_digits
    >>> from meganet.experiments import Problems, setup_for, tables_of
    >>> problems = Problems(setup_for("4.1", "small"), load_digits(), 0, get_backend("numpy"))
    >>> coarse, *_ = tables_of("4.1")[0].stages()
    >>> problems.level_of(coarse).training.images.shape, problems.start(coarse).shape
    ((3000, 1, 14, 14), (144170,))
    """

    def __init__(self, setup: Setup, data: ImageSet, number: int, backend: Backend) -> None:
        self.setup, self.data, self.number, self.backend = setup, data, number, backend
        self.shapes = grid_shapes(setup, data.images.shape[1:])
        self.finest = len(self.shapes) - 1
        self._levels: dict[tuple[int, str], Level] = {}
        self._validation: dict[int, tuple[Array, Any]] = {}

    def level(self, grid: int, images: str) -> Level:
        """Return the problem on a grid, negative ones counted from the finest, with one of the sets of examples."""
        grid %= len(self.shapes)
        if (grid, images) not in self._levels:
            if grid not in self._validation:
                self._validation[grid] = self._examples("validation", grid)
            parts = network_parts(self.setup, self.data.classes, self.backend, grid == self.finest, self.shapes[grid])
            network, classifier, regularizers = parts
            sets = self._examples(images, grid), self._validation[grid]
            self._levels[grid, images] = Level(*(Objective(network, classifier, *s, **regularizers) for s in sets))
        return self._levels[grid, images]

    def level_of(self, stage: Stage) -> Level:
        """Return the problem that a stage solves."""
        return self.level(stage.grid, stage.images)

    def start(self, stage: Stage, before: Stage | None = None, x: Array | None = None) -> Array:
        """Return the weights from which a stage starts: fresh ones, or those at the end `x` of the stage before."""
        level = self.level_of(stage)
        if stage.start == FRESH or before is None or x is None:
            # the coarsest grid's stream has no number of the grid
            middle = [stage.grid] if stage.grid else []
            key = [FINE_WEIGHTS] if stage.grid == self.finest else [COARSE_WEIGHTS, *middle]
            return level.initial(random_stream(self.setup.run.seed, self.number, *key), self.setup)
        if stage.start == SAME:
            return x
        return self._carried(self.level_of(before).training, x, level.training, stage)

    def order(self, stage: Stage, visits: int, epoch: int) -> np.ndarray[Any, Any]:
        """Return the order of the examples in an epoch of SGD; `visits` stages before trained by it on this grid."""
        finest = stage.grid == self.finest
        key = [FINE_ORDER if finest else COARSE_ORDER, epoch]
        if visits or (not finest and stage.grid):
            key += [stage.grid, visits]
        return random_stream(self.setup.run.seed, self.number, *key).permutation(stage.examples(self.setup))

    @cached_property
    def _order_of_images(self) -> np.ndarray[Any, Any]:
        return random_stream(self.setup.run.seed, self.number, SPLIT).permutation(len(self.data))

    def _examples(self, name: str, grid: int) -> tuple[Array, Any]:
        """Return images on a grid and labels of a set."""
        data = self.setup.data
        size, before = getattr(data, f"{name}_examples"), SETS[: SETS.index(name)]
        start = sum(getattr(data, f"{other}_examples") for other in before)
        part = self._order_of_images[start : start + size]
        if len(part) < size:
            needed = f"at most the {len(self.data)} of {self.data.name}"
            validate.reject(f"{name}_examples", needed, f"{start + size} with the sets before")
        scaled = scale_images(self.data.images[part], data.data_scaling, np.dtype(self.setup.model.dtype))
        images = self.backend.asarray(scaled)
        while images.shape[-1] > self.shapes[grid][-1]:
            images = restrict_images(images)
        seen = self.setup.readings.validation_images if name == "validation" else data.training_images
        if grid == self.finest and seen != "original":
            images = seen_by_coarse_grid(images, seen)
        return images, self.data.labels[part]

    def _carried(self, before: Objective, x: Array, after: Objective, stage: Stage) -> Array:
        """Return weights on another grid, grid by grid."""
        network, (theta, w) = before.network, before.split(x)
        levels = self.setup.levels
        if by_vec := self.setup.readings.W_transfer == "vec":
            w = vec_order.from_vec(before.classifier, w)
        transfer = partial(
            prolongate if network.domain_shape[-1] < after.network.domain_shape[-1] else restrict,
            interpolation=levels.interpolation,
            kernels=stage.start,
            classifier_scaling=levels.classifier_scaling,
        )
        while network.domain_shape != after.network.domain_shape:
            network, theta, w = transfer(network, theta, w)
        if by_vec:
            w = vec_order.to_vec(after.classifier, w)
        return self.backend.xp.concatenate([theta, w])


def seen_by_coarse_grid(images: Array, interpolation: str = "linear") -> Array:
    """Return P R x of images x: what the next coarser grid knows of them, carried back by a choice of P.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.experiments.runs.problems import seen_by_coarse_grid
    >>> seen_by_coarse_grid(np.array([[[[0.0, 4.0], [4.0, 8.0]]]]), "constant").tolist()
    [[[[4.0, 4.0], [4.0, 4.0]]]]
    """
    return prolongate_images(restrict_images(images), interpolation)


# trials that share their parts need not be compared, number by number, each time that they are evaluated together
@lru_cache(maxsize=32)
def network_parts(
    setup: Setup, classes: int, backend: Backend, finest: bool, image_shape: Shape
) -> tuple[Chain, DenseLayer, dict[str, Any]]:
    """Return network, classifier and regularisers on a grid."""
    penalties, dtype = setup.penalties, np.dtype(setup.model.dtype)
    network = build_network(setup.model.network, image_shape, backend)
    classifier = DenseLayer(network.range_shape, classes, backend=backend)
    penalty = Tikhonov(Identity(network.parameters.size, backend=backend), penalties.theta_alpha)
    regularizers: dict[str, Any] = {"theta_regularizer": penalty}
    if math.prod(network.range_shape[1:]) == 1:
        # features of a single pixel have no neighbours that could differ
        return network, classifier, regularizers
    gradient: LinearOperator = Gradient((classes, *network.range_shape), penalties.mesh_width, backend=backend)
    if setup.readings.W_neighbours == "vec":
        gradient = gradient @ vec_order.vec_as_images(gradient.domain_shape, dtype, backend)
    alpha = penalties.W_alpha if finest else penalties.W_alpha_coarse
    return network, classifier, {**regularizers, "W_regularizer": Tikhonov(gradient, alpha)}
