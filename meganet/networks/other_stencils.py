"""A network with stencils of other sizes, all else being equal."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

from meganet.backend import Backend
from meganet.layers import ConvolutionLayer, Layer
from meganet.layers.affine import shape_alone
from meganet.linop import ParametricOperator, Transposed
from meganet.networks.architecture import arguments_of
from meganet.networks.chain import Chain
from meganet.networks.integrator import Integrator
from meganet.networks.reparametrised import Reparametrised

Change = Callable[[tuple[int, ...]], tuple[int, ...]]
"""From the shape of a stencil to its new shape."""


def with_stencils(layer: Layer, change: Change) -> Layer:
    """Return a layer or network whose convolutions have stencils of other shapes; itself if none changes.

    Parameters
    ----------
    layer : Layer
        What holds a convolution is made again of its arguments, see `networks.architecture`.
    change : callable
        From the shape of a stencil to its new shape.

    Examples
    --------
    >>> import meganet as mn
    >>> from meganet.networks.other_stencils import with_stencils
    >>> network = mn.Chain([mn.ConvolutionLayer((1, 8, 8), 4), mn.PoolingLayer(..., 2)])
    >>> with_stencils(network, lambda shape: (5, 5)).parameters.names, network.parameters.size
    (('0.kernel',), 36)
    >>> with_stencils(network, lambda shape: (5, 5)).parameters.size
    100
    """
    return _changed(layer, change, layer.backend) if _is_concerned(layer, change) else layer


def _is_concerned(layer: Layer, change: Change) -> bool:
    """Return whether a stencil changes its shape, be it one in a basis."""
    if isinstance(layer, Reparametrised):
        return _is_concerned(layer.layer, change)
    if isinstance(layer, (Chain, Integrator)):
        return any(_is_concerned(part, change) for part in layer.layers)
    shapes = [p.shape[-2:] for p in layer.parameters if p.role == "stencil"]
    return any(tuple(change(shape)) != shape for shape in shapes)


def _changed(value: Any, change: Change, home: Backend) -> Any:
    if type(value) in (tuple, list):
        return type(value)(_changed(part, change, home) for part in value)
    if isinstance(value, Layer):
        if not _is_concerned(value, change):
            return value
        given = arguments_of(value)
        if isinstance(value, ConvolutionLayer):
            return _made(value, {**given, "kernel_shape": change(given["kernel_shape"])}, home)
    elif isinstance(value, ParametricOperator) and value.role == "stencil":
        given = arguments_of(value)
        if not isinstance(value, Transposed):
            shape = (*value.kernel_shape[:-2], *change(value.kernel_shape[-2:]))
            return _made(value, {**given, "kernel": shape_alone(shape, home)}, home)
    else:
        return value
    return _made(value, {name: _changed(part, change, home) for name, part in given.items()}, home)


def _made(value: Any, given: dict[str, Any], home: Backend) -> Any:
    kind = type(value)
    return kind(**given, **({"backend": home} if "backend" in signature(kind).parameters else {}))
