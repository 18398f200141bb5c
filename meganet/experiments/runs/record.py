"""``settings.json`` of a results folder: what its runs were made with, and where the first one was made."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from meganet.experiments.setup.settings import DEFAULTS, LARGEST_TRIALS, Setup
from meganet.ground import validate
from meganet.ground.files import user_path
from meganet.store.disk import entries, refuse
from meganet.store.settings import FORMAT, PART, SETTINGS, environment, read_settings

TRIAL = re.compile(r"trial-(\d{3,9})")


def settings_of(setup: Setup, backend: str, data: str) -> dict[str, Any]:
    """Return the content of ``settings.json``; the number of trials is that of their folders."""
    made_with = setup.nested()
    del made_with["run"]["trials"]
    where = {"backend": backend, "data": data, "environment": environment()}
    return {"format": FORMAT, PART[FORMAT]: made_with, **where}


def values_of(content: dict[str, Any]) -> dict[str, Any]:
    """Return the settings in the content by their names, those that are not there by their defaults.

    Results older than a setting were made with what is its default now.
    """
    found: dict[str, Any] = content[PART[content["format"]]]
    if content["format"] == FORMAT:
        found = {name: value for section in found.values() for name, value in section.items()}
    lists = {name: tuple(value) for name, value in found.items() if isinstance(value, list)}
    return {name: value for name, value in {**DEFAULTS, **found, **lists}.items() if name != "trials"}


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
    except (TypeError, validate.InputError) as error:
        refuse("settings that this version knows", f"{str(folder / SETTINGS)!r} ({error})")
