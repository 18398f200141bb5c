"""The command: what it prints, and its exit status."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_datasets import idx

from meganet import cli
from meganet.datasets import CATALOGUE
from meganet.experiments import PRESETS, Setup, Study
from meganet.experiments.report.figures import landscapes
from meganet.objective.landscape import landscape

FAST = [
    "--quiet",
    *(f"--set={setting}" for setting in ("coarse_examples=96", "fine_examples=64", "validation_examples=50")),
    "--set=coarse_epochs=1",
    "--set=fine_epochs=1",
]


@pytest.fixture
def mnist(tmp_path):
    """A folder with few, random images in MNIST's files."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "mnist"
    folder.mkdir()
    for name in ("train", "t10k"):
        (folder / f"{name}-images-idx3-ubyte").write_bytes(idx(rng.integers(0, 256, (220, 28, 28))))
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(idx(np.arange(220) % 10))
    return folder


def reproduce(mnist, out, *more):
    return cli.main(["reproduce", "4.1", "--preset", "thesis", "--data", str(mnist), "--out", str(out), *FAST, *more])


@pytest.mark.parametrize("table", ["4.1", "4.2"])
def test_reproduce(table, mnist, tmp_path, capsys):
    arguments = ["reproduce", table, "--set", "dataset=mnist", "--trials", "2", "--data", str(mnist), *FAST]
    assert cli.main([*arguments, "--out", str(tmp_path / "out")]) == 0
    text = capsys.readouterr().out
    assert f"Table {table}: net {'B' if table == '4.2' else 'A'}, 2 trials, numpy\n" in text
    # lines are broken where the screen ends
    assert f"Table {table} (own sizes): accuracy in percent, mean ± standard deviation of 2 trials" in " ".join(
        text.split()
    )
    assert "s/epoch" in text and str(tmp_path / "out") in text
    for name in ("report.md", "report.html", *(f"tables/table-{table}.{kind}" for kind in ("md", "csv", "json"))):
        assert (tmp_path / "out" / name).stat().st_size > 0


def test_a_table_names_the_command_that_makes_it(mnist, tmp_path, capsys):
    given = ["--trials", "1", "--seed", "3", "--set", "W_smoothing=2.5"]
    assert reproduce(mnist, tmp_path / "out", *given) == 0
    command = json.loads((tmp_path / "out" / "tables" / "table-4.1.json").read_text())["command"]
    assert command.startswith("meganet reproduce 4.1 --preset thesis --trials 1 --seed 3 --set ")
    capsys.readouterr()
    again = [*shlex.split(command)[1:], "--quiet", "--data", str(mnist), "--out", str(tmp_path / "out")]
    assert cli.main(again) == 0 and "trial 1/1" not in capsys.readouterr().out
    assert Setup.of(**PRESETS["small"], network="B", seed=7).nearest_preset() == ("small", {})


