"""Networks that step through time: one engine for every scheme, linear combinations between evaluations of layers."""

from __future__ import annotations

from collections.abc import Sequence
from operator import add
from typing import Any, NamedTuple

import numpy as np

from meganet.backend import Array, Backend, to_host
from meganet.ground import validate
from meganet.layers.base import Layer
from meganet.layers.parameters import Parameter, Parameters
from meganet.linop import Identity, Kronecker, LinearOperator, Matrix

Row = tuple[float, ...]


class Stage(NamedTuple):
    """One evaluation of a layer in a time-stepping scheme.

    With the state ``s = (s_1, ..., s_m)``, arrays like the examples, the layer is evaluated at a combination of them,
    ``v = F(T, read . s)``, and the new state is ``update [s; v]``.

    Attributes
    ----------
    layer : int
        Number of the layer.
    time : int
        Number of the weights T, a column of the weights in time.
    read : tuple of float, (m,)
    update : tuple of tuple of float, (new m, m + 1)

    Examples
    --------
    >>> import meganet as mn
    >>> from meganet.networks import Leapfrog
    >>> first, second = Leapfrog(mn.DenseLayer((3,), 3), steps=2, h=0.5).stages
    >>> first
    Stage(layer=0, time=0, read=(1.0,), update=((1.0, 0.25), (1.0, 0.0)))
    >>> second
    Stage(layer=0, time=1, read=(1.0, 0.0), update=((2.0, -1.0, 0.25),))
    """

    layer: int
    time: int
    read: Row
    update: tuple[Row, ...]


