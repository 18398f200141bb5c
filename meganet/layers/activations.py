"""Activation functions with first and second derivative."""

from __future__ import annotations

from abc import ABC, abstractmethod

from meganet.backend import Array, Backend


class Activation(ABC):
    """A function of one real variable, applied to every entry."""

    @abstractmethod
    def value(self, backend: Backend, z: Array) -> Array:
        """Return ``sigma(z)``, which may be written over `z`."""

    @abstractmethod
    def evaluate(self, backend: Backend, z: Array) -> tuple[Array, Array]:
        """Return ``sigma(z)`` and ``sigma'(z)``; `z` may be written over.

        The derivative may be Boolean where it is 0 or 1.
        """

    @abstractmethod
    def second_derivative(self, backend: Backend, z: Array) -> Array:
        """Return ``sigma''(z)``."""


class Identity(Activation):
    """``sigma(z) = z``."""

    def value(self, backend: Backend, z: Array) -> Array:
        """Return z."""
        return z

    def evaluate(self, backend: Backend, z: Array) -> tuple[Array, Array]:
        """Return z and ones."""
        return z, backend.xp.ones_like(z, dtype=bool)

    def second_derivative(self, backend: Backend, z: Array) -> Array:
        """Return zeros."""
        return backend.xp.zeros_like(z)


class ReLU(Activation):
    """``sigma(z) = max(z, 0)``; the derivative at 0 is 1, as in Meganet."""

    def value(self, backend: Backend, z: Array) -> Array:
        """Return max(z, 0)."""
        # zeros of one pixel's or one example's size: with the scalar 0 NumPy's maximum takes thrice the time
        shape = (*z.shape[:-2], 1, 1) if z.ndim >= 4 else (z.shape[-1],)
        zeros = backend.xp.zeros(shape, dtype=z.dtype)
        return backend.xp.maximum(z, zeros, out=z)

    def evaluate(self, backend: Backend, z: Array) -> tuple[Array, Array]:
        """Return max(z, 0) and z >= 0."""
        if backend.kernels is not None:
            return backend.kernels.relu(z)
        slope = z >= 0
        return self.value(backend, z), slope

    def second_derivative(self, backend: Backend, z: Array) -> Array:
        """Return zeros."""
        return backend.xp.zeros_like(z)


class Tanh(Activation):
    """``sigma(z) = tanh(z)``."""

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


ACTIVATIONS: dict[str, Activation] = {"identity": Identity(), "relu": ReLU(), "tanh": Tanh()}
"""The activations that a layer knows by name."""
