"""Training runs as data: on which grid, from which weights, how, on which images; what a protocol is made of."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meganet.ground import dropins, validate

if TYPE_CHECKING:
    from meganet.experiments.setup.settings import Setup

FRESH, COPY, GALERKIN, SAME = "fresh", "copy", "galerkin", "same"
STARTS = (FRESH, COPY, GALERKIN, SAME)
SGD, STEIHAUG, MEGANET = "sgd", "steihaug", "meganet"
METHODS = (SGD, STEIHAUG, MEGANET)
"""SGD; Newton methods: CG-Steihaug in a trust region as in the textbook, the original's variant with a line search."""
IMAGES = ("coarse", "fine")
EPOCHS = ("coarse_epochs", "fine_epochs", "classifier_epochs")
"""The settings that say how long a stage lasts."""
TAKEN = ("timings",)
"""Names of other files of a trial."""
COARSEST, FINEST = 0, -1
LARGEST_GRID = 64
"""No image can be halved so often."""


@dataclass(frozen=True)
class Stage:
    """One training run of a trial.

    Attributes
    ----------
    name : str
        Of its files, of letters, digits and ``._+-``; no two stages of a results folder share one.
    grid : int
        Number of its grid, 0 for the coarsest; negative ones count from the finest, -1.
    start : {"fresh", "copy", "galerkin", "same"}
        Fresh weights; or those of the stage before, carried to this grid with copied or with Galerkin stencils
        (the classifier by P, or by R to a coarser grid); or, on the same grid, as they are.
    after : str or None
        The stage whose weights it goes on with; None for fresh ones.
    method : {"sgd", "steihaug", "meganet"}
    epochs : int or str
        How many, or the setting that says it. An epoch of a Newton method has as many steps as the setting
        `newton_steps` says.
    images : {"coarse", "fine"}
        Which of the two disjoint sets of training examples; every grid can have either.
    classifier_only : bool
        The network's weights stay as they are; by a Newton method.

    Examples
    --------
    >>> from meganet.experiments.setup.stages import Stage
    >>> Stage("transfer", start="copy", after="coarse").epochs
    'fine_epochs'
    """

    name: str
    grid: int = FINEST
    start: str = FRESH
    after: str | None = None
    method: str = SGD
    epochs: int | str = "fine_epochs"
    images: str = "fine"
    classifier_only: bool = False

    def __post_init__(self) -> None:
        if not dropins.is_name(self.name) or self.name in TAKEN:
            expected = f"{dropins.PLAIN}, and not {' or '.join(map(repr, TAKEN))}"
            validate.reject("name", expected, validate.shown(self.name))
        with validate.within(f"stage {self.name}"):
            self._check()

    def _check(self) -> None:
        if isinstance(self.epochs, str):
            validate.choice("epochs", self.epochs, EPOCHS)
        else:
            validate.store(self, epochs=validate.integer("epochs", self.epochs))
        validate.store(self, grid=validate.integer("grid", self.grid, minimum=-LARGEST_GRID))
        validate.instance("classifier_only", self.classifier_only, bool, "True or False")
        validate.choice("start", self.start, STARTS)
        validate.choice("method", self.method, METHODS)
        validate.choice("images", self.images, IMAGES)
        if (self.after is None) != (self.start == FRESH):
            validate.reject("after", "a stage to start from, or none with fresh weights", repr(self.after))
        if self.classifier_only and not self.by_newton:
            expected = f"{STEIHAUG!r} or {MEGANET!r}, which train a classifier alone"
            validate.reject("method", expected, repr(self.method))

    @property
    def by_newton(self) -> bool:
        """Whether a Newton method trains."""
        return self.method != SGD

    @property
    def transfers(self) -> bool:
        """Whether weights are carried to another grid."""
        return self.start in (COPY, GALERKIN)

    def traits(self, finest: bool) -> set[str]:
        """Return what settings tell stages apart by: grid, images, method, the setting of the epochs, and transfer.

        Examples
        --------
        >>> from meganet.experiments import Stage
        >>> sorted(Stage("transfer", start="copy", after="coarse").traits(finest=True))
        ['fine images', 'fine_epochs', 'finest', 'network', 'sgd', 'transfer']
        """
        found = {"finest" if finest else "below", f"{self.images} images", self.method, str(self.epochs)}
        also = {"newton": self.by_newton, "transfer": self.transfers, "network": not self.classifier_only}
        return found | {name for name, holds in also.items() if holds}

    def length(self, setup: Setup) -> int:
        """Return the number of epochs."""
        return self.epochs if isinstance(self.epochs, int) else int(setup.values()[self.epochs])

    def examples(self, setup: Setup) -> int:
        """Return the number of training examples."""
        return setup.data.coarse_examples if self.images == "coarse" else setup.data.fine_examples

    def digest(self) -> str:
        """Return a digest of all that is said of the stage."""
        return hashlib.sha256(json.dumps(dataclasses.asdict(self)).encode()).hexdigest()


