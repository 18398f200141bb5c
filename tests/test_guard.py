"""The device stand-in refuses what a strict device would, and offers nothing that CuPy lacks."""

import numpy as np
import pytest
from guard_array import FUNCTIONS, GUARD, METHODS, HostCallError

from meganet import ConvolutionLayer, use_backend


@pytest.mark.parametrize(
    "call",
    [
        np.asarray,
        np.sum,
        np.sqrt,
        float,
        int,
        bool,
        list,
        lambda x: x + np.ones(1),
        lambda x: np.ones(1) * x,
        lambda x: x[np.array([0])],
        lambda x: x * np.float64(2),
        lambda x: np.concatenate([x, x]),
        lambda x: x.tolist(),
        lambda x: range(x),
        lambda x: 1.0 in x,
    ],
)
def test_host_calls_are_refused(call):
    with pytest.raises(TypeError):
        call(GUARD.asarray(np.ones(1)))


def test_a_host_call_inside_the_engine_is_caught(monkeypatch):
    with use_backend(GUARD) as backend:
        layer = ConvolutionLayer((1, 4, 4), 2, activation="tanh")
        theta, x = backend.asarray(np.ones(18)), backend.asarray(np.ones((1, 1, 4, 4)))
        layer.forward(theta, x)
        monkeypatch.setattr(layer.backend.xp, "tanh", np.tanh)
        with pytest.raises(HostCallError):
            layer.forward(theta, x)


def test_the_namespaces_exist_in_cupy():
    cupy = pytest.importorskip("cupy", reason="needs CuPy installed (no GPU)")
    import cupyx.scipy.fft
    import cupyx.scipy.sparse

    missing = [name for name in FUNCTIONS if not hasattr(cupy, name)]
    missing += [name for name in ("csr_array", "block_diag") if not hasattr(cupyx.scipy.sparse, name)]
    assert not missing
    assert hasattr(cupy.linalg, "solve") and all(hasattr(cupyx.scipy.fft, name) for name in ("fft2", "dctn", "idctn"))
    stream = cupy.cuda.Stream
    assert all(hasattr(stream, name) for name in ("begin_capture", "end_capture", "synchronize"))
    assert all(hasattr(cupy.cuda, name) for name in ("MemoryPool", "using_allocator", "get_current_stream"))
    assert hasattr(cupy, "RawModule") and issubclass(cupy.cuda.runtime.CUDARuntimeError, RuntimeError)
    assert all(hasattr(cupy.ndarray, name) for name in METHODS)
