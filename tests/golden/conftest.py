"""Fixtures made by the original MATLAB package; the worst error of each file is printed at the end."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(os.environ.get("MEGANET_GOLDEN", Path(__file__).parent / "data"))
worst: dict[str, float] = defaultdict(float)


class Golden:
    """One file: its arrays by case, and the comparison."""

    def __init__(self, name: str) -> None:
        self.name = name
        with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as stored:
            self.arrays = {key: stored[key] for key in stored.files}

    def cases(self, *required: str) -> list[str]:
        """Return the cases that have all these arrays and are not marked as defects of the original."""
        names = dict.fromkeys(key.split("__")[0] for key in self.arrays)
        return [
            c
            for c in names
            if all(f"{c}__{r}" in self.arrays for r in required)
            and not self.arrays.get(f"{c}__defect", np.zeros(1)).any()
        ]

    def __call__(self, case: str, name: str) -> np.ndarray:
        return self.arrays[f"{case}__{name}"]

    def shape(self, case: str, name: str, ndim: int) -> tuple[int, ...]:
        """Return the shape of an array with the trailing ones that MATLAB leaves out."""
        stored = self(case, name).shape
        return stored + (1,) * (ndim - len(stored))

    def has(self, case: str, name: str) -> bool:
        return f"{case}__{name}" in self.arrays

    def number(self, case: str, name: str) -> float:
        return float(self(case, name).ravel()[0])

    def integers(self, case: str, name: str) -> list[int]:
        return [int(v) for v in self(case, name).ravel()]

    def sparse(self, case: str, name: str) -> np.ndarray:
        """Return a stored sparse matrix, dense."""
        i, j, v, size = (self(case, f"{name}_{part}").ravel() for part in ("i", "j", "v", "sz"))
        matrix = np.zeros(size.astype(int))
        matrix[i.astype(int) - 1, j.astype(int) - 1] = v
        return matrix

    def compare(self, ours: np.ndarray, theirs: np.ndarray, tolerance: float = 1e-12) -> None:
        """Compare two arrays of one shape by the relative error of the whole."""
        ours = np.asarray(ours)
        assert ours.shape == theirs.shape
        size = float(np.linalg.norm(theirs.ravel())) or 1.0
        error = float(np.linalg.norm((ours - theirs).ravel())) / size
        worst[self.name] = max(worst[self.name], error)
        assert error <= tolerance


@pytest.fixture(scope="module")
def golden(request):
    """The file named like the test module."""
    return Golden(Path(request.fspath).stem.removeprefix("test_golden_"))


def pytest_terminal_summary(terminalreporter):
    if worst:
        terminalreporter.section(f"golden files in {FOLDER.name}: worst relative error")
        for name, error in sorted(worst.items()):
            terminalreporter.write_line(f"{name:<16} {error:.1e}")