def planned(stages: Iterable[Stage], grids: int) -> tuple[Stage, ...]:
    """Return the stages for so many grids, each behind the one that it starts from, those that are alike side by side.

    Stages that stand there twice are made once. Between two grids that are no neighbours the weights go through all
    in between: on each they are trained as in the stage before, under a name with the number of the grid, so that a
    protocol for two grids is one for any number.

    Examples
    --------
    >>> from meganet.experiments.setup.stages import Stage, planned
    >>> two = [Stage("coarse", grid=0, images="coarse"), Stage("fine", start="copy", after="coarse")]
    >>> [(stage.name, stage.grid, stage.after) for stage in planned(two, 3)]
    [('coarse', 0, None), ('fine-grid-2', 1, 'coarse'), ('fine', 2, 'fine-grid-2')]
    """
    found: dict[str, Stage] = {}
    for stage in stages:
        grid = stage.grid % grids if -grids <= stage.grid < grids else None
        if grid is None:
            least = max(-stage.grid, stage.grid + 1, 2 if stage.transfers else 1)
            validate.reject("grids", f"{least} or more, for the stage {stage.name!r}", str(grids))
        for part in _through(dataclasses.replace(stage, grid=grid), found, grids):
            if found.setdefault(part.name, part) != part:
                validate.reject("stages", "one stage of each name", f"two different ones named {part.name!r}")
    depths = _depths(found)
    return tuple(sorted(found.values(), key=lambda stage: (depths[stage.name], alike(stage))))


def _through(stage: Stage, known: Mapping[str, Stage], grids: int) -> list[Stage]:
    """Return a stage behind those on the grids, of so many, that its weights pass."""
    if stage.after is None:
        return [stage]
    if stage.after not in known:
        validate.reject("after", "a stage that stands before", f"{stage.after!r} of {stage.name!r}")
    before = known[stage.after]
    if stage.transfers and grids == 1:
        validate.reject("grids", f"two or more, between which the stage {stage.name!r} carries weights", "one")
    if (before.grid == stage.grid) != (stage.start == SAME):
        validate.reject("start", "'same' on the same grid, 'copy' or 'galerkin' to another", f"{stage.name!r}")
    step = 1 if before.grid < stage.grid else -1
    result: list[Stage] = []
    for grid in range(before.grid + step, stage.grid, step):
        name = f"{stage.name}-grid-{grid + 1}"
        made: dict[str, Any] = {"method": before.method, "epochs": before.epochs, "images": before.images}
        result.append(Stage(name, grid, stage.start, result[-1].name if result else before.name, **made))
    return [*result, dataclasses.replace(stage, after=result[-1].name) if result else stage]


def alike(stage: Stage) -> tuple[Any, ...]:
    """Return what stages that can be trained together have in common, see `together`."""
    return stage.grid, stage.images, stage.method, stage.classifier_only, str(stage.epochs)


def together(stages: Iterable[Stage]) -> list[list[Stage]]:
    """Return planned stages in groups that can be trained together: alike, and none goes on with another's weights.

    Examples
    --------
    >>> from meganet.experiments.setup.stages import Stage, planned, together
    >>> stages = Stage("first"), Stage("other"), Stage("next", start="same", after="first")
    >>> [[stage.name for stage in group] for group in together(planned(stages, 1))]
    [['first', 'other'], ['next']]
    """
    groups: list[list[Stage]] = []
    for stage in stages:
        last = groups[-1] if groups else []
        if last and alike(last[0]) == alike(stage) and all(other.name != stage.after for other in last):
            last.append(stage)
        else:
            groups.append([stage])
    return groups


def _depths(stages: Mapping[str, Stage]) -> dict[str, int]:
    """Return how many stages each has before it; fresh weights wait for what can be trained together with them."""
    depths = {name: len(chain(stages, name)) - 1 for name in stages}
    for name, stage in stages.items():
        if stage.after is None:
            others = [depths[other.name] for other in stages.values() if other.after and alike(other) == alike(stage)]
            depths[name] = min(others, default=0)
    # what starts from fresh weights that wait waits too
    lines = {name: chain(stages, name)[::-1] for name in stages}
    return {name: max(depths[stage.name] + k for k, stage in enumerate(line)) for name, line in lines.items()}


def chain(stages: Mapping[str, Stage] | Sequence[Stage], name: str) -> tuple[Stage, ...]:
    """Return the stages that lead to one, itself the last."""
    known = stages if isinstance(stages, Mapping) else {stage.name: stage for stage in stages}
    result = [known[name]]
    while result[0].after is not None:
        result.insert(0, known[result[0].after])
    return tuple(result)
