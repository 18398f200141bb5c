"""Tasks on several threads: order, errors, context, forks, and results that repeat."""

import os
import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from meganet import Chain, ConvolutionLayer, DenseLayer, Objective, Tikhonov, _threads
from meganet.backend import get_backend, use_backend
from meganet.linop import Identity


def test_results_come_in_order_from_several_threads():
    barrier = threading.Barrier(2, timeout=10)

    def task(number):
        # the first two tasks can only end if they run side by side
        if number < 2:
            barrier.wait()
        return number, _threads.thread_count()

    with threadpool_limits(2):
        assert _threads.thread_count() == 2
        results = _threads.run([lambda k=k: task(k) for k in range(7)])
        assert _threads.thread_count() == 2
    assert results == [(k, 1) for k in range(7)]


def test_one_thread_runs_all_itself():
    with threadpool_limits(1):
        names = _threads.run([lambda: threading.current_thread().name] * 3)
    assert set(names) == {threading.current_thread().name}
    assert _threads.run([]) == []


def test_callers_from_several_threads_leave_blas_as_it_was():
    with threadpool_limits(2):
        counts = []

        def call():
            for _ in range(20):
                _threads.run([lambda: 1] * 3)
                counts.append(_threads.thread_count())

        callers = [threading.Thread(target=call) for _ in range(3)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        assert set(counts) == {2} and _threads.thread_count() == 2


def test_an_error_is_raised_after_all_tasks_have_ended():
    done = []

    def task(number):
        if number == 1:
            raise KeyError("wrong")
        done.append(number)

    with threadpool_limits(2):
        with pytest.raises(KeyError, match="wrong"):
            _threads.run([lambda k=k: task(k) for k in range(5)])
        assert sorted(done) == [0, 2, 3, 4]
        assert _threads.run([lambda: 1, lambda: 2]) == [1, 2]


def test_tasks_see_the_context_of_the_caller():
    barrier = threading.Barrier(2, timeout=10)

    def task():
        barrier.wait()
        return get_backend().name, np.geterr()["over"]

    with threadpool_limits(2), use_backend("numpy"), np.errstate(over="ignore"):
        assert _threads.run([task, task]) == [("numpy", "ignore")] * 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_makes_its_own_threads():
    with threadpool_limits(2):
        _threads.run([lambda: 1, lambda: 2])
        child = os.fork()
        if child == 0:
            os._exit(0 if _threads.run([lambda: 3, lambda: 4]) == [3, 4] else 1)
        assert os.waitpid(child, 0)[1] == 0


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