class Integrator(Layer):
    """A chain of `Stage`: every scheme of `meganet.networks` is a list of them, and nothing else has to be derived.

    *Forward*: ``v = F(T, read . s)``, ``s <- update [s; v]``. *jvp*: the same with directions. *vjp*: the transposed
    combinations backwards, ``[l; l_v] = update' l``, ``(dT, g) = J' l_v``, ``l <- l + read g``. *curvature*: the same
    for l and its derivative together.

    The weights are coefficients in time: the columns used by the stages are ``T = A' C`` with the coefficients C, one
    row for each of them, and a fixed matrix A; without A the coefficients are the columns.

    Parameters
    ----------
    layers : sequence of (str, Layer)
        The layers with names; one column of weights holds those of all layers, in order, unless they share them.
    stages : sequence of Stage
        The first one meets the state ``(x,)``, the last one leaves ``(y,)``, or as many as `split` says.
    times : int
        Number of columns.
    coefficients : array, (coefficients, times), optional
        A, on the host.
    shared : bool
        All layers take the same weights.
    split : int
        The example is cut into so many equal parts along its first axis, which are the state at both ends.

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.networks import Integrator, Stage
    >>> class Midpoint(Integrator):
    ...     def __init__(self, layer, h):
    ...         self.h, half, whole = h, ((1.0, 0.0), (1.0, h / 2)), ((1.0, 0.0, h),)
    ...         stages = [Stage(0, 0, (1.0,), half), Stage(0, 1, (0.0, 1.0), whole)]
    ...         super().__init__([("layer", layer)], stages, times=2)
    ...
    ...     def resized(self, domain_shape):
    ...         return Midpoint(self.layers[0].resized(domain_shape), self.h)
    >>> network = Midpoint(mn.DenseLayer((1,), 1, bias=False), h=1.0)
    >>> network.parameters.size
    2
    >>> print(network(np.ones(2), np.array([[1.0], [2.0]])))
    [[2.5]
     [5. ]]
    """

    def __init__(
        self,
        layers: Sequence[tuple[str, Layer]],
        stages: Sequence[Stage],
        times: int,
        *,
        coefficients: Any = None,
        shared: bool = False,
        split: int = 1,
    ) -> None:
        self.stages = tuple(_checked(f"stages[{k}]", stage) for k, stage in enumerate(stages))
        self.times, split = validate.integer("times", times), validate.integer("split", split)
        for name, layer in layers:
            validate.instance(f"layer {name!r}", layer, Layer, "a Layer")
        self.layers = tuple(layer for _, layer in layers)
        self.shared, self.split = shared, split
        first = self.layers[0]
        for name, layer in layers:
            if {layer.range_shape, layer.domain_shape} != {first.domain_shape} or layer.backend is not first.backend:
                validate.reject(f"layer {name!r}", "layers whose results can be added to the state", repr(layer))
        self._basis: Matrix | None = None
        if coefficients is not None:
            in_time = validate.numbers("coefficients", to_host(coefficients)).astype(np.float64)
            validate.array_shape("coefficients", in_time, ("K", times))
            validate.not_empty("coefficients", in_time, "row")
            if not np.isfinite(in_time).all():
                validate.reject("coefficients", "finite numbers", "NaN or infinity among them")
            self._basis = Matrix(in_time.T, backend=first.backend)
        sizes = [layer.parameters.size for layer in self.layers]
        starts = [0] * len(sizes) if shared else np.cumsum([0, *sizes[:-1]]).tolist()
        self.parts = [slice(a, a + size) for a, size in zip(starts, sizes, strict=True)]
        self.width = sizes[0] if shared else sum(sizes)
        self._count = times if self._basis is None else self._basis.shape[1]
        column = self.layers[0].parameters if len(layers) == 1 or shared else Parameters.joined(_named(layers))
        parameters = Parameters(
            Parameter(f"{k}.{p.name}", p.shape, p.role, p.fan_in) for k in range(self._count) for p in column
        )
        domain = (split * first.domain_shape[0], *first.domain_shape[1:])
        self.couples_examples = any(layer.couples_examples for layer in self.layers)
        super().__init__(domain, domain, parameters, first.backend)

    @property
    def coefficients(self) -> np.ndarray[Any, Any] | None:
        """The matrix A of weights in time, on the host, or None."""
        return None if self._basis is None else self._basis.matrix.toarray().T

    @property
    def twice_differentiable(self) -> bool:
        """Whether `curvature` is defined for every part."""
        return all(layer.twice_differentiable for layer in self.layers)

    @property
    def widest(self) -> int:
        """That of the widest layer, or of a state."""
        return max(super().widest, *(layer.widest for layer in self.layers))

    def columns_unchecked(self, theta: Array) -> Array:
        """Return the weights at every time, (..., times, width)."""
        c = theta.reshape(*theta.shape[:-1], self._count, self.width)
        return c if self._basis is None else self._basis.apply_each_unchecked(c.swapaxes(-1, -2)).swapaxes(-1, -2)

    def _columns_adjoint(self, columns: Array) -> Array:
        """Return the adjoint of `columns_unchecked`."""
        if self._basis is not None:
            columns = self._basis.adjoint_each_unchecked(columns.swapaxes(-1, -2)).swapaxes(-1, -2)
        return columns.reshape(*columns.shape[:-2], self.parameters.size)

    def between_times(self, matrix: Any) -> list[LinearOperator]:
        """Return the operators that make weights at other times of these, ``columns -> matrix columns``.

        Coefficients in time stay what they are.
        """
        if not self.parameters.size:
            return []
        if self._basis is not None:
            return [Identity(self.parameters.size, backend=self.backend)]
        return [Kronecker(Matrix(matrix, backend=self.backend), Identity(self.width, backend=self.backend))]

    def _weights(self, columns: Array, stage: Stage) -> Array:
        return columns[..., stage.time, self.parts[stage.layer]]

    def _enter(self, x: Array) -> list[Array]:
        """Return the state at the start."""
        n, axis = self.domain_shape[0] // self.split, (slice(None),) * (len(self.domain_shape) - 1)
        return [x[(..., slice(k * n, (k + 1) * n), *axis)] for k in range(self.split)]

    def _leave(self, state: list[Array]) -> Array:
        """Return the example of a state; the adjoint of `_enter`."""
        return state[0] if self.split == 1 else self.backend.concatenate(state, axis=-len(self.domain_shape))

    def forward_unchecked(self, theta: Array, x: Array) -> tuple[Array, list[Any]]:
        columns, state, records = self.columns_unchecked(theta), self._enter(x), []
        for stage in self.stages:
            layer = self.layers[stage.layer]
            v, record = layer.forward_unchecked(
                self._weights(columns, stage), _combined(self.backend, stage.read, state)
            )
            records.append(record)
            state = _updated(self.backend, stage, state, v)
        return self._leave(state), records

    def frozen_on_unchecked(self, theta: Array, x: Array) -> tuple[Layer, Array]:
        columns, state, layers = self.columns_unchecked(theta), self._enter(x), []
        for stage in self.stages:
            weights, read = self._weights(columns, stage), _combined(self.backend, stage.read, state)
            layer, v = self.layers[stage.layer].frozen_on_unchecked(weights, read)
            layers.append(layer)
            state = _updated(self.backend, stage, state, v)
        return FrozenIntegrator(self, layers), self._leave(state)

    def evaluate_unchecked(self, theta: Array, x: Array) -> Array:
        columns, state = self.columns_unchecked(theta), self._enter(x)
        for stage in self.stages:
            v = self.layers[stage.layer].evaluate_unchecked(
                self._weights(columns, stage), _combined(self.backend, stage.read, state)
            )
            state = _updated(self.backend, stage, state, v)
        return self._leave(state)

    def jvp_unchecked(self, dtheta: Array, dx: Array, record: list[Any]) -> Array:
        return self._leave(self._directions(dtheta, dx, record)[1])

    def _directions(self, dtheta: Array, dx: Array, record: list[Any]) -> tuple[list[Array], list[Array]]:
        """Return the direction that every stage reads, and the state's at the end."""
        columns, state, reads = self.columns_unchecked(dtheta), self._enter(dx), []
        for stage, one in zip(self.stages, record, strict=True):
            reads.append(_combined(self.backend, stage.read, state))
            v = self.layers[stage.layer].jvp_unchecked(self._weights(columns, stage), reads[-1], one)
            state = _updated(self.backend, stage, state, v)
        return reads, state

    def vjp_unchecked(self, dy: Array, record: list[Any]) -> tuple[Array, Array]:
        gradient, state = self._no_columns(dy), self._enter(dy)
        for stage, one in zip(self.stages[::-1], record[::-1], strict=True):
            state, v = _transposed(self.backend, stage, state)
            in_weights, in_read = self.layers[stage.layer].vjp_unchecked(v, one)
            self._weights(gradient, stage)[...] += in_weights
            state = _read_back(self.backend, stage, state, in_read)
        return self._columns_adjoint(gradient), self._leave(state)

    def vjp_x_unchecked(self, dy: Array, record: list[Any]) -> Array:
        state = self._enter(dy)
        for stage, one in zip(self.stages[::-1], record[::-1], strict=True):
            state, v = _transposed(self.backend, stage, state)
            state = _read_back(self.backend, stage, state, self.layers[stage.layer].vjp_x_unchecked(v, one))
        return self._leave(state)

    def curvature_unchecked(self, dtheta: Array, dx: Array, dy: Array, record: list[Any]) -> tuple[Array, Array]:
        reads, _ = self._directions(dtheta, dx, record)
        columns, gradient = self.columns_unchecked(dtheta), self._no_columns(dy)
        state = self._enter(dy)
        derivative = [self.backend.xp.zeros_like(part) for part in state]
        for stage, one, read in zip(self.stages[::-1], record[::-1], reads[::-1], strict=True):
            layer = self.layers[stage.layer]
            state, v = _transposed(self.backend, stage, state)
            derivative, dv = _transposed(self.backend, stage, derivative)
            in_weights, in_read = layer.curvature_unchecked(self._weights(columns, stage), read, v, one)
            through = layer.vjp_unchecked(dv, one)
            self._weights(gradient, stage)[...] += in_weights + through[0]
            derivative = _read_back(self.backend, stage, derivative, self.backend.elementwise(add, in_read, through[1]))
            state = _read_back(self.backend, stage, state, layer.vjp_x_unchecked(v, one))
        return self._columns_adjoint(gradient), self._leave(derivative)

    def _no_columns(self, dy: Array) -> Array:
        shape = (*dy.shape[: -len(self.domain_shape) - 1], self.times, self.width)
        return self.backend.xp.zeros(shape, dtype=dy.dtype)


