"""The lessons run, their exercises wait for an answer, take the right one and see a mistake."""

import runpy
from pathlib import Path

import pytest
from matplotlib import pyplot

from meganet.checks import try_exercise

DOCS = Path(__file__).parent.parent / "docs"
LESSONS = sorted((DOCS / "lessons").glob("*.py"))


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_runs_and_its_exercises_check_themselves(lesson, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    names = runpy.run_path(str(lesson))
    assert pyplot.get_fignums(), "a lesson has pictures"
    pyplot.close("all")
    told = capsys.readouterr().out
    answers = runpy.run_path(str(DOCS / "solutions" / lesson.name))
    own = {name for name, value in names.items() if getattr(value, "__module__", "") == "<run_path>"}
    exercises = [name.removeprefix("check_") for name in own if name.startswith("check_")]
    assert 2 <= len(exercises) <= 3
    for exercise in exercises:
        assert f"{exercise}: not started\n" in told
        assert not try_exercise(names[exercise], names[f"check_{exercise}"])
        assert try_exercise(answers[exercise], names[f"check_{exercise}"])
        assert not try_exercise(answers[f"{exercise}_mistake"], names[f"check_{exercise}"])
