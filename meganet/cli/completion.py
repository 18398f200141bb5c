"""Completion of the word before the cursor, for a shell that asks for it by argcomplete's environment variables."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import argcomplete

from meganet.cli.arguments import BACKENDS
from meganet.cli.parser import Parser


def complete(parser: Parser) -> None:
    """Write what may stand there and end the process; do nothing if no shell asks."""
    folder = argcomplete.DirectoriesCompleter()
    known: dict[str, Any] = {
        "settings": _settings,
        "results": _results,
        "backend": lambda **more: BACKENDS,
        "cluster": lambda **more: ["ray", "tcp://"],
        "out": folder,
        "data": folder,
    }
    for part in parser.commands.values():
        for action in part._actions:
            if action.dest in known or action.type is int:
                # there is nothing to offer for a number, in particular no file
                action.completer = known.get(action.dest, lambda **more: [])  # type: ignore[attr-defined]
    argcomplete.autocomplete(parser, always_complete_options=False)


def _settings(prefix: str, **more: Any) -> list[str]:
    """Return the names of settings, or the values of the one that has been written."""
    from meganet.experiments.setup.settings import described

    name, equals, _ = prefix.partition("=")
    if not equals:
        return [f"{setting.name}=" for setting in described()]
    return [f"{name}={value}" for setting in described() if setting.name == name for value in setting.choices]


def _results(prefix: str, parsed_args: argparse.Namespace, **more: Any) -> list[str]:
    """Return the folders with runs, as they may be named."""
    from meganet.cli.stored import folders

    return [str(path) for path in folders(Path(prefix or "."))]
