"""Whether loops compute: who decides, on which threads and processes, where it is seen, and why not."""

import argparse
import os
import subprocess
import sys
import threading
import types
from importlib.util import find_spec

import numpy as np
import pytest

from meganet.backend import get_backend, loops
from meganet.cli import info, main
from meganet.cli.commands import execute
from meganet.ground.validate import InputError, UserError
from meganet.store.settings import environment
from meganet.workers import Workers

needs_numba = pytest.mark.skipif(find_spec("numba") is None, reason="needs numba")


@pytest.fixture(autouse=True)
def no_choice(monkeypatch):
    """Nobody has decided."""
    monkeypatch.delenv(loops.ENVIRONMENT_VARIABLE, raising=False)


@pytest.fixture
def without_numba(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    loops.problem.cache_clear()
    yield
    loops.problem.cache_clear()


@needs_numba
def test_loops_are_used_unless_somebody_decides_otherwise(monkeypatch):
    assert loops.in_use() and loops.description().startswith("numba ")
    monkeypatch.setenv(loops.ENVIRONMENT_VARIABLE, "numpy")
    assert not loops.in_use() and loops.description() == "numpy"
    with loops.use_loops(True):
        assert loops.in_use()
        with loops.use_loops(False):
            assert not loops.in_use()
        assert loops.in_use()
    monkeypatch.setenv(loops.ENVIRONMENT_VARIABLE, "numba")
    assert loops.in_use()
    monkeypatch.setenv(loops.ENVIRONMENT_VARIABLE, "")
    assert loops.in_use()


@needs_numba
@pytest.mark.parametrize("wanted", [True, False])
def test_all_threads_that_work_for_a_block_do_as_it_says(monkeypatch, wanted):
    monkeypatch.setenv(loops.ENVIRONMENT_VARIABLE, "numpy" if wanted else "numba")
    with loops.use_loops(wanted), loops.quietly():
        found = get_backend("numpy").run([lambda: (loops.in_use(), loops.is_quiet())] * 8)
    assert found == [(wanted, True)] * 8


def described(number):
    return loops.description()


def test_processes_inherit_the_variable(monkeypatch):
    monkeypatch.setenv(loops.ENVIRONMENT_VARIABLE, "numpy")
    assert list(Workers(2).map(described, [1, 2])) == ["numpy"] * 2


def test_wrong_choices(monkeypatch):
    with pytest.raises(InputError, match="^wanted: expected True or False, got 'numpy'$"), loops.use_loops("numpy"):
        pass
    monkeypatch.setenv(loops.ENVIRONMENT_VARIABLE, "nunba")
    with pytest.raises(UserError, match="^MEGANET_LOOPS: expected one of 'numba', 'numpy', got 'nunba'"):
        loops.in_use()


def test_without_numba_expressions_are_used(monkeypatch, without_numba):
    reason = "numba is not installed; pip install 'meganet[fast]'"
    assert loops.problem() == reason and not loops.in_use() and loops.description() == "numpy"
    assert info._loops() == f"numpy; {reason}"
    message = f"expected compiled loops that can be used here, got .*: {reason}".replace("[", r"\[")
    with pytest.raises(InputError, match=f"^wanted: {message}$"), loops.use_loops(True):
        pass
    monkeypatch.setenv(loops.ENVIRONMENT_VARIABLE, "numba")
    with pytest.raises(UserError, match=f"^MEGANET_LOOPS: {message}$"):
        loops.in_use()


SCRIPT = """
import meganet as mn, numpy as np
from meganet.backend import loops
print(loops.problem())
layer = mn.ConvolutionLayer((1, 8, 8), 4)
print(layer(np.ones(36), np.ones((5, 1, 8, 8))).shape, loops.in_use())
"""
NUMBAS = {
    "numba is installed but cannot be used (Numba needs NumPy 2.5 or less. Got NumPy 2.9.)": (
        "raise ImportError('Numba needs NumPy 2.5 or less. Got NumPy 2.9.\\nSorry.')"
    ),
    "numba is installed but cannot be used (no room for machine code)": "raise OSError('no room for machine code')",
    "numba 0.61 or newer is needed, 0.60.2 is installed": (
        "import types\n__version__, version_info = '0.60.2', types.SimpleNamespace(short=(0, 60))"
    ),
    "numba is installed but cannot be used (module 'numba' has no attribute 'version_info')": "",
    "numba is installed but cannot be used (no compiler)": "import sys\nsys.exit('no compiler')",
}


def words(script, **variables):
    given = {name: value for name, value in os.environ.items() if not name.startswith(("MEGANET_", "NUMBA_"))}
    done = subprocess.run(
        [sys.executable, "-c", script], env=given | variables, capture_output=True, text=True, timeout=100
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize("reason", NUMBAS)
def test_a_numba_that_cannot_be_used_is_a_reason_and_no_error(tmp_path, reason):
    (tmp_path / "numba").mkdir()
    (tmp_path / "numba/__init__.py").write_text(NUMBAS[reason])
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    assert words(SCRIPT, PYTHONPATH=path) == [reason, "(5, 4, 8, 8) False"]


@pytest.fixture
def asked_again():
    loops.problem.cache_clear()
    yield
    loops.problem.cache_clear()


def test_what_somebody_puts_in_the_place_of_numba_is_a_reason_and_no_error(monkeypatch, asked_again):
    monkeypatch.setitem(sys.modules, "numba", types.ModuleType("numba"))
    assert loops.problem() == "numba is installed but cannot be used (module 'numba' has no attribute 'version_info')"


@needs_numba
def test_numba_is_imported_where_the_system_gives_no_more_threads(monkeypatch, asked_again):
    def start(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    assert loops.problem() is None


@needs_numba
def test_a_numba_that_is_told_not_to_compile():
    found = words(SCRIPT, PYTHONPATH=os.pathsep.join(filter(None, sys.path)), NUMBA_DISABLE_JIT="1")
    assert found == ["numba is told by NUMBA_DISABLE_JIT to compile nothing", "(5, 4, 8, 8) False"]


def test_info_says_what_computes(monkeypatch, capsys):
    monkeypatch.setenv(loops.ENVIRONMENT_VARIABLE, "numpy")
    assert main(["info"]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("  loops "))
    assert row.split(maxsplit=1)[1].startswith("numpy; ")
    monkeypatch.setenv(loops.ENVIRONMENT_VARIABLE, "wrong")
    assert info._loops().startswith("none; MEGANET_LOOPS: expected one of")
    if find_spec("numba") is not None:
        monkeypatch.setenv(loops.ENVIRONMENT_VARIABLE, "numba")
        assert info._loops() == loops.description()


def test_a_results_folder_records_what_computed():
    for wanted in {False, loops.problem() is None}:
        with loops.use_loops(wanted):
            assert environment("numpy")["loops"] == loops.description()
    assert "loops" not in environment("cupy"), "where they have no part in the results"


def test_a_command_refuses_a_wrong_choice_before_it_makes_anything(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv(loops.ENVIRONMENT_VARIABLE, "fast")
    out = tmp_path / "out"
    assert main(["reproduce", "4.1", "--out", str(out), "--quiet"]) == 2
    assert "meganet: error: MEGANET_LOOPS: expected one of 'numba', 'numpy', got 'fast'\n" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("quiet", [True, False])
def test_a_quiet_command_says_nothing_of_compiling(monkeypatch, quiet):
    monkeypatch.delenv(loops.QUIET)
    found = []
    execute(lambda given: lambda: found.append(loops.is_quiet()), argparse.Namespace(quiet=quiet))
    assert found == [quiet] and not loops.is_quiet()


@needs_numba
def test_a_time_in_which_a_loop_is_compiled_or_loaded_is_seen():
    from meganet.backend.loops.compiler import loop

    first, before = loop(lambda x: x[0]), loops.forms()
    assert first(np.ones(3)) == 1 and loops.forms() == before + 1
    assert first(np.ones(5)) == 1 and loops.forms() == before + 1
