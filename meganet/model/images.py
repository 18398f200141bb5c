"""Images as users have them, for a network."""

from __future__ import annotations

from typing import Any

from meganet.backend import Array, to_host
from meganet.ground import validate
from meganet.layers import Layer


def images_for(network: Layer, argument: str, images: Any) -> Array:
    """Return images (N, C, H, W) for a network where they are, of either float dtype; nothing is copied.

    Those of one channel may be (N, H, W), videos (N, C, T, H, W) of one (N, T, H, W).

    Raises
    ------
    InputError
        For another shape or dtype. Whether pixels are finite is not looked at.

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.model.images import images_for
    >>> layer = mn.ConvolutionLayer((1, 8, 8), 4)
    >>> images = images_for(layer, "images", np.zeros((5, 8, 8), dtype=np.float32))
    >>> images.shape, images.dtype
    ((5, 1, 8, 8), dtype('float32'))
    """
    domain, backend = network.domain_shape, network.backend
    array = images if backend.owns(images) else validate.read(argument, to_host(images), "an array of images")
    validate.plain(argument, array)
    given = array
    if len(domain) > 2 and domain[0] == 1 and array.ndim == len(domain):
        array = array[:, None]
    if tuple(array.shape[1:]) != domain or array.ndim != len(domain) + 1:
        # before the dtype: the axes may be in another order, which no scaling mends
        advice = _rearranged(tuple(given.shape), domain)
        expected = f"an array of shape ({', '.join(map(str, ('N', *domain)))})"
        validate.reject(argument, expected + (advice and f"; {advice}"), f"shape {tuple(given.shape)}")
    if array.dtype.newbyteorder("=") not in validate.FLOAT_DTYPES:
        validate.float_images(argument, array)
    validate.not_empty(argument, array, "image")
    return array


def _rearranged(shape: tuple[int, ...], domain: tuple[int, ...]) -> str:
    """Return how an array of another `shape` becomes images of the shape `domain`; nothing if it is not known."""
    if len(domain) != 3:
        return ""
    c, h, w = domain
    whole = f"{c}, {h}, {w}"
    if shape == domain or (c == 1 and shape == (h, w)):
        return "x[None] makes one image a batch"
    if shape[1:] == (h, w, c):
        return "x.transpose(0, 3, 1, 2) puts the channels before the rows"
    if len(shape) == 4 and shape[:3] == (h, w, c):
        return "x.transpose(3, 2, 0, 1) takes MATLAB's (H, W, C, N) to it"
    if c == 1 and len(shape) == 3 and shape[:2] == (h, w):
        return "x.transpose(2, 0, 1) takes MATLAB's (H, W, N) to it"
    if h == 1 and shape[1:] == (c, w):
        return "x[:, :, None] makes signals images of one row"
    if len(shape) == 2 and shape[1] == c * h * w:
        return f"x.reshape(-1, {whole}) makes images of rows of pixels"
    return ""
