"""``settings.json`` of a results folder: what its runs were made with, and where the first one was made."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import scipy

from meganet import _validate
from meganet._disk import entries, json_text, read_file, refuse
from meganet._files import user_path
from meganet._version import __version__
from meganet.backend.threads import thread_count
from meganet.experiments.setup.settings import DEFAULTS, LARGEST_TRIALS, Setup

SETTINGS = "settings.json"
FORMAT = 3
"""Of results folders. Those of format 2, whose settings are not in sections, are read, and continued as they are.
Those of format 1 had no digests, and their validation images depended on `fine_examples`."""
LARGEST = 2**20
PART = {2: "protocol", 3: "setup"}
"""Where each format has the settings."""
TRIAL = re.compile(r"trial-(\d{3,9})")


def settings_of(setup: Setup, backend: str, data: str) -> dict[str, Any]:
    """Return the content of ``settings.json``; the number of trials is that of their folders."""
    made_with = setup.nested()
    del made_with["run"]["trials"]
    return {
        "format": FORMAT,
        PART[FORMAT]: made_with,
        "backend": backend,
        "data": data,
        "environment": environment(),
    }


def values_of(content: dict[str, Any]) -> dict[str, Any]:
    """Return the settings in the content by their names, those that are not there by their defaults.

    Results older than a setting were made with what is its default now.
    """
    found: dict[str, Any] = content[PART[content["format"]]]
    if content["format"] == FORMAT:
        found = {name: value for section in found.values() for name, value in section.items()}
    lists = {name: tuple(value) for name, value in found.items() if isinstance(value, list)}
    return {name: value for name, value in {**DEFAULTS, **found, **lists}.items() if name != "trials"}


def to_text(content: dict[str, Any]) -> str:
    """Return the text of the file, which holds its own SHA-256."""
    return json_text({**content, "sha256": _digest(content)})


def identity_of(content: dict[str, Any]) -> str:
    """Return a digest of what decides on the results; the rest is for the record."""
    return _digest({name: content[name] for name in _identity(content["format"])})


def _identity(version: int) -> tuple[str, ...]:
    return "format", PART[version], "backend", "data"


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
    if not isinstance(version, int) or version not in PART:
        refuse(f"results in format {FORMAT}", f"{str(path)!r} in format {version!r}; choose another folder")
    # a version before or after this one may have written and sealed something else
    mappings = (PART[version], "environment")
    if not all(name in content for name in _identity(version)) or not all(_is_dict(content, m) for m in mappings):
        got = f"{str(path)!r}, without what this version writes into it; choose another folder"
        refuse(f"{', '.join((*_identity(version), 'environment'))}", got)
    return dict(content)


def _is_dict(content: dict[str, Any], name: str) -> bool:
    found = content.get(name)
    in_sections = name != PART[FORMAT] or (
        isinstance(found, dict) and all(isinstance(section, dict) for section in found.values())
    )
    return isinstance(found, dict) and in_sections


def check_same(folder: Path, stored: dict[str, Any], now: dict[str, Any], names: Collection[str]) -> None:
    """Check that stored results were made with the settings of now; the message names those that differ.

    Settings that are not among the `names` may.
    """
    old, new = ({**values_of(s), "backend": s["backend"], "data": s["data"]} for s in (stored, now))
    compared = [name for name in {**old, **new} if name in names or name not in DEFAULTS]
    different = [f"{k} = {old.get(k)!r} (now {new.get(k)!r})" for k in compared if old.get(k) != new.get(k)]
    if different:
        got = f"{str(folder / SETTINGS)!r} with {', '.join(different)}"
        refuse("a folder made with the same settings", got)


def read_setup(path: str | Path) -> Setup:
    """Return the setup that a results folder was made with; `trials` counts to the last one that has begun.

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
        return Setup.of(**values_of(stored), trials=max(begun, default=1))
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
