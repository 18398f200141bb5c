"""Evaluation of objectives: alone and several at once, in batches of any size."""

import numpy as np
import pytest
from cuda_emulation import COMPILER
from graph_emulation import USUAL, Device
from guard_array import GUARD
from registry import OBJECTIVES, coupled_network, small_objective

import meganet
from meganet import Chain, ConvolutionLayer, DenseLayer, Objective, Tikhonov, sgd
from meganet.backend.cuda import Kernels
from meganet.linop import Gradient
from meganet.losses import LeastSquares, LogisticLoss
from meganet.objective import Evaluation, StackedObjective, observer
from meganet.optim import Run, sgd_stacked


class Counting(DenseLayer):
    """A layer that notes the shapes of what it evaluates, and has memory for so many examples."""

    def __init__(self, *arguments, room=None, **keywords):
        super().__init__(*arguments, **keywords)
        self.shapes, self.room = [], room

    def evaluate_unchecked(self, theta, x):
        self.shapes.append(tuple(x.shape))
        if self.room is not None and x.shape[-2] > self.room:
            raise MemoryError(f"no room for {x.shape[-2]} examples")
        return super().evaluate_unchecked(theta, x)


def objectives(backend, network, count, n=300, **more):
    rng, home = np.random.default_rng(0), meganet.get_backend(backend)
    classifier = DenseLayer(network.range_shape, 3, backend=home)
    found = []
    for _ in range(count):
        images = home.asarray(rng.standard_normal((n, *network.domain_shape)))
        found.append(Objective(network, classifier, images, rng.integers(0, 3, n), **more))
    return found, [home.asarray(0.3 * rng.standard_normal(found[0].parameters.size)) for _ in range(count)]


@pytest.fixture
def guard():
    with meganet.use_backend(GUARD) as active:
        yield active


@pytest.mark.loops
@pytest.mark.parametrize("name", OBJECTIVES)
def test_together_is_what_each_is_alone(backend, name):
    first, x = OBJECTIVES[name](backend)
    parts = {what: getattr(first, what) for what in ("loss", "theta_regularizer", "W_regularizer")}
    other = Objective(first.network, first.classifier, first.images * 2, first.labels, **parts)
    group, points = [other, first, other], [x, 0.5 * x, -x]
    for got, one, point in zip(Objective.evaluate_stacked(group, points), group, points, strict=True):
        expected = one.evaluate(point)
        if backend.name == "numpy":
            np.testing.assert_equal(got, expected)
        np.testing.assert_allclose(got, expected, rtol=1e-12)


@pytest.mark.parametrize("loss", [LogisticLoss(), LeastSquares()])
def test_other_losses_together(backend, loss):
    rng, network = np.random.default_rng(0), DenseLayer((4,), 5, activation="tanh")
    classifier = DenseLayer((5,), 2)
    group = [
        Objective(network, classifier, backend.asarray(images), rng.integers(0, 2, (9, 2)), loss=loss)
        for images in rng.standard_normal((3, 9, 4))
    ]
    points = [backend.asarray(rng.standard_normal(group[0].parameters.size)) for _ in group]
    for got, one, point in zip(Objective.evaluate_stacked(group, points), group, points, strict=True):
        np.testing.assert_allclose(got, one.evaluate(point), rtol=1e-12)
        assert np.isnan(got.accuracy) == isinstance(loss, LeastSquares)


def test_on_the_cpu_nothing_has_changed():
    """Batches of 128 examples, network by network, summed in this order."""
    layer = Counting((4,), 5, activation="tanh", backend="numpy")
    group, points = objectives("numpy", layer, 2)
    alone = [one.evaluate(x) for one, x in zip(group, points, strict=True)]
    assert sorted(layer.shapes) == sorted([(128, 4), (128, 4), (44, 4)] * 2)
    for one, x, metrics in zip(group, points, alone, strict=True):
        losses = []
        for start in range(0, 300, 128):
            part = slice(start, min(start + 128, 300))
            logits = one.outputs(x, one.images[part])
            losses.append(float(one.loss.value_unchecked(logits, one.labels[part]) * (part.stop - part.start)))
        assert metrics.loss == np.sum(np.array(losses)) / 300
    assert Objective.evaluate_stacked(group, points) == alone


def test_a_device_takes_all_networks_and_as_many_examples_as_its_memory_allows(guard, monkeypatch):
    layer = Counting((4,), 5, activation="tanh", backend=GUARD)
    group, points = objectives(GUARD, layer, 6)
    expected = [one.evaluate(x, batch_size=7) for one, x in zip(group, points, strict=True)]
    layer.shapes.clear()
    np.testing.assert_allclose(Objective.evaluate_stacked(group, points), expected, rtol=1e-12)
    assert layer.shapes == [(6, 300, 4)]
    batches = []
    for free in (10**6, 10**5, 10**4, 1):
        monkeypatch.setattr(Device, "FREE", free)
        USUAL.free_all_blocks()
        layer.shapes.clear()
        np.testing.assert_allclose(Objective.evaluate_stacked(group, points), expected, rtol=1e-12)
        sizes = [shape[1] for shape in layer.shapes]
        assert sum(sizes) == 300 and max(sizes) * 6 * 5 * 8 <= max(free, 6 * 5 * 8)
        batches.append(len(sizes))
    assert batches == sorted(batches) and batches[0] < batches[-1] == 300


