"""A data set is one file: dropped into the package, it is listed, fetched, verified, loaded and trained on by name."""

import os
import shutil
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from test_docs import ROOT, blocks

import meganet
from meganet.datasets import CATALOGUE, Collection, Published, load, sets
from meganet.datasets.catalogue import image_sets
from meganet.ground.validate import InputError

FILE = next(block for block in blocks((ROOT / "docs" / "extend.md").read_text()) if "TITLES = " in block)
"""The file that the documentation shows."""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def address(tmp_path):
    """A mirror of the files that the documentation describes."""
    folder = tmp_path / "served"
    folder.mkdir()
    for name, count in (("train.bin", 12), ("test.bin", 4)):
        (folder / name).write_bytes(b"".join(bytes([k % 4]) + bytes(3 * 8 * 8) for k in range(count)))
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_one_file_is_all_that_a_colour_set_takes(tmp_path, address):
    pytest.importorskip("pooch", reason="needs the extra data")
    package = tmp_path / "site" / "meganet"
    shutil.copytree(Path(meganet.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "datasets" / "sets" / "tiny.py").write_text(FILE.replace("https://example.org/tiny/", address))
    cache = tmp_path / "cache"
    given = {"PYTHONPATH": str(package.parent), "XDG_CACHE_HOME": str(cache), "NO_PROXY": "*", "COLUMNS": "120"}

    def run(*words, status=0):
        done = subprocess.run(
            [sys.executable, *words], env=os.environ | given, cwd=tmp_path, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == status and "Traceback" not in done.stderr, done.stderr
        return done.stdout + done.stderr

    command = partial(run, "-m", "meganet")
    assert "16 coloured tiles of 8x8 pixels" in command("data", "--help")
    assert " ".join(command("data", "list").splitlines()[-3].split()) == "tiny 12 + 4 3x8x8 4 not here: 3 kB to fetch"
    assert "Tiny: " in command("data", "fetch", "tiny") and (cache / "meganet" / "tiny" / "test.bin").exists()
    assert command("data", "verify", "tiny").count("ok") == 2
    misspelt = command("reproduce", "4.1", "--set", "dataset=tinny", status=2)
    assert "--set dataset: expected one of " in misspelt and "did you mean 'tiny'?" in misspelt
    code = "from meganet.datasets import load; {0} = load('tiny'); print({0}.images.shape, {0}.labels.tolist())"
    assert run("-c", code.format("tiles")) == "(12, 3, 8, 8) [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3]\n"
    (cache / "meganet" / "tiny" / "train.bin").write_bytes(b"damaged")
    assert "1 damaged or missing of 2" in command("data", "verify", "tiny", status=2)
    run("-c", code.format("tiles"))
    assert command("data", "verify", "tiny").count("ok") == 2


@pytest.fixture
def dropped(tmp_path, monkeypatch):
    """Return a function that adds a file to the package of the data sets, as long as the test lasts."""
    folder = tmp_path / "sets"

    def drop(name, content):
        folder.mkdir()
        (folder / f"{name}.py").write_text(content)
        monkeypatch.setattr(sets, "__path__", [*sets.__path__, str(folder)])
        monkeypatch.setitem(sys.modules, f"{sets.__name__}.{name}", None)
        monkeypatch.delitem(sys.modules, f"{sets.__name__}.{name}")

    yield drop
    for path in folder.glob("*.py"):
        vars(sets).pop(path.stem, None)


def test_a_set_in_the_catalogue_is_one_of_the_choices(dropped):
    before = [*CATALOGUE]
    dropped("own_tiny", FILE)
    # sets in which no order is written are the last ones
    assert [*CATALOGUE] == [*before, "tiny"] and len(CATALOGUE) == len(before) + 1 and "tiny" in CATALOGUE
    assert image_sets()[-1] == "tiny" and "circle" not in image_sets()
    assert (CATALOGUE["tiny"].name, CATALOGUE["tiny"].title, CATALOGUE["tiny"].shape) == ("tiny", "Tiny", (3, 8, 8))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "own_wrong.py: expected SET, a DataSet of the name 'wrong', got None"),
        ("SET = 'wrong'\n", "own_wrong.py: expected SET, a DataSet of the name 'wrong', got 'wrong'"),
        ("from meganet.datasets.sets.mnist import SET\n", "SET, a DataSet of the name 'wrong', got Published"),
    ],
)
def test_a_file_without_the_set_that_it_registers(dropped, content, message):
    dropped("own_wrong", "TITLES = {'wrong': 'a set without a set'}\n" + content)
    with pytest.raises(InputError, match=message) as error:
        load("wrong")
    assert "\n" not in str(error.value)


def test_a_broken_file_shows_where(dropped):
    dropped("own_broken", "TITLES = {'broken': 'no Python'}\nSET = (\n")
    with pytest.raises(InputError, match=r"own_broken.py: expected a file of Python, got SyntaxError.*line 2"):
        load("mnist")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("minst",), "name: expected one of 'cifar-10', .*, got 'minst'; did you mean 'mnist'"),
        ((3,), "name: expected one of .*, got 3"),
        (("circle",), "name: expected a set of images, got 'circle', points that meganet.datasets.circle makes"),
        (
            ("swiss-roll",),
            "name: expected a set of images, got 'swiss-roll', points that meganet.datasets.swiss_roll makes",
        ),
        (("digits", "/nowhere"), "data: expected no folder, since the embedded digits are used, got '/nowhere'"),
        (("mnist", "/nowhere"), "data: expected an existing folder, got '/nowhere'"),
    ],
)
def test_what_load_refuses(arguments, message):
    with pytest.raises(InputError, match=f"^{message}"):
        load(*arguments)
    with pytest.raises(KeyError):
        CATALOGUE["minst"]


def test_digits_are_not_set_apart_for_testing():
    with pytest.raises(InputError, match="train: expected True, as no images of Embedded digits are set apart"):
        load("digits", train=False)


@pytest.mark.parametrize(
    ("shape", "labels", "message"),
    [
        ((2, 3, 8, 6), [0, 1], "expected 3x8x8 images, got 3x8x6"),
        ((2, 1, 8, 8), [0, 1], "expected 3x8x8 images, got 1x8x8"),
        ((2, 3, 8, 8), [0, 4], "expected labels 0 to 3, got 4"),
        ((2, 3, 8, 8), [0, -1], "labels: expected integers of at least 0"),
        ((2, 3, 8, 8), [0], "labels: expected one for each of 2 images"),
    ],
)
def test_what_a_reader_returns_is_checked(tmp_path, shape, labels, message):
    (tmp_path / "a.bin").write_bytes(b"content")
    data = Published(
        collection=Collection("own", "Own", {"a.bin": "md5:?"}, ()),
        size=7,
        examples=(2,),
        shape=(3, 8, 8),
        classes=4,
        reader=lambda files, train: (np.zeros(shape, np.uint8), np.array(labels)),
    )
    with pytest.raises(InputError, match=message):
        data.load(tmp_path)
