"""Mirrors that never end, serve something else or nothing: each is given up, and the error says why."""

import contextlib
import gzip
import hashlib
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from meganet.datasets import CIFAR10, MNIST, DataNotFoundError, load_mnist
from meganet.datasets.download import Patience
from meganet.datasets.sets import mnist
from meganet.ground.files import cache_folder

pytest.importorskip("pooch", reason="needs the extra data")
pytest.importorskip("requests")  # beforehand, since importing it takes longer than some waits below

# a transfer that is given up ends in its thread at some time; its socket may be collected before it is closed
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

CONTENT = bytes([0, 0, 8, 3]) + struct.pack(">3I", 4, 28, 28) + np.arange(3136, dtype=np.uint8).tobytes()
LABELS = bytes([0, 0, 8, 1]) + struct.pack(">I", 4) + bytes(4)
PAGE = b"\n<!DOCTYPE html><html><head><title>Log in</title></head></html>"


class Mirror(BaseHTTPRequestHandler):
    """Serves ``/<how>/<name>``."""

    def do_GET(self):
        _, how, name = self.path.split("/")
        packed = gzip.compress(CONTENT if "images" in name else LABELS)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            getattr(self, how)(packed)

    def log_message(self, *_):
        pass

    def answer(self, length, **headers):
        self.send_response(200)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def good(self, packed):
        self.answer(len(packed))
        self.wfile.write(packed)

    def login(self, _):
        self.send_response(302)
        self.send_header("Location", "/page/login")
        self.end_headers()

    def page(self, _):
        self.answer(len(PAGE), Content_Type="text/html")
        self.wfile.write(PAGE)

    def other(self, _):
        self.answer(5)
        self.wfile.write(b"other")

    def broken(self, packed):
        self.answer(len(packed) - 9)
        self.wfile.write(packed[:-9])

    def cut(self, packed):
        self.answer(len(packed))
        self.wfile.write(packed[:-9])

    def missing(self, _):
        self.send_error(404)

    def circle(self, _):
        self.send_response(302)
        self.send_header("Location", self.path)
        self.end_headers()

    def silent(self, _):
        self.drip(b"", every=0.05)

    def drip(self, data=b".", every=0.05):
        self.answer(10**6)
        self.go_on(data[:1], every)

    def head(self, _):
        self.go_on(b"H", 0.05)

    def slow(self, _):
        self.answer(None)
        self.go_on(bytes(2000), 0.05)

    def endless(self, _):
        self.answer(None)
        self.go_on(bytes(2**16), 0)

    def bomb(self, _):
        packed = gzip.compress(bytes(10**7))
        self.answer(len(packed), Content_Encoding="gzip")
        self.wfile.write(packed)

    def go_on(self, data, every):
        end = time.monotonic() + 60
        while not self.server.over.wait(every) and time.monotonic() < end:
            self.wfile.write(data)
            self.wfile.flush()


