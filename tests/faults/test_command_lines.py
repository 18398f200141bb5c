"""Random command lines: whatever is typed, one line says what is wrong with it, or the command begins."""

import random
import sys

import numpy as np
import pytest

from meganet import cli
from meganet.cli import fit, options
from meganet.cli.arguments import QUESTIONS
from meganet.datasets import ImageSet
from meganet.datasets.collection import Collection
from meganet.experiments import Study
from meganet.experiments.questions import mgopt
from meganet.experiments.report.figure import figures
from meganet.experiments.runs import study
from meganet.experiments.runs.arms import Arms
from meganet.experiments.setup.settings import FIELDS
from meganet.experiments.setup.tables import protocols
from meganet.ground.dropins import titles
from meganet.ground.validate import UserError, reject
from meganet.workers import clusters

WORDS = [
    *(
        "",
        " ",
        "0",
        "1",
        "2",
        "-1",
        "3.5",
        "1e400",
        "-inf",
        "nan",
        "1_0",
        "١٢",
        "0x10",
        "True",
        "None",
        "[]",
        "{}",
        "%s",
        "%",
    ),
    *("10" * 15, "9" * 400, "9" * 5000, "-" + "9" * 30, "1e-400", "1e30", "1e300", "-0.0", "+5", "١", "²", "½"),
    *(
        "x" * 300,
        "y" * 5000,
        "ä",
        "\udcff",
        "\x00",
        "a\x00b",
        "\n",
        "\t",
        "💥",
        "‮",
        "../../etc",
        "/",
        ".",
        "..",
        "~",
        "~x",
    ),
    *(
        "~nobody-of-this-name/x",
        "/dev/null",
        "/dev/null/x",
        "/proc/self/mem",
        "/nowhere/x",
        "x" * 300 + "/y",
        "a" * 5000,
    ),
    *(
        "=",
        "==",
        "x=",
        "=x",
        "-",
        "--",
        "---",
        "-x",
        "--x",
        "--set",
        "--trials=",
        "numpy",
        "cupy",
        "ray",
        "tcp:",
        "tcp://",
    ),
    *(
        "tcp://:1",
        "tcp://h:",
        "tcp://h:0",
        "tcp://h:99999",
        "tcp://[::",
        "tls://x:y",
        "http://h:1",
        "digits",
        "mnist",
        "A",
        "C",
        "7,14,28",
        "14,28,7",
        "-7,14",
        ",",
    ),
]
OPTIONS = ["--preset", "--trials", "--seed", "--set", "--out", "--backend", "--data", "--jobs", "--cluster", "--quiet"]
OPTIONS += ["--results", "--trial", "--save", "--help", "--version", "-h", "--nonsense"]
SETTINGS = [*FIELDS, "nonsense", ""]
COMMANDS = ["reproduce", "report", "figure", "experiment", "info", "data", "nonsense"]
EXPERIMENTS = [*titles(QUESTIONS)]
FIRST = [*protocols(), "all", "list", "fetch", "verify", *figures(), *EXPERIMENTS]


class Begun(UserError):
    """The command line was understood."""


RIGHT = {
    "--preset": ["small"],
    "--trials": ["1", "3", "10000"],
    "--seed": ["0", "7", "9" * 40],
    "--set": [
        "momentum=0.5",
        "W_std=1e30",
        "network=A",
        "coarse_epochs=1000000000",
        "coarse_examples=64",
        "dtype=float64",
        "grids=2,4,8",
        "grids=",
    ],
    "--out": ["here", "a/b", "ä", "\udcff"],
    "--backend": ["numpy"],
    "--jobs": ["1", "2", "1000"],
    "--quiet": [],
}
RIGHT_FIRST = {"reproduce": [*protocols(), "all"], "experiment": EXPERIMENTS}


def words(rng):
    """Return a random command line, often one that is right or nearly so."""
    usual = rng.random() < 0.5
    command = rng.choice([*RIGHT_FIRST] if usual else [*COMMANDS, *WORDS])
    yield command
    if usual or rng.random() < 0.9:
        yield rng.choice(RIGHT_FIRST[command] if usual else [*FIRST, *WORDS])
    for _ in range(rng.randrange(5)):
        option = rng.choice([*RIGHT] if usual else OPTIONS)
        value = rng.choice(WORDS)
        if usual and rng.random() < 0.9:
            value = rng.choice(RIGHT[option] or [""])
        elif option == "--set" and rng.random() < 0.9:
            value = f"{rng.choice(SETTINGS)}={value}"
        if rng.random() < 0.1 and not usual:
            yield value
        elif rng.random() < 0.2 and option != "--quiet":
            yield f"{option}={value}"
        else:
            yield option
            if option not in ("--quiet", "--help", "-h", "--version"):
                yield value


@pytest.fixture
def stopped(monkeypatch, tmp_path):
    """Commands end where the work would begin, and nothing is asked of the network."""

    def begin(*arguments, **more):
        reject("work", "none in this test", "some", Begun)

    monkeypatch.chdir(tmp_path)
    data = ImageSet("black", np.zeros((6000, 1, 8, 8), np.uint8), np.arange(6000) % 10, "drawn")
    usual = options.load_data

    def load(setup, folder, progress):
        return data if folder is None else usual(setup, folder, progress)

    monkeypatch.setattr(options, "load_data", load)
    monkeypatch.setattr(study, "load_data", load)
    monkeypatch.setattr(Collection, "fetch", begin)
    monkeypatch.setattr(clusters, "check_cluster", begin)
    # whatever a command runs, it opens a study for it
    monkeypatch.setattr(Study, "__enter__", begin)
    # or trains otherwise than by stages
    monkeypatch.setattr(Arms, "run", begin)
    monkeypatch.setattr(type(mgopt.QUESTIONS["mgopt"]), "ask", begin)
    monkeypatch.setattr(fit, "train", begin)


def test_random_command_lines(trials, stopped, capsys, tmp_path):
    rng = random.Random(7)
    begun = 0
    for number in range(trials(400)):
        line = list(words(rng))
        try:
            status = cli.main(line)
        except SystemExit as end:
            status = end.code
        except BaseException as error:
            pytest.fail(f"number {number}, {line}: {error!r}")
        said = capsys.readouterr()
        assert status in (0, 2), (line, status)
        if status:
            assert said.err.startswith("meganet: error: ") and "Traceback" not in said.err, (line, said.err)
            assert said.err.count("\n") == 1, (line, said.err)
        begun += "work: expected none in this test" in said.err
    assert begun > number / 40, "some of them are right"


def test_a_path_that_is_not_utf_8_is_printed(stopped, tmp_path, capsys):
    (tmp_path / "\udcff").mkdir()
    assert cli.main(["data", "list", "--data", str(tmp_path / "\udcff")]) in (0, 2)
    assert sys.stdout is not None and "Traceback" not in capsys.readouterr().err
