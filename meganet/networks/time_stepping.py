"""Residual networks as discretised differential equations: which layer is evaluated where, and what follows.

All of them are `Integrator`, where the products are; a class here says only which stages its scheme has. Weights may be
given in a basis in time, and every network can be refined in time.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from meganet.ground import validate
from meganet.layers.activations import Activation
from meganet.layers.base import Layer
from meganet.layers.elementwise import resized_bias
from meganet.linop import LinearOperator, ParametricOperator, Transposed
from meganet.networks.compound import SingleLayer
from meganet.networks.integrator import Integrator, Stage


class _EquidistantSteps(Integrator):
    """What the schemes with `steps` steps of length `h` and one column of weights for each have in common."""

    steps: int
    h: float

    def _set(self, steps: int, h: float) -> tuple[int, float]:
        self.steps, self.h = validate.integer("steps", steps), validate.real("h", h, above=0)
        return self.steps, self.h

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.layers))}, steps={self.steps}, h={self.h})"

    def resized(self, domain_shape: tuple[int, ...]) -> Integrator:
        """Return the same scheme for examples of another shape."""
        if domain_shape[0] % self.split:
            validate.reject("domain_shape", f"a first axis that {self.split} parts share", str(tuple(domain_shape)))
        one = (domain_shape[0] // self.split, *domain_shape[1:])
        return self._made([layer.resized(one) for layer in self.layers], self.steps, self.h, self.coefficients)

    def in_time(self, *, finer: bool) -> tuple[Integrator, list[LinearOperator]]:
        """Return the network with twice or half the steps, over the same time, and the operator on its weights.

        Weights are interpolated linearly in time, and after the last time the last ones are repeated,
        ``prolongateWeights`` of Meganet; or every second is taken.
        """
        n = self.steps
        if finer:
            matrix = np.kron(np.eye(n), [[1.0], [0.5]])
            matrix[2 * np.arange(n) + 1, np.minimum(np.arange(n) + 1, n - 1)] += 0.5
        else:
            if n % 2:
                validate.reject("network", "an even number of time steps, to take every second", repr(self))
            matrix = np.eye(n)[::2]
        other = None if self.coefficients is None else self.coefficients @ matrix.T
        steps, h = (2 * n, self.h / 2) if finer else (n // 2, 2 * self.h)
        return self._made(self.layers, steps, h, other), self.between_times(matrix)

    @abstractmethod
    def _made(self, layers: Sequence[Layer], steps: int, h: float, coefficients: Any) -> Integrator:
        """Return the same scheme with other settings."""


class ResidualNetwork(_EquidistantSteps):
    """Forward Euler, ``x_{k+1} = x_k + h F(T_k, x_k)``, equations (2.8) and (2.9) of the thesis.

    Parameters
    ----------
    layer : Layer
        F, whose range is its domain; ``h = 1`` with a `DoubleLayer` is the ResNet of He et al. (2016).
    steps : int
    h : float
        Step length, positive.
    coefficients : array, (coefficients, steps), optional
        A in ``T = A' C``: the weights as coefficients in time; one set for each step if not given.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.linop import CirculantConvolution
    >>> from meganet.networks import ResidualNetwork, SymmetricLayer
    >>> layer = SymmetricLayer(CirculantConvolution(np.zeros((4, 4, 3, 3)), (8, 8)), bias_in=True)
    >>> network = ResidualNetwork(layer, steps=6, h=0.5)
    >>> network.domain_shape, network.range_shape, network.parameters.size
    ((4, 8, 8), (4, 8, 8), 888)
    >>> finer, theta = network.refined_in_time(np.zeros(888))
    >>> finer.steps, finer.h, theta.shape
    (12, 0.25, (1776,))
    """

    def __init__(self, layer: Layer, steps: int, h: float = 1.0, *, coefficients: Any = None) -> None:
        n, h = self._set(steps, h)
        stages = [Stage(0, k, (1.0,), ((1.0, h),)) for k in range(n)]
        super().__init__([("layer", layer)], stages, n, coefficients=coefficients)

    def arguments(self) -> dict[str, Any]:
        """Return what the network is made of, see `networks.architecture`."""
        return {"layer": self.layers[0], "steps": self.steps, "h": self.h, "coefficients": self.coefficients}

    def _made(self, layers: Sequence[Layer], steps: int, h: float, coefficients: Any) -> ResidualNetwork:
        return ResidualNetwork(layers[0], steps, h, coefficients=coefficients)


class Leapfrog(_EquidistantSteps):
    """Second order in time, ``x_{k+1} = 2 x_k - x_{k-1} + h^2 F(T_k, x_k)`` with ``x_{-1} = x_0``.

    Parameters
    ----------
    layer : Layer
        F, usually a `SymmetricLayer`.
    steps, h, coefficients
        As in `ResidualNetwork`.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.linop import Dense
    >>> from meganet.networks import Leapfrog, SymmetricLayer
    >>> network = Leapfrog(SymmetricLayer(Dense(np.zeros((16, 2))), bias_in=True), steps=10, h=0.1)
    >>> network.parameters.size
    480
    >>> network(np.zeros(480), np.ones((5, 2))).shape
    (5, 2)
    """

    def __init__(self, layer: Layer, steps: int, h: float = 1.0, *, coefficients: Any = None) -> None:
        n, h = self._set(steps, h)
        # the state is (x_k, x_{k-1}), at both ends x alone
        start, step, end = ((1.0, h * h),), ((2.0, -1.0, h * h),), ((1.0, 0.0),)
        stages = [Stage(0, 0, (1.0,), start + end if n > 1 else start)]
        stages += [Stage(0, k, (1.0, 0.0), (*step, (1.0, 0.0, 0.0))) for k in range(1, n - 1)]
        stages += [Stage(0, n - 1, (1.0, 0.0), step)] if n > 1 else []
        super().__init__([("layer", layer)], stages, n, coefficients=coefficients)

    def arguments(self) -> dict[str, Any]:
        """Return what the network is made of, see `networks.architecture`."""
        return {"layer": self.layers[0], "steps": self.steps, "h": self.h, "coefficients": self.coefficients}

    def _made(self, layers: Sequence[Layer], steps: int, h: float, coefficients: Any) -> Leapfrog:
        return Leapfrog(layers[0], steps, h, coefficients=coefficients)


class Hamiltonian(_EquidistantSteps):
    """``z <- z - h sigma(K' x + B b)``, ``x <- x + h sigma(K z + B b)`` from ``z = 0``; the result is x.

    Both halves of a step share the weights [K; b].

    Parameters
    ----------
    kernel : ParametricOperator
        K, whose range is its domain.
    steps, h, coefficients
        As in `ResidualNetwork`.
    activation : str or Activation
    bias : LinearOperator or True, optional
        B; True is one weight for each channel.

    Notes
    -----
    Haber and Ruthotto, *Stable architectures for deep neural networks* (2017); ``HamiltonianNN`` of Meganet.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.linop import Dense
    >>> from meganet.networks import Hamiltonian
    >>> network = Hamiltonian(Dense(np.zeros((4, 4))), steps=10, h=0.1, bias=True)
    >>> network.parameters.size
    200
    >>> network(np.zeros(200), np.ones((5, 4))).shape
    (5, 4)
    """

    def __init__(
        self,
        kernel: ParametricOperator,
        steps: int,
        h: float = 1.0,
        *,
        activation: str | Activation = "tanh",
        bias: LinearOperator | bool = False,
        coefficients: Any = None,
    ) -> None:
        n, h = self._set(steps, h)
        self.kernel, self.activation, self.bias = kernel, activation, bias
        layers = [
            ("backward", SingleLayer(Transposed(kernel), activation, bias_in=bias)),
            ("forward", SingleLayer(kernel, activation, bias_in=bias)),
        ]
        # the state is (x, z); z begins at 0, and its last value is not needed
        stages = []
        for k in range(n):
            down = ((1.0, 0.0), (0.0, -h)) if k == 0 else ((1.0, 0.0, 0.0), (0.0, 1.0, -h))
            stages.append(Stage(0, k, (1.0,) if k == 0 else (1.0, 0.0), down))
            up = ((1.0, 0.0, h), (0.0, 1.0, 0.0))
            stages.append(Stage(1, k, (0.0, 1.0), up if k < n - 1 else up[:1]))
        super().__init__(layers, stages, n, coefficients=coefficients, shared=True)

    def resized(self, domain_shape: tuple[int, ...]) -> Hamiltonian:
        """Return the same scheme for examples of another shape."""
        bias = self.bias
        if isinstance(bias, LinearOperator):
            bias = resized_bias(bias, domain_shape)
        return Hamiltonian(
            self.kernel.resized(domain_shape),
            self.steps,
            self.h,
            activation=self.activation,
            bias=bias,
            coefficients=self.coefficients,
        )

    def _made(self, layers: Sequence[Layer], steps: int, h: float, coefficients: Any) -> Integrator:
        return Hamiltonian(self.kernel, steps, h, activation=self.activation, bias=self.bias, coefficients=coefficients)


class DoubleHamiltonian(_EquidistantSteps):
    """``y <- y + h F(S_k, z)``, ``z <- z - h G(T_k, y)`` on the two halves ``x = [y; z]`` of the first axis.

    Every column of weights holds those of F, then those of G.

    Parameters
    ----------
    first, second : Layer
        F and G, on half an example.
    steps, h, coefficients
        As in `ResidualNetwork`.

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.networks import DoubleHamiltonian
    >>> half = mn.DenseLayer((3,), 3, activation="tanh")
    >>> network = DoubleHamiltonian(half, half, steps=10, h=0.1)
    >>> network.domain_shape, network.parameters.size
    ((6,), 240)
    >>> network(np.zeros(240), np.ones((5, 6))).shape
    (5, 6)
    """

    def __init__(self, first: Layer, second: Layer, steps: int, h: float = 1.0, *, coefficients: Any = None) -> None:
        n, h = self._set(steps, h)
        stages = []
        for k in range(n):
            stages.append(Stage(0, k, (0.0, 1.0), ((1.0, 0.0, h), (0.0, 1.0, 0.0))))
            stages.append(Stage(1, k, (1.0, 0.0), ((1.0, 0.0, 0.0), (0.0, 1.0, -h))))
        layers = [("first", first), ("second", second)]
        super().__init__(layers, stages, n, coefficients=coefficients, split=2)

    def arguments(self) -> dict[str, Any]:
        """Return what the network is made of, see `networks.architecture`."""
        first, second = self.layers
        return {
            "first": first,
            "second": second,
            "steps": self.steps,
            "h": self.h,
            "coefficients": self.coefficients,
        }

    def _made(self, layers: Sequence[Layer], steps: int, h: float, coefficients: Any) -> DoubleHamiltonian:
        return DoubleHamiltonian(layers[0], layers[1], steps, h, coefficients=coefficients)


class RungeKutta4(Integrator):
    """The classical Runge-Kutta scheme of fourth order for ``dx/dt = F(T(t), x)``.

    On an interval of length h: ``k1 = F(T_0, x)``, ``k2 = F(T_1, x + h/2 k1)``, ``k3 = F(T_1, x + h/2 k2)``,
    ``k4 = F(T_2, x + h k3)``, ``x <- x + h/6 (k1 + 2 k2 + 2 k3 + k4)`` with the weights at its start, middle and end.

    Parameters
    ----------
    layer : Layer
        F, whose range is its domain.
    times : sequence of float
        The n >= 2 nodes, increasing. There are ``2 n - 1`` columns of weights: at the nodes and in between.
    coefficients : array, (coefficients, 2 n - 1), optional
        As in `ResidualNetwork`.

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.networks import RungeKutta4
    >>> network = RungeKutta4(mn.DenseLayer((1,), 1, bias=False), times=[0.0, 0.5, 1.0])
    >>> network.parameters.size
    5
    >>> y = network(np.ones(5), np.ones((1, 1)))
    >>> y.shape, round(float(y[0, 0]), 3), round(float(np.e), 3)
    ((1, 1), 2.717, 2.718)
    """

    def __init__(self, layer: Layer, times: Sequence[float], *, coefficients: Any = None) -> None:
        if isinstance(times, str) or not np.iterable(times):
            validate.reject("times", "two or more increasing times", repr(times))
        nodes = [validate.real(f"times[{k}]", t) for k, t in enumerate(times)]
        if len(nodes) < 2 or (np.diff(nodes) <= 0).any():
            validate.reject("times", "two or more increasing times", repr(times))
        self.nodes = tuple(nodes)
        stages = []
        for k, h in enumerate(np.diff(nodes).tolist()):
            # the state is x, and in between (x, sum, last k)
            stages.append(Stage(0, 2 * k, (1.0,), ((1.0, 0.0), (1.0, h / 6), (0.0, 1.0))))
            for half in (h / 2, h / 2):
                update = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, h / 3), (0.0, 0.0, 0.0, 1.0))
                stages.append(Stage(0, 2 * k + 1, (1.0, 0.0, half), update))
            stages.append(Stage(0, 2 * k + 2, (1.0, 0.0, h), ((0.0, 1.0, 0.0, h / 6),)))
        super().__init__([("layer", layer)], stages, 2 * len(nodes) - 1, coefficients=coefficients)

    def arguments(self) -> dict[str, Any]:
        """Return what the network is made of, see `networks.architecture`."""
        return {"layer": self.layers[0], "times": self.nodes, "coefficients": self.coefficients}

    def __repr__(self) -> str:
        return f"RungeKutta4({self.layers[0]!r}, times={self.nodes})"

    def resized(self, domain_shape: tuple[int, ...]) -> RungeKutta4:
        """Return the same scheme for examples of another shape."""
        return RungeKutta4(self.layers[0].resized(domain_shape), self.nodes, coefficients=self.coefficients)

    def in_time(self, *, finer: bool) -> tuple[RungeKutta4, list[LinearOperator]]:
        """Return the network with every interval halved, or every two joined, and the operator on its weights.

        Weights are interpolated linearly in time, or every second is taken.
        """
        old = np.sort([*self.nodes, *((a + b) / 2 for a, b in zip(self.nodes[:-1], self.nodes[1:], strict=True))])
        if finer:
            new, nodes = np.sort([*old, *((old[:-1] + old[1:]) / 2)]), old
        else:
            if len(self.nodes) % 2 == 0:
                validate.reject("network", "an even number of time steps, to join every two", repr(self))
            new, nodes = old[::2], old[::4]
        matrix = np.column_stack([np.interp(new, old, unit) for unit in np.eye(len(old))])
        other = None if self.coefficients is None else self.coefficients @ matrix.T
        return RungeKutta4(self.layers[0], nodes.tolist(), coefficients=other), self.between_times(matrix)
