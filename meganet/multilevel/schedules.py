"""Schedules: the phases of a training over a hierarchy, as data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

from meganet.ground import validate
from meganet.ground.columns import aligned
from meganet.multilevel.hierarchy import Hierarchy
from meganet.multilevel.phases import Phase

Levels = int | Hierarchy


@dataclass(frozen=True)
class Schedule:
    """Phases, one after another; schedules add.

    Parameters
    ----------
    phases : sequence of Phase

    Examples
    --------
    >>> from meganet.multilevel import Phase, joint, nested
    >>> schedule = nested(3, epochs=(2, 1, 1), learning_rate=0.1) + joint(3, epochs=0.5, batch_size=64)
    >>> print(schedule)
    phase  level  passes   rate  batch  other settings
        0      0       2    0.1     32  -
        1      1       1    0.1     32  -
        2      2       1    0.1     32  -
        3  0+1+2     0.5  0.003     64  -
    >>> schedule.epochs, schedule[0] == Phase(0, 2, 0.1)
    (4.5, True)
    """

    phases: tuple[Phase, ...]

    def __post_init__(self) -> None:
        validate.store(self, phases=validate.items("phases", self.phases, Phase, "one or more phases"))

    @property
    def epochs(self) -> float:
        """Passes through the images in all, on whatever level."""
        return float(sum(phase.epochs for phase in self.phases))

    def __add__(self, other: Schedule) -> Schedule:
        return Schedule(self.phases + other.phases) if isinstance(other, Schedule) else NotImplemented

    def __len__(self) -> int:
        return len(self.phases)

    def __iter__(self) -> Iterator[Phase]:
        return iter(self.phases)

    def __getitem__(self, number: int) -> Phase:
        return self.phases[number]

    def __str__(self) -> str:
        """Return the phases as a table."""
        rows = [("phase", "level", "passes", "rate", "batch", "other settings")]
        rows += [(str(number), *phase.cells) for number, phase in enumerate(self.phases)]
        numbers = aligned([row[:-1] for row in rows])
        return "\n".join(f"{line}  {row[-1]}" for line, row in zip(numbers, rows, strict=True))


def schedule_of(given: Schedule | Sequence[Phase], argument: str = "schedule") -> Schedule:
    """Return a schedule, or phases that somebody wrote down, as a schedule.

    Examples
    --------
    >>> from meganet.multilevel import Phase
    >>> from meganet.multilevel.schedules import schedule_of
    >>> len(schedule_of([Phase(0), Phase(1)]))
    2
    """
    if isinstance(given, Schedule):
        return given
    return Schedule(validate.items(argument, given, Phase, "a Schedule, or one or more phases"))


def cycle(path: Sequence[int], epochs: float | Sequence[float] = 1.0, **settings: Any) -> Schedule:
    """Return a phase on each level of a path, such as (2, 1, 0, 1, 2), the V-cycle.

    Parameters
    ----------
    path : sequence of int
        Levels, from 0, the coarsest; negative ones count from the finest.
    epochs : float or sequence of float
        Passes of every phase, or of each.
    **settings
        Of `Phase`, each one value or, in a list or tuple, one for each phase.

    Examples
    --------
    >>> from meganet.multilevel import cycle
    >>> print(cycle((1, 0, 1), epochs=0.5, learning_rate=[0.01, 0.1, 0.01], every=0.25))
    phase  level  passes  rate  batch  other settings
        0      1     0.5  0.01     32  every=0.25
        1      0     0.5   0.1     32  every=0.25
        2      1     0.5  0.01     32  every=0.25
    """
    path = validate.items("path", path, Integral, "one or more levels")
    each = {name: _each(name, value, len(path)) for name, value in {"epochs": epochs, **settings}.items()}
    return Schedule(tuple(Phase(level, **{name: v[k] for name, v in each.items()}) for k, level in enumerate(path)))


def nested(levels: Levels, epochs: float | Sequence[float] = 1.0, **settings: Any) -> Schedule:
    """Return nested iteration: a phase on each level, from the coarsest to the finest.

    Parameters
    ----------
    levels : int or Hierarchy
        How many there are.
    epochs, **settings
        As in `cycle`.

    Examples
    --------
    >>> from meganet.multilevel import nested
    >>> [(phase.level, phase.epochs) for phase in nested(3, epochs=(4, 2, 1))]
    [(0, 4), (1, 2), (2, 1)]
    """
    return cycle(range(_count(levels)), epochs, **settings)


def fine_to_coarse(levels: Levels, epochs: float | Sequence[float] = 1.0, **settings: Any) -> Schedule:
    """Return a phase on each level, from the finest to the coarsest.

    Parameters
    ----------
    levels, epochs, **settings
        As in `nested`.

    Examples
    --------
    >>> from meganet.multilevel import fine_to_coarse
    >>> print(fine_to_coarse(2, epochs=(2, 1), classifier_only=(False, True)))
    phase  level  passes   rate  batch  other settings
        0      1       2  0.003     32  -
        1      0       1  0.003     32  classifier_only=True
    """
    return cycle(range(_count(levels))[::-1], epochs, **settings)


def in_turn(levels: Levels, epochs: float | Sequence[float] = 1.0, *, turns: int = 2, **settings: Any) -> Schedule:
    """Return nested iteration several times: from the finest level back to the coarsest, and up again.

    Parameters
    ----------
    levels, epochs, **settings
        As in `nested`; a list or tuple has one value for each level, in every turn.
    turns : int

    Examples
    --------
    >>> from meganet.multilevel import in_turn
    >>> [(phase.level, phase.epochs) for phase in in_turn(2, epochs=(2, 1), turns=2)]
    [(0, 2), (1, 1), (0, 2), (1, 1)]
    """
    return Schedule(nested(levels, epochs, **settings).phases * validate.integer("turns", turns))


def growing(levels: Levels, epochs: float = 1.0, *, last: float = 0.2, **settings: Any) -> Schedule:
    """Return progressive resizing: the finest level at the end, equal times before that on each of the others.

    Over `in_sizes` from half the size to the whole one it is the linear schedule of Composer.

    Parameters
    ----------
    levels : int or Hierarchy
        How many there are.
    epochs : float
        Passes in all.
    last : float
        Part of them on the finest level.
    **settings
        As in `cycle`.

    Examples
    --------
    >>> from meganet.multilevel import growing
    >>> [(phase.level, phase.epochs) for phase in growing(5, epochs=10)]
    [(0, 2.0), (1, 2.0), (2, 2.0), (3, 2.0), (4, 2.0)]
    """
    count, share = _count(levels), validate.real("last", last, above=0)
    if share >= 1 or count < 2:
        validate.reject("last", "a part of the passes, of which two or more levels have some", str(last))
    total = validate.real("epochs", epochs, above=0)
    before = [total * (1 - share) / (count - 1)] * (count - 1)
    return nested(levels, [*before, total * share], **settings)


def joint(levels: Levels | Sequence[int], epochs: float = 1.0, **settings: Any) -> Schedule:
    """Return one phase in which levels are trained together, with the weights of the finest.

    Each mini-batch goes to one of the levels: random resolution for every batch, or with ``assignment="cyclic"`` a
    short cycle.

    Parameters
    ----------
    levels : int, Hierarchy or sequence of int
        How many there are, all of which are trained; or which.
    epochs, **settings
        Of `Phase`.

    Examples
    --------
    >>> from meganet.multilevel import joint
    >>> print(joint((0, 2), epochs=3, assignment="cyclic")[0])
    level 0+2: 3 passes, rate 0.003, batch 32, assignment=cyclic
    """
    chosen = range(_count(levels)) if isinstance(levels, (int, Hierarchy)) else levels
    return Schedule((Phase(tuple(chosen), epochs, **settings),))


def _count(levels: Levels) -> int:
    if isinstance(levels, Hierarchy):
        return len(levels)
    if not isinstance(levels, Integral):
        validate.reject("levels", "how many there are, or a Hierarchy", validate.shown(levels))
    return validate.integer("levels", levels)


def _each(name: str, value: Any, count: int) -> Sequence[Any]:
    """Return a setting's value for each of some phases."""
    if not isinstance(value, (list, tuple)):
        return [value] * count
    if len(value) != count:
        validate.reject(name, f"one value, or {count}, one for each phase", validate.shown(value))
    return value
