"""Activation functions with first and second derivative."""

from __future__ import annotations

from abc import ABC, abstractmethod

from meganet.backend import Array, Backend
from meganet.ground import validate


class Activation(ABC):
    """A function ``sigma`` of one real variable, applied to every entry.

    A new one defines `value`, `evaluate` and `second_derivative` and is handed to a layer in the place of a name.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.layers import Activation, ActivationLayer
    >>> class Square(Activation):
    ...     def value(self, backend, z):
    ...         return z * z
    ...     def evaluate(self, backend, z):
    ...         return z * z, 2 * z
    ...     def second_derivative(self, backend, z):
    ...         return backend.xp.full_like(z, 2)
    >>> ActivationLayer(3, Square())(np.zeros(0), np.array([[-1.0, 2.0, 3.0]]))
    array([[1., 4., 9.]])
    """

    #: Whether the second derivative is anything but zero.
    curved = True
    #: The name by which an operator that computes the activation along with its product knows it.
    rule: str | None = None

    @abstractmethod
    def value(self, backend: Backend, z: Array) -> Array:
        """Return ``sigma(z)``, which may be written over `z`."""

    @abstractmethod
    def evaluate(self, backend: Backend, z: Array) -> tuple[Array, Array | None]:
        """Return ``sigma(z)`` and ``sigma'(z)``; `z` may be written over.

        The derivative may be Boolean where it is 0 or 1, and None where it is 1 everywhere.
        """

    @abstractmethod
    def second_derivative(self, backend: Backend, z: Array) -> Array:
        """Return ``sigma''(z)``."""


class Identity(Activation):
    """The identity, ``sigma(z) = z``, of layers without a nonlinearity.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.backend import get_backend
    >>> from meganet.layers.activations import Identity
    >>> Identity().evaluate(get_backend("numpy"), np.array([-1.0, 2.0]))
    (array([-1.,  2.]), None)
    """

    curved, rule = False, "identity"

    def value(self, backend: Backend, z: Array) -> Array:
        """Return z."""
        return z

    def evaluate(self, backend: Backend, z: Array) -> tuple[Array, None]:
        """Return z and None, for ones."""
        return z, None

    def second_derivative(self, backend: Backend, z: Array) -> Array:
        """Return zeros."""
        return backend.xp.zeros_like(z)


class ReLU(Activation):
    """The rectified linear unit, ``sigma(z) = max(z, 0)``; its derivative at 0 is 1, as in Meganet.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.backend import get_backend
    >>> from meganet.layers.activations import ReLU
    >>> ReLU().evaluate(get_backend("numpy"), np.array([-1.0, 0.0, 2.0]))
    (array([0., 0., 2.]), array([False,  True,  True]))
    """

    curved, rule = False, "relu"

    def value(self, backend: Backend, z: Array) -> Array:
        """Return max(z, 0)."""
        return backend.positive_part(z)

    def evaluate(self, backend: Backend, z: Array) -> tuple[Array, Array]:
        """Return max(z, 0) and z >= 0."""
        return backend.relu(z)

    def second_derivative(self, backend: Backend, z: Array) -> Array:
        """Return zeros."""
        return backend.xp.zeros_like(z)


class SmoothReLU(Activation):
    """``max(z, 0)`` with its kink smoothed: ``z^2 / (4 eta) + z / 2 + eta / 4`` where ``|z| <= eta``.

    The derivative is ``z / (2 eta) + 1/2`` there, the second derivative ``1 / (2 eta)``.

    Parameters
    ----------
    eta : float
        Half the width of the smoothed part, positive.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.backend import get_backend
    >>> from meganet.layers import SmoothReLU
    >>> y, slope = SmoothReLU(eta=0.5).evaluate(get_backend("numpy"), np.array([-1.0, 0.0, 2.0]))
    >>> y
    array([0.   , 0.125, 2.   ])
    >>> slope
    array([0. , 0.5, 1. ])
    """

    def __init__(self, eta: float = 0.1) -> None:
        self.eta = validate.real("eta", eta, above=0)

    def __repr__(self) -> str:
        return f"SmoothReLU({self.eta})"

    def value(self, backend: Backend, z: Array) -> Array:
        """Return the smoothed max(z, 0)."""
        return self.evaluate(backend, z)[0]

    def evaluate(self, backend: Backend, z: Array) -> tuple[Array, Array]:
        """Return value and derivative."""
        slope = self._clipped(backend, z * (0.5 / self.eta) + 0.5)
        # eta slope^2 is the parabola; beyond it slope is 1 and z - eta is added
        above = backend.xp.maximum(z - self.eta, backend.xp.zeros_like(z))
        return self.eta * slope * slope + above, slope

    @staticmethod
    def _clipped(backend: Backend, s: Array) -> Array:
        zeros = backend.xp.zeros_like(s)
        return backend.xp.minimum(backend.xp.maximum(s, zeros), zeros + 1)

    def second_derivative(self, backend: Backend, z: Array) -> Array:
        """Return 1 / (2 eta) where abs(z) <= eta, else 0."""
        return (abs(z) <= self.eta).astype(z.dtype) * (0.5 / self.eta)


class Tanh(Activation):
    """The hyperbolic tangent, ``sigma(z) = tanh(z)``.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.backend import get_backend
    >>> from meganet.layers.activations import Tanh
    >>> y, slope = Tanh().evaluate(get_backend("numpy"), np.array([-1.0, 0.0, 1.0]))
    >>> y.round(3), slope.round(3)
    (array([-0.762,  0.   ,  0.762]), array([0.42, 1.  , 0.42]))
    """

    def value(self, backend: Backend, z: Array) -> Array:
        """Return tanh(z)."""
        return backend.xp.tanh(z, out=z)

    def evaluate(self, backend: Backend, z: Array) -> tuple[Array, Array]:
        """Return tanh(z) and 1 - tanh(z)^2."""
        y = self.value(backend, z)
        return y, 1 - y * y

    def second_derivative(self, backend: Backend, z: Array) -> Array:
        """Return -2 tanh(z) (1 - tanh(z)^2)."""
        y = backend.xp.tanh(z)
        return -2 * y * (1 - y * y)


ACTIVATIONS: dict[str, Activation] = {
    "identity": Identity(),
    "relu": ReLU(),
    "smooth_relu": SmoothReLU(),
    "tanh": Tanh(),
}
"""The activations that a layer knows by name."""


def activation_of(argument: str, activation: str | Activation) -> Activation:
    """Return an activation by name, or the one that is given.

    Parameters
    ----------
    argument : str
        Name of the argument for the error message.
    activation : {"identity", "relu", "smooth_relu", "tanh"} or Activation

    Raises
    ------
    InputError
        For an unknown name.

    Examples
    --------
    >>> from meganet.layers.activations import SmoothReLU, activation_of
    >>> type(activation_of("activation", "relu")).__name__
    'ReLU'
    >>> activation_of("activation", SmoothReLU(0.5))
    SmoothReLU(0.5)
    """
    if isinstance(activation, Activation):
        return activation
    return ACTIVATIONS[validate.choice(argument, activation, ACTIVATIONS)]
