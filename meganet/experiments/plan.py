"""Which training runs a table of the thesis is made of, and from which weights each of them starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from meganet import _validate
from meganet.experiments.protocol import ARMS, PRESETS, Protocol

COARSE = "coarse"
SGD = "sgd"
SOLVERS = ("steihaug", "meganet")
"""Newton methods: CG-Steihaug in a trust region as in the textbook, and the original's variant with a line search."""


@dataclass(frozen=True)
class Stage:
    """One training run of a trial.

    Attributes
    ----------
    name : str
        Of its files: "coarse", an arm, or an arm with what was done to it, as "new-classifier-meganet-sgd".
    arm : str
        "coarse", or one of `ARMS`.
    after : str or None
        The stage whose weights it goes on with; None for the start, fresh weights or those transferred from the coarse
        grid.
    method : {"sgd", "steihaug", "meganet"}
    epochs : int
    classifier_only : bool
        The network's weights stay as they are.
    """

    name: str
    arm: str
    after: str | None
    method: str
    epochs: int
    classifier_only: bool = False

    @property
    def start(self) -> str | None:
        """The stage that it starts from, coarse training among them; None for fresh weights."""
        fresh = self.arm in (COARSE, "new")
        return self.after if self.after is not None or fresh else COARSE


@dataclass(frozen=True)
class Table:
    """A table of the thesis: its network, and for each arm what is done before the classifier and network columns.

    Attributes
    ----------
    network : {"A", "B"}
    solvers : tuple of str
        Newton methods that it is made with; none where SGD alone trains.
    ending : str
        What trains network and classifier in the end: "sgd", or "newton" for the same solver.
    """

    network: str
    solvers: tuple[str, ...] = ()
    ending: str = SGD


TABLES = {
    "4.1": Table("A"),
    "4.2": Table("B"),
    "4.3": Table("B", SOLVERS),
    "4.4": Table("B", SOLVERS, "newton"),
}
"""The tables of chapter 4. Those of one network share its coarse training."""


def protocol_for(table: str, preset: str, **settings: Any) -> Protocol:
    """Return the protocol of a table of the thesis ("4.1" to "4.4") in a preset ("small", "thesis")."""
    network = TABLES[_validate.choice("table", table, TABLES)].network
    chosen = PRESETS[_validate.choice("preset", preset, PRESETS)]
    return Protocol(**{"network": network, **chosen, **settings})


def classifier_stage(arm: str, solver: str) -> str:
    """Return the name of the stage that trains an arm's classifier alone."""
    return f"{arm}-classifier-{solver}"


def final_stage(table: str, arm: str, solver: str | None = None) -> str:
    """Return the name of the stage that a table's last columns report."""
    return arm if solver is None else f"{classifier_stage(arm, solver)}-{TABLES[table].ending}"


def stages(tables: tuple[str, ...], protocol: Protocol, arms: tuple[str, ...] = ARMS) -> list[Stage]:
    """Return the runs of every trial for tables of one network, each behind the one that it starts from."""
    found = [Stage(COARSE, COARSE, None, SGD, protocol.coarse_epochs)] if set(arms) != {"new"} else []
    for table in tables:
        network = TABLES[table].network
        if network != protocol.network:
            _validate.reject("network", f"net {network}, the one of table {table}", protocol.network)
        for arm in arms:
            found += _of_arm(table, arm, protocol)
    # those with a common problem and method stand together, and tables may share runs
    return sorted(dict.fromkeys(found), key=lambda stage: (stage.arm != COARSE, stage.after is not None, stage.method))


def stages_to(run: str, protocol: Protocol) -> list[Stage]:
    """Return the stages that lead to the end of coarse training, "coarse", or of an arm's retraining by SGD."""
    table = next(name for name, t in TABLES.items() if t.network == protocol.network and not t.solvers)
    return stages((table,), protocol, () if run == COARSE else (run,))


def _of_arm(table: str, arm: str, protocol: Protocol) -> list[Stage]:
    plan = TABLES[table]
    if not plan.solvers:
        return [Stage(final_stage(table, arm), arm, None, SGD, protocol.fine_epochs)]
    result = []
    for solver in plan.solvers:
        first, last = classifier_stage(arm, solver), final_stage(table, arm, solver)
        result.append(Stage(first, arm, None, solver, protocol.classifier_epochs, classifier_only=True))
        method = SGD if plan.ending == SGD else solver
        result.append(Stage(last, arm, first, method, protocol.fine_epochs))
    return result


def by_newton(run: str) -> bool:
    """Whether a Newton method makes the run with this name."""
    return run.endswith(tuple(f"-{solver}{ending}" for solver in SOLVERS for ending in ("", "-newton")))
