"""What may stand on the command line; read without the numerical libraries."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from meganet._version import __version__
from meganet.cli.parser import Parser, Rows
from meganet.ground.dropins import titles

ALL = "all"
"""The thesis' tables, with the figures."""
PROTOCOLS, QUESTIONS = "meganet.experiments.protocols", "meganet.experiments.questions"
MODELS = "meganet.experiments.models"
FIGURES, DATA_SETS = "meganet.experiments.report.figures", "meganet.datasets.sets"
"""Where files register what can be asked for by name."""
PRESETS = {
    "small": "the settings of thesis on 5,000 digits, few epochs: minutes",
    "thesis": "the thesis' sizes, on MNIST, settings fitted to its tables: hours",
    "printed": "the same sizes, what the thesis prints to the letter: hours",
}
"""How large a run is, and which reading of the thesis."""
BACKENDS = ("cupy", "numpy")
RESULTS = "meganet-results"
USUAL_DATA = "mnist"
"""Fetched and verified where no data set is named."""
SCHEDULES = {
    "nested": "from the coarsest grid to the finest",
    "in-turn": "the same twice, the second time from where the first ended",
    "fine-to-coarse": "from the finest grid to the coarsest",
    "joint": "all grids together with one set of weights, each mini-batch on one of them",
}
"""Orders in which grids are trained."""
COMMANDS = {
    "fit": "train a network, on one grid or on several",
    "reproduce": "rerun a table of the thesis, or all of chapter 4",
    "report": "write the report of stored runs",
    "figure": "draw a figure of the thesis from stored runs",
    "experiment": "answer a question beyond the thesis' tables",
    "info": "show versions, backends, devices, and the data found",
    "data": "list, fetch or verify the data sets",
}
"""Each has a module of its name here; its function ``prepare`` checks what is given and returns what is to be done."""


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """Return what a command line, by default this program's, asks for: `command`, its `parser`, and all options.

    Ends the program where there is nothing else to do: it shows help, completes a word for the shell, or says in one
    line, with status 2, what cannot be understood, or which of the files that register names cannot be used.
    """
    try:
        return _parsed(words)
    except ValueError as error:
        # an `InputError`, whose class comes with the numerical libraries
        print(f"meganet: error: {error}", file=sys.stderr)
        sys.exit(2)


def _parsed(words: Sequence[str] | None) -> argparse.Namespace:
    parser = build()
    if words is None and "_ARGCOMPLETE" in os.environ:
        from meganet.cli.completion import complete

        complete(parser)
    given = sys.argv[1:] if words is None else list(words)
    if not given:
        # as pip does: whoever types the name alone asks what there is, and has made no error
        parser.print_help()
        parser.exit()
    parser.check_options(given)
    return parser.parse_args(given)


def build() -> Parser:
    """Return the parser."""
    parser = Parser(
        prog="meganet",
        description="Multiresolution convolutional networks: rerun the thesis' experiments.",
    )
    parser.add_argument("--version", action="version", version=f"meganet {__version__}")
    commands = parser.add_subparsers(
        required=True, metavar="COMMAND", dest="command", prog="meganet", parser_class=Parser
    )
    for name, title in COMMANDS.items():
        part = commands.add_parser(name, help=title, description=f"{title[0].upper()}{title[1:]}.")
        part.set_defaults(parser=part)
        parser.commands[name] = part
    parser.tables = [
        ("commands", COMMANDS.items),
        ("to begin with", lambda: [("meganet reproduce 4.1", "a table of the thesis, in a minute or two")]),
        ("more about one", lambda: [("meganet COMMAND --help", "its options, and all that it can be given")]),
    ]
    _fit(parser.commands["fit"])
    _reproduce(parser.commands["reproduce"])
    _report(parser.commands["report"])
    _figure(parser.commands["figure"])
    _experiment(parser.commands["experiment"])
    _data(parser.commands["data"])
    return parser