class FrozenIntegrator(Integrator):
    """The scheme of another one with a layer for each stage, since at every time its statistics are others.

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.layers import NormalisationLayer
    >>> from meganet.networks import ResidualNetwork
    >>> layer = mn.Chain([mn.DenseLayer((3,), 3), NormalisationLayer((3,), ["examples"])])
    >>> network = ResidualNetwork(layer, steps=4, h=0.25)
    >>> rng = np.random.default_rng(0)
    >>> theta, x = mn.he_normal(network, rng), rng.standard_normal((5, 3))
    >>> fixed = network.frozen_on(theta, x)
    >>> type(fixed).__name__, len(fixed.layers), fixed.couples_examples
    ('FrozenIntegrator', 4, False)
    >>> bool(np.allclose(fixed(theta, x[:1]), network(theta, x)[:1]))
    True
    """

    def __init__(self, source: Integrator, layers: Sequence[Layer]) -> None:
        validate.instance("source", source, Integrator, "a network in time")
        layers = validate.items("layers", layers, Layer, "one or more layers")
        sizes = [part.stop - part.start for part in (source.parts[stage.layer] for stage in source.stages)]
        if [layer.parameters.size for layer in layers] != sizes:
            validate.reject("layers", f"one for each of {len(sizes)} stages, with its weights", repr(layers))
        if len({shape for layer in layers for shape in (layer.domain_shape, layer.range_shape)}) > 1:
            validate.reject("layers", "layers whose results can be added to the state", repr(layers))
        vars(self).update(vars(source))
        self.source = getattr(source, "source", source)
        channels, *pixels = layers[0].domain_shape
        self.domain_shape = self.range_shape = (self.split * channels, *pixels)
        self.layers, self.couples_examples = tuple(layers), False
        self.parts = [source.parts[stage.layer] for stage in source.stages]
        self.stages = tuple(stage._replace(layer=number) for number, stage in enumerate(source.stages))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.layers))})"

    def resized(self, domain_shape: tuple[int, ...]) -> FrozenIntegrator:
        """Return the same scheme for examples of another shape, for which the statistics must be those of channels."""
        one = (domain_shape[0] // self.split, *domain_shape[1:])
        return FrozenIntegrator(self, [layer.resized(one) for layer in self.layers])

    def in_time(self, *, finer: bool) -> tuple[Layer, list[LinearOperator]]:
        """Raise `InputError`: between the times there are no statistics."""
        validate.reject("network", "statistics that are not fixed, to change the steps in time", repr(self))


def _named(layers: Sequence[tuple[str, Layer]]) -> dict[str, Parameters]:
    return {name: layer.parameters for name, layer in layers}


def _combined(backend: Backend, row: Row, state: Sequence[Array]) -> Array:
    """Return ``row . state``: one of the arrays itself if the row only picks it."""
    terms = [(c, s) for c, s in zip(row, state, strict=True) if c]
    if len(terms) == 1 and terms[0][0] == 1:
        return terms[0][1]
    return _sum(backend, terms)


def _sum(backend: Backend, terms: list[tuple[float, Array]]) -> Array:
    """Return the combination in a new array."""
    factors, arrays = zip(*terms, strict=True)

    def combination(first: Array, *others: Array) -> Array:
        total = factors[0] * first
        for c, s in zip(factors[1:], others, strict=True):
            total += s if c == 1 else c * s
        return total

    return backend.elementwise(combination, *arrays)


def _checked(argument: str, stage: Stage) -> Stage:
    """Return a stage with Python numbers, which keep the dtype of what they are multiplied with."""
    read = _numbers(f"{argument}.read", stage.read)
    update = tuple(_numbers(f"{argument}.update[{j}]", row) for j, row in enumerate(stage.update))
    layer = validate.integer(f"{argument}.layer", stage.layer, minimum=0)
    return Stage(layer, validate.integer(f"{argument}.time", stage.time, minimum=0), read, update)


def _numbers(argument: str, row: Row) -> Row:
    return tuple(validate.real(f"{argument}[{k}]", c) for k, c in enumerate(row))


def _updated(backend: Backend, stage: Stage, state: list[Array], v: Array) -> list[Array]:
    return [_combined(backend, row, [*state, v]) for row in stage.update]


def _transposed(backend: Backend, stage: Stage, state: list[Array]) -> tuple[list[Array], Array]:
    """Return ``update' state``: the parts of the old state, and of the layer's result in an array of its own."""
    columns = list(zip(*stage.update, strict=True))
    parts = []
    for column in columns[:-1]:
        terms = [(c, s) for c, s in zip(column, state, strict=True) if c]
        parts.append(_sum(backend, terms or [(0, state[0])]))
    return parts, _sum(backend, [(c, s) for c, s in zip(columns[-1], state, strict=True) if c])


def _read_back(backend: Backend, stage: Stage, state: list[Array], g: Array) -> list[Array]:
    def added(c: float, s: Array) -> Array:
        return backend.elementwise(lambda s, g: s + (g if c == 1 else c * g), s, g)

    return [added(c, s) if c else s for c, s in zip(stage.read, state, strict=True)]