def test_the_default_folder_names_the_run(mnist, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert (
        cli.main(
            ["reproduce", "4.1", "--preset", "thesis", "--trials", "1", "--seed", "5", "--data", str(mnist), *FAST]
        )
        == 0
    )
    (made,) = (tmp_path / "meganet-results").iterdir()
    assert made.name.startswith("thesis-seed-5-coarse_examples=96-") and (made / "report.md").exists()


def test_progress_off_a_terminal_is_a_line_for_each_run(mnist, tmp_path, capsys):
    arguments = [a for a in FAST if a != "--quiet"]
    full = [
        "reproduce",
        "4.1",
        "--preset=thesis",
        "--trials=1",
        "--data",
        str(mnist),
        "--out",
        str(tmp_path / "o"),
        *arguments,
    ]
    assert cli.main(full) == 0
    captured = capsys.readouterr()
    # not on a terminal: no bar, but a line for each run that ends
    lines = [line for line in captured.out.splitlines() if line.startswith("trial 1/1 ")]
    ending = r"; \d\d:\d\d elapsed, \d\d:\d\d remaining"
    assert len(lines) == 4 and all(re.search(ending + "$", line) for line in lines)
    assert re.search(r"\nAbout \d+ (s|min) for 4 runs on \d+ threads? \(measured on a few steps\)\n", captured.out)
    assert lines[-1].endswith(" 00:00 remaining") and captured.err == "" and "\r" not in captured.out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--trials", "0"], "error: --trials: expected an integer of at least 1, got 0"),
        (["--backend", "torch"], "error: --backend: expected one of 'cupy', 'numpy', got 'torch'"),
        (
            ["--out", "/dev/null/x"],
            "error: --out: expected a folder that can be written, got '/dev/null/x/net-A' (Not a directory)",
        ),
        (["--data", "/nowhere"], "error: --data: expected an existing folder, got '/nowhere'"),
        (["--set", "momentum"], "--set: expected NAME=VALUE, got 'momentum'"),
        (["--set", "pace=1"], "error: --set: expected one of"),
        (
            ["--set", "network=B"],
            "--set: expected a setting that the command leaves open, network is A, got 'network=B'",
        ),
        (["--set", "dataset=digits"], "error: --data: expected no folder, since the embedded digits are used"),
        (
            ["--set", "coarse_examples=100000"],
            "fine_examples + validation_examples: expected at most the 220 of MNIST, got 100114",
        ),
        (["--seed", "-3"], "error: --seed: expected an integer of at least 0, got -3"),
    ],
)
def test_bad_input_is_one_line_and_status_2(more, message, mnist, tmp_path, capsys):
    assert reproduce(mnist, tmp_path / "out", *more) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("meganet: error: ") and message in captured.err
    assert captured.err.count("\n") == 1 and captured.out == ""


def test_truncated_data_and_a_folder_of_other_settings(mnist, tmp_path, capsys):
    assert reproduce(mnist, tmp_path / "out", "--trials", "1") == 0
    assert reproduce(mnist, tmp_path / "out", "--trials", "1", "--seed", "1") == 2
    assert "with seed = 0 (now 1)" in capsys.readouterr().err
    path = mnist / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1])
    assert reproduce(mnist, tmp_path / "out", "--trials", "1") == 2
    assert "(truncated file)" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["reproduce", "4.1"], ["experiment", "interpolation"]])
def test_more_settings_than_a_folder_can_be_called_by(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main([*words, *(20 * ["--set", "interpolation=linear"])]) == 2
    expected = "expected a folder, as there are too many settings to call one by them, got none"
    assert capsys.readouterr() == ("", f"meganet: error: --out: {expected}\n")
    assert not [*tmp_path.iterdir()]


def test_a_damaged_state_is_one_line_and_status_2(mnist, tmp_path, capsys):
    assert reproduce(mnist, tmp_path / "out", "--trials", "1") == 0
    (tmp_path / "out" / "net-A" / "trial-000" / "new.npz").write_bytes(b"damaged")
    capsys.readouterr()
    assert reproduce(mnist, tmp_path / "out", "--trials", "1") == 2
    assert capsys.readouterr().err.startswith("meganet: error: --out: expected states that can be read")


def test_a_closed_pipe_is_no_error():
    command = f"{sys.executable} -m meganet --help | head -1; {sys.executable} -m meganet info | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120)
    assert done.stderr == "" and len(done.stdout.splitlines()) == 2


def shell(redirections):
    command = f'exec "{sys.executable}" -m meganet info {redirections}'
    return subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_error(closed):
    done = shell(closed)
    assert (done.returncode, done.stderr) == (0, "") and bool(done.stdout) == (" >&-" not in f" {closed}")


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="Linux has a device that is always full")
def test_lines_that_cannot_be_written_are_one_error():
    done = shell("> /dev/full")
    expected = "standard output: expected a file that can be written, got one that cannot (No space left on device)"
    assert (done.returncode, done.stderr) == (2, f"meganet: error: {expected}\n")


