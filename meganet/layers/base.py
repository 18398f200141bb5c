"""The contract of everything that has parameters: layers, and networks, which are layers too."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, NamedTuple

from meganet.backend import Array, Backend, get_backend, to_backend
from meganet.ground import validate
from meganet.ground.deprecated import renamed_methods
from meganet.layers.parameters import Parameters
from meganet.layers.unshaped import LayerType
from meganet.linop import BlockDiagonal, Identity, LinearOperator

OLD_NAMES = {
    "_forward": "forward_unchecked",
    "_jvp": "jvp_unchecked",
    "_vjp": "vjp_unchecked",
    "_vjp_theta": "vjp_theta_unchecked",
    "_vjp_x": "vjp_x_unchecked",
    "_curvature": "curvature_unchecked",
    "_evaluate": "evaluate_unchecked",
    "_frozen_on": "frozen_on_unchecked",
}
"""What methods that layers define were called."""


class Tape(NamedTuple):
    """What `Layer.forward` hands to the products: the layer's own record, and the shape and dtype of the batch.

    `batch` is (N,), or (T, N) for a stack of T weights.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.layers import ScalingLayer
    >>> layer = ScalingLayer((2, 8, 8))
    >>> y, tape = layer.forward(np.ones(2), np.ones((5, 2, 8, 8)))
    >>> tape.batch, tape.dtype
    ((5,), dtype('float64'))
    """

    record: Any
    batch: tuple[int, ...]
    dtype: Any


class Layer(metaclass=LayerType):
    """A differentiable map ``(theta, x) -> y`` of weights and a batch of examples.

    *Derivatives*, with ``F(theta, x) = y``: `jvp` is ``F' (dtheta, dx)``, `vjp` its adjoint ``F'^T dy``, and
    `curvature` the derivative of ``F'^T dy`` along (dtheta, dx), the second derivative for a fixed dy.

    A new layer defines four methods, in one file: ``forward_unchecked(theta, x) -> y, record``,
    ``jvp_unchecked(dtheta, dx, record) -> dy``, ``vjp_unchecked(dy, record) -> dtheta, dx`` and
    ``resized(domain_shape)``. *Unchecked* is the product of the same name without the checks of its arguments: code of
    this package calls it where they are known to be right. The record is whatever the two products need from the
    forward pass, as data; `forward`, `jvp` and `vjp` hand it around in a `Tape`. It holds views of `theta`, so the
    products must come before `theta` is changed in place. ``vjp_unchecked`` may write over its `dy`. For exact Hessian
    products a layer also defines ``curvature_unchecked(dtheta, dx, dy, record) -> ctheta, cx``, which leaves `dy`.

    **Stacks.** `theta` may be a stack (T, parameters.size) of weights; then x, y and all directions have the axis
    T in front as well, ``(T, N, ...)``, and T networks run side by side, each on its own examples. These methods
    therefore count axes from the end. On a GPU a training step is recorded once and repeated, so they depend on their
    arguments only; elementwise work on images goes through ``backend.elementwise``, which keeps their memory order.

    **Shapes that follow.** A class whose first argument is `domain_shape` takes ``...`` for it and then gives a
    function from domain_shape to the layer, an `Unshaped` one; a `Chain` calls it with the range of the layer before.

    Parameters
    ----------
    domain_shape, range_shape : tuple of int
        Shape of one example before and after: (C, H, W) for images.
    parameters : Parameters
        The named arrays inside the flat vector `theta`.
    backend : str or Backend, optional
        Where the layer lives; the active backend if not given.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.layers import ConvolutionLayer, he_normal
    >>> layer = ConvolutionLayer((3, 8, 8), 4)
    >>> rng = np.random.default_rng(0)
    >>> theta, x = he_normal(layer, rng), rng.standard_normal((5, 3, 8, 8))
    >>> y, tape = layer.forward(theta, x)
    >>> y.shape
    (5, 4, 8, 8)
    >>> dtheta, dx = layer.vjp(y, tape)  # the gradient of 0.5 * np.sum(y**2)
    >>> dtheta.shape, dx.shape
    ((108,), (5, 3, 8, 8))
    >>> np.allclose(np.sum(y * layer.jvp(theta, x, tape)), dtheta @ theta + np.sum(dx * x))
    True
    """

    def __init__(
        self, domain_shape: Any, range_shape: Any, parameters: Parameters, backend: str | Backend | None = None
    ) -> None:
        self.domain_shape = validate.shape("domain_shape", domain_shape)
        self.range_shape = validate.shape("range_shape", range_shape)
        self.parameters = parameters
        self.backend = get_backend(backend)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.domain_shape} -> {self.range_shape})"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        renamed_methods(cls, OLD_NAMES)

    #: Whether the result of one example depends on the others of its batch, which then must not be split.
    couples_examples = False

    @abstractmethod
    def forward_unchecked(self, theta: Array, x: Array) -> tuple[Array, Any]:
        """Return the result and the record that the products need."""

    @abstractmethod
    def jvp_unchecked(self, dtheta: Array, dx: Array, record: Any) -> Array:
        """Return ``J_theta dtheta + J_x dx``."""

    @abstractmethod
    def vjp_unchecked(self, dy: Array, record: Any) -> tuple[Array, Array]:
        """Return ``J_theta' dy`` and ``J_x' dy``; `dy` may be written over."""

    @abstractmethod
    def resized(self, domain_shape: tuple[int, ...]) -> Layer:
        """Return the same layer for examples of another shape (images of another resolution)."""

    def vjp_theta_unchecked(self, dy: Array, record: Any) -> Array:
        """Return ``J_theta' dy`` alone; `dy` may be written over."""
        return self.vjp_unchecked(dy, record)[0]

    def vjp_x_unchecked(self, dy: Array, record: Any) -> Array:
        """Return ``J_x' dy`` alone; `dy` may be written over."""
        return self.vjp_unchecked(dy, record)[1]

    def curvature_unchecked(self, dtheta: Array, dx: Array, dy: Array, record: Any) -> tuple[Array, Array]:
        """Return the derivative of ``vjp(dy)`` along (dtheta, dx); `dy` is left as it is."""
        validate.reject("layer", "one that defines curvature_unchecked, for exact second derivatives", repr(self))

    def evaluate_unchecked(self, theta: Array, x: Array) -> Array:
        """Return the result without a record."""
        return self.forward_unchecked(theta, x)[0]

    def __call__(self, theta: Array, x: Array) -> Array:
        """Evaluate the layer without a tape: the `y` of `forward`, for less memory."""
        self._check_input(theta, x)
        return self.evaluate_unchecked(theta, x)

    def outputs(self, theta: Array, x: Array) -> list[Array]:
        """Return the result of every part of the layer in turn, the last of which is the layer's."""
        return [self(theta, x)]

    def forward(self, theta: Array, x: Array) -> tuple[Array, Tape]:
        """Evaluate the layer and record what its products need.

        Parameters
        ----------
        theta : array, (parameters.size,) or (T, parameters.size)
            The weights.
        x : array, ``(N, *domain_shape)`` or ``(T, N, *domain_shape)``
            The examples, in the dtype of `theta` (float32 or float64), which is also the result's.

        Returns
        -------
        y : array, ``(N, *range_shape)``
            Like every result it may share memory with the arguments or the tape: not to be changed in place before the
            products.
        tape : Tape
            To be handed to `jvp` and `vjp`.

        Raises
        ------
        InputError
            For a wrong shape or dtype, or an array of another backend.
        """
        self._check_input(theta, x)
        y, record = self.forward_unchecked(theta, x)
        return y, Tape(record, tuple(x.shape[: -len(self.domain_shape)]), x.dtype)

    def jvp(self, dtheta: Array, dx: Array, tape: Tape) -> Array:
        """Jacobian times a direction, ``dy = J_theta dtheta + J_x dx``, ``(N, *range_shape)``."""
        _check_tape(tape)
        self._check("dtheta", dtheta, (*tape.batch[:-1], self.parameters.size), tape)
        self._check("dx", dx, (*tape.batch, *self.domain_shape), tape)
        return self.jvp_unchecked(dtheta, dx, tape.record)

    def vjp(self, dy: Array, tape: Tape) -> tuple[Array, Array]:
        """Adjoint Jacobian products ``dtheta = J_theta' dy`` and ``dx = J_x' dy``."""
        _check_tape(tape)
        self._check("dy", dy, (*tape.batch, *self.range_shape), tape)
        return self.vjp_unchecked(self.backend.copied(dy), tape.record)

    def vjp_theta(self, dy: Array, tape: Tape) -> Array:
        """Return ``J_theta' dy`` alone: a network's first layer need not compute the gradient in the data."""
        _check_tape(tape)
        self._check("dy", dy, (*tape.batch, *self.range_shape), tape)
        return self.vjp_theta_unchecked(self.backend.copied(dy), tape.record)

    def curvature(self, dtheta: Array, dx: Array, dy: Array, tape: Tape) -> tuple[Array, Array]:
        """Return the derivative of ``vjp(dy)`` along (dtheta, dx), with arrays like `theta` and `x`.

        It is symmetric: ``<curvature(v; dy), w> = <curvature(w; dy), v>``.

        Raises
        ------
        InputError
            For a layer without second derivatives.
        """
        _check_tape(tape)
        self._check("dtheta", dtheta, (*tape.batch[:-1], self.parameters.size), tape)
        self._check("dx", dx, (*tape.batch, *self.domain_shape), tape)
        self._check("dy", dy, (*tape.batch, *self.range_shape), tape)
        return self.curvature_unchecked(dtheta, dx, dy, tape.record)

    @property
    def twice_differentiable(self) -> bool:
        """Whether `curvature` is defined."""
        return type(self).curvature_unchecked is not Layer.curvature_unchecked

    def frozen_on(self, theta: Array, x: Array) -> Layer:
        """Return the layer with its statistics over examples fixed to those of a batch: no example needs the others.

        Parameters
        ----------
        theta : array, (parameters.size,)
        x : array, ``(N, *domain_shape)``
            Such as all training examples.

        Returns
        -------
        Layer
            With the same weights, which gives `x` the same result; the layer itself if it has no such statistics.

        Examples
        --------
        >>> import numpy as np
        >>> from meganet.layers import NormalisationLayer
        >>> layer = NormalisationLayer((2, 3, 3), ("examples", "pixels"))
        >>> x, theta = np.random.default_rng(0).standard_normal((4, 2, 3, 3)), np.zeros(0)
        >>> bool(np.allclose(layer.frozen_on(theta, x)(theta, x[:1]), layer(theta, x)[:1]))
        True
        """
        self._check_input(theta, x)
        return self.frozen_on_unchecked(theta, x)[0] if self.couples_examples else self

    def frozen_on_unchecked(self, theta: Array, x: Array) -> tuple[Layer, Array]:
        """Return the frozen layer and its result; a layer that couples examples says how."""
        if self.couples_examples:
            validate.reject("layer", "one that defines frozen_on_unchecked, to fix its statistics", repr(self))
        return self, self.evaluate_unchecked(theta, x)

    @property
    def widest(self) -> int:
        """Number of entries, for one example, of the largest array that passes through the layer."""
        return max(math.prod(self.domain_shape), math.prod(self.range_shape))

    def refined_in_time(self, theta: Array) -> tuple[Layer, Array]:
        """Return the layer with twice the time steps of half the length, and its weights; see `networks`.

        A layer without time steps is returned as it is.
        """
        layer, blocks = self.in_time(finer=True)
        if layer is self:
            return self, theta
        self.backend.require("theta", theta)
        validate.array_shape("theta", theta, (self.parameters.size,))
        return layer, BlockDiagonal(blocks) @ theta if blocks else theta

    def in_time(self, *, finer: bool) -> tuple[Layer, list[LinearOperator]]:
        """Return the layer with twice the time steps, or half, and the operators that act on parts of its weights.

        To twice the steps weights are interpolated linearly in time, to half of them every second is taken. A layer
        without time steps is returned as it is.
        """
        size = self.parameters.size
        return self, [Identity(size, backend=self.backend)] if size else []

    def to(self, backend: str | Backend) -> Any:
        """Return the same layer on another backend."""
        return to_backend(self, backend)

    def _no_weights(self, dy: Array) -> Array:
        """Return the gradient in the weights of a layer that has none."""
        return self.backend.xp.zeros((*dy.shape[: -len(self.range_shape) - 1], 0), dtype=dy.dtype)

    def _check_input(self, theta: Array, x: Array) -> None:
        stacked = getattr(theta, "ndim", 1) == 2
        self._check("theta", theta, ("T", self.parameters.size) if stacked else (self.parameters.size,))
        self._check("x", x, (theta.shape[0], "N", *self.domain_shape) if stacked else ("N", *self.domain_shape))
        validate.float_images("x", x)
        validate.same_dtype("theta", theta, x.dtype, "x")
        validate.not_empty("x", x, axis=theta.ndim - 1)

    def _check(self, argument: str, array: Array, shape: tuple[Any, ...], tape: Tape | None = None) -> None:
        self.backend.require(argument, array)
        validate.array_shape(argument, array, shape)
        if tape is not None:
            validate.same_dtype(argument, array, tape.dtype, "the forward pass")


renamed_methods(Layer, OLD_NAMES)


def _check_tape(tape: Tape) -> None:
    validate.instance("tape", tape, Tape, "the tape of a forward pass")
