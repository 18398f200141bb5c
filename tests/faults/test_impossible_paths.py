"""Paths that no file and no folder can have are one line, wherever a path is given."""

import numpy as np
import pytest

from meganet import cli
from meganet.datasets import load_cdr, load_cifar10, load_mnist, load_stl10
from meganet.datasets.idx import read_idx
from meganet.experiments.runs.folder import read_setup
from meganet.ground.validate import InputError
from meganet.interop import load_mat, save_mat
from meganet.layers import DenseLayer

WEIGHTS = DenseLayer((1, 4, 4), 3).parameters
READERS = {
    "mnist": load_mnist,
    "cifar10": load_cifar10,
    "stl10": load_stl10,
    "cdr": load_cdr,
    "idx": lambda path: read_idx(path, 3),
    "load_mat": lambda path: load_mat(path, {"W": WEIGHTS}),
    "save_mat": lambda path: save_mat(path, {"W": (WEIGHTS, np.zeros(WEIGHTS.size))}),
    "setup": read_setup,
}
PATHS = ["n" * 300, "n/" * 3000, "null\0", "loop/x", "file/x", "~nosuchuser/x"]


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").write_text("mine")


@pytest.mark.parametrize("path", PATHS, ids=lambda path: repr(path[:14]))
@pytest.mark.parametrize("name", READERS)
def test_functions(name, path):
    with pytest.raises(InputError) as caught:
        READERS[name](path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", [path for path in PATHS if "\0" not in path], ids=lambda path: repr(path[:14]))
@pytest.mark.parametrize(("command", "status"), [("info", 0), ("data list", 0), ("data verify", 2), ("data fetch", 2)])
def test_a_folder_that_the_environment_names(monkeypatch, capsys, command, status, path):
    monkeypatch.setenv("MEGANET_DATA", path)
    assert cli.main(command.split()) == status
    said = capsys.readouterr()
    lines = [line for line in (said.out + said.err).splitlines() if "MEGANET_DATA: expected " in line]
    assert len(lines) == 1 and said.err.count("\n") == (status == 2)