def test_a_bug_shows_its_traceback(mnist, tmp_path, monkeypatch):
    def broken(*arguments, **options):
        raise ValueError("a bug")

    monkeypatch.setattr(Study, "run", broken)
    with pytest.raises(ValueError, match="a bug"):
        reproduce(mnist, tmp_path / "out", "--trials", "1")


def test_an_interrupt_says_how_to_continue(mnist, tmp_path, monkeypatch, capsys):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(Study, "run", interrupted)
    assert reproduce(mnist, tmp_path / "out", "--trials", "1") == 130
    assert "the same command continues" in capsys.readouterr().err


def test_a_figure_of_stored_runs(mnist, tmp_path, capsys):
    assert reproduce(mnist, tmp_path / "out", "--trials", "1") == 0
    arguments = ["figure", "4.2", "--results", str(tmp_path / "out"), "--data", str(mnist)]
    assert cli.main([*arguments, "--save", str(tmp_path / "a.png")]) == 0
    assert "mean difference between neighbours" in capsys.readouterr().out
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    for more, message in (
        (["--trial", "0"], "--trial: expected an integer of at least 1, got 0"),
        (["--trial", "9"], "--results: expected a folder with the run coarse of trial 9, net A"),
        (["--save", str(tmp_path / "a.pdf")], "--save: expected a PNG file, *.png, got"),
        (["--save", str(tmp_path / "no" / "a.png")], "--save: expected a file in an existing folder"),
        (
            ["--results", str(tmp_path)],
            f"--results: expected a folder with runs of net A, got {str(tmp_path)!r} (no runs)",
        ),
    ):
        assert cli.main([*arguments, *more]) == 2
        assert message in capsys.readouterr().err
    assert cli.main(["figure", "2.1", *arguments[2:]]) == 2
    assert "--results: expected a folder with runs of net B" in capsys.readouterr().err


def test_a_report_of_stored_runs(mnist, tmp_path, capsys, monkeypatch):
    assert reproduce(mnist, tmp_path / "out", "--trials", "1") == 0
    (tmp_path / "out" / "report.html").unlink()
    monkeypatch.setattr(landscapes, "landscape", lambda *given: landscape(*given, points=3, examples=4))
    arguments = ["report", "--results", str(tmp_path / "out"), "--data", str(mnist)]
    monkeypatch.setattr(sys, "argv", ["meganet", *arguments])
    capsys.readouterr()
    assert cli.main(arguments) == 0
    out = capsys.readouterr().out
    assert "Figure 4.3" in out and "trial 1" not in out and out.endswith("report.html\n")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Figure 4.3" in page and "meganet report<" in page and str(mnist) not in page
    for state in (tmp_path / "out").rglob("new.npz"):
        state.unlink()
    assert cli.main(arguments) == 2
    assert "--results: expected results that belong together, got " in capsys.readouterr().err
    for trial in (tmp_path / "out").rglob("trial-*"):
        shutil.rmtree(trial)
    assert cli.main(arguments) == 2
    assert "--results: expected a folder with a complete trial of a table" in capsys.readouterr().err


