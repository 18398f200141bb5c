"""Layers whose domain_shape is left open: ``ConvolutionLayer(..., 64)``."""

from __future__ import annotations

from abc import ABCMeta
from inspect import Parameter, Signature, signature
from typing import TYPE_CHECKING, Any

from meganet.ground import validate

if TYPE_CHECKING:
    from meganet.layers.base import Layer


class Unshaped:
    """A layer whose domain_shape is left open: a function ``domain_shape -> Layer``.

    Parameters
    ----------
    layer_type : type
        A class of layers whose first argument is `domain_shape`.
    *args, **kwargs
        Its arguments, with ``...`` as `domain_shape`. Only their number and names are checked here.

    Raises
    ------
    TypeError
        For missing or unknown arguments, as from the class itself.
    InputError
        For a class whose first argument is another one.

    Examples
    --------
    >>> from meganet.layers import ConvolutionLayer
    >>> layer = ConvolutionLayer(..., 64)
    >>> layer
    ConvolutionLayer(..., 64)
    >>> layer((3, 8, 8))
    ConvolutionLayer((3, 8, 8) -> (64, 8, 8), relu)
    """

    def __init__(self, layer_type: LayerType, *args: Any, **kwargs: Any) -> None:
        expected = signature(layer_type)
        self.layer_type, self.args, self.kwargs = layer_type, args, kwargs
        first = next(iter(expected.parameters.values()), None)
        if args and first is not None and first.name != "domain_shape" and first.kind != Parameter.VAR_POSITIONAL:
            validate.reject(
                f"{first.name} of {layer_type.__name__}", "a value, as only a domain_shape may be left out", "..."
            )
        with validate.within(repr(self), TypeError):
            expected.bind(*args, **kwargs)

    def __call__(self, domain_shape: tuple[int, ...]) -> Layer:
        """Return the layer for examples of shape `domain_shape`."""
        if self.args and self.args[0] is ...:
            return self.layer_type(domain_shape, *self.args[1:], **self.kwargs)
        return self.layer_type(*self.args, **{**self.kwargs, "domain_shape": domain_shape})

    def __repr__(self) -> str:
        given = [*map(_repr, self.args), *(f"{name}={_repr(value)}" for name, value in self.kwargs.items())]
        return f"{self.layer_type.__name__}({', '.join(given)})"


class LayerType(ABCMeta):
    """The metaclass of layers: a class that is called with ``...`` as domain_shape returns an `Unshaped` layer.

    Examples
    --------
    >>> from meganet.layers import DenseLayer
    >>> from meganet.layers.unshaped import LayerType
    >>> isinstance(DenseLayer, LayerType)
    True
    >>> DenseLayer(..., 10)
    DenseLayer(..., 10)
    >>> DenseLayer(domain_shape=..., outputs=10)((1, 8, 8))
    DenseLayer((1, 8, 8) -> (10,), identity, bias)
    """

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        """Return a layer, or an `Unshaped` one."""
        if (args and args[0] is ...) or kwargs.get("domain_shape") is ...:
            return Unshaped(cls, *args, **kwargs)
        return super().__call__(*args, **kwargs)

    @property
    def __signature__(cls) -> Signature:
        """What a class takes, for `inspect`, which otherwise finds the arguments of `__call__` here."""
        _, *arguments = signature(cls.__init__).parameters.values()  # type: ignore[misc]
        return Signature(arguments)


def _repr(value: Any) -> str:
    return "..." if value is ... else repr(value)
