"""PyTorch's training on the single grid, for the answer of ``meganet experiment worth``, beside ours.

    pip install ".[bench]" && python benchmarks/worth_peer.py --preset thesis --trials 5 --set network=narrow --out DIR

takes the options of ``meganet experiment worth``; then the same ``meganet experiment worth`` has PyTorch in its table
and its picture. Every run of the single grid, with the rate that the experiment chose, is made once more, and after
each of its rounds PyTorch makes the same one: from the same weights, with the same mini-batches and rates, on the same
threads. So both meet the same machine. First it is checked that outputs and gradients agree to rounding, after a round
that both have moved alike, and at the end that the accuracies are the same but for noise. Nothing is written into
docs/results, but ``worth-pytorch.csv`` into the folder of the runs.
"""

from __future__ import annotations

import argparse
import math
import time
from typing import Any, NamedTuple

import common
import numpy as np
import sides
from peers import library
from suite.cases import Measured
from threadpoolctl import threadpool_limits

from meganet._version import __version__
from meganet.backend import random_stream
from meganet.cli.arguments import parse
from meganet.cli.experiment import context_of
from meganet.experiments.questions import peer
from meganet.experiments.questions.base import Context
from meganet.experiments.questions.worth import BUDGETS, SINGLE, TUNING, schemes
from meganet.experiments.runs.arms import Arm, Arms, Sizes
from meganet.experiments.runs.tuning import tuned
from meganet.ground import validate
from meganet.multilevel import TrainingState
from meganet.multilevel.rounds import Rounds
from meganet.multilevel.training import START
from meganet.objective import Objective

QUESTION = "worth"
LIBRARY = "torch"
PAUSE = 0.02
"""Seconds between the turns: the threads of the one before may still be spinning."""
ALIKE = 0.01
"""By how much the ways of a round may differ, relative to ours: rounding grows from step to step."""
NOISE = 3.0
"""Standard errors by which the accuracies of a pair may differ, as if each were of images of its own."""


class Way(NamedTuple):
    """How PyTorch is used."""

    name: str
    memory_format: Any
    made_with: str


class Run(NamedTuple):
    """What errors are about."""

    name: str
    dtype: Any

    def __str__(self) -> str:
        return self.name


def main() -> None:
    """Make the pairs that the settings ask for and write the file."""
    options, rest = arguments()
    context = context_of(parse(["experiment", QUESTION, *rest]))
    if context.backend.name != "numpy":
        validate.reject("--backend", "numpy, as PyTorch runs on the processor here", context.backend.name)
    pairs = made(context, options.threads, options.rounds)
    print(f"\n{peer.note(pairs)[0]}\n\nResults: {peer.write(context.path, pairs)}")


def arguments() -> tuple[argparse.Namespace, list[str]]:
    """Return the options of this script, and those of the experiment."""
    parser = common.parser(__doc__.splitlines()[0], rounds=5)
    parser.epilog = f"All other options are those of meganet experiment {QUESTION}."
    return parser.parse_known_args()


def made(context: Context, threads: int, rounds: int) -> list[peer.Pair]:
    """Make the pairs of all budgets and trials."""
    with threadpool_limits(threads):
        library(LIBRARY).limit(threads)
        arms, of_budget = single_grid(context)
        way = fastest(arms, of_budget, threads, rounds)
        pairs = []
        for trial in range(context.base.run.trials):
            for budget, arm in of_budget.items():
                pairs.append(pair(arms, arm, trial, budget, way))
                context.log(line(pairs[-1]))
    return pairs


def single_grid(context: Context) -> tuple[Arms, dict[float, Arm]]:
    """Return the single grid's arm for each budget, with the rate that the experiment chose, or chooses now."""
    base, data = context.base, context.data
    sizes = Sizes(base.data.coarse_examples, base.data.validation_examples)
    given = context.path, data, sizes, base, context.backend
    of_name = schemes(base, data.images.shape[1:], data.classes)[SINGLE]
    candidates = [scheme(TUNING[SINGLE]) for scheme in of_name]
    best, _ = tuned(Arms(*given, tuning=True), {SINGLE: candidates}, log=context.log)
    scheme = of_name[best[SINGLE]]
    return Arms(*given), {budget: scheme(budget) for budget in BUDGETS[SINGLE]}


