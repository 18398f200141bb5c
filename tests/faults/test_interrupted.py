"""Training that is interrupted or forked at any moment leaves threads, results and helpers as they were."""

import gc
import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
from test_threads import blas_threads, forks, ignore, status_of, training
from threadpoolctl import threadpool_limits

from meganet.backend import threads
from meganet.optim import Control, lbfgs, sgd


class Alarm(Exception):
    """What a handler of one's own raises."""


def alarm(*_):
    raise Alarm


@pytest.fixture
def two_threads():
    with threadpool_limits(2):
        yield


def interrupted(job, delay):
    """Do a job again and again until what a signal's handler raises after some seconds comes out, and return that."""
    end = time.monotonic() + 30
    try:
        signal.setitimer(signal.ITIMER_REAL, delay)
        while time.monotonic() < end:
            job()
    except BaseException as error:
        return type(error)
    pytest.fail("the interrupt was lost")


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers on this system")
@pytest.mark.parametrize(
    ("handler", "expected"), [(signal.default_int_handler, KeyboardInterrupt), (alarm, Alarm)], ids=["interrupt", "own"]
)
def test_interrupts_at_random_moments(two_threads, trials, rng, handler, expected):
    fun, x = training(40)
    jobs = {
        "gradient": lambda: fun(x)[1],
        "evaluate": lambda: np.array(fun.evaluate(x, 4)),
        "tasks": lambda: np.array(threads.run([lambda k=k: k for k in range(20)])),
        "hessian": lambda: fun.hessian(x) @ x,
        "sgd": lambda: sgd(fun, x, 40, epochs=2, learning_rate=0.1, batch_size=16).x,
        "lbfgs": lambda: lbfgs(fun, x, control=Control(max_iterations=2)).x,
    }
    results, seconds = {}, {}
    for name, job in jobs.items():
        results[name] = job()
        clock = time.perf_counter()
        job()
        seconds[name] = time.perf_counter() - clock
    alive = threading.active_count()
    # Python swallows what is raised in a callback of the garbage collector, and Hypothesis has one
    callbacks, gc.callbacks[:] = gc.callbacks[:], []
    before = signal.signal(signal.SIGALRM, handler)
    try:
        for trial in range(trials(120)):
            name = list(jobs)[trial % len(jobs)]
            assert interrupted(jobs[name], 1e-6 + rng.uniform(0, seconds[name])) is expected
            assert blas_threads() == {2} and threads.thread_count() == 2
            np.testing.assert_array_equal(jobs[name](), results[name])
            assert threading.active_count() == alive
    finally:
        signal.signal(signal.SIGALRM, before)
        gc.callbacks[:] = callbacks


@forks
@ignore
def test_forks_while_other_threads_train(two_threads, trials, rng):
    fun, x = training(40)
    gradient, stop, wrong = fun(x)[1], threading.Event(), []

    def train():
        while not stop.is_set():
            if not np.array_equal(fun(x)[1], gradient):
                wrong.append(True)

    trainers = [threading.Thread(target=train) for _ in range(2)]
    for trainer in trainers:
        trainer.start()
    try:
        for _ in range(trials(40)):
            time.sleep(rng.uniform(0, 0.005))
            child = os.fork()
            if child == 0:
                same = np.array_equal(fun(x)[1], gradient)
                os._exit(0 if same and blas_threads() == {2} and threads.thread_count() == 2 else 1)
            assert status_of(child) == 0
    finally:
        stop.set()
        for trainer in trainers:
            trainer.join()
    assert not wrong and blas_threads() == {2}


def gradient_bytes():
    """Return a gradient's bits and how many threads there were for it."""
    fun, x = training(40)
    return fun(x)[1].tobytes(), blas_threads(), threads.thread_count()


@forks
@ignore
def test_a_pool_of_forked_processes_while_another_thread_trains(two_threads, trials):
    fun, x = training(40)
    expected, stop = gradient_bytes(), threading.Event()

    def train():
        while not stop.is_set():
            fun(x)

    trainer = threading.Thread(target=train)
    trainer.start()
    try:
        for _ in range(trials(3)):
            with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
                results = [pool.submit(gradient_bytes) for _ in range(4)]
                assert [result.result(timeout=60) for result in results] == [expected] * 4
    finally:
        stop.set()
        trainer.join()