@pytest.fixture
def address():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    server.over = threading.Event()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.over.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def collection(address, tmp_path, monkeypatch):
    """MNIST, made small, from mirrors that are named."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "*")
    contents = {name: CONTENT if "images" in name else LABELS for name in MNIST.files}
    files = {name: "sha256:" + hashlib.sha256(content).hexdigest() for name, content in contents.items()}

    def at(*mirrors, **changes):
        addresses = tuple(f"{address}{mirror}/" for mirror in mirrors)
        found = replace(MNIST, files=files, mirrors=addresses, largest=10**5)
        found = replace(found, **changes)
        monkeypatch.setattr(mnist, "SET", replace(mnist.SET, collection=found))
        return found

    return at


BAD = {
    "login": "content with SHA-256 [0-9a-f]{64}, got an HTML page",
    "other": "content with SHA-256 [0-9a-f]{64}, got [0-9a-f]{64}",
    "broken": "expected a readable plain or gzip file, got EOFError",
    "cut": "ChunkedEncodingError|IncompleteRead|EOFError",
    "missing": "HTTPError: 404 Client Error: Not Found",
    "circle": "TooManyRedirects",
    "silent": r"expected at least [\d,]+ bytes in \d+ s, got 0 \(the transfer stalls\)",
    "drip": r"expected at least [\d,]+ bytes in \d+ s, got [\d,]+ \(the transfer stalls\)",
    "head": r"expected at least [\d,]+ bytes in \d+ s, got 0 \(the transfer stalls\)",
    "slow": "expected the file within 2 s, got",
    "endless": r"expected at most 100,000 bytes, got [\d,]+ so far",
    "bomb": r"expected at most 100,000 bytes|SHA-256",
}


@pytest.mark.parametrize("mirror", BAD)
def test_a_mirror_that_does_not_serve(collection, address, mirror):
    """It is named with what was wrong, and the next one is asked."""
    # those that answer get all the time that a loaded machine needs
    changes = {"patience": Patience(0.5, 1000, 10**6)} if mirror in ("silent", "drip", "head", "slow") else {}
    changes |= {"largest": 10**6} if mirror == "slow" else {}
    bad = collection(mirror, **changes)
    begin = time.monotonic()
    with pytest.raises(DataNotFoundError, match=BAD[mirror]) as error:
        bad.fetch(progress=False)
    assert time.monotonic() - begin < 30
    assert f"{address}{mirror}/: " in str(error.value) and "\n" not in str(error.value)
    folder = cache_folder() / "mnist"
    assert list(folder.iterdir()) == []
    for name in list(MNIST.files)[1:]:
        (folder / name).write_bytes(CONTENT if "images" in name else LABELS)
    collection(mirror, "good", **changes)
    assert len(load_mnist(progress=False)) == 4
    assert sorted(p.name for p in folder.iterdir()) == sorted(MNIST.files)


def test_every_mirror_is_named(collection):
    with pytest.raises(
        DataNotFoundError, match=r"/login/: InputError.*HTML page.*; .*/missing/: HTTPError: 404"
    ) as error:
        collection("login", "missing").fetch(progress=False)
    assert "put train-images-idx3-ubyte, " in str(error.value)


def test_nobody_listens(collection):
    with pytest.raises(DataNotFoundError, match="http://127.0.0.1:9/: ConnectionError: .*refused"):
        collection(mirrors=("http://127.0.0.1:9/",)).fetch(progress=False)


def test_a_damaged_file_of_the_cache_is_downloaded_again(collection):
    good = collection("good")
    good.fetch(progress=False)
    path = cache_folder() / "mnist" / "train-images-idx3-ubyte"
    untouched = {p: p.stat().st_mtime_ns for p in path.parent.iterdir() if p != path}
    for content in (b"", CONTENT[:-1], CONTENT[:99] + b"?" + CONTENT[100:]):
        path.write_bytes(content)
        assert len(load_mnist(progress=False)) == 4 and path.read_bytes() == CONTENT
    packed = path.with_name(path.name + ".gz")
    path.rename(packed)
    # compressed, but not the content
    assert good.fetch(progress=False)[path.name] == packed
    packed.write_bytes(gzip.compress(b"something"))
    assert good.fetch(progress=False)[path.name] == path and not packed.exists()
    assert untouched == {p: p.stat().st_mtime_ns for p in untouched}
    path.write_bytes(b"")
    with pytest.raises(DataNotFoundError, match=f"no download; .*\\({path}: damaged; .*404"):
        collection("missing").fetch(progress=False)
    path.write_bytes(CONTENT)
    assert len(load_mnist(progress=False)) == 4


def test_archives_as_they_are_served(collection, address):
    name = next(iter(CIFAR10.files))
    served = replace(CIFAR10, mirrors=(f"{address}page/",))
    with pytest.raises(DataNotFoundError, match="got an HTML page"):
        served.fetch(progress=False)
    right = replace(served, files={name: "md5:" + hashlib.md5(PAGE).hexdigest()})
    path = right.fetch(progress=False)[name]
    assert path.read_bytes() == PAGE
    assert [p.name for p in path.parent.iterdir()] == [name]


def test_a_killed_download_leaves_nothing_for_long(collection, address, tmp_path):
    """What it has left is deleted by the next one, which waits for nobody that is dead."""
    script = f"""
from dataclasses import replace
from meganet.datasets import MNIST
replace(MNIST, mirrors=("{address}drip/",)).fetch(progress=False)
"""
    process = subprocess.Popen([sys.executable, "-c", script], env={**os.environ, "NO_PROXY": "*"})
    folder, end = cache_folder() / "mnist", time.monotonic() + 60
    while not list(folder.glob(".download-*/*")) and time.monotonic() < end:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (folder / ".t10k.123.tmp").write_bytes(b"half")
    assert list(folder.glob(".download-*"))
    collection("good").fetch(progress=False)
    assert sorted(p.name for p in folder.iterdir()) == sorted(MNIST.files)


def test_a_cache_that_cannot_be_written(collection, tmp_path):
    cache_folder().parent.mkdir(parents=True, exist_ok=True)
    cache_folder().write_text("a file")
    with pytest.raises(DataNotFoundError, match="got no cache to download it to"):
        collection("good").fetch(progress=False)