def fastest(arms: Arms, of_budget: dict[float, Arm], threads: int, rounds: int) -> Way:
    """Return PyTorch in the memory format in which its steps take least, and make it and ours warm."""
    module, arm = library(LIBRARY), next(iter(of_budget.values()))
    ours = start_of(arms, arm, 0)
    steps = {"meganet": ours.step, **{name: make(ours).step for name, make in module.variants().items()}}
    ms = common.medians(steps, rounds)
    name = min(module.variants(), key=ms.__getitem__)
    about = common.machine(threads, [module.kernels()])
    made_with = ", ".join([name, f"meganet {__version__}", *(f"{k} {v}" for k, v in about.items())])
    return Way(name, module.FORMATS[name], made_with)


def start_of(arms: Arms, arm: Arm, trial: int) -> Measured:
    """Return what a run minimises, with the weights at its start."""
    fun, _ = objectives(arms, arm, trial)
    x = arm.level.initial(random_stream(arms.seed(trial), START), fun.images.dtype)
    return Measured(fun, x, arm.schedule[0].batch_size)


def objectives(arms: Arms, arm: Arm, trial: int) -> tuple[Objective, Objective]:
    """Return what a run minimises, and the same over the validation images."""
    level, (images, labels, held, held_labels) = arm.level, arms.trial(trial)
    images, held = (arm.hierarchy.images(0, part) for part in (images, held))
    parts = (images, labels), (held, held_labels)
    training, validation = (Objective(level.network, level.classifier, *part) for part in parts)
    return training, validation


def pair(arms: Arms, arm: Arm, trial: int, budget: float, way: Way) -> peer.Pair:
    """Make a run and PyTorch's, their rounds in turn.

    Raises
    ------
    InputError
        If they are not the same training.
    """
    (phase,) = arm.schedule
    start = start_of(arms, arm, trial)
    rounds = Rounds(arm.hierarchy, phase, 0, start.fun.examples, arms.seed(trial), "stop")
    twin = library(LIBRARY).Descent(start, way.memory_format, phase.rule.momentum)
    run = Run(f"budget {budget:g}, trial {trial + 1}", start.x.dtype)
    sides.difference({"meganet": start, way.name: twin}, run)
    seconds = []

    def turn(state: TrainingState) -> None:
        batches = rounds.indices(rounds.order, state.rounds)
        time.sleep(PAUSE)
        seconds.append(twin.train(batches, rounds.rate(state.rounds)))
        time.sleep(PAUSE)
        if state.rounds == 1:
            check_way(f"{run}", start.x, state.x, twin.x())

    own = arms.trained(arm, trial, turn)
    _, held = objectives(arms, arm, trial)
    accuracy = twin.accuracy(held)
    check_accuracy(f"{run}", accuracy, own.accuracy, held.examples)
    name = arms.run_name(arm, trial)
    return peer.Pair(name, budget, trial + 1, accuracy, sum(seconds), own.accuracy, own.seconds, way.made_with)


def check_way(run: str, start: np.ndarray, own: np.ndarray, other: np.ndarray) -> None:
    """Refuse weights after a round that have gone another way than ours."""
    difference = float(np.linalg.norm(other - own) / np.linalg.norm(own - start))
    if difference > ALIKE:
        validate.reject(run, "the same weights on both sides after a round", f"ways that differ by {difference:.1e}")


def check_accuracy(run: str, accuracy: float, own: float, images: int) -> None:
    """Refuse accuracies in percent that differ by more than noise."""
    share = (accuracy + own) / 200
    bound = 100 * NOISE * math.sqrt(2 * max(share * (1 - share), 1 / images) / images)
    if math.isnan(accuracy) != math.isnan(own) or abs(accuracy - own) > bound:
        got = f"{accuracy:.2f} %, ours {own:.2f} %"
        validate.reject(run, f"an accuracy of PyTorch within {bound:.2f} points of ours", got)


def line(made: peer.Pair) -> str:
    """Return a line on a pair."""
    start = f"trial {made.trial}, budget {made.budget:g}: PyTorch {made.accuracy:.2f} % in {made.seconds:.3g} s"
    return f"{start}, meganet {made.own_accuracy:.2f} % in {made.own_seconds:.3g} s"


if __name__ == "__main__":
    common.run(main)