def _fit(parser: Parser) -> None:
    parser.description = (
        "Train a network on a data set, on one grid or on several. The same command continues an interrupted training. "
        "Options with LIST take one value, or one for each phase, separated by commas."
    )
    parser.add_argument("dataset", choices=[*titles(DATA_SETS)], metavar="DATA", help="the images, see below")
    parser.add_argument("network", choices=[*titles(MODELS)], metavar="NET", help="the network, see below")
    parser.add_argument("--grids", metavar="LIST", help="widths of the images, such as 7,14,28 (default: their own)")
    parser.add_argument(
        "--schedule", choices=[*SCHEDULES], default="nested", help="how the grids are trained (default: %(default)s)"
    )
    for option, name, value, meaning in (
        ("--epochs", "epochs", "1", "passes through the images, also parts of one"),
        ("--every", "every", "1", "passes after which progress is stored and shown"),
        ("--rate", "learning_rate", "0.01", "learning rate"),
        ("--batch", "batch_size", "32", "images of a mini-batch"),
        ("--momentum", "momentum", "0.9", "of the steps"),
        ("--theta-alpha", "theta_alpha", "0", "weight of ||theta||^2 / 2, the network's weights"),
        ("--W-alpha", "W_alpha", "0", "weight of ||W||^2 / 2, the classifier's weights"),
    ):
        meaning = f"{meaning} (default: %(default)s)"
        parser.add_argument(option, dest=name, default=value, metavar="LIST", help=meaning)
    parser.add_argument("--patience", type=int, metavar="N", help="end a phase N rounds after its best validation")
    parser.add_argument("--examples", type=int, metavar="N", help="images to train on (default: all the rest)")
    parser.add_argument("--validation", type=int, metavar="N", help="images to validate on (default: a tenth of all)")
    parser.add_argument("--seed", type=int, metavar="S", default=0, help="seed of everything random (default: 0)")
    parser.add_argument("--out", metavar="DIR", help=f"results folder (default: {RESULTS}/fit/DATA-NET-seed-S)")
    parser.add_argument("--save", metavar="FILE", help="file for the model of the finest grid, .npz or .mat")
    _add_tools(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress bar, and no times")
    parser.tables = [
        ("schedules", SCHEDULES.items),
        ("networks", titles(MODELS).items),
        ("data sets", titles(DATA_SETS).items),
    ]


def _reproduce(parser: Parser) -> None:
    parser.description = (
        "Rerun a table of the thesis, or 'all' of chapter 4 with its figures, and write the report. "
        "The same command continues an interrupted run."
    )
    names, several = titles(PROTOCOLS), f"{ALL} of the thesis'"
    if ALL in names:
        from meganet.ground.validate import reject

        reject("protocols", f"names other than {ALL!r}, which stands for the thesis' tables", repr(ALL))
    parser.add_argument("table", choices=[*names, ALL], metavar="TABLE", help=f"{', '.join(names)}, or {several}")
    _add_preset(parser)
    parser.add_argument(
        "--first-trial",
        type=int,
        metavar="K",
        default=1,
        help="make trials K to N; those before are made elsewhere",
    )
    parser.add_argument("--out", metavar="DIR", help=f"results folder (default: {RESULTS}/PRESET-seed-S...)")
    _add_work(parser)
    parser.tables = [("tables", names.items), *_SETTINGS]


def _report(parser: Parser) -> None:
    parser.description = (
        "Write the report of what 'meganet reproduce' has stored: every table that has a complete trial, over as many "
        "trials as are complete, and all figures. Nothing is trained."
    )
    _add_stored(parser)


def _figure(parser: Parser) -> None:
    parser.description = "Draw a figure of the thesis from what 'meganet reproduce' has stored. Nothing is trained."
    numbers = dict(sorted(titles(FIGURES).items()))
    parser.add_argument("number", choices=[*numbers], metavar="NUMBER", help=f"one of {', '.join(numbers)}")
    _add_stored(parser)
    parser.add_argument("--trial", type=int, default=1, metavar="N", help="which trial is drawn (default: 1)")
    parser.add_argument("--save", metavar="FILE", help="PNG file to write (default: figure-NUMBER.png)")
    parser.tables = [("figures", numbers.items)]


def _experiment(parser: Parser) -> None:
    parser.description = "Answer a question by runs of its own. The same command continues an interrupted one."
    parser.add_argument("name", choices=[*titles(QUESTIONS)], metavar="NAME", help="the experiment, see below")
    _add_preset(parser)
    parser.add_argument(
        "--out", metavar="DIR", help=f"results folder (default: {RESULTS}/experiments/PRESET-seed-S...)"
    )
    _add_work(parser)
    parser.tables = [("experiments", titles(QUESTIONS).items), *_SETTINGS]


def _data(parser: Parser) -> None:
    parser.description = (
        "List the data sets and where they are; fetch them; verify each file against the digest that its publishers "
        "give (exit status 2 if one is damaged or missing)."
    )
    parser.add_argument("action", choices=["list", "fetch", "verify"])
    parser.add_argument(
        "names",
        nargs="*",
        choices=[*titles(DATA_SETS)],
        metavar="NAME",
        help=f"data sets, see below (default: all for list, else {USUAL_DATA})",
    )
    _add_data(parser)
    parser.tables = [("data sets", titles(DATA_SETS).items)]


def _settings() -> Rows:
    from meganet.experiments.setup.settings import described

    return [
        ("name", "type", "default", "meaning"),
        *((setting.name, setting.kind, setting.default, setting.meaning) for setting in described()),
    ]


def _presets() -> Rows:
    from meganet.experiments.setup.settings import described

    others = ", ".join(f"{setting.name}={setting.printed}" for setting in described() if setting.printed)
    return [*PRESETS.items(), ("", f"differs from thesis in {others}")]


_SETTINGS = [
    ("presets", _presets),
    ("settings for --set, with the defaults of the presets small/thesis", _settings),
]


def _add_preset(parser: Parser) -> None:
    """Add what says which protocol to run."""
    parser.add_argument(
        "--preset", choices=[*PRESETS], default="small", help="sizes and settings, see below (default: %(default)s)"
    )
    parser.add_argument("--trials", type=int, metavar="N", help="number of trials")
    parser.add_argument("--seed", type=int, metavar="S", default=0, help="seed of everything random (default: 0)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        dest="settings",
        help="change a setting, see below; repeatable",
    )


def _add_work(parser: Parser) -> None:
    """Add what says on what to run, and who works."""
    _add_tools(parser)
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="trials at a time, in processes of their own")
    parser.add_argument(
        "--cluster", metavar="ADDRESS", help="Dask scheduler (tcp://host:port) whose workers make the trials, or 'ray'"
    )
    parser.add_argument(
        "--quiet", action="store_true", help="no progress bar, and no times: estimated, elapsed or remaining"
    )


def _add_tools(parser: Parser) -> None:
    parser.add_argument("--backend", metavar="NAME", help="numpy or cupy (default: MEGANET_BACKEND, else numpy)")
    _add_data(parser)


def _add_data(parser: Parser) -> None:
    parser.add_argument("--data", metavar="DIR", help="where to look first for the files of data sets")


def _add_stored(parser: Parser) -> None:
    """Add what says where stored runs lie, and on what to work with them."""
    parser.add_argument(
        "--results",
        metavar="DIR",
        default=str(Path(RESULTS, "small-seed-0")),
        help="results folder of 'meganet reproduce' (default: %(default)s)",
    )
    _add_tools(parser)
