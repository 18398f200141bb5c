"""What loops are compiled to is kept for the next process, told once, and found only if it is what it should be."""

import hashlib
import os
import pickle
import re
import shutil
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from tqdm import tqdm

import meganet
from meganet.backend import loops

numba = pytest.importorskip("numba", reason="needs numba")
from meganet.backend.loops import cache, compiler  # noqa: E402

LINE = "meganet: compiling its loops for this processor, once; it takes up to half a minute\n"
SCRIPT = """
import sys
import numpy as np
from meganet.backend.loops import total
x = np.arange(10.0)
print(total.total(x), sum(total.total.stats.cache_hits.values()))
"""
SOURCES = {
    "factor.py": "from meganet.backend.loops.compiler import part\n@part\ndef factor():\n    return 1.0\n",
    "total.py": """
from meganet.backend.loops.compiler import loop
from meganet.backend.loops.factor import factor
@loop
def total(x):
    result = 0.0
    for value in x:
        result += factor() * value
    return result
""",
}
"""Of a loop, and of a function in another file that it calls."""


def total(x):
    result = 0.0
    for value in x:
        result += value
    return result


def times(factor):
    """Return a loop that is made by a function."""

    def scaled(x):
        return factor * x[0]

    return compiler.loop(scaled)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where loops are kept in a test that begins as a program does, and says what it has to say."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    monkeypatch.delenv(loops.QUIET, raising=False)
    monkeypatch.setattr(cache, "_said", set())
    return tmp_path / f"meganet-loops-{cache.version()}"


def outcome(x=None):
    """Return what a loop of a new process would give, and whether it was found."""
    fresh = compiler.loop(total)
    return fresh(np.arange(10.0) if x is None else x), bool(fresh.stats.cache_hits)


def test_the_second_process_finds_what_the_first_one_compiled(folder, capsys):
    assert outcome() == (45, False) and outcome() == (45, True)
    assert outcome(np.arange(10, dtype=np.float32)) == (45, False)
    assert len(list(folder.iterdir())) == 2
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", LINE), "once for both forms"
    if os.name == "posix":
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_loops_that_one_function_makes_are_told_apart(folder):
    for _ in range(2):
        assert [times(factor)(np.ones(1)) for factor in (2.0, 3.0)] == [2, 3]
    assert len(list(folder.iterdir())) == 2


def test_other_settings_of_numba_are_other_machine_code(folder, monkeypatch):
    outcome()
    monkeypatch.setattr(numba.config, "LOOP_VECTORIZE", 0)
    assert outcome() == (45, False)


def test_numba_keeps_other_functions_where_it_did(folder):
    mine = numba.njit(cache=True)(total)
    assert type(mine._cache).__module__ == "numba.core.caching" and not folder.exists()


