"""Parameters are one flat vector; this says where in it each named array lies."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from meganet.backend import Array
from meganet.ground import validate
from meganet.ground.columns import aligned


@dataclass(frozen=True)
class Parameter:
    """The name, the shape and the purpose of one array of weights.

    Attributes
    ----------
    name : str
    shape : tuple of int
    role : {"stencil", "matrix", "bias", "scale", "coefficients"}
        What the numbers are: stencils of convolutions, matrices, biases, factors or coefficients in a basis. A change
        of grid and the initial weights treat them differently.
    fan_in : int
        Number of products that are summed for one output; He's initialisation divides by it. 0 for a bias or a factor.

    Examples
    --------
    >>> from meganet.layers import Parameter, Parameters
    >>> kernel = Parameter("kernel", (16, 3, 3, 3), "stencil", fan_in=27)
    >>> kernel.size
    432
    >>> Parameters([kernel, Parameter("bias", (16,), "bias")]).size
    448
    """

    name: str
    shape: tuple[int, ...]
    role: str
    fan_in: int = 0

    @cached_property
    def size(self) -> int:
        """Number of weights."""
        return math.prod(self.shape)


class Parameters(tuple[Parameter, ...]):
    """The named arrays of a layer in the order in which the flat vector holds them.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.layers import ConvolutionLayer
    >>> layer = ConvolutionLayer((1, 4, 4), 2, bias=True)
    >>> print(layer.parameters)
    kernel  2x1x3x3  18
    bias    2         2
    total            20
    >>> theta = np.zeros(layer.parameters.size)
    >>> layer.parameters.view(theta)["bias"][:] = 7  # a view: writes into theta
    >>> theta[-3:]
    array([0., 7., 7.])
    """

    @cached_property
    def size(self) -> int:
        """Length of the flat vector."""
        return sum(p.size for p in self)

    @property
    def names(self) -> tuple[str, ...]:
        """Names in order."""
        return tuple(p.name for p in self)

    def view(self, theta: Array) -> dict[str, Array]:
        """Return the named arrays as views into the flat vector `theta`: they share its memory.

        For a stack of vectors, (T, size), the views have the axis T in front.

        Raises
        ------
        InputError
            For a vector of another length or one that is not contiguous.
        """
        validate.plain("theta", theta)
        lead = ("T",) if getattr(theta, "ndim", 1) == 2 else ()
        validate.array_shape("theta", theta, (*lead, self.size))
        if not lead and not theta.flags.c_contiguous:
            validate.reject("theta", "a contiguous vector, whose views share its memory", "a strided one")
        return self.view_unchecked(theta)

    def view_unchecked(self, theta: Array) -> dict[str, Array]:
        """Return what `view` does, unchecked."""
        lead = theta.shape[:-1]
        return {name: theta[..., part].reshape(*lead, *shape) for name, part, shape in self._places}

    @cached_property
    def _places(self) -> list[tuple[str, slice, tuple[int, ...]]]:
        """Name, place in the flat vector and shape of each array."""
        places, start = [], 0
        for p in self:
            places.append((p.name, slice(start, start + p.size), p.shape))
            start += p.size
        return places

    @classmethod
    def joined(cls, parts: Mapping[str, Parameters]) -> Parameters:
        """Return the parameters of several parts one after the other, their names prefixed by ``part.``."""
        return cls(
            Parameter(f"{prefix}.{p.name}", p.shape, p.role, p.fan_in) for prefix, part in parts.items() for p in part
        )

    def __str__(self) -> str:
        """Return a table: name, shape, number of weights, and the total."""
        rows = [(p.name, "x".join(map(str, p.shape)), f"{p.size:,}") for p in self]
        rows.append(("total", "", f"{self.size:,}"))
        return "\n".join(aligned(rows, left=2))
