"""`meganet fit`: a network trained on one grid or on several."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from meganet import datasets, multilevel
from meganet.backend import get_backend, random_stream, use_backend
from meganet.cli import options
from meganet.cli.arguments import RESULTS
from meganet.datasets import ImageSet, scale_images
from meganet.experiments import build_network
from meganet.ground.validate import integer, reject
from meganet.model import Model
from meganet.multigrid import restrict_images
from meganet.multilevel import Grids, Schedule, TrainingState, in_space, load_state, save_state, train
from meganet.optim import Momentum
from meganet.store.disk import exists, json_text, locked, make_folder, read_file, refuse, write_file

SPLIT = 4
"""Number of the random stream that draws the images, after those of `multilevel`."""
NOT_SETTINGS = ("command", "parser", "out", "save", "data", "backend", "quiet")
"""What is given and changes no result, or only by round-off."""
STATE, TABLE, SETTINGS = "state.npz", "history.csv", "settings.json"
LARGEST_SETTINGS = 2**20
LISTS = {
    "epochs": float,
    "every": float,
    "learning_rate": float,
    "batch_size": int,
    "momentum": float,
    "theta_alpha": float,
    "W_alpha": float,
}
"""Options with a value for each phase, and what it is."""


def prepare(given: argparse.Namespace) -> Callable[[], None]:
    """Check what is given and return what trains."""
    backend = get_backend(given.backend)
    if given.save is not None:
        # before the training, which may take long
        path = options.place("save", given.save)
        if path.suffix not in (".npz", ".mat"):
            reject("save", "a file .npz or .mat", repr(given.save))
        if path.is_dir() or not path.parent.is_dir():
            reject("save", "a file in an existing folder", repr(given.save))
    interactive = not given.quiet and sys.stderr.isatty()
    data = datasets.load(given.dataset, options.folder_of_data(given), progress=interactive)
    if len(data.images.shape) != 4:
        reject("dataset", "one of images (C, H, W)", f"{data.name}, of shape {data.images.shape[1:]}")
    training, validation = _parts(given, data)
    network = build_network(given.network, data.images.shape[1:], backend)
    width = data.images.shape[-1]
    widths = [width] if given.grids is None else _list("grids", given.grids, int)
    hierarchy = in_space(network, data.classes, widths)
    if width % widths[-1] or (width // widths[-1]) & (width // widths[-1] - 1):
        reject("grids", f"the last one {width}, the width of the images, or that halved", given.grids)
    schedule = _schedule(given, hierarchy)
    for phase in schedule:
        phase.cuts(len(training))
    out = Path(RESULTS, "fit", f"{given.dataset}-{given.network}-seed-{given.seed}")
    out = out if given.out is None else options.place("out", given.out)
    settings = {name: value for name, value in vars(given).items() if name not in NOT_SETTINGS}
    settings["data"] = data.digest

    def images(part: np.ndarray[Any, Any]) -> tuple[Any, Any]:
        scaled = backend.asarray(scale_images(data.images[part], "unit", np.dtype(np.float32)))
        # those of a finest grid below the images' own
        while scaled.shape[-1] > widths[-1]:
            scaled = restrict_images(scaled)
        return scaled, data.labels[part]

    def job() -> None:
        make_folder(out)
        with use_backend(backend), locked(out, wait=False), np.errstate(all="ignore"):
            made_with = _same_settings(out, settings)
            state = load_state(out / STATE, hierarchy, made_with) if exists(out / STATE) else None
            print(f"{hierarchy}\n\n{schedule}\n")
            if state is not None:
                print(f"Continues: {state.epochs:.4g} of {schedule.epochs:.4g} passes done")
            end = train(
                hierarchy,
                *images(training),
                schedule,
                validation=images(validation),
                state=state,
                callback=partial(_keep, out, made_with, hierarchy, given.quiet),
                on_divergence="stop",
                progress="training" if interactive else None,
                seed=given.seed,
            )
            _tell(given, hierarchy, end, out)

    return job


def _parts(given: argparse.Namespace, data: ImageSet) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return the numbers of the images to train and to validate on, drawn from the seed."""
    order = random_stream(given.seed, SPLIT).permutation(len(data))
    held_out = len(data) // 10 if given.validation is None else integer("validation", given.validation)
    left = len(data) - held_out
    if left <= 0:
        reject("validation", f"less than the {len(data)} images of {data.name}", str(held_out))
    count = left if given.examples is None else integer("examples", given.examples)
    if not 0 < count <= left:
        reject("examples", f"at most {left}, as {data.name} has {len(data)} images", str(count))
    return order[held_out : held_out + count], order[:held_out]


