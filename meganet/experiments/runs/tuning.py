"""The choice of settings before a comparison: candidates, each tried in one run of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from meganet.experiments.runs.arms import Arm, Arms


def tuned(
    arms: Arms, candidates: Mapping[str, Sequence[Arm]], **how: Any
) -> tuple[dict[str, int], list[dict[str, Any]]]:
    """Return of each name the number of the candidate of best accuracy in one tuning run, and a row on every candidate.

    Parameters
    ----------
    arms : Arms
        Made with ``tuning=True``.
    candidates : mapping
        As many for each name, so that all are tuned alike. One that diverges is not chosen, unless all do.
    **how
        For `Arms.run`.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import meganet as mn
    >>> from meganet.experiments import Setup
    >>> from meganet.experiments.runs.arms import Arm, Arms, Sizes
    >>> from meganet.experiments.runs.tuning import tuned
    >>> from meganet.multilevel import in_space, nested
    >>> folder, digits = Path(tempfile.mkdtemp()), mn.datasets.load_digits()
    >>> hierarchy = in_space(mn.ConvolutionLayer((1, 28, 28), 2), classes=10, grids=(14, 28))
    >>> arms = Arms(folder, digits, Sizes(256, 128), Setup(), mn.get_backend("numpy"), tuning=True)
    >>> schedules = [nested(hierarchy, learning_rate=rate) for rate in (1e-9, 0.01, 1e30)]
    >>> numbers, rows = tuned(arms, {"nested": [Arm("nested", hierarchy, schedule) for schedule in schedules]})
    >>> numbers, [row["candidate"] for row in rows]
    ({'nested': 1}, [1, 2, 3])
    """
    every = [(name, number, arm) for name, of_name in candidates.items() for number, arm in enumerate(of_name)]
    found = arms.run([arm for _, _, arm in every], 1, **how)
    best: dict[str, tuple[float, int]] = {}
    rows = []
    for (name, number, arm), (outcome,) in zip(every, found, strict=True):
        value = outcome.accuracy if np.isfinite(outcome.accuracy) else -1.0
        rows.append({"arm": name, "candidate": number + 1, "schedule": str(arm.schedule), "accuracy": outcome.accuracy})
        if name not in best or value > best[name][0]:
            best[name] = value, number
    return {name: number for name, (_, number) in best.items()}, rows
