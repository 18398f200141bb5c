"""Which results folders there are, for who names one that is not there and for completion."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from meganet.cli.arguments import RESULTS

NETWORK = re.compile("net-(.+)")


def networks(path: Path) -> list[str]:
    """Return the networks of which a folder holds runs of ``meganet reproduce``."""
    with suppress(OSError):
        names = sorted(filter(NETWORK.fullmatch, os.listdir(path)))
        return [name.removeprefix("net-") for name in names if os.path.isfile(path / name / "settings.json")]
    return []


def folders(named: Path) -> list[Path]:
    """Return the folders with runs below the usual one for results, beside the one that was named, and in it."""
    found: dict[str, Path] = {}
    for place in (Path(RESULTS), named.parent, named):
        with suppress(OSError):
            for name in sorted(os.listdir(place)):
                if networks(place / name):
                    found.setdefault(os.path.realpath(place / name), place / name)
    return list(found.values())