def _schedule(given: argparse.Namespace, hierarchy: Grids) -> Schedule:
    """Return the schedule that the options describe."""
    make: Callable[..., Schedule] = getattr(multilevel, given.schedule.replace("-", "_"))
    phases = 1 if given.schedule == "joint" else len(hierarchy)
    each: dict[str, list[Any]] = {}
    for name, kind in LISTS.items():
        values = _list(name, getattr(given, name), kind)
        if len(values) not in (1, phases):
            reject(name, f"one value, or {phases}, one for each phase", getattr(given, name))
        each[name] = values * (phases if len(values) == 1 else 1)
    for value in each["momentum"]:
        if not 0 <= value < 1:
            reject("momentum", "numbers in [0, 1)", given.momentum)
    each["rule"] = [Momentum(value, nesterov=value > 0) for value in each.pop("momentum")]
    settings = {name: values[0] if phases == 1 else values for name, values in each.items()}
    return make(hierarchy, patience=given.patience, **settings)


def _list(argument: str, text: str, kind: type) -> list[Any]:
    """Return the numbers in a text, which commas separate."""
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        reject(argument, f"{'integers' if kind is int else 'numbers'}, separated by commas", repr(text))


def _same_settings(out: Path, settings: dict[str, Any]) -> str:
    """Return the settings of a training as text; they are those of its folder, which gets them if it is new."""
    text = json_text(settings)
    found = read_file(out / SETTINGS, LARGEST_SETTINGS)
    if found is None:
        write_file(out / SETTINGS, text)
    elif found != text.encode():
        try:
            stored = dict(json.loads(found))
        except (ValueError, TypeError, RecursionError):
            refuse("an empty or new folder, or one with a training", f"{str(out)!r}, whose {SETTINGS} cannot be read")
        different = [name for name in settings if stored.get(name) != settings[name]]
        changes = ", ".join(f"{name} = {stored.get(name)} (now {settings[name]})" for name in different)
        refuse("an empty or new folder, or one with this training", f"{str(out)!r}, with {changes}")
    return text


def _keep(out: Path, made_with: str, hierarchy: Grids, quiet: bool, state: TrainingState) -> None:
    """Store a state and say in a line where the training stands."""
    save_state(out / STATE, state, made_with)
    write_file(out / TABLE, state.history.to_csv())
    row = state.history[-1]
    line = f"phase {state.phase}, {hierarchy[state.level].name}: {row['epoch']:.4g} passes, loss {row['loss']:.4g}"
    line += f", train {row['accuracy']:.1%}, val. {row['validation_accuracy']:.1%}"
    print(line if quiet else f"{line}, {state.seconds[-1]:.1f} s", flush=True)


def _tell(given: argparse.Namespace, hierarchy: Grids, state: TrainingState, out: Path) -> None:
    """Print what came out, and save the model if that is wanted."""
    # who was interrupted between the two files has an older table
    write_file(out / TABLE, state.history.to_csv())
    print(f"\n{state.history}\n")
    if state.divergence is not None:
        print(f"The training has diverged in {state.divergence}")
    examples = state.work / hierarchy[-1].flop
    print(f"Work: {state.work / 1e9:,.1f} GFLOP, that of {examples:,.0f} images on the finest grid")
    if given.save is not None:
        x, network = hierarchy.carry(state.x, state.level, -1), hierarchy[-1].network
        size = network.parameters.size
        Model(network, hierarchy[-1].classifier.range_shape[0], theta=x[:size], W=x[size:]).save(given.save)
        print(f"Model: {given.save}")
    print(f"Results: {out}")