def test_an_experiment(mnist, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["experiment", "interpolation", "--preset", "thesis", "--trials", "1", "--data", str(mnist), *FAST]
    monkeypatch.setattr(sys, "argv", ["meganet", *arguments])
    assert cli.main(arguments) == 0
    text = capsys.readouterr().out
    assert "Which P?" in text and "difference" in text
    (made,) = (tmp_path / "meganet-results" / "experiments").iterdir()
    assert made.name.startswith("thesis-seed-0-coarse_examples=96")
    page = (made / "interpolation.md").read_text()
    assert "meganet experiment interpolation" in page and str(mnist) not in page
    assert (made / "interpolation.csv").read_text().count("\n") == 5
    arguments[1] = "fine-examples"
    assert cli.main([*arguments, "--out", str(tmp_path / "other")]) == 2
    assert "examples: expected at most the 220 of MNIST, got 1146 in 1000" in capsys.readouterr().err
    assert cli.main([*arguments, "--set", "network=B"]) == 2
    assert "--set: expected a setting that the command leaves open" in capsys.readouterr().err


def test_info(capsys):
    assert cli.main(["info"]) == 0
    text = capsys.readouterr().out
    for word in (
        r"meganet 0\.",
        r"numpy +2\.",
        "Backends:",
        "numpy +usable",
        "active +numpy",
        "CPU +[0-9]+ cores",
        "Data:",
        "mnist .* not here",
    ):
        assert re.search(word, text)


def test_data_list(mnist, capsys):
    assert cli.main(["data", "list"]) == 0
    text = capsys.readouterr().out
    assert [line.split()[0] for line in text.splitlines() if line[:1].isalpha() and "'" not in line] == [
        "name",
        *CATALOGUE,
    ]
    assert all(len(line) <= 80 for line in text.splitlines()) and "meganet data" in text
    assert cli.main(["data", "list", "mnist", "peaks", "--data", str(mnist)]) == 0
    text = capsys.readouterr().out
    # the files of this test have the names of those that were published, not their content
    assert "but other files" in " ".join(text.split()) and "built in" in text and "cifar" not in text


def test_data_fetch(mnist, capsys):
    assert cli.main(["data", "fetch", "--data", str(mnist)]) == 0
    assert f"MNIST: {mnist}" in capsys.readouterr().out
    assert cli.main(["data", "fetch", "circle", "digits"]) == 0
    assert "Circle: built in" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        cli.main(["data", "fetch", "minst"])
    assert "did you mean 'mnist'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    "line",
    [
        "fetch --data FOLDER mnist circle",
        "--data FOLDER fetch mnist circle",
        "fetch mnist --data FOLDER circle",
        "fetch mnist --data=FOLDER -- circle",
    ],
)
def test_names_stand_on_both_sides_of_options(mnist, capsys, line):
    assert cli.main(["data", *line.replace("FOLDER", str(mnist)).split()]) == 0
    assert capsys.readouterr().out == f"MNIST: {mnist}, but other files of these names\nCircle: built in\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("data fetch mnist --data", "--data: expected one argument"),
        ("data fetch mnist circle --data", "--data: expected one argument"),
        ("data fetch --data . mnist cirle", "got 'cirle'; did you mean 'circle'?"),
        ("data --data .", "the following arguments are required: action"),
    ],
)
def test_options_without_a_value_and_names_behind_them(capsys, line, message):
    with pytest.raises(SystemExit, match="2"):
        cli.main(line.split())
    assert message in capsys.readouterr().err


def test_data_verify(mnist, capsys):
    assert cli.main(["data", "verify", "digits"]) == 0
    assert "ok" in capsys.readouterr().out
    assert cli.main(["data", "verify", "mnist", "digits", "--data", str(mnist)]) == 2
    shown = capsys.readouterr()
    assert shown.out.count("damaged") == 4 and "--data: expected files as they were published, got 4" in shown.err
    assert cli.main(["data", "verify"]) == 2
    shown = capsys.readouterr()
    assert shown.out.count("missing") == 4 and "meganet data fetch" in shown.err and "\n" not in shown.err.strip()


def test_usage_errors_are_status_2(capsys):
    for arguments in (["--"], ["reproduce", "9.9"], ["reproduce", "4.1", "--preset", "huge"], ["data"]):
        with pytest.raises(SystemExit) as exit_:
            cli.main(arguments)
        assert exit_.value.code == 2
        text = capsys.readouterr().err
        assert text.startswith("meganet: error: ") and text.count("\n") == 1


def test_module_and_version():
    for arguments in (["--version"], ["--help"], ["reproduce", "--help"]):
        done = subprocess.run([sys.executable, "-m", "meganet", *arguments], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and "meganet" in done.stdout and not done.stderr
