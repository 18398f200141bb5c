"""What a model is trained with: images, validation data and first weights, checked before anything is changed."""

from __future__ import annotations

from typing import Any

from meganet.backend import Array, is_finite
from meganet.ground import validate
from meganet.layers import Layer, initial_weights
from meganet.losses import Loss
from meganet.model.images import images_for
from meganet.model.outputs import Outputs
from meganet.model.weights import LARGEST_SEED, source_of
from meganet.objective import Objective


def training_images(network: Layer, argument: str, images: Any, dtype: Any = None) -> Array:
    """Return images as the training takes them; a memory-mapped file becomes a plain array that is mapped likewise.

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.model.preparation import training_images
    >>> training_images(mn.ConvolutionLayer((1, 8, 8), 4), "images", np.zeros((5, 8, 8))).shape
    (5, 1, 8, 8)
    """
    array = images_for(network, argument, images)
    return network.backend.asarray(array, array.dtype.newbyteorder("=") if dtype is None else dtype)


def held_out(
    network: Layer, classifier: Layer, loss: Loss, outputs: Outputs, validation: Any, dtype: Any
) -> Objective | None:
    """Return the objective over validation data (images, labels), None for None.

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.model.outputs import outputs_of
    >>> from meganet.model.preparation import held_out
    >>> layer, data = mn.ConvolutionLayer((1, 4, 4), 2), (np.zeros((3, 4, 4)), [0, 1, 1])
    >>> classifier, classes = mn.DenseLayer((2, 4, 4), 2), outputs_of(2, 1, layer.range_shape)
    >>> held_out(layer, classifier, mn.SoftmaxCrossEntropy(), classes, data, float).examples
    3
    """
    if validation is None:
        return None
    if not isinstance(validation, (tuple, list)) or len(validation) != 2:
        got = f"{len(validation)} of them" if isinstance(validation, (tuple, list)) else validate.shown(validation)
        validate.reject("validation", "a pair (images, labels)", got)
    images = training_images(network, "validation[0]", validation[0], dtype)
    if not is_finite(images):
        validate.reject("validation[0]", "finite pixels", "NaN or infinity among them")
    numbers = outputs.numbers("validation[1]", validation[1], int(images.shape[0]))
    labels = loss.targets("validation[1]", numbers, outputs.count)
    return Objective(network, classifier, images, labels, loss=loss)


def started(network: Layer, classifier: Layer, x: Array | None, rng: Any, usual: int, dtype: Any) -> tuple[int, Array]:
    """Return the seed of the order of the examples, and the weights `x`, which are drawn if there are none.

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.model.preparation import started
    >>> seed, x = started(mn.ConvolutionLayer((1, 4, 4), 2), mn.DenseLayer((2, 4, 4), 3), None, None, 7, np.float32)
    >>> seed, x.shape, x.dtype
    (7, (117,), dtype('float32'))
    """
    generator, seed = source_of(rng, usual)
    x = initial_weights(network, classifier, generator, dtype) if x is None else x
    if not is_finite(x):
        validate.reject("model", "finite weights", "those of a run that diverged; start again with a new Model")
    return (int(generator.integers(LARGEST_SEED)) if seed is None else seed), x
