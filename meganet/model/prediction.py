"""What a network and its classifier give for images, on the host."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from meganet.backend import Array, is_finite
from meganet.ground import validate
from meganet.layers import Layer
from meganet.objective.evaluation import EXAMPLES_AT_ONCE


def classifier_outputs(network: Layer, classifier: Layer, x: Array, images: Array) -> np.ndarray[Any, Any]:
    """Return the outputs for images, (N, K), on the host; a batch at a time is moved and computed.

    Parameters
    ----------
    network, classifier : Layer
        Of single images.
    x : array
        The weights of both, one after the other.
    images : array, (N, *network.domain_shape)
        Of either float dtype, anywhere.

    Raises
    ------
    InputError
        If an output is not finite; it says whether weights or pixels are not.

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.model.prediction import classifier_outputs
    >>> network, classifier = mn.ConvolutionLayer((1, 8, 8), 4), mn.DenseLayer((4, 8, 8), 10)
    >>> x = np.zeros(network.parameters.size + classifier.parameters.size, dtype=np.float32)
    >>> outputs = classifier_outputs(network, classifier, x, np.ones((5, 1, 8, 8)))
    >>> outputs.shape, outputs.dtype
    ((5, 10), dtype('float32'))
    """
    size, backend = network.parameters.size, network.backend
    theta, w = x[:size], x[size:]

    def batch(start: int) -> np.ndarray[Any, Any]:
        part = backend.asarray(images[start : start + EXAMPLES_AT_ONCE], x.dtype)
        return backend.to_host(classifier(w, network(theta, part)))

    starts = range(0, int(images.shape[0]), EXAMPLES_AT_ONCE)
    outputs = np.concatenate(backend.run([partial(batch, start) for start in starts]))
    if not np.isfinite(outputs).all():
        for argument, array, what in (("model", x, "weights"), ("images", images, "pixels")):
            if not is_finite(array):
                validate.reject(argument, f"finite {what}", "NaN or infinity among them")
        validate.reject("model", "finite outputs for these images", "NaN or infinity among them")
    return outputs
