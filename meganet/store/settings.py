"""``settings.json`` of a folder: what its runs were made with, as plain data, sealed by its own SHA-256."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from pathlib import Path
from typing import Any

import numpy as np
import scipy

from meganet._version import __version__
from meganet.backend.loops import description
from meganet.backend.threads import blas, thread_count
from meganet.ground.machine import processor
from meganet.store.disk import json_text, read_file, refuse

SETTINGS = "settings.json"
FORMAT = 3
"""Of folders. Those of format 2, whose settings are not in sections, are read, and continued as they are.
Those of format 1 had no digests, and their validation images depended on `fine_examples`."""
LARGEST = 2**20
PART = {2: "protocol", 3: "setup"}
"""Where each format has the settings."""


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


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json_text(content).encode()).hexdigest()


def environment(backend: str) -> dict[str, str]:
    """Return versions, machine and cores, and for NumPy what computes its products, for the record."""
    return {
        "meganet": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        **({"loops": description(), "libraries": blas()} if backend == "numpy" else {}),
        "machine": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "cores": str(os.cpu_count()),
        "threads": str(thread_count()),
    }
