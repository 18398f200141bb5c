"""Whether gradients of the finest grid cost less when most examples are seen on coarser ones, and for how long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from meganet.experiments.questions.base import Answer, Context, Variant
from meganet.experiments.questions.comparing import TABLES
from meganet.experiments.runs.case import Case
from meganet.experiments.runs.study import SettingsError
from meganet.experiments.setup.settings import Setup
from meganet.ground import validate
from meganet.layers import DenseLayer
from meganet.multigrid import restrict_images, weights_restriction
from meganet.multilevel import LevelVariances, MultilevelGradient
from meganet.objective import Objective

TITLES = {"multilevel-gradients": "Do gradients from coarse grids save work?"}
ORDER = 45

EPOCHS = (1, 2, 5)
"""Of training, after which variances are measured, as at its start."""
MOMENTS = (0, *EPOCHS)
GRIDS = 3
"""At most; a network whose pooling divides no image of a grid has fewer."""
SAMPLE = 128
RUN = "new"
CHANGES: Mapping[str, Any] = {"momentum": 0.9, "learning_rate": 0.01, "training_images": "original"}
TRANSFERS: Mapping[str, Mapping[str, Any]] = {
    "copied": {"kernels": "copy"},
    "Galerkin, constant P": {"kernels": "galerkin", "interpolation": "constant"},
    "Galerkin, linear P": {"kernels": "galerkin", "interpolation": "linear"},
}
NOTE = (
    f"New on the finest grid, by SGD with momentum {CHANGES['momentum']} at the rate {CHANGES['learning_rate']} / "
    f"sqrt(epoch / 2). Variances: of gradients of {SAMPLE} training images, without regularisers, in those of the "
    "finest grid, means over the trials; V[difference]: of the gradient on a grid minus that on the next coarser one, "
    "both as gradients in the finest weights. Examples: for the work of a mini-batch of the finest grid, from the "
    "coarsest grid on. Gain: how much less work the same variance takes, starting with this grid."
)


class MultilevelGradients:
    """Measure what gradients and their differences between grids vary by, while networks are trained."""

    def variants(self, base: Setup) -> list[Variant]:
        """Return fresh training on both nets, for each number of epochs."""
        return [
            Variant(f"table-{table.name}-epochs-{epochs}", {**CHANGES, "fine_epochs": epochs}, table.name, (RUN,))
            for table in TABLES.values()
            for epochs in EPOCHS
        ]

    def ask(self, context: Context) -> Answer:
        """Run what is missing and measure; a row for each net, moment, transfer and grid."""
        if context.base.data.fine_examples < 2:
            validate.reject("fine_examples", "2 or more, which can vary", "1", SettingsError)
        cases = list(context.runs(self.variants(context.base)).cases.values())
        trials, batch_size = context.base.run.trials, context.base.descent.batch_size
        rows: list[dict[str, Any]] = []
        best: list[tuple[str, list[float]]] = []
        for number, net in enumerate(TABLES):
            grids, found = _of_net(cases[number * len(EPOCHS) : (number + 1) * len(EPOCHS)])
            for (name, epochs), variances in found.items():
                for grid, row in zip(grids, variances.table(batch_size), strict=True):
                    first = {"net": net, "transfer": name, "grid": grid, "epochs": epochs, "trials": trials}
                    rows.append({**first, **{column: row[column] for column in row if column != "level"}})
            for name in TRANSFERS:
                gains = [max(found[name, epochs].gains[:-1], default=1.0) for epochs in MOMENTS]
                best.append((f"net {net}, {name}", gains))
        return Answer(rows, [NOTE, _said(best)])


def _of_net(cases: Sequence[Case]) -> tuple[list[str], dict[tuple[str, int], LevelVariances]]:
    """Return the grids of a net, and what is measured there by transfer and epochs, the means over the trials."""
    found: dict[tuple[str, int], list[LevelVariances]] = {(name, e): [] for name in TRANSFERS for e in MOMENTS}
    grids: list[str] = []
    for trial in range(cases[0].setup.run.trials):
        problems = cases[0].problems(trial)
        funs = _on_grids(problems.level(-1, "fine").training)
        grids = ["x".join(map(str, fun.images.shape[2:])) for fun in funs]
        points = [cases[0].start(trial, RUN, problems), *(case.weights(trial, RUN) for case in cases)]
        # the images are in random order
        indices = funs[-1].backend.asarray(np.arange(min(SAMPLE, funs[-1].examples)))
        for name, how in TRANSFERS.items():
            maps = [weights_restriction(fun.network, fun.classifier.range_shape[0], **how) for fun in funs[1:]]
            gradient = MultilevelGradient(funs, maps, batch_size=cases[0].setup.descent.batch_size)
            for epochs, x in zip(MOMENTS, points, strict=True):
                found[name, epochs].append(gradient.measure(x, indices))
    return grids, {key: _mean(of_trials) for key, of_trials in found.items()}


def _on_grids(fun: Objective) -> list[Objective]:
    """Return the same problem on coarser grids, without regularisers, and itself, the last."""
    funs = [fun]
    classes, labels = fun.classifier.range_shape[0], fun.backend.to_host(fun.labels)
    while len(funs) < GRIDS:
        try:
            images = restrict_images(funs[0].images)
            network = fun.network.resized(images.shape[1:])
        except validate.InputError:
            # an odd grid has no coarser one, and pooling may not take it
            break
        classifier = DenseLayer(network.range_shape, classes, backend=fun.backend)
        funs.insert(0, Objective(network, classifier, images, labels))
    return funs


def _mean(found: list[LevelVariances]) -> LevelVariances:
    """Return the means over the trials."""
    own, differences = np.mean([one.own for one in found], axis=0), np.mean([one.differences for one in found], axis=0)
    return LevelVariances(tuple(own.tolist()), tuple(differences.tolist()), found[0].work)


def _said(best: Sequence[tuple[str, list[float]]]) -> str:
    """Say in words where it pays."""
    gains = [gain for _, of_moments in best for gain in of_moments]
    paying = sum(gain > 1 for gain in gains)
    verdict = f"It pays, with a gain above 1, in {paying or 'none'} of {len(gains)} cases"
    lines = [f"{line}: {', '.join(f'{gain:.2g}' for gain in of_moments)}" for line, of_moments in best]
    return f"{verdict}; the largest gains after {', '.join(map(str, MOMENTS))} epochs are, {'; '.join(lines)}."


QUESTIONS = {"multilevel-gradients": MultilevelGradients()}
