"""Whether one theta serves several resolutions: joint training against a specialist for each."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from meganet.backend import Backend
from meganet.datasets import ImageSet
from meganet.datasets.catalogue import image_sets, load
from meganet.experiments.questions.arm_costs import cost_of_arms
from meganet.experiments.questions.base import Answer, Context, Cost, OwnTrainings
from meganet.experiments.questions.with_arms import decaying, diverged, line_of, listed
from meganet.experiments.runs.arms import Arm, Arms, Outcome, Sizes
from meganet.experiments.runs.paired import mean_of
from meganet.experiments.runs.problems import Shape, build_network
from meganet.experiments.runs.tuning import tuned
from meganet.experiments.setup.settings import Setup
from meganet.experiments.setup.shapes import along_image
from meganet.ground.validate import InputError
from meganet.layers import ConvolutionLayer, GlobalPoolingLayer, Layer, NormalisationLayer, PoolingLayer
from meganet.multigrid import DampedGalerkin, prolongate_images
from meganet.multilevel import Grids, Schedule, Transfer, in_space
from meganet.networks import Chain
from meganet.objective import Objective
from meganet.plotting.axes import LEGEND, PAGE
from meganet.plotting.budgets import Line, plot_budgets

TITLES = {"joint": "Does one network serve several resolutions?"}
ORDER = 60

SHARES = (1 / 16, 1 / 8, 1 / 4)
"""Budgets: passes of each specialist through the images, in the epochs of coarse training."""
TUNED = 1
"""Number of the budget for which the candidates are tried."""
PART = 0.6
"""Of the work of both specialists, for joint training."""
RATES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
JOINT = tuple((rate, assignment) for assignment in ("random", "cyclic") for rate in (0.01, 0.03, 0.1))
WITHIN = 0.3
UNSEEN = 1000
"""Validation images that are evaluated on the finest grid, which no arm was trained for."""
TRANSFERS = {
    "copied": Transfer(down="copy"),
    "Galerkin": Transfer(up=DampedGalerkin("constant")),
}
"""How weights go to grids that they were not trained for."""


def pooled(shape: Shape, backend: Backend | None) -> Chain:
    """Return a network that ends with global pooling, for images (C, H, W); its classifier is the same on every grid.

    Examples
    --------
    >>> from meganet.experiments.questions.joint import pooled
    >>> pooled((1, 28, 28), None).range_shape
    (64, 1, 1)
    """
    kernel, factor = along_image(shape, 3), along_image(shape, 2)
    layers: list[Any] = [
        ConvolutionLayer(shape, 16, kernel, bias=True, backend=backend),
        PoolingLayer(..., factor),
        ConvolutionLayer(..., 32, kernel, bias=True),
        lambda shape: NormalisationLayer(shape, ("channels", "pixels"), backend=backend),
        ConvolutionLayer(..., 64, kernel, bias=True),
        GlobalPoolingLayer(...),
    ]
    return Chain(layers)


NETS: Mapping[str, Callable[[Shape, Backend | None], Layer]] = {"A": partial(build_network, "A"), "pooled": pooled}
NOTE = (
    "Net A, and one of 16, 32 and 64 channels with global pooling. SGD with momentum 0.9, rates that fall linearly to "
    f"a twentieth. Joint training takes {PART:.0%} of the work of both specialists; each of its mini-batches goes to "
    "one of their grids. Weights go to other grids with stencils that are copied, or by the Galerkin condition, "
    "constant P, finer ones damped towards the copy. Half widths are those of 95 % intervals by Student's t."
)


class Joint(OwnTrainings):
    """Compare one network for two grids with a specialist for each, also on grids that none of them has seen."""

    def cost(self, base: Setup, image_shape: Shape, classes: int) -> Cost:
        """Return what the candidates cost, and all arms in every trial."""
        plans = [_Plan(net, base, image_shape, classes, None) for net in NETS]
        tried = [arm for plan in plans for of_name in plan.candidates().values() for arm in of_name]
        made = [plan.arm(name, budget, 0) for plan in plans for name in plan.names for budget in plan.budgets]
        return cost_of_arms(base.data.coarse_examples, base.run.trials, tried, made)

    def ask(self, context: Context) -> Answer:
        """Train what is missing and evaluate it; a row for each net, budget, grid and transfer, and a picture."""
        from matplotlib.figure import Figure

        base = context.base
        sizes = Sizes(base.data.coarse_examples, base.data.validation_examples)
        finer = _finer(context.data, base.data.dataset)

        def arms_on(data: ImageSet, tuning: bool = False) -> Arms:
            return Arms(context.path, data, sizes, base, context.backend, tuning=tuning)

        rows: list[dict[str, Any]] = []
        notes = [NOTE]
        figure = Figure(figsize=(PAGE, 2.6 * len(NETS) + 0.6), layout="constrained")
        axes = figure.subplots(len(NETS), 2, sharex="row", squeeze=False)
        for net, pair in zip(NETS, axes, strict=True):
            plan = _Plan(net, base, context.data.images.shape[1:], context.data.classes, context.backend)
            candidates = plan.candidates()
            chosen, tried = tuned(arms_on(context.data, tuning=True), candidates, **context.how)
            best = {name: candidates[name][number] for name, number in chosen.items()}
            arms = arms_on(context.data)
            made = [plan.arm(name, budget, number) for name, number in chosen.items() for budget in plan.budgets]
            found = iter(arms.run(made, base.run.trials, **context.how))
            outcomes = {name: [next(found) for _ in plan.budgets] for name in chosen}
            context.diverged.extend(diverged({f"{name} of net {net}": of for name, of in outcomes.items()}))
            measured = _measured(plan, arms, None if finer is None else arms_on(finer), outcomes)
            rows += _rows(net, plan, measured)
            told = "; ".join(f"{name} {best[name].schedule[0]}" for name in best)
            notes.append(
                f"Net {net}, chosen of {len(RATES)} candidates each in a run of other images, {plan.budgets[TUNED]:g} "
                f"passes of a specialist: {told}. Accuracies of the candidates: {listed(tried)}."
            )
            notes.append(_verdict(net, plan, measured, outcomes))
            for ax, width in zip(pair, plan.widths, strict=True):
                plot_budgets(_lines(plan, width, measured, outcomes), ax, legend=False)
                ax.set_title(f"Net {net}, {width} pixels", fontsize="medium")
        for ax in axes[:-1].flat:
            ax.set_xlabel("")
        for ax in axes[:, 1:].flat:
            ax.set_ylabel("")
        figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside upper center", ncols=2, **LEGEND)
        return Answer(rows, notes, figure)


class _Plan:
    """The arms of a net, with the sizes of a setup."""

    def __init__(self, net: str, base: Setup, image_shape: Shape, classes: int, backend: Backend | None) -> None:
        width = image_shape[2]
        self.widths = width // 2, width
        self.network, self.classes = NETS[net](image_shape, backend), classes
        self.hierarchy = in_space(self.network, classes, self.widths)
        self.names = f"{width // 2} alone", f"{width} alone", "joint"
        self.examples, self.batch_size = base.data.coarse_examples, base.descent.batch_size
        self.budgets = [share * base.descent.coarse_epochs for share in SHARES]

    def arm(self, name: str, budget: float, number: int) -> Arm:
        """Return an arm with a candidate's settings; a budget is that of each specialist, in passes."""
        if name in self.names[:2]:
            phase = decaying(self.names.index(name), budget, RATES[number], self.batch_size, self.examples)
        else:
            rate, assignment = JOINT[number]
            # of both specialists' work, with mini-batches that cost the mean of both
            passes = 2 * PART * budget
            phase = decaying((0, 1), passes, rate, self.batch_size, self.examples, assignment=assignment)
        return Arm(name.replace(" ", "-"), self.hierarchy, Schedule((phase,)))

    def candidates(self) -> dict[str, list[Arm]]:
        """Return as many for each arm."""
        return {name: [self.arm(name, self.budgets[TUNED], k) for k in range(len(RATES))] for name in self.names}

    def everywhere(self, transfer: Transfer) -> Grids:
        """Return the net on its grids and on the next coarser and finer ones, as far as its pooling allows them."""
        coarse, fine = self.widths
        finest = 2 * fine
        try:
            return in_space(self.network, self.classes, (coarse // 2, coarse, fine, finest), transfer)
        except InputError:
            return in_space(self.network, self.classes, (coarse, fine, finest), transfer)


Key = tuple[str, int, int, str]
"""Arm, number of the budget, pixels, transfer."""
Accuracies = Mapping[Key, np.ndarray[Any, Any]]
Outcomes = Mapping[str, Sequence[Sequence[Outcome]]]


def _measured(plan: _Plan, arms: Arms, finer: Arms | None, outcomes: Outcomes) -> dict[Key, np.ndarray[Any, Any]]:
    """Return the accuracies of all trials: of the largest budget everywhere, of others where an arm was trained."""
    found: dict[Key, list[float]] = {}
    everywhere = {name: plan.everywhere(transfer) for name, transfer in TRANSFERS.items()}
    for trial in range(len(outcomes["joint"][0])):
        _, _, images, labels = arms.trial(trial)
        unseen = prolongate_images(images[:UNSEEN]) if finer is None else finer.trial(trial)[2][:UNSEEN]
        for (name, budgets), (transfer, grids) in itertools.product(outcomes.items(), everywhere.items()):
            widths = [level.network.domain_shape[2] for level in grids]
            home = plan.widths[0] if name == plan.names[0] else plan.widths[1]
            for number, level in itertools.product(range(len(budgets)), range(len(grids))):
                width, at = widths[level], grids[level]
                if number + 1 < len(budgets) and (transfer != "copied" or width not in plan.widths):
                    continue
                x = grids.carry(arms.backend.asarray(budgets[number][trial].x), widths.index(home), level)
                seen = unseen if width > plan.widths[1] else grids.images(level, images)
                accuracy = Objective(at.network, at.classifier, seen, labels[: len(seen)]).evaluate(x).accuracy
                found.setdefault((name, number, width, transfer), []).append(100 * accuracy)
    return {key: np.array(values) for key, values in found.items()}


def _rows(net: str, plan: _Plan, measured: Accuracies) -> list[dict[str, Any]]:
    rows = []
    for number, width, transfer in dict.fromkeys(key[1:] for key in measured):
        row = {"net": net, "stencils": transfer, "pixels": width, "passes": plan.budgets[number]}
        of = {name: measured[name, number, width, transfer] for name in plan.names}
        for name, values in of.items():
            row[name] = mean_of(values).value
            row[f"half width, {name}"] = mean_of(values).half_width
        for name in plan.names[:2]:
            difference = mean_of(of["joint"] - of[name])
            row[f"joint minus {name}"] = difference.value
            row[f"half width, joint minus {name}"] = difference.half_width
        rows.append(row)
    return rows


def _lines(plan: _Plan, width: int, measured: Accuracies, outcomes: Outcomes) -> list[Line]:
    """Return the specialist of a grid, and joint training there."""
    lines = []
    for label, name in (("specialist", plan.names[plan.widths.index(width)]), ("joint", "joint")):
        there = [
            [
                one._replace(accuracy=float(value))
                for one, value in zip(of, measured[name, k, width, "copied"], strict=True)
            ]
            for k, of in enumerate(outcomes[name])
        ]
        lines.append(line_of(label, there))
    return lines


def _verdict(net: str, plan: _Plan, measured: Accuracies, outcomes: Outcomes) -> str:
    """Say whether the bar is reached with the largest budget."""
    last = len(plan.budgets) - 1
    coarse, fine, joint = (line_of(name, outcomes[name]).work[-1] for name in plan.names)
    joints = [measured["joint", last, width, "copied"] for width in plan.widths]
    alone = [measured[name, last, width, "copied"] for name, width in zip(plan.names, plan.widths, strict=False)]
    behind = [mean_of(one - other) for one, other in zip(joints, alone, strict=True)]
    texts = [f"{difference} at {width} pixels" for difference, width in zip(behind, plan.widths, strict=True)]
    said = [
        f"Net {net}, largest budget: joint training takes {joint:.3g} TFLOP, {joint / (coarse + fine):.0%} of that of "
        f"both specialists, {coarse:.3g} and {fine:.3g}; it differs from them by {' and '.join(texts)}. One theta "
        f"within {WITHIN:g} point of both: {_confirmed(all(one.above(-WITHIN) for one in behind))}."
    ]
    for width in sorted({key[2] for key in measured} - set(plan.widths)):
        best = {name: _better(measured, name, last, width) for name in plan.names}
        values = {name: measured[name, last, width, transfer] for name, transfer in best.items()}
        shown = ", ".join(f"{name} {mean_of(values[name])} ({best[name]})" for name in plan.names)
        gains = [mean_of(values["joint"] - values[name]) for name in plan.names[:2]]
        said.append(
            f"On the unseen {width} pixels, each with its better stencils: {shown}; joint training gains "
            f"{gains[0]} and {gains[1]}. Better than both: {_confirmed(all(gain.above(0) for gain in gains))}."
        )
    return " ".join(said)


def _confirmed(reached: bool) -> str:
    return "confirmed" if reached else "not confirmed"


def _better(measured: Accuracies, name: str, number: int, width: int) -> str:
    """Return the transfer with which an arm is better on a grid."""
    means = {transfer: float(np.mean(measured[name, number, width, transfer])) for transfer in TRANSFERS}
    return max(means, key=lambda transfer: means[transfer] if np.isfinite(means[transfer]) else -1.0)


def _finer(data: ImageSet, name: str) -> ImageSet | None:
    """Return the same images with twice as many pixels of a data set that is drawn at several sizes."""
    of, _, size = name.rpartition("-")
    double = f"{of}-{2 * int(size)}" if size.isdigit() else ""
    found = load(double) if double in image_sets() else None
    return found if found is not None and np.array_equal(found.labels, data.labels) else None


QUESTIONS = {"joint": Joint()}
