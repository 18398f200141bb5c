"""The floors of a step on a GPU count what its kernels move."""

import sys
from pathlib import Path

import numpy as np
import pytest
from cuda_emulation import COMPILER
from guard_array import GUARD

from meganet import Chain, ConvolutionLayer, DenseLayer, Momentum, Objective, Tikhonov, use_backend
from meganet.backend.cuda import Kernels
from meganet.linop import Gradient
from meganet.objective import StackedObjective

ROOT = Path(__file__).parent.parent
TRIALS, SIZE, BATCH, CHANNELS = 3, 12, 8, (1, 8, 16)
WITHOUT_KERNEL = ("classifier: order", "sums of gradients", "state of the recorded step")


@pytest.fixture
def roofline(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import roofline

    yield roofline
    for name in ("roofline", "common"):
        sys.modules.pop(name, None)


@pytest.mark.skipif(COMPILER is None, reason="needs a C++ compiler to run the kernels on the host")
def test_the_passes_are_those_of_a_step(roofline, monkeypatch):
    """Launches to the last one, bytes to what is small beside images and weights."""
    launches, launch = [], Kernels.launch

    def noting(kernels, name, dtype, threads, *arguments, **keywords):
        # what is changed in place is read and written
        arrays = {id(a): a for a in arguments if hasattr(a, "shape") and a.shape}
        sizes = [a.size * a.dtype.itemsize for a in arrays.values()]
        launches.append((name, sum(sizes) + (sizes[0] if name == "relu" else 0)))
        launch(kernels, name, dtype, threads, *arguments, **keywords)

    rng = np.random.default_rng(0)
    with use_backend(GUARD):
        network = Chain(
            [ConvolutionLayer((i, SIZE, SIZE), o) for i, o in zip(CHANNELS[:-1], CHANNELS[1:], strict=True)]
        )
        penalty = Tikhonov(Gradient((10, *network.range_shape)), 0.1)
        classifier = DenseLayer(network.range_shape, 10)
        images = rng.standard_normal((TRIALS, BATCH, 1, SIZE, SIZE)).astype("float32")
        labels = rng.integers(0, 10, BATCH)
        funs = [Objective(network, classifier, GUARD.asarray(one), labels, W_regularizer=penalty) for one in images]
        stacked, indices = StackedObjective(funs), GUARD.asarray(np.tile(np.arange(BATCH), (TRIALS, 1)))
        x = GUARD.asarray(0.1 * rng.standard_normal((TRIALS, funs[0].parameters.size)).astype("float32"))
        monkeypatch.setattr(Kernels, "launch", noting)
        gradient = stacked(x, indices)[1]
        Momentum(0.9).step(GUARD, x, gradient, (GUARD.xp.zeros_like(x),), 0.1, 1, 1)
    passes = [p for p in roofline.step(TRIALS, SIZE, BATCH, CHANNELS) if not p.what.startswith(WITHOUT_KERNEL)]
    assert sum(p.launches for p in passes) == len([name for name, _ in launches if name != "softmax"])
    moved = sum(size for _, size in launches)
    assert 1 <= moved / sum(1e6 * p.megabytes for p in passes) < 1.05
