"""A protocol as data: the stages of each row of a table, and the columns that are reported of them.

A protocol is a file in `meganet.experiments.protocols`: ``TITLES`` names what it holds, ``PROTOCOLS`` has the tables.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from meganet.experiments.setup.settings import PRESETS, Setup
from meganet.experiments.setup.stages import Stage, planned
from meganet.ground import dropins, validate

if TYPE_CHECKING:
    from meganet.optim import History

PROTOCOLS = "meganet.experiments.protocols"
QUANTITIES = ("accuracy", "validation_accuracy")
"""The columns of histories that are shares."""
MOMENTS = (0, 1, -1)
"""The epochs that every stage has."""


class Column(NamedTuple):
    """A column of a table.

    Attributes
    ----------
    title : str
    stage : int
        Which of the row's stages: 0 for the first, -1 for the last.
    epoch : int
        After which epoch: 0 for the start, 1 for the first, -1 for the last.
    quantity : {"accuracy", "validation_accuracy"}
        Column of the history, which is a share, reported in percent.

    Examples
    --------
    >>> from meganet.experiments import Column
    >>> Column("After training", stage=-1, epoch=-1, quantity="validation_accuracy").title
    'After training'
    """

    title: str
    stage: int
    epoch: int
    quantity: str

    def percent(self, history: History) -> float:
        """Return the number that a history of its stage has for it, in percent; nan where the run diverged before.

        Examples
        --------
        >>> from meganet.experiments import Column
        >>> from meganet.optim import History
        >>> Column("After", -1, -1, "accuracy").percent(History([{"accuracy": 0.5}, {"accuracy": 0.75}]))
        75.0
        """
        return 100 * history[self.epoch][self.quantity]


@dataclass(frozen=True)
class Table:
    """A table of a protocol.

    Attributes
    ----------
    name : str
        Of its files: "4.3-steihaug" makes "table-4.3-steihaug.md".
    title : str
    rows : mapping
        Name of each row, which is also that of its style in figures, to its own stages.
    columns : tuple of Column
    before : tuple of Stage
        Stages that the rows start from.
    network : str or None
        The network that it is about; None if any.
    thesis : mapping
        Row to the thesis' numbers, in percent, in the order of the columns; empty if it has none.

    Examples
    --------
    >>> from meganet.experiments import tables_of
    >>> (table,) = tables_of("4.1")
    >>> [stage.name for stage in table.stages(["multigrid"])], table.thesis["multigrid"]
    (['coarse', 'multigrid'], (97.5, 62.9, 99.9, 63.6))
    """

    name: str
    title: str
    rows: Mapping[str, tuple[Stage, ...]]
    columns: tuple[Column, ...]
    before: tuple[Stage, ...] = ()
    network: str | None = None
    thesis: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not dropins.is_name(self.name):
            validate.reject("name", dropins.PLAIN, validate.shown(self.name))
        with validate.within(f"table {self.name}"):
            self._check()

    def _check(self) -> None:
        if self.before:
            validate.items("before", self.before, Stage, "stages")
        if not isinstance(self.rows, Mapping) or not self.rows:
            validate.reject("rows", "one or more, each with its stages", validate.shown(self.rows))
        lengths = [len(validate.items("rows", row, Stage, "stages in each")) for row in self.rows.values()]
        for column in validate.items("columns", self.columns, Column, "columns"):
            known = isinstance(column.stage, int) and -min(lengths) <= column.stage < min(lengths)
            if not known or column.epoch not in MOMENTS or column.quantity not in QUANTITIES:
                expected = f"a stage of each row, an epoch of {MOMENTS} and one of {QUANTITIES}"
                validate.reject("columns", expected, f"{tuple(column)}")
        for row, values in self.thesis.items():
            if row not in self.rows or len(values) != len(self.columns):
                validate.reject("thesis", "a number for each column of a row", f"{row!r}: {values}")

    def stages(self, rows: Iterable[str] | None = None) -> tuple[Stage, ...]:
        """Return the stages of all rows or some, with those before that are needed."""
        own = [stage for name in (self.rows if rows is None else rows) for stage in self.rows[name]]
        needed = {stage.after for stage in own}
        found: list[Stage] = []
        for stage in reversed(self.before):
            # without rows, what is before them is all that there is
            if stage.name in needed or not own:
                found.insert(0, stage)
                needed.add(stage.after)
        return (*found, *own)

    def is_for(self, grids: int) -> bool:
        """Whether its stages can be made on so many grids."""
        try:
            planned(self.stages(), grids)
        except validate.InputError:
            return False
        return True


def distance(found: Iterable[float], thesis: Iterable[float]) -> float:
    """Return the root mean square of the differences of some numbers; infinite if one is of a run that diverged.

    Raises
    ------
    InputError
        If there are no numbers.

    Examples
    --------
    >>> from meganet.experiments.setup.tables import distance
    >>> distance([98.9, 63.6], [99.9, 60.6])
    2.23606797749979
    """
    if not (found := [*found]):
        validate.reject("found", "one number or more", "none")
    squares = [(value - of_thesis) ** 2 for value, of_thesis in zip(found, thesis, strict=True)]
    value = math.sqrt(sum(squares) / len(squares))
    return value if math.isfinite(value) else math.inf


def protocols() -> dict[str, str]:
    """Return the name of every protocol with a line on what it is."""
    return dropins.titles(PROTOCOLS)


def tables_of(protocol: str) -> tuple[Table, ...]:
    """Return the tables of a protocol, by its name: "4.1" to "4.4" for those of the thesis.

    Examples
    --------
    >>> from meganet.experiments import tables_of
    >>> [table.name for table in tables_of("4.3")]
    ['4.3-steihaug', '4.3-meganet']
    """
    name = validate.choice("table", protocol, protocols())
    expected = "one or more tables of one network"
    found: tuple[Table, ...] = dropins.value_of(PROTOCOLS, name, "PROTOCOLS", expected, _are_tables)
    return found


def _are_tables(value: Any) -> bool:
    known = isinstance(value, tuple) and bool(value) and all(isinstance(table, Table) for table in value)
    return known and len({table.network for table in value}) == 1


def stages_of(network: str, grids: int | None = None) -> tuple[Stage, ...]:
    """Return the stages of all tables that a network may have, on so many grids if these are known, each once.

    Raises
    ------
    InputError
        If two protocols have different stages of one name, or tables of one name, which a results folder could not
        tell apart.
    """
    found: dict[str, tuple[Stage, str]] = {}
    names: dict[str, str] = {}
    for protocol in protocols():
        for table in tables_of(protocol):
            if table.name in names:
                got = f"two named {table.name!r}, in {names[table.name]} and {protocol}"
                validate.reject("protocols", "one table of each name", got)
            names[table.name] = protocol
            wanted = table.network in (None, network) and (grids is None or table.is_for(grids))
            for stage in table.stages() if wanted else ():
                known, other = found.setdefault(stage.name, (stage, protocol))
                if known != stage:
                    got = f"two different ones named {stage.name!r}, in {other} and {protocol}"
                    validate.reject("protocols", "one stage of each name", got)
    return tuple(stage for stage, _ in found.values())


def setup_for(protocol: str, preset: str, **settings: Any) -> Setup:
    """Return the setup of a protocol in a preset ("small", "thesis", "printed"), with its network.

    Examples
    --------
    >>> from meganet.experiments import setup_for
    >>> setup = setup_for("4.2", "small", seed=3)
    >>> setup.model.network, setup.data.dataset, setup.run.seed
    ('B', 'digits', 3)
    """
    network = tables_of(protocol)[0].network
    fixed = {} if network is None else {"network": network}
    chosen = PRESETS[validate.choice("preset", preset, PRESETS)]
    return Setup.of(**{**fixed, **chosen, **settings})