@pytest.mark.skipif(COMPILER is None, reason="needs a C++ compiler to run the kernels on the host")
def test_a_device_is_given_all_work_before_anything_is_fetched_however_many_networks(guard, monkeypatch):
    """Sixty networks take the kernels of one, in as many batches; only the results come back."""
    events, launch, to_host = [], Kernels.launch, GUARD.to_host

    def noting(kernels, name, *arguments, **keywords):
        events.append(name)
        launch(kernels, name, *arguments, **keywords)

    monkeypatch.setattr(Kernels, "launch", noting)
    monkeypatch.setattr(GUARD, "to_host", lambda x: [events.append("to host"), to_host(x)][1])
    network = Chain([ConvolutionLayer((1, 8, 8), 9), ConvolutionLayer((9, 8, 8), 8)])
    penalty = Tikhonov(Gradient((3, *network.range_shape), backend=GUARD), 0.1)
    seen = []
    for count in (1, 2, 5):
        group, points = objectives(GUARD, network, count, n=20, W_regularizer=penalty)
        events.clear()
        Objective.evaluate_stacked(group, points)
        seen.append(list(events))
    first = seen[0].index("to host")
    assert seen[0][first:] == ["to host"] * 3 and seen == [seen[0]] * 3
    assert {"direct_forward", "input_transform", "output_transform"} <= set(seen[0])


def test_an_evaluation_that_does_not_fit_takes_fewer_examples(guard):
    layer = Counting((4,), 5, backend=GUARD, room=40)
    group, points = objectives(GUARD, layer, 2)
    metrics = Objective.evaluate_stacked(group, points)
    assert max(shape[1] for shape in layer.shapes[-8:]) <= 40
    np.testing.assert_allclose(metrics[1], group[1].evaluate(points[1], batch_size=10), rtol=1e-12)
    with pytest.raises(MemoryError, match="no room for 50 examples"):
        group[0].evaluate(points[0], batch_size=50)
    nowhere, points = objectives(GUARD, Counting((4,), 5, backend=GUARD, room=0), 1)
    with pytest.raises(MemoryError, match="no room for 1 examples"):
        nowhere[0].evaluate(points[0])
    cpu, points = objectives("numpy", Counting((4,), 5, backend="numpy", room=40), 1)
    with pytest.raises(MemoryError, match="no room for 128 examples"):
        cpu[0].evaluate(points[0])


def test_what_differs_in_more_than_examples_is_evaluated_one_by_one(backend):
    first, x = small_objective(backend, "float64")
    parts = first.network, first.classifier, first.images
    other = Objective(*parts, first.labels)
    fewer = Objective(*parts[:2], first.images[:3], backend.to_host(first.labels)[:3])
    coupled, y = small_objective(backend, "float64", network=coupled_network())
    group, points = [first, other, fewer, coupled], [x, x, x, y]
    for got, one, point in zip(Objective.evaluate_stacked(group, points), group, points, strict=True):
        np.testing.assert_allclose(got, one.evaluate(point), rtol=1e-12)
    for got in Objective.evaluate_stacked([coupled, coupled], [y, y]):
        np.testing.assert_allclose(got, coupled.evaluate(y), rtol=1e-12)


def histories(backend):
    home = meganet.get_backend(backend)
    network = Chain([ConvolutionLayer((1, 6, 5), 3, activation="tanh", backend=home)])
    group, points = objectives(home, network, 6, n=20)
    runs = [
        Run(one, x, order=k, observe=observer(one, held))
        for k, (one, held, x) in enumerate(zip(group[:3], group[3:], points[:3], strict=True))
    ]
    settings = {"epochs": 2, "learning_rate": 0.1, "batch_size": 5}
    together = sgd_stacked(runs, 20, stack=StackedObjective, **settings)
    return together, [sgd(**vars(run), examples=20, **settings) for run in runs]


def test_histories_of_runs_made_together():
    with meganet.use_backend(GUARD):
        device, device_alone = histories(GUARD)
    cpu, cpu_alone = histories("numpy")
    for state, alone, on_device, alone_on_device in zip(cpu, cpu_alone, device, device_alone, strict=True):
        assert list(state.history) == list(alone.history)
        assert [list(row) for row in state.history] == [list(row) for row in on_device.history]
        for other in (on_device, alone_on_device):
            for row, expected in zip(other.history, state.history, strict=True):
                assert row == pytest.approx(expected, rel=1e-9)


def test_observers_are_asked_once_for_all_runs(monkeypatch):
    asked = []
    usual = Evaluation.stacked
    monkeypatch.setattr(
        Evaluation, "stacked", staticmethod(lambda o, points: asked.append(len(points)) or usual(o, points))
    )
    group, points = objectives("numpy", DenseLayer((4,), 5, backend="numpy"), 3, n=8)
    runs = [Run(one, x, observe=observer(one)) for one, x in zip(group, points, strict=True)]
    sgd_stacked(runs, 8, stack=StackedObjective, epochs=2, learning_rate=0.1, batch_size=4)
    assert asked == [3, 3, 3]
    # one that is of another kind goes by itself, as do all then
    runs[1].observe = lambda x: {"mine": 1.0}
    asked.clear()
    states = sgd_stacked(runs, 8, stack=StackedObjective, epochs=1, learning_rate=0.1, batch_size=4)
    assert asked == [1] * 4 and states[1].history[-1]["mine"] == 1.0


def test_parts_that_hold_different_functions_are_not_alike(backend):
    class Scaled(LeastSquares):
        def __init__(self, scale):
            super().__init__()
            self.scale = scale

    network = DenseLayer((4,), 5, backend=backend)
    classifier = DenseLayer(network.range_shape, 3, backend=backend)
    images, targets = backend.asarray(np.ones((2, 4))), np.eye(3)[:2]
    once, twice = (
        Objective(network, classifier, images, targets, loss=Scaled(scale)) for scale in (lambda v: v, lambda v: 2 * v)
    )
    StackedObjective([once, once])
    with pytest.raises(ValueError, match="the loss of the first"):
        StackedObjective([once, twice])