def process(package, words, **environment):
    """Return what a Python program with a package, run without any settings, writes to its two streams."""
    given = {"PATH": os.environ["PATH"], "PYTHONPATH": str(package), **environment}
    command = [sys.executable, *words]
    done = subprocess.run(command, env=given, cwd=package, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.split(), done.stderr


@pytest.fixture
def package(tmp_path):
    """A copy of the package with a loop more."""
    place = tmp_path / "package"
    shutil.copytree(Path(meganet.__file__).parent, place / "meganet", ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in SOURCES.items():
        (place / "meganet/backend/loops" / name).write_text(text)
    return place


def test_a_change_in_any_file_of_loops_is_seen(tmp_path, package):
    home, script = str(tmp_path / "home"), ["-W", "error", "-c", SCRIPT]
    for hits, line in (("0", LINE), ("1", "")):
        assert process(package, script, XDG_CACHE_HOME=home, HOME=home) == (["45.0", hits], line)
    factor = package / "meganet/backend/loops/factor.py"
    factor.write_text(factor.read_text().replace("1.0", "2.0"))
    assert process(package, script, XDG_CACHE_HOME=home, HOME=home) == (["90.0", "0"], LINE)
    if sys.platform == "linux":
        folders = list(Path(home, "meganet").iterdir())
        assert len(folders) == 2 and all(re.fullmatch("loops-[0-9a-f]{16}", path.name) for path in folders)


@pytest.mark.parametrize("variables", [{"XDG_CACHE_HOME": "/dev/null"}, {"HOME": "/dev/null"}])
@pytest.mark.skipif(sys.platform != "linux", reason="the user's cache is elsewhere")
def test_without_a_place_every_process_compiles(package, variables):
    found, said = process(package, ["-W", "error", "-c", SCRIPT], **variables)
    assert found == ["45.0", "0"]
    assert re.fullmatch(
        r"meganet: compiling its loops, .* in every process, as they cannot be kept \('/dev/null\S*: .*\)\n",
        said,
    )


class Trap:
    """Whoever unpickles it writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


DAMAGE = {
    "empty": lambda content, trap: b"",
    "cut in the digest": lambda content, trap: content[:7],
    "cut": lambda content, trap: content[:-100],
    "one bit": lambda content, trap: content[:-9] + bytes([content[-9] ^ 1]) + content[-8:],
    "random": lambda content, trap: np.random.default_rng(0).bytes(len(content)),
    "a pickle": lambda content, trap: pickle.dumps(trap),
    "a pickle behind the digest of what was there": lambda content, trap: content[: cache.SEAL] + pickle.dumps(trap),
    "a pickle behind its own digest": lambda content, trap: (
        hashlib.sha256(pickle.dumps(trap)).digest() + pickle.dumps(trap)
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_damaged_is_compiled_again(folder, damage, tmp_path):
    outcome()
    (path,) = folder.iterdir()
    content = path.read_bytes()
    trap = tmp_path / "written"
    path.write_bytes(DAMAGE[damage](content, Trap(trap)))
    assert outcome() == (45, False) and outcome() == (45, True)
    assert not trap.exists()


def test_files_that_were_exchanged_are_not_taken_for_each_other(folder):
    numbers = np.arange(10.0), np.arange(10, dtype=np.float32)
    for x in numbers:
        outcome(x)
    one, other = folder.iterdir()
    contents = one.read_bytes(), other.read_bytes()
    other.write_bytes(contents[0])
    one.write_bytes(contents[1])
    assert [outcome(x) for x in numbers] == [(45, False)] * 2


def test_a_folder_in_the_place_of_a_file(folder, capsys):
    outcome()
    (path,) = folder.iterdir()
    path.unlink()
    path.mkdir()
    assert outcome() == (45, False)
    assert re.search(
        r"\nmeganet: what was compiled cannot be kept \(.*\): every process compiles for itself\n$",
        capsys.readouterr().err,
    )


@pytest.mark.skipif(os.name != "posix", reason="folders have no owners")
def test_a_folder_that_others_write_into_is_not_used(folder, capsys):
    outcome()
    capsys.readouterr()
    cache._said.clear()
    os.chmod(folder, 0o770)
    before = [(path, path.stat().st_mtime_ns) for path in folder.iterdir()]
    assert outcome() == (45, False)
    assert f"as they cannot be kept (into '{folder}' others may write)\n" in capsys.readouterr().err
    assert before == [(path, path.stat().st_mtime_ns) for path in folder.iterdir()]

    moved = folder.with_name("elsewhere")
    os.chmod(folder, 0o700)
    folder.rename(moved)
    folder.symlink_to(moved)
    assert outcome() == (45, False), "a link leads anywhere"


def test_a_line_beside_a_bar(folder, capsys):
    with tqdm(total=3) as bar:
        bar.update()
        outcome()
    assert f"\n{LINE}" in capsys.readouterr().err.replace("\r", "\n")


def test_no_line_where_none_is_wanted(folder, capsys, monkeypatch):
    with loops.quietly():
        outcome()
    monkeypatch.setenv(loops.QUIET, "1")
    outcome(np.arange(10, dtype=np.float32))
    monkeypatch.setattr(sys, "stderr", None)
    monkeypatch.delenv(loops.QUIET)
    outcome(np.arange(10, dtype=np.int64))
    assert capsys.readouterr().err == ""


def test_threads_that_want_the_same_loop_compile_it_once(folder):
    fresh, start, found = compiler.loop(total), threading.Barrier(4), []

    def work():
        start.wait()
        found.append(fresh(np.arange(10.0)))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [45] * 4
    assert len(fresh.signatures) == len(list(folder.iterdir())) == 1


WORKERS = """
import sys
import numpy as np
from meganet.backend.loops import total
from meganet.workers import Workers

def work(number):
    return total.total(np.arange(10.0))

if __name__ == "__main__":
    print(*Workers(2).map(work, range(4)))
    print(sum(total.total.stats.cache_hits.values()), total.total(np.arange(10.0)))
    print(sum(total.total.stats.cache_hits.values()))
"""


def test_workers_keep_what_they_compile_and_do_not_talk(tmp_path, package):
    (tmp_path / "work.py").write_text(WORKERS)
    found, said = process(package, [tmp_path / "work.py"], XDG_CACHE_HOME=str(tmp_path), HOME=str(tmp_path))
    assert (found, said) == (["45.0"] * 4 + ["0", "45.0", "1"], "")


FORK = """
import os, threading, time
import numpy as np
from meganet.backend.loops.compiler import loop
from meganet.backend.loops.total import total

x = np.arange(10.0)
def slow(x):
    return np.sort(x).sum() + np.linalg.norm(x) + np.std(x)
total(x)
thread = threading.Thread(target=lambda: loop(slow)(x))
thread.start()
for pause in (0.0, 0.05, 0.1, 0.2):
    time.sleep(pause)
    child = os.fork()
    if not child:
        os._exit(total(x) != 45 or total(x.astype(np.float32)) != 45)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
thread.join()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_while_a_thread_compiles(tmp_path, package):
    found, said = process(package, ["-c", FORK], XDG_CACHE_HOME=str(tmp_path), **{loops.QUIET: "1"})
    assert found == ["0"] * 4, said


INTERRUPT = """
import signal, sys
import numpy as np
from meganet.backend import loops

def interrupt(number, frame):
    raise KeyboardInterrupt

def work():
    assert loops.problem() is None
    from meganet.backend.loops.total import total
    return total(np.arange(10.0))

signal.signal(signal.SIGALRM, interrupt)
signal.setitimer(signal.ITIMER_REAL, float(sys.argv[1]))
try:
    work()
except KeyboardInterrupt:
    pass
signal.setitimer(signal.ITIMER_REAL, 0)
print(work())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="has no timer that interrupts")
@pytest.mark.parametrize("seconds", [0.05, 0.3, 0.6])
def test_after_an_interrupt_while_numba_is_imported_or_compiles_loops_work(tmp_path, package, seconds):
    words = ["-c", INTERRUPT, str(seconds)]
    found, said = process(package, words, XDG_CACHE_HOME=str(tmp_path), **{loops.QUIET: "1"})
    assert found == ["45.0"], said
