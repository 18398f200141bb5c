"""A setup and data so small that a whole experiment takes a second."""

from pathlib import Path

import numpy as np

from meganet.backend import get_backend
from meganet.datasets import ImageSet
from meganet.experiments import Setup, Study, tables_of
from meganet.experiments.runs.jobs import Job, carry_out
from meganet.workers import Workers

TINY = Setup.of(
    coarse_examples=24,
    fine_examples=16,
    validation_examples=10,
    coarse_epochs=2,
    fine_epochs=2,
    classifier_epochs=2,
    newton_products=3,
    trials=2,
    batch_size=8,
)


def quadrants(count=60, size=12, channels=1, height=None):
    """Images whose class is the bright quadrant; of one row, or any other height that is not the width, the half."""
    height = size if height is None else height
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, count)
    images = rng.integers(0, 60, (count, channels, height, size))
    rows, half = max(height // 2, 1), size // 2
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(int(label), 2)
        row %= height // rows
        image[:, rows * row : rows * (row + 1), half * column : half * (column + 1)] += 150
    return ImageSet("quadrants", images.astype(np.uint8), labels, "drawn")


def stages_of(names):
    """Return the stages of the tables of some protocols."""
    return [stage for name in names for table in tables_of(name) for stage in table.stages()]


def study_of(path, setup=TINY, data=None, names=("4.1",), stages=None):
    """Return a study of one case, whose folder is `path`: the stages of some protocols, or those that are given."""
    plan = setup, stages_of(names) if stages is None else stages
    return Study(Path(path).parent, {Path(path).name: plan}, get_backend(), quadrants() if data is None else data)


def execute(
    path,
    setup=TINY,
    data=None,
    names=("4.1",),
    *,
    stages=None,
    workers=None,
    progress=False,
    log=lambda line: None,
    together=None,
):
    """Run what is missing of such a study and return its case; with `together` all trials at once, or one by one."""
    workers = Workers() if workers is None else workers
    with study_of(path, setup, data, names, stages) as study:
        (case,) = study.cases.values()
        if together is None:
            study.run(workers, progress=progress, log=log)
        else:
            carry_out([[Job(case, together)]], workers, progress=progress, log=log)
    return case


def results(folder):
    """Return the bytes of every file that must be the same in two runs."""
    files = (p for p in sorted(folder.rglob("*")) if p.is_file() and p.name not in ("timings.csv", ".lock"))
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}
