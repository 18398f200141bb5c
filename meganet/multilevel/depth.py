"""Hierarchies in depth: one network with several numbers of time steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from numbers import Integral

from meganet.backend import Array
from meganet.ground import validate
from meganet.layers import Layer
from meganet.linop import BlockDiagonal, Identity, LinearOperator
from meganet.multilevel.hierarchy import Hierarchy
from meganet.multilevel.level import Level
from meganet.networks import Chain, Integrator, RungeKutta4


class TimeSteps(Hierarchy):
    """A network with several numbers of time steps over the same time, each double the one before.

    Weights are interpolated linearly in time to the finer level; of the finer one's every second is taken, which are
    the coarse ones again. The classifier's weights are the same.

    Parameters
    ----------
    levels : sequence of Level

    Examples
    --------
    >>> import meganet as mn
    >>> from meganet.multilevel import in_depth
    >>> layer = mn.DenseLayer((3,), 3, activation="tanh")
    >>> hierarchy = in_depth(mn.ResidualNetwork(layer, steps=2, h=0.5), classes=2, steps=(2, 4, 8))
    >>> print(hierarchy)
    level    steps  unknowns  MFLOP   share
        0  2 steps        32   0.00   31.4%
        1  4 steps        56   0.00   54.3%
        2  8 steps       104   0.00  100.0%
    a step on every level: 185.7% of the arithmetic of the finest
    """

    kind = "steps"

    def images(self, level: int, images: Array) -> Array:
        """Return the images, which are the same on every level."""
        return images

    def prolongation(self, level: int) -> LinearOperator:
        """Return the operator that interpolates weights linearly in time."""
        return self._operator(level, finer=True)

    def restriction(self, level: int) -> LinearOperator:
        """Return the operator that takes every second of the weights in time."""
        return self._operator(level, finer=False)

    def sharing(self, level: int) -> LinearOperator:
        """Return the operator of joint training: the coarser level has every second of the weights in time."""
        return self._operator(level, finer=False)

    def _operator(self, level: int, *, finer: bool) -> LinearOperator:
        at, _ = self.neighbours(level, 1 if finer else -1)
        size = at.classifier.parameters.size
        same = [Identity(size, backend=at.network.backend)] if size else []
        return BlockDiagonal([*at.network.in_time(finer=finer)[1], *same])


def in_depth(network: Layer, classes: int | None, steps: Sequence[int]) -> TimeSteps:
    """Return a network with several numbers of time steps.

    Parameters
    ----------
    network : Layer
        With parts that step through time, all with one number of steps: one of `steps`, or another that comes from them
        by doubling or halving. Their time stays the same: twice the steps have half the length.
    classes : int, optional
        How many outputs the classifier has; of None there is no classifier, and the results are images.
    steps : sequence of int
        Each double the one before.

    Raises
    ------
    InputError
        If a number is not the one before doubled, or if the network has parts with other numbers of time steps.

    Examples
    --------
    >>> import meganet as mn
    >>> from meganet.multilevel import in_depth
    >>> layer = mn.DenseLayer((3,), 3, activation="tanh")
    >>> hierarchy = in_depth(mn.ResidualNetwork(layer, steps=16, h=0.125), classes=2, steps=(2, 4, 8, 16))
    >>> hierarchy[0].network.steps, hierarchy[0].network.h
    (2, 1.0)
    """
    validate.instance("network", network, Layer, "a layer or network")
    outputs = None if classes is None else validate.integer("classes", classes)
    numbers = validate.items("steps", steps, Integral, "one or more numbers of time steps")
    for k, number in enumerate(numbers):
        validate.integer(f"steps[{k}]", number)
        if k and number != 2 * numbers[k - 1]:
            validate.reject("steps", "numbers of which each is double the one before", str(tuple(numbers)))
    found = set(_steps(network))
    if len(found) != 1:
        shown = ", ".join(map(str, sorted(found))) or "none"
        validate.reject("network", "parts with one number of time steps", shown)
    (own,) = found
    larger, smaller = max(own, numbers[0]), min(own, numbers[0])
    if larger % smaller or (factor := larger // smaller) & (factor - 1):
        validate.reject("network", f"{numbers[0]} time steps, or those doubled or halved", str(own))
    # in both directions from the network's own number, which keeps its times as they are
    networks = {own: network}
    while (most := max(networks)) < numbers[-1]:
        networks[2 * most] = networks[most].in_time(finer=True)[0]
    while (least := min(networks)) > numbers[0]:
        networks[least // 2] = networks[least].in_time(finer=False)[0]
    return TimeSteps([Level.of(f"{number} steps", networks[number], outputs) for number in numbers])


def _steps(network: Layer) -> Iterator[int]:
    """Yield the numbers of time steps of a network's parts."""
    if isinstance(network, Chain):
        for layer in network.layers:
            yield from _steps(layer)
    elif isinstance(network, RungeKutta4):
        yield len(network.nodes) - 1
    elif isinstance(network, Integrator) and hasattr(network, "steps"):
        yield network.steps
