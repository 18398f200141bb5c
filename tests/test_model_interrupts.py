"""Ctrl-C and callbacks: a model keeps the epochs that were completed and goes on as if nothing had happened."""

import io
import signal
import subprocess
import sys
from functools import partial

import numpy as np
import pytest

import meganet as mn
from meganet.ground.validate import InputError

IMAGES = np.random.default_rng(0).standard_normal((24, 1, 4, 4))
LABELS = np.arange(24) % 3


class Interrupting(mn.SoftmaxCrossEntropy):
    """A loss that is interrupted at its n-th gradient."""

    left = -1

    def value_and_gradient_unchecked(self, outputs, targets):
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt
        return super().value_and_gradient_unchecked(outputs, targets)


def model(loss=None, normalised=False):
    parts = [mn.ConvolutionLayer((1, 4, 4), 2)]
    parts += [mn.NormalisationLayer((2, 4, 4), over=("examples", "pixels"))] if normalised else []
    return mn.Model(parts, 3, loss=loss)


def options(name):
    return {
        "plain": {"learning_rate": 0.1},
        "adam": {"rule": mn.Adam()},
        "schedule": {"learning_rate": lambda epoch: 0.1 / epoch, "rule": mn.Momentum(0.9)},
        "trust_region": {"optimizer": partial(mn.trust_region, radius=0.1)},
    }[name]


def same(one, other):
    np.testing.assert_array_equal(one.theta, other.theta)
    np.testing.assert_array_equal(one.predict_proba(IMAGES), other.predict_proba(IMAGES))
    assert one.history.to_csv() == other.history.to_csv() and one.epochs == other.epochs


@pytest.mark.parametrize("name", ["plain", "adam", "schedule", "trust_region"])
def test_interrupted_in_the_callback(name):
    def callback(model):
        if model.epochs == 2:
            raise KeyboardInterrupt

    whole, found = model().fit(IMAGES, LABELS, epochs=4, **options(name)), model()
    with pytest.raises(KeyboardInterrupt):
        found.fit(IMAGES, LABELS, epochs=4, callback=callback, **options(name))
    same(found, model().fit(IMAGES, LABELS, epochs=2, **options(name)))
    same(found.fit(IMAGES, LABELS, epochs=2, **options(name)), whole)


@pytest.mark.parametrize("normalised", [False, True])
@pytest.mark.parametrize("name", ["plain", "adam"])
def test_interrupted_within_an_epoch(name, normalised):
    made = partial(model, normalised=normalised)
    loss = Interrupting()
    whole, found = made().fit(IMAGES, LABELS, epochs=3, batch_size=6, **options(name)), made(loss)
    for epochs in (0, 1):
        loss.left = 4 * epochs + 3  # the third of four mini-batches
        with pytest.raises(KeyboardInterrupt):
            found.fit(IMAGES, LABELS, epochs=3, batch_size=6, **options(name))
        assert found.epochs == epochs and len(found.history) == (epochs + 1 if epochs else 0)
    same(found, made().fit(IMAGES, LABELS, epochs=1, batch_size=6, **options(name)))
    same(found.fit(IMAGES, LABELS, epochs=2, batch_size=6, **options(name)), whole)


def test_interrupted_before_the_first_epoch_nothing_is_changed():
    def interrupt(epoch):
        raise KeyboardInterrupt

    for found in (model(), model(normalised=True)):
        with pytest.raises(KeyboardInterrupt):
            found.fit(IMAGES, LABELS + 1, learning_rate=interrupt)
        assert found.classes.tolist() == [0, 1, 2] and not found.epochs and not len(found.history)
        with pytest.raises(InputError, match="call fit"):
            found.predict(IMAGES)
        assert found.fit(IMAGES, LABELS, epochs=1).epochs == 1


