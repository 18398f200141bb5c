"""Tasks on several threads: order, errors, context, forks, and results that repeat."""

import os
import signal
import sys
import threading
import time

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from meganet import Chain, ConvolutionLayer, DenseLayer, Objective, Tikhonov
from meganet.backend import get_backend, threads, use_backend
from meganet.linop import Identity


def test_results_come_in_order_from_several_threads():
    barrier = threading.Barrier(2, timeout=10)

    def task(number):
        # the first two tasks can only end if they run side by side
        if number < 2:
            barrier.wait()
        return number, threads.thread_count()

    with threadpool_limits(2):
        assert threads.thread_count() == 2
        results = threads.run([lambda k=k: task(k) for k in range(7)])
        assert threads.thread_count() == 2
    assert results == [(k, 1) for k in range(7)]


def test_one_thread_runs_all_itself():
    with threadpool_limits(1):
        names = threads.run([lambda: threading.current_thread().name] * 3)
    assert set(names) == {threading.current_thread().name}
    assert threads.run([]) == []


def test_callers_from_several_threads_leave_blas_as_it_was():
    with threadpool_limits(2):
        counts = []

        def call():
            for _ in range(20):
                threads.run([lambda: 1] * 3)
                counts.append(threads.thread_count())

        callers = [threading.Thread(target=call) for _ in range(3)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        assert set(counts) == {2} and threads.thread_count() == 2


def test_an_error_is_raised_after_all_tasks_have_ended():
    done = []

    def task(number):
        if number == 1:
            raise KeyError("wrong")
        done.append(number)

    with threadpool_limits(2):
        with pytest.raises(KeyError, match="wrong"):
            threads.run([lambda k=k: task(k) for k in range(5)])
        assert sorted(done) == [0, 2, 3, 4]
        assert threads.run([lambda: 1, lambda: 2]) == [1, 2]


def test_tasks_see_the_context_of_the_caller():
    barrier = threading.Barrier(2, timeout=10)

    def task():
        barrier.wait()
        return get_backend().name, np.geterr()["over"]

    with threadpool_limits(2), use_backend("numpy"), np.errstate(over="ignore"):
        assert threads.run([task, task]) == [("numpy", "ignore")] * 2


def blas_threads():
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def until(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def elsewhere(function):
    """Return what a function does on another thread."""
    results = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()
    thread.join()
    return results[0]


@pytest.mark.parametrize("from_main", [True, False])
def test_blas_keeps_to_one_thread_in_tasks_whichever_thread_set_its_limit_before(from_main):
    call = (lambda run: run()) if from_main else elsewhere
    with threadpool_limits(2):
        assert call(lambda: threads.run([blas_threads] * 3)) == [{1}] * 3
        assert blas_threads() == {2}
        # a call that began earlier, on another thread, may end earlier: the last one gives BLAS its threads back
        barrier = threading.Barrier(2, timeout=10)
        first, second = [], []

        def early():
            threads.run([barrier.wait, int])
            first.append(blas_threads())

        def late():
            threads.run([barrier.wait, lambda: until(lambda: first)])
            second.append(blas_threads())

        callers = [threading.Thread(target=task) for task in (early, late)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        assert (first, second) == ([{1}], [{2}])
    assert len(blas_threads()) == 1


def test_a_limit_that_somebody_sets_meanwhile_stays():
    with threadpool_limits(2):
        threads.run([lambda: [threads._limit(library, 3) for library in threads._libraries()], int])
        assert blas_threads() == {3}


def test_the_same_helpers_work_for_every_call():
    def names():
        return sorted(t.ident for t in threading.enumerate() if t.name == "meganet")

    with threadpool_limits(3):
        threads.run([int] * 3)
        until(lambda: len(names()) >= 3)
        before = names()
        for error in (SystemExit, KeyboardInterrupt, GeneratorExit, MemoryError):

            def task(error=error):
                raise error

            with pytest.raises(error):
                threads.run([task] * 3)
        assert threads.run([lambda: 1] * 3) == [1] * 3
        assert names() == before


@pytest.mark.parametrize("possible", [0, 1])
def test_fewer_helpers_do_the_work_where_the_system_gives_no_more_threads(monkeypatch, possible):
    start, made = threads._Helper.start, []

    def limited(self):
        if len(made) == possible:
            raise RuntimeError("can't start new thread")
        made.append(self)
        start(self)

    monkeypatch.setattr(threads, "_crew", threads._Crew())
    monkeypatch.setattr(threads._Helper, "start", limited)
    with threadpool_limits(3):
        for _ in range(3):
            assert threads.run([lambda k=k: k for k in range(5)]) == list(range(5))
        assert blas_threads() == {3}
    assert threads._crew.members == 1


def test_a_call_inside_a_task_runs_where_it_is():
    def task():
        name = threading.current_thread().ident
        return set(threads.run([lambda: threading.current_thread().ident] * 3)) == {name}

    with threadpool_limits(2):
        assert threads.run([task, task]) == [True, True]


forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
ignore = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def status_of(child):
    """Return the exit status of a child process; one that hangs is killed."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "hangs"


def works_alone():
    """Return 0 where tasks run, on as many threads as outside of any call."""
    fine = threads.run([lambda: 3, lambda: 4]) == [3, 4] and threads.thread_count() == 2 and blas_threads() == {2}
    return 0 if fine else 1


@forks
@ignore
def test_a_forked_process_makes_its_own_threads():
    with threadpool_limits(2):
        threads.run([lambda: 1, lambda: 2])
        child = os.fork()
        if child == 0:
            os._exit(works_alone())
        assert status_of(child) == 0


@forks
@ignore
def test_a_process_forked_while_another_thread_is_in_a_task_has_all_threads():
    with threadpool_limits(2):
        begun, end = threading.Event(), threading.Event()
        trainer = threading.Thread(target=threads.run, args=([begun.set, lambda: end.wait(30)],))
        trainer.start()
        begun.wait(30)
        child = os.fork()
        if child == 0:
            os._exit(works_alone())
        status = status_of(child)
        end.set()
        trainer.join()
        assert status == 0 and blas_threads() == {2}


@forks
@ignore
@pytest.mark.parametrize("moment", ["hold", "restore"])
def test_a_process_forked_while_another_thread_changes_the_limit_of_blas_has_all_threads(monkeypatch, moment):
    with threadpool_limits(2):
        begun, end, limit = threading.Event(), threading.Event(), threads._limit

        def slowly(library, count):
            if count == {"hold": 1, "restore": 2}[moment]:
                begun.set()
                end.wait(30)
            limit(library, count)

        monkeypatch.setattr(threads, "_limit", slowly)
        trainer = threading.Thread(target=threads.run, args=([int, int],))
        trainer.start()
        begun.wait(30)
        monkeypatch.undo()
        # what has begun is ended first
        threading.Timer(0.1, end.set).start()
        child = os.fork()
        if child == 0:
            os._exit(works_alone())
        status = status_of(child)
        trainer.join()
        assert status == 0 and blas_threads() == {2}


@forks
@ignore
@pytest.mark.parametrize(
    ("ending", "expected"),
    [
        (lambda: os._exit(works_alone()), 0),
        (lambda: None, 0),
        (lambda: sys.exit(7), 7),
        (lambda: 1 / 0, 1),
    ],
)
def test_a_process_forked_in_a_task_ends_with_it(ending, expected, capfd):
    children = []

    def task():
        child = os.fork()
        if child == 0:
            ending()
        children.append(child)
        return 5

    with threadpool_limits(2):
        assert threads.run([task, task, int]) == [5, 5, 0]
        assert [status_of(child) for child in children] == [expected, expected]
        assert works_alone() == 0


@forks
@ignore
def test_a_process_forked_by_the_handler_of_a_signal_ends_the_call_that_waits():
    parent, go, children = os.getpid(), [], []

    def task():
        os.kill(parent, signal.SIGUSR1) if not go else None
        until(lambda: go)
        return os.getpid()

    def handler(*_):
        if not go:
            children.append(os.fork())
            go.append(True)

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        with threadpool_limits(2):
            results = threads.run([task, task])
            if os.getpid() != parent:
                os._exit(works_alone() if results == [os.getpid()] * 2 else 2)
        assert results == [parent] * 2
        assert status_of(children[0]) == 0
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_an_interrupt_is_raised_when_the_tasks_at_work_have_ended_and_no_other_begins():
    state = {"begun": 0, "ended": 0}
    lock = threading.Lock()

    def task():
        with lock:
            state["begun"] += 1
            last = state["begun"] == 2
        if last:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        time.sleep(0.05)
        with lock:
            state["ended"] += 1

    with threadpool_limits(2):
        with pytest.raises(KeyboardInterrupt):
            threads.run([task] * 100)
        # signals reach the main thread when it next holds the interpreter, here while the first tasks are at work
        assert state["begun"] == state["ended"] < 100
        assert works_alone() == 0


def training(examples):
    rng = np.random.default_rng(3)
    network = Chain([ConvolutionLayer((1, 12, 9), 8, bias=True), ConvolutionLayer((8, 12, 9), 9, activation="tanh")])
    classifier = DenseLayer(network.range_shape, 4)
    images = rng.standard_normal((examples, 1, 12, 9)).astype("float32")
    penalty = Tikhonov(Identity(network.parameters.size), 0.1)
    fun = Objective(network, classifier, images, rng.integers(0, 4, examples), theta_regularizer=penalty)
    return fun, (0.3 * rng.standard_normal(fun.parameters.size)).astype("float32")


def test_the_number_of_threads_changes_results_by_round_off_and_the_same_number_not_at_all():
    fun, x = training(40)
    indices = np.arange(39)[::-1][:33]
    results = {}
    for count in (1, 2, 3, 7, 2, 3):
        with threadpool_limits(count):
            got = [*fun(x, indices), *(np.float64(value) for value in fun.evaluate(x, 4))]
        for now, before in zip(got, results.setdefault(count, got), strict=True):
            np.testing.assert_array_equal(now, before)
    for got in results.values():
        for one, other in zip(got, results[1], strict=True):
            scale = np.abs(other).max()
            np.testing.assert_allclose(one, other, rtol=0, atol=100 * np.finfo("float32").eps * scale)


def test_a_batch_smaller_than_the_threads():
    fun, x = training(2)
    with threadpool_limits(4):
        value, gradient = fun(x, np.array([1]))
    with threadpool_limits(1):
        alone = fun(x, np.array([1]))
    np.testing.assert_array_equal(value, alone[0])
    np.testing.assert_array_equal(gradient, alone[1])
