"""Does MG/OPT pay? Its cycles against what smooths in them, alone and after a coarse start, at equal work.

All train a residual network on all examples, in space and in depth; the unit is a gradient on the finest level. All
ways of a smoother have as many candidates of their settings, and take the one with the lowest objective in a trial of
its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from meganet.backend import Array
from meganet.experiments.questions.base import Answer, Context, Variant
from meganet.experiments.questions.full_batch import Family, Trace, in_depth, in_space
from meganet.experiments.setup.settings import READINGS, Setup
from meganet.objective import Objective
from meganet.optim import Control, Momentum, Result, lbfgs, mg_opt, sgd, trust_region
from meganet.plotting.axes import LEGEND, PAGE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLES = {"mgopt": "Does MG/OPT train residual networks with less work?"}
ORDER = 60

FAMILIES = {"space": in_space, "depth": in_depth}
WAYS = ("alone", "coarse first", "MG/OPT")
BATCH = 10
PRODUCTS = 10
"""Most Hessian products in a step of the trust region."""
ENDLESS = 10**6
Settings = Mapping[str, Any]
RATES = tuple({"rate": rate} for rate in (0.01, 0.03, 0.1, 0.3))
CANDIDATES: dict[str, dict[str, tuple[Settings, ...]]] = {
    "SGD": {"alone": RATES, "MG/OPT": RATES},
    "L-BFGS": {
        "alone": ({"memory": 5}, {"memory": 10}, {"memory": 20}),
        "MG/OPT": (
            {"pre": 1, "post": 0, "coarsest": 10},
            {"pre": 3, "post": 0, "coarsest": 10},
            {"pre": 3, "post": 3, "coarsest": 10},
        ),
    },
    "trust region": {
        "alone": ({"radius": 0.1}, {"radius": 1.0}, {"radius": 10.0}),
        "MG/OPT": ({"radius": 1.0, "post": 0}, {"radius": 10.0, "post": 0}, {"radius": 10.0, "post": 1}),
    },
}
"""What is tried for each smoother; a coarse start has the settings of the smoother alone, chosen for itself."""


@dataclass(frozen=True)
class Size:
    """How much is trained, at most, whatever the settings."""

    examples: int
    validation: int
    trials: int
    budget: float


SIZES = {"small": Size(60, 200, 3, 40.0), **dict.fromkeys(READINGS, Size(2000, 2000, 20, 100.0))}


def _epochs(rate: float, fun: Any, x0: Array, *, control: Control) -> Result:
    """Make epochs of mini-batches, as a smoother: each costs a full gradient, and there is one at the end."""
    state = _sgd(rate, fun, x0, control.max_iterations, None)
    value, gradient = fun(state.x)
    return Result(state.x, value, gradient, iterations=state.epoch, evaluations=state.epoch + 1)


def _sgd(rate: float, fun: Any, x0: Array, epochs: int, callback: Any) -> Any:
    size = _examples(fun)
    options: dict[str, Any] = {"rule": Momentum(), "on_divergence": "continue", "callback": callback}
    return sgd(fun, x0, size, epochs=epochs, learning_rate=rate, batch_size=min(BATCH, size), **options)


def _examples(fun: Any) -> int:
    """Return the number of examples of an objective, which may be within others."""
    while not isinstance(fun, Objective):
        fun = fun.fun
    return fun.examples


def _on_level(
    smoother: str, settings: Settings, family: Family, level: int, x: Array, limit: float, trace: Trace
) -> Array:
    """Train on one level until its share of the work is used up."""
    fun, share = family.training[level], family.works[level]
    if smoother == "SGD":
        epochs = max(int(limit / share), 1)
        return _sgd(settings["rate"], fun, x, epochs, lambda s: trace.note(s.x, share * s.epoch, level)).x
    control = Control(ENDLESS, rtol=0, callback=trace.of(level, limit, share))
    if smoother == "L-BFGS":
        return lbfgs(fun, x, **settings, control=control).x
    return trust_region(fun, x, fun.hessian, **settings, max_products=PRODUCTS, control=control).x


def run(smoother: str, way: str, settings: Settings, family: Family, budget: float) -> Trace:
    """Train a network in one way and return what it reached on the way.

    Examples
    --------
    >>> from meganet.backend import get_backend
    >>> from meganet.datasets import load_digits
    >>> from meganet.experiments.questions.full_batch import in_depth
    >>> from meganet.experiments.questions.mgopt import run
    >>> family = in_depth(load_digits(), get_backend("numpy"), (20, 10), (0, 0))
    >>> trace = run("L-BFGS", "MG/OPT", {"pre": 1, "post": 0}, family, 20)
    >>> bool(trace.at(20)["objective"] < trace.rows[0]["objective"])
    True
    """
    trace, x = Trace(family, budget), family.x0
    trace.note(x, 0.0)
    if way == "alone":
        _on_level(smoother, settings, family, len(family.training) - 1, x, budget, trace)
    elif way == "coarse first":
        for r in reversed(family.restrictions):
            x = r @ x
        # every level gets as much of the work
        part, levels = budget / len(family.training), len(family.training)
        for level in range(levels):
            x = _on_level(smoother, settings, family, level, x, part, trace)
            trace.work = trace.rows[-1]["work"]
            x = family.prolongations[level] @ x if level < levels - 1 else x
    else:
        fun, hessian = family.training[-1], family.training[-1].hessian
        control = Control(ENDLESS, rtol=0, callback=trace.of(-1, budget, 1.0))
        mg_opt(fun, x, hessian, coarse=family.coarse(), control=control, **_cycle(smoother, settings))
    return trace


def _cycle(smoother: str, settings: Settings) -> dict[str, Any]:
    """Return the arguments of MG/OPT for a candidate."""
    if smoother == "SGD":
        return {"smoother": partial(_epochs, settings["rate"]), "pre": 1, "post": 0, "coarsest": 4}
    if smoother == "L-BFGS":
        return {"smoother": lbfgs, **settings}
    inner = partial(trust_region, max_products=PRODUCTS)
    return {"smoother": inner, "acceptance": "trust region", "pre": 1, "coarsest": 4, **settings}


@dataclass(frozen=True)
class MGOpt:
    """Compare MG/OPT with its smoothers, in sizes by preset."""

    sizes: Mapping[str, Size]

    def variants(self, base: Setup) -> list[Variant]:
        """Return none: what is trained here is no run of a protocol."""
        return []

    def ask(self, context: Context) -> Answer:
        """Choose the settings and train; a row for each smoother and way, in space and in depth."""
        base, most = context.base, self.sizes[context.preset]
        sizes = min(base.data.fine_examples, most.examples), min(base.data.validation_examples, most.validation)
        trials = min(base.run.trials, most.trials)
        rows, notes = [], [_note(sizes, most.budget)]
        curves: dict[tuple[str, str, str], list[Trace]] = {}
        for place, make in FAMILIES.items():
            # the trial after the last one is for the choice of the settings
            families = [make(context.data, context.backend, sizes, (base.run.seed, t)) for t in range(trials + 1)]
            for smoother in CANDIDATES:
                found = {}
                for way in WAYS:
                    settings = _chosen(smoother, way, families[-1], most.budget)
                    found[way] = [run(smoother, way, settings, family, most.budget) for family in families[:-1]]
                    rows.append(_row(place, smoother, way, settings, found[way], found["alone"]))
                    context.log(f"{place}, {smoother}, {way}: {rows[-1]['objective']:.4g}, {settings}")
                curves |= {(place, smoother, way): traces for way, traces in found.items()}
                notes.append(_sentence(place, smoother, found, most.budget))
        return Answer(rows, notes, _figure(curves, most.budget))


def _chosen(smoother: str, way: str, family: Family, budget: float) -> Settings:
    """Return the candidate with the lowest objective after half the work."""
    candidates = CANDIDATES[smoother]["MG/OPT" if way == "MG/OPT" else "alone"]
    ends = [run(smoother, way, one, family, budget / 2).at(budget / 2)["objective"] for one in candidates]
    return candidates[int(np.argmin(np.nan_to_num(ends, nan=np.inf)))]


def _row(
    place: str, smoother: str, way: str, settings: Settings, traces: Sequence[Trace], alone: Sequence[Trace]
) -> dict[str, Any]:
    ends = [trace.at(trace.budget) for trace in traces]
    objective, accuracy, seconds = (_column(ends, name) for name in ("objective", "accuracy", "seconds"))
    # within the seconds that the smoother alone took
    timed = [t.at(a.at(a.budget)["seconds"], "seconds") for t, a in zip(traces, alone, strict=True)]
    return {
        "levels in": place,
        "smoother": smoother,
        "way": way,
        "settings": ", ".join(f"{name} {value}" for name, value in settings.items()),
        "trials": len(traces),
        "objective": float(np.median(objective)),
        "lowest": float(objective.min()),
        "highest": float(objective.max()),
        "validation accuracy": float(accuracy.mean()),
        "seconds": float(seconds.mean()),
        "objective at equal seconds": float(np.median(_column(timed, "objective"))),
        "accuracy at equal seconds": float(_column(timed, "accuracy").mean()),
    }


def _column(rows: Sequence[Mapping[str, float]], name: str) -> np.ndarray[Any, Any]:
    return np.array([row[name] for row in rows])


def _note(sizes: tuple[int, int], budget: float) -> str:
    return (
        f"{sizes[0]} training and {sizes[1]} validation images; work of {budget:g} gradients on the finest level, "
        "those of coarser ones and Hessian products counted by their arithmetic, a product as a gradient. An epoch "
        f"of SGD, in mini-batches of {BATCH}, is a gradient. Coarse first: the smoother alone, with an equal part of "
        "the work on each level, from the coarsest on. What is reached is that of the last iteration, or whole cycle, "
        "within the work; objectives are medians of the trials. Seconds without evaluations for the table. All ways of "
        "a smoother were tried with as many settings in a trial of its own, for half the work, and have the one with "
        "the lowest objective."
    )


def _sentence(place: str, smoother: str, found: Mapping[str, Sequence[Trace]], budget: float) -> str:
    """Say which way had the lower objective, trial by trial."""
    ends = {way: _column([t.at(budget) for t in traces], "objective") for way, traces in found.items()}
    wins = {way: int((ends["MG/OPT"] < ends[way]).sum()) for way in WAYS[:2]}
    middle = ", ".join(f"{way} {np.median(values):.3g}" for way, values in ends.items())
    accuracy = {way: _column([t.at(budget) for t in traces], "accuracy").mean() for way, traces in found.items()}
    words = ", ".join(f"{way} {value:.1f} %" for way, value in accuracy.items())
    return (
        f"In {place}, {smoother}: objective at equal work {middle}; validation {words}. MG/OPT is lower than the "
        f"smoother alone in {wins['alone']} of {len(ends['alone'])} trials, and lower than a coarse start in "
        f"{wins['coarse first']}."
    )


def _figure(curves: Mapping[tuple[str, str, str], Sequence[Trace]], budget: float) -> Figure:
    """Draw objective and accuracy over the work: a row for each place and quantity, a column for each smoother."""
    from matplotlib.figure import Figure

    canvas = Figure(figsize=(PAGE, 2.2 * 2 * len(FAMILIES) + 0.6), layout="constrained")
    axes = canvas.subplots(2 * len(FAMILIES), len(CANDIDATES), sharex=True, sharey="row", squeeze=False)
    grid = np.linspace(0, budget, 60)
    drawn: list[tuple[str, str]] = [(place, name) for place in FAMILIES for name in ("objective", "accuracy")]
    for line, (place, name) in zip(axes, drawn, strict=True):
        for ax, smoother in zip(line, CANDIDATES, strict=True):
            for way, style in zip(WAYS, ("-", ":", "--"), strict=True):
                values = [[trace.at(w)[name] for w in grid] for trace in curves[place, smoother, way]]
                ax.plot(grid, np.median(values, axis=0), style, drawstyle="steps-post", label=way)
            ax.set_title(f"{place}, {smoother}", fontsize="small")
            if name == "objective":
                ax.set_yscale("log")
        line[0].set_ylabel("validation, %" if name == "accuracy" else name)
    for ax in axes[-1]:
        ax.set_xlabel("work, gradients")
    canvas.legend(*axes[0][0].get_legend_handles_labels(), loc="outside upper center", ncols=3, **LEGEND)
    return canvas


QUESTIONS = {"mgopt": MGOpt(SIZES)}
