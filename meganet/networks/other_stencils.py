"""A network with stencils of other sizes or dilations, all else being equal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from inspect import signature
from typing import Any, NamedTuple

from meganet.backend import Backend
from meganet.ground import validate
from meganet.layers import ConvolutionLayer, Layer
from meganet.layers.affine import shape_alone
from meganet.linop import ParametricOperator, Transposed
from meganet.networks.architecture import arguments_of
from meganet.networks.chain import Chain
from meganet.networks.integrator import Integrator
from meganet.networks.reparametrised import Reparametrised


class Points(NamedTuple):
    """The points of a stencil: how many along each axis, and how many pixels apart.

    Examples
    --------
    >>> from meganet.networks.other_stencils import Points
    >>> Points((3, 3), (2, 2))
    Points(shape=(3, 3), dilation=(2, 2))
    """

    shape: tuple[int, ...]
    dilation: tuple[int, ...] = (1, 1)


Change = Callable[[Points], Points]
"""From the points of a stencil to its new ones."""


def with_stencils(layer: Layer, change: Change) -> Layer:
    """Return a layer or network whose convolutions have stencils of other points; itself if none changes.

    Parameters
    ----------
    layer : Layer
        What holds a convolution is made again of its arguments, see `networks.architecture`.
    change : callable
        From the `Points` of a stencil to its new ones.

    Raises
    ------
    InputError
        Where a convolution that is not a `CirculantConvolution` would have to be dilated.

    Examples
    --------
    >>> import meganet as mn
    >>> from meganet.networks.other_stencils import Points, with_stencils
    >>> network = mn.Chain([mn.ConvolutionLayer((1, 8, 8), 4), mn.PoolingLayer(..., 2)])
    >>> with_stencils(network, lambda points: Points((5, 5))).parameters.names, network.parameters.size
    (('0.kernel',), 36)
    >>> with_stencils(network, lambda points: Points((5, 5))).parameters.size
    100
    >>> with_stencils(network, lambda points: Points((3, 3), (2, 2))).layers[0].dilation
    (2, 2)
    """
    return _changed(layer, change, layer.backend) if _is_concerned(layer, change) else layer


def _is_concerned(layer: Layer, change: Change) -> bool:
    """Return whether a stencil changes its points, be it one in a basis."""
    if isinstance(layer, Reparametrised):
        return _is_concerned(layer.layer, change)
    if isinstance(layer, (Chain, Integrator)):
        return any(_is_concerned(part, change) for part in layer.layers)
    if isinstance(layer, ConvolutionLayer):
        points = Points(layer.kernel_shape, layer.dilation)
        return change(points) != points
    # a layer of one's own may not tell its arguments
    has_any = any(parameter.role == "stencil" for parameter in layer.parameters)
    return has_any and any(_is_other(operator, change) for operator in _operators(layer))


def _operators(value: Any) -> Iterator[ParametricOperator]:
    """Yield the convolutions that a layer is made of."""
    if isinstance(value, ParametricOperator) and value.role == "stencil":
        yield value
    elif isinstance(value, Layer):
        for part in arguments_of(value).values():
            yield from _operators(part)
    elif type(value) in (tuple, list):
        for part in value:
            yield from _operators(part)


def _is_other(operator: ParametricOperator, change: Change) -> bool:
    points = _points(operator)
    return change(points) != points


def _points(operator: ParametricOperator) -> Points:
    inner = operator.T if isinstance(operator, Transposed) else operator
    axes = len(operator.domain_shape) - 1
    return Points(operator.kernel_shape[-axes:], getattr(inner, "dilation", (1,) * axes))


def _changed(value: Any, change: Change, home: Backend) -> Any:
    if type(value) in (tuple, list):
        return type(value)(_changed(part, change, home) for part in value)
    if isinstance(value, Layer):
        if not _is_concerned(value, change):
            return value
        given = arguments_of(value)
        if isinstance(value, ConvolutionLayer):
            shape, dilation = change(Points(value.kernel_shape, value.dilation))
            return _made(value, {**given, "kernel_shape": shape, "dilation": dilation}, home)
    elif isinstance(value, ParametricOperator) and value.role == "stencil":
        given = arguments_of(value)
        if not isinstance(value, Transposed):
            old, new = _points(value), change(_points(value))
            kernel = shape_alone((*value.kernel_shape[: -len(new.shape)], *new.shape), home)
            spacing = {"dilation": new.dilation} if hasattr(value, "dilation") else {}
            if not spacing and new.dilation != old.dilation:
                validate.reject("kernels", "a transfer that keeps neighbouring pixels together", f"one for {value!r}")
            return _made(value, {**given, "kernel": kernel, **spacing}, home)
    else:
        return value
    return _made(value, {name: _changed(part, change, home) for name, part in given.items()}, home)


def _made(value: Any, given: dict[str, Any], home: Backend) -> Any:
    kind = type(value)
    return kind(**given, **({"backend": home} if "backend" in signature(kind).parameters else {}))