def test_interrupted_in_a_schedule():
    def schedule(epoch, last):
        if epoch > last:
            raise KeyboardInterrupt
        return 0.1 / epoch

    found = model()
    with pytest.raises(KeyboardInterrupt):
        found.fit(IMAGES, LABELS, epochs=4, learning_rate=partial(schedule, last=2), rule=mn.Adam())
    found.fit(IMAGES, LABELS, epochs=2, learning_rate=partial(schedule, last=9), rule=mn.Adam())
    whole = model().fit(IMAGES, LABELS, epochs=4, learning_rate=partial(schedule, last=9), rule=mn.Adam())
    same(found, whole)


SCRIPT = """
import numpy as np
import meganet as mn
images, labels = np.random.default_rng(0).standard_normal((24, 1, 4, 4)), np.arange(24) % 3
def model():
    return mn.Model([mn.ConvolutionLayer((1, 4, 4), 2)], 3)
found, said = model(), []
def callback(m):
    if m.epochs == 3:
        print("ready", flush=True)
try:
    found.fit(images, labels, epochs=10**7, rule=mn.Adam(), callback=callback)
except KeyboardInterrupt:
    pass
epochs = found.epochs
assert epochs >= 3 and len(found.history) == epochs + 1 and found.history[-1]["epoch"] == epochs
found.predict(images)
found.fit(images, labels, epochs=2, rule=mn.Adam())
whole = model().fit(images, labels, epochs=epochs + 2, rule=mn.Adam())
assert np.array_equal(found.theta, whole.theta) and found.history.to_csv() == whole.history.to_csv()
print("same")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are another matter there")
def test_a_real_interrupt():
    with subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0 and out == b"same\n", err.decode()


@pytest.mark.parametrize("name", ["plain", "trust_region"])
def test_a_callback_sees_the_model_of_its_epoch_and_may_stop(name):
    seen = []

    def callback(model):
        seen.append((model.epochs, model.score(IMAGES, LABELS), model.history[-1]["accuracy"], model.theta))
        return model.epochs == 2

    found = model().fit(IMAGES, LABELS, epochs=9, callback=callback, **options(name))
    assert found.epochs == 2 and [row[0] for row in seen] == [1, 2]
    assert all(score == accuracy for _, score, accuracy, _ in seen)
    np.testing.assert_array_equal(seen[-1][-1], found.theta)
    same(found, model().fit(IMAGES, LABELS, epochs=2, **options(name)))


def test_a_callback_predicts_with_the_statistics_of_its_epoch():
    seen = []
    found = model(normalised=True)
    found.fit(IMAGES, LABELS, epochs=2, callback=lambda m: seen.append(m.predict_proba(IMAGES)))
    np.testing.assert_array_equal(seen[-1], found.predict_proba(IMAGES))
    one = model(normalised=True).fit(IMAGES, LABELS, epochs=1)
    np.testing.assert_array_equal(seen[0], one.predict_proba(IMAGES))


def test_callbacks_that_fail_or_say_nonsense():
    found = model()
    with pytest.raises(InputError, match="callback"):
        found.fit(IMAGES, LABELS, callback=lambda model: "stop")
    assert found.epochs == 1 and found.predict(IMAGES).shape == (24,)

    def broken(model):
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        found.fit(IMAGES, LABELS, callback=broken)
    assert found.epochs == 2


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("optimizer", ["sgd", mn.lbfgs])
@pytest.mark.parametrize(
    ("progress", "terminal", "shown"), [(None, True, 1), (None, False, 0), (True, False, 1), (False, True, 0)]
)
def test_the_bar_is_shown_where_somebody_sees_it(monkeypatch, capsys, optimizer, progress, terminal, shown):
    stream = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    model().fit(IMAGES, LABELS, epochs=2, optimizer=optimizer, progress=progress)
    assert ("training" in stream.getvalue()) == bool(shown)
    assert not capsys.readouterr().out


def test_without_standard_error(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    assert model().fit(IMAGES, LABELS, epochs=1).epochs == 1
