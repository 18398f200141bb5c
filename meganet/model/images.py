"""Images as users have them, for a network."""

from __future__ import annotations

from typing import Any

from meganet import _validate
from meganet.backend import Array, host
from meganet.layers import Layer


def images_for(network: Layer, argument: str, images: Any) -> Array:
    """Return images (N, C, H, W) for a network where they are, of either float dtype; nothing is copied.

    Those of one channel may be (N, H, W).

    Raises
    ------
    InputError
        For another shape or dtype. Whether pixels are finite is not looked at.
    """
    domain, backend = network.domain_shape, network.backend
    array = images if backend.owns(images) else _validate.read(argument, host(images), "an array of images")
    _validate.plain(argument, array)
    if array.dtype.kind in "iub":
        advice = 'mn.datasets.scale_images(x, "unit") makes them of pixels from 0 to 255'
        _validate.reject(argument, f"float32 or float64; {advice}", str(array.dtype))
    _validate.float_dtype(f"dtype of {argument}", array.dtype.newbyteorder("="))
    if len(domain) == 3 and domain[0] == 1 and array.ndim == 3:
        array = array[:, None]
    _validate.array_shape(argument, array, ("N", *domain))
    _validate.not_empty(argument, array, "image")
    return array
