"""Trials in other processes, on this machine and on a cluster, one of whose workers dies."""

import dataclasses
import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest
from threadpoolctl import threadpool_limits
from tiny import TINY, execute, quadrants, results, study_of

from meganet.experiments import Workers
from meganet.ground.files import TEMPORARY
from meganet.ground.validate import InputError
from meganet.store.folder import trial_lock

SETUP = TINY.changed(trials=4, coarse_epochs=30)


@pytest.fixture(scope="module")
def data():
    return quadrants()


def lines_of(path, data, workers, progress=False):
    lines = []
    execute(path, SETUP, data, workers=workers, progress=progress, log=lines.append)
    return lines


def numbers(folder):
    """Return everything but the settings, which say how many threads the first process had."""
    return {name: content for name, content in results(folder).items() if name != "settings.json"}


@pytest.fixture(scope="module")
def alone(tmp_path_factory, data):
    """The results of one thread for each trial."""
    path = tmp_path_factory.mktemp("alone")
    with threadpool_limits(1):
        lines_of(path, data, Workers())
    return numbers(path)


def test_processes_make_the_same_files(tmp_path, data, alone, capfd):
    workers = Workers(2)
    lines = lines_of(tmp_path, data, dataclasses.replace(workers), progress=True)
    several = "s" if workers.threads > 1 else ""
    assert f" for 16 runs, 2 trials at a time on {workers.threads} thread{several} each" in lines.pop(0)
    assert sorted(line.split(":")[0] for line in lines)[:2] == ["trial 1/4 coarse", "trial 1/4 multigrid"]
    assert len(lines) == 16 and capfd.readouterr().err == "" and all(" elapsed, " in line for line in lines)
    if workers.threads == 1:
        assert numbers(tmp_path) == alone


def start(*command):
    return subprocess.Popen([sys.executable, "-m", *command], stderr=subprocess.PIPE, text=True)


@contextmanager
def cluster(workers, folder, threads=1):
    """A Dask scheduler and some workers on this machine: its address and their processes."""
    pytest.importorskip("distributed", reason="needs the extra cluster")
    scheduler = start("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
    processes = [scheduler]
    try:
        address = next(line.split()[-1] for line in scheduler.stderr if "Scheduler at" in line)
        options = ["--nthreads", str(threads), "--no-dashboard", "--no-nanny", "--local-directory", str(folder)]
        processes += [start("distributed.cli.dask_worker", address, *options) for _ in range(workers)]
        yield address, processes[1:]
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def test_a_single_worker_does_the_work(tmp_path):
    with cluster(1, tmp_path) as (address, (worker,)):
        assert list(Workers(cluster=address).map(abs, [-1, 2])) == [1, 2]
        assert set(Workers(cluster=address).map(eval, ["__import__('os').getpid()"] * 2)) == {worker.pid}


def test_a_worker_of_several_threads_keeps_to_the_limit(tmp_path):
    """Two items at a time in one process: the one that ends first leaves the other its number of threads."""
    code = "[__import__('time').sleep({}), __import__('meganet.backend.threads').backend.threads.thread_count()][1]"
    with cluster(1, tmp_path, threads=2) as (address, _):
        assert list(Workers(cluster=address).map(eval, [code.format(0.2), code.format(1.0)])) == [1, 1]


def test_a_trial_has_one_writer(tmp_path, data, capfd):
    """A worker that outlived its command still holds its trial: the same command waits for it."""
    with study_of(tmp_path, SETUP, data):
        pass
    thread = threading.Thread(target=lines_of, args=(tmp_path, data, Workers()))
    half = tmp_path / "trial-001" / f".new.npz.0123{TEMPORARY}"
    with trial_lock(tmp_path, 1):
        half.write_bytes(b"")
        thread.start()
        said, deadline = "", time.monotonic() + 60
        while "waiting" not in said and time.monotonic() < deadline:
            time.sleep(0.05)
            said += capfd.readouterr().err
        assert thread.is_alive() and not list(tmp_path.glob("trial-001/*.npz"))
    thread.join(60)
    assert not thread.is_alive() and len(list(tmp_path.glob("trial-*/*.npz"))) == 16
    assert not half.exists() and not list(tmp_path.rglob(".holder"))
    said += capfd.readouterr().err
    assert said.startswith(f"meganet: waiting for process {os.getpid()} on ") and str(tmp_path / "trial-001") in said
    assert said.count("\n") == 1


def test_a_cluster_that_loses_a_worker_makes_the_same_files(tmp_path, data, alone):
    with cluster(2, tmp_path) as (address, processes):
        failures = []

        def work():
            try:
                lines_of(tmp_path / "out", data, Workers(cluster=address))
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        deadline = time.monotonic() + 90
        while not list((tmp_path / "out").glob("trial-00?/coarse.csv")) and time.monotonic() < deadline:
            time.sleep(0.005)
        processes[0].kill()
        thread.join(120)
        assert not thread.is_alive() and not failures
    assert numbers(tmp_path / "out") == alone


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"jobs": 0}, "jobs: expected an integer of at least 1, got 0"),
        ({"jobs": 2, "cluster": "ray"}, "jobs: expected no number beside a cluster"),
        ({"jobs": 10**6}, "jobs: expected at most 1000 processes, got 1000000"),
        (
            {"cluster": "tcp://"},
            "cluster: expected an address tcp://host:port of a Dask scheduler, or 'ray', got 'tcp://'",
        ),
        ({"cluster": "here"}, "cluster: expected an address tcp://host:port of a Dask scheduler, or 'ray', got 'here'"),
    ],
)
def test_errors(options, message):
    with pytest.raises(InputError, match=message):
        Workers(**options)


def test_a_cluster_that_is_not_there(tmp_path, data):
    pytest.importorskip("distributed", reason="needs the extra cluster")
    with pytest.raises(InputError, match="cluster: expected the address of a running scheduler"):
        lines_of(tmp_path, data, Workers(cluster="tcp://127.0.0.1:9"))
