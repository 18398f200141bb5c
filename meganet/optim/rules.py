"""How a mini-batch's gradient moves the point: plain steps, momentum, Adam."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from meganet.backend import Array, Backend
from meganet.ground import validate


class Rule(Protocol):
    """How a gradient moves the point: the state it keeps, where it looks, where it goes.

    Examples
    --------
    >>> from meganet.optim import Momentum
    >>> from meganet.optim.rules import Rule
    >>> rule: Rule = Momentum(0.9)
    >>> rule.counts_steps
    False
    """

    #: Whether a step depends on `steps`; else all steps of an epoch are alike.
    counts_steps: ClassVar[bool]

    def start(self, backend: Backend, x: Array) -> tuple[Array, ...]:
        """Return the arrays that the rule remembers."""

    def look(self, x: Array, memory: tuple[Array, ...]) -> Array:
        """Return the point at which the gradient is wanted."""

    def step(
        self,
        backend: Backend,
        x: Array,
        gradient: Array,
        memory: tuple[Array, ...],
        rate: float,
        steps: int,
        epoch: int,
    ) -> tuple[Array, tuple[Array, ...]]:
        """Return the next point and memory; `epoch` counts from 1, and so does `steps`, over all epochs.

        A rule that does not count steps gets the number of those before the epoch.
        """


@dataclass(frozen=True)
class Momentum:
    """``d <- rate g + momentum d``, ``x <- x - d``; with `nesterov` the gradient is taken at ``x - momentum d``.

    With ``momentum = 0`` this is equation (2.4) of the thesis; Meganet's default is Nesterov with 0.9.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.backend import get_backend
    >>> from meganet.optim import Momentum
    >>> rule, backend, x = Momentum(0.5), get_backend("numpy"), np.ones(2)
    >>> x, memory = rule.step(backend, x, x, rule.start(backend, x), rate=0.1, steps=1, epoch=1)
    >>> x, memory
    (array([0.9, 0.9]), (array([0.1, 0.1]),))
    """

    counts_steps: ClassVar[bool] = False
    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        momentum = validate.real("momentum", self.momentum)
        if not 0 <= momentum < 1:
            validate.reject("momentum", "a number in [0, 1)", repr(self.momentum))
        validate.store(self, momentum=momentum, nesterov=bool(self.nesterov))

    def start(self, backend: Backend, x: Array) -> tuple[Array, ...]:
        """Return the velocity zero, or nothing without momentum."""
        return (backend.xp.zeros_like(x),) if self.momentum else ()

    def look(self, x: Array, memory: tuple[Array, ...]) -> Array:
        """Return ``x - momentum d`` for Nesterov, else `x`."""
        return x - self.momentum * memory[0] if self.nesterov and memory else x

    def step(
        self,
        backend: Backend,
        x: Array,
        gradient: Array,
        memory: tuple[Array, ...],
        rate: float,
        steps: int,
        epoch: int,
    ) -> tuple[Array, tuple[Array, ...]]:
        """Return ``x - d`` and the new velocity ``d``."""
        x, velocity = backend.momentum_step(x, gradient, memory[0] if memory else None, rate, self.momentum)
        return x, () if velocity is None else (velocity,)


@dataclass(frozen=True)
class Adam:
    """``m <- b1 m + (1-b1) g``, ``v <- b2 v + (1-b2) g^2``, ``x <- x - rate m^ / (sqrt(v^) + eps)``.

    ``m^ = m / (1 - b1^t)``, ``v^ = v / (1 - b2^t)``. Source: Kingma and Ba, *Adam* (2015), algorithm 1, where t counts
    steps. ``variant="meganet"`` is what Meganet computes: t counts epochs, and eps stands inside the root.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.backend import get_backend
    >>> from meganet.optim import Adam
    >>> rule, backend, x = Adam(), get_backend("numpy"), np.array([1.0, 100.0])
    >>> x, memory = rule.step(backend, x, x, rule.start(backend, x), rate=0.1, steps=1, epoch=1)
    >>> x.round(6), len(memory)
    (array([ 0.9, 99.9]), 2)
    """

    counts_steps: ClassVar[bool] = True
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    variant: str = "standard"

    def __post_init__(self) -> None:
        validate.choice("variant", self.variant, ["standard", "meganet"])
        numbers = {name: validate.real(name, getattr(self, name)) for name in ("beta1", "beta2")}
        for name, value in numbers.items():
            if not 0 <= value < 1:
                validate.reject(name, "a number in [0, 1)", repr(getattr(self, name)))
        validate.store(self, **numbers, eps=validate.real("eps", self.eps, above=0))

    def start(self, backend: Backend, x: Array) -> tuple[Array, ...]:
        """Return both moments, zero."""
        return backend.xp.zeros_like(x), backend.xp.zeros_like(x)

    def look(self, x: Array, memory: tuple[Array, ...]) -> Array:
        """Return `x`."""
        return x

    def step(
        self,
        backend: Backend,
        x: Array,
        gradient: Array,
        memory: tuple[Array, ...],
        rate: float,
        steps: int,
        epoch: int,
    ) -> tuple[Array, tuple[Array, ...]]:
        """Return the next point and both moments."""
        m = self.beta1 * memory[0] + (1 - self.beta1) * gradient
        v = self.beta2 * memory[1] + (1 - self.beta2) * gradient * gradient
        t = epoch if self.variant == "meganet" else steps
        m_hat, v_hat = m * (1 / (1 - self.beta1**t)), v * (1 / (1 - self.beta2**t))
        if self.variant == "meganet":
            root = backend.xp.sqrt(v_hat + self.eps)
        else:
            root = backend.xp.sqrt(v_hat) + self.eps
        return x - rate * m_hat / root, (m, v)


def checked(argument: str, rule: Any) -> Rule:
    """Return a rule, plain steps for None; refuse what is none.

    Examples
    --------
    >>> from meganet.optim.rules import checked
    >>> checked("rule", None)
    Momentum(momentum=0.0, nesterov=False)
    """
    if rule is None:
        return Momentum()
    # the class itself has the names too
    if isinstance(rule, type) or not all(hasattr(rule, name) for name in ("counts_steps", "start", "look", "step")):
        validate.reject(argument, "Momentum, Adam or another rule", repr(rule))
    found: Rule = rule
    return found
