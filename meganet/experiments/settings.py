"""``settings.json`` of a results folder: what its runs were made with, and where the first one was made."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import platform
import re
from pathlib import Path
from typing import Any

import numpy as np
import scipy

from meganet import _validate
from meganet._files import user_path
from meganet._version import __version__
from meganet.backend.threads import thread_count
from meganet.experiments.disk import entries, json_text, read_file, refuse
from meganet.experiments.protocol import LARGEST_TRIALS, Protocol

SETTINGS = "settings.json"
FORMAT = 2
"""Of results folders. Those of format 1 had no digests, and their validation images depended on `fine_examples`."""
LARGEST = 2**20
IDENTITY = ("format", "protocol", "backend", "data")
"""What decides on the results; the rest is for the record."""
MAPPINGS = ("protocol", "environment")
TRIAL = re.compile(r"trial-(\d{3,9})")


def settings_of(protocol: Protocol, backend: str, data: str) -> dict[str, Any]:
    """Return the content of ``settings.json``."""
    made_with = dataclasses.asdict(protocol)
    del made_with["trials"]
    return {
        "format": FORMAT,
        "protocol": made_with,
        "backend": backend,
        "data": data,
        "environment": environment(),
    }


def to_text(content: dict[str, Any]) -> str:
    """Return the text of the file, which holds its own SHA-256."""
    return json_text({**content, "sha256": _digest(content)})


def identity_of(content: dict[str, Any]) -> str:
    """Return a digest of what decides on the results."""
    return _digest({name: content[name] for name in IDENTITY})


def read_settings(folder: Path) -> dict[str, Any] | None:
    """Return the content of a folder's ``settings.json``, or None if there is none.

    Raises
    ------
    ResultsError
        If it is not as it was written, or in another format than this version writes.
    """
    path = folder / SETTINGS
    stored = read_file(path, LARGEST)
    if stored is None:
        return None
    try:
        text = stored.decode()
        content = json.loads(text)
        version = content.get("format", 1)
        digest = content.pop("sha256", None)
    except (ValueError, AttributeError, RecursionError):
        refuse("a results folder", f"{str(path)!r}, which cannot be read; restore it, or choose another folder")
    if digest is None and version == 1 and "protocol" in content:
        got = f"{str(path)!r} in format 1, of runs that validated on images drawn in another way"
        refuse(f"results in format {FORMAT}", f"{got}; choose another folder to run them again")
    if text != json_text({**content, "sha256": digest}) or digest != _digest(content):
        got = f"{str(path)!r}, which was edited or damaged; restore it, or choose another folder"
        refuse("settings as they were written", got)
    if version != FORMAT:
        refuse(f"results in format {FORMAT}", f"{str(path)!r} in format {version!r}; choose another folder")
    # a version before or after this one may have written and sealed something else
    if not (all(name in content for name in IDENTITY) and all(isinstance(content.get(k), dict) for k in MAPPINGS)):
        got = f"{str(path)!r}, without what this version writes into it; choose another folder"
        refuse(f"{', '.join((*IDENTITY, MAPPINGS[-1]))}", got)
    return dict(content)


def check_same(folder: Path, stored: dict[str, Any], now: dict[str, Any]) -> None:
    """Check that stored results were made with the settings of now; the message names those that differ."""
    # results older than a setting were made with what is its default now
    defaults = {f.name: f.default for f in dataclasses.fields(Protocol) if f.name != "trials"}
    old, new = ({**defaults, **s["protocol"], "backend": s["backend"], "data": s["data"]} for s in (stored, now))
    different = [f"{k} = {old.get(k)!r} (now {new.get(k)!r})" for k in {**old, **new} if old.get(k) != new.get(k)]
    if different:
        got = f"{str(folder / SETTINGS)!r} with {', '.join(different)}"
        refuse("a folder made with the same settings", got)


def read_protocol(path: str | Path) -> Protocol:
    """Return the protocol that a results folder was made with; `trials` counts to the last one that has begun.

    Raises
    ------
    ResultsError
        If the folder holds no results, or settings that this version does not know.
    """
    folder = user_path("out", path)
    stored = read_settings(folder)
    if stored is None:
        refuse("a results folder", f"{str(path)!r}, without {SETTINGS}")
    numbers = [int(match[1]) + 1 for match in map(TRIAL.fullmatch, entries(folder)) if match]
    # no folder of a trial of ours has a number beyond the largest
    begun = [number for number in numbers if number <= LARGEST_TRIALS]
    try:
        return Protocol(**stored["protocol"], trials=max(begun, default=1))
    except (TypeError, _validate.InputError) as error:
        refuse("settings that this version knows", f"{str(folder / SETTINGS)!r} ({error})")


def environment() -> dict[str, str]:
    """Return versions, machine and cores, for the record."""
    return {
        "meganet": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "machine": f"{platform.system()} {platform.machine()}",
        "cores": str(os.cpu_count()),
        "threads": str(thread_count()),
    }


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json_text(content).encode()).hexdigest()
