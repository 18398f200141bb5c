"""The switch between array libraries."""

import configparser
import pickle
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from guard_array import GUARD

import meganet
from meganet import ConvolutionLayer, he_normal
from meganet.backend import BackendError, backend_of, get_backend, random_stream, use_backend
from meganet.ground.validate import InputError
from meganet.layers import DenseLayer, smoothed_normal


def test_numpy_is_the_default_and_the_environment_variable_is_read(monkeypatch):
    assert get_backend().name == "numpy"
    monkeypatch.setenv("MEGANET_BACKEND", "torch")
    with pytest.raises(InputError, match="MEGANET_BACKEND: expected one of 'cupy', 'numpy', got 'torch'"):
        get_backend()
    with use_backend("numpy"):
        assert get_backend().name == "numpy"


def test_use_backend_nests_and_ends():
    with use_backend("numpy") as outer:
        with use_backend(GUARD):
            assert get_backend() is GUARD
        assert get_backend() is outer


def test_unknown_backend():
    with pytest.raises(InputError, match="backend: expected one of 'cupy', 'numpy', got 'jax'"):
        get_backend("jax")


def fake_cupy(**broken):
    """Return what the check of CuPy asks for; each name in `broken` raises its error when it is used."""

    def uses(name, value=1):
        def use(*arguments, **keywords):
            if name in broken:
                raise broken[name]
            return value

        return use

    class Device:
        cublas_handle = property(lambda self: uses("cublas")())

    class CUDA:
        cusolver, cusparse, cufft = (
            property(lambda self, name=name: uses(name)()) for name in ("cusolver", "cusparse", "cufft")
        )

    cuda = CUDA()
    cuda.is_available, cuda.Device = uses("driver", True), Device
    cuda.nvrtc = SimpleNamespace(getVersion=uses("nvrtc"))
    cuda.runtime = SimpleNamespace(runtimeGetVersion=lambda: 13010)
    cuda.get_current_stream = lambda: SimpleNamespace(synchronize=uses("run"))
    raw_module = SimpleNamespace(get_function=lambda name: uses("compile"))
    return SimpleNamespace(
        __version__="14.2.0", cuda=cuda, RawModule=lambda code, options: raw_module, zeros=lambda n: n
    )


LIBRARY = "libX.so.12: cannot open shared object file: No such file or directory"


class OddError(Exception):
    """What a library may raise: of no class that anybody knows."""


@pytest.mark.parametrize(
    ("module", "missing"),
    [
        (None, "CuPy is not installed; install the extra"),
        (SimpleNamespace(__version__="13.4.0"), "CuPy 14 or newer is needed, 13.4.0 is installed"),
        (
            SimpleNamespace(__version__="14.0.1", cuda=SimpleNamespace(is_available=lambda: False)),
            "CuPy 14.0.1 is installed, but no usable CUDA device",
        ),
        (fake_cupy(driver=RuntimeError("cudaErrorUnknown")), r"CUDA does not start \(cudaErrorUnknown\)"),
        (fake_cupy(nvrtc=RuntimeError("Failure finding libnvrtc\nmore")), r"NVRTC \(NVRTC: Failure finding libnvrtc\)"),
        (fake_cupy(compile=OddError()), r"NVRTC \(NVRTC: OddError\)"),
        (fake_cupy(run=RuntimeError("no kernel image")), r"NVRTC \(NVRTC: no kernel image\)"),
        (fake_cupy(cublas=ImportError(LIBRARY)), rf"cuBLAS \(cuBLAS: {LIBRARY}\); install them with pip install"),
        (fake_cupy(cusparse=OSError(LIBRARY)), r"cuSPARSE \(cuSPARSE: libX"),
        (fake_cupy(cusolver=AttributeError("cusolver")), r"cuSOLVER \(cuSOLVER: cusolver\)"),
        (fake_cupy(cufft=ImportError(LIBRARY), cublas=ImportError(LIBRARY)), r"cuBLAS, cuFFT \(cuBLAS: libX"),
        (fake_cupy(cublas=ImportError(LIBRARY)), r"pip install 'cupy-cuda13x\[ctk\]'"),
    ],
)  # fmt: skip
def test_cupy_that_cannot_be_used_says_what_is_missing(monkeypatch, module, missing):
    monkeypatch.setitem(sys.modules, "cupy", module)
    monkeypatch.setattr("meganet.backend.active._loaded", {})
    expected = f"backend: expected a backend that can be used here, got 'cupy': .*{missing}"
    with pytest.raises(BackendError, match=expected) as caught:
        get_backend("cupy")
    assert "\n" not in str(caught.value)
    assert re.search(missing, meganet.available_backends()["cupy"])


def test_the_libraries_of_cuda_are_looked_for_once(monkeypatch):
    module, looked = fake_cupy(), []
    module.RawModule = lambda code, options: looked.append(1) or SimpleNamespace(get_function=lambda n: lambda *a: None)
    monkeypatch.setitem(sys.modules, "cupy", module)
    for name in ("cupyx", "cupyx.scipy", "cupyx.scipy.fft", "cupyx.scipy.sparse", "cupyx.scipy.sparse.linalg"):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace())
    monkeypatch.setattr("meganet.backend.cuda.probe._sound", [])
    for _ in range(3):
        assert meganet.available_backends()["cupy"] is None
    assert looked == [1]


def test_a_cupy_that_fails_to_import_is_worded(monkeypatch, tmp_path):
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    for error, expected in (
        ("ImportError('libcudart.so.12: missing')", "cannot be imported (libcudart.so.12: missing)"),
        ("OSError('broken')", "cannot be imported (broken)"),
        ("ModuleNotFoundError('No module named cuda', name='cuda')", "cannot be imported (No module named cuda)"),
    ):
        (tmp_path / "cupy.py").write_text(f"raise {error}")
        assert expected in meganet.available_backends()["cupy"]


def test_the_extras_bring_the_libraries_of_cuda():
    settings = configparser.ConfigParser(interpolation=None)
    settings.read(Path(__file__).parents[1] / "setup.cfg")
    for version in ("12", "13"):
        assert settings["options.extras_require"][f"cuda{version}"] == f"cupy-cuda{version}x[ctk]>=14"


def test_arrays_move_both_ways(backend, dtype, rng):
    x = rng.standard_normal((2, 3)).astype(dtype)
    device = backend.asarray(x)
    assert backend.owns(device) and backend_of(device) is backend and device.dtype == dtype
    np.testing.assert_array_equal(backend.to_host(device), x)
    np.testing.assert_array_equal(get_backend("numpy").asarray(device), x)
    assert backend.asarray(x, "float64").dtype == np.float64


def test_same_seed_same_weights_on_every_backend(backend, dtype):
    layer = ConvolutionLayer((2, 4, 4), 3, bias=True)
    classifier = DenseLayer((3, 4, 6), 2)
    expected = he_normal(layer.to("numpy"), random_stream(7, 1), dtype)
    np.testing.assert_array_equal(backend.to_host(he_normal(layer, random_stream(7, 1), dtype)), expected)
    smooth = smoothed_normal(classifier.to("numpy"), random_stream(7, 2), dtype=dtype)
    np.testing.assert_array_equal(
        backend.to_host(smoothed_normal(classifier, random_stream(7, 2), dtype=dtype)), smooth
    )
    assert not np.array_equal(expected, he_normal(layer.to("numpy"), random_stream(7, 3), dtype))


def test_operators_of_two_backends_do_not_mix():
    kernel = np.ones((1, 1, 3, 3))
    here = meganet.linop.CirculantConvolution(kernel, (4, 4))
    there = here.to(GUARD)
    with pytest.raises(InputError, match=r"A @ B: expected operators of one backend, numpy, got guard"):
        here @ there
    with pytest.raises(InputError, match="x: expected an array of the guard backend, got numpy ndarray"):
        there @ np.ones((1, 4, 4))


def test_random_stream_refuses_other_seeds():
    with pytest.raises(InputError, match="seed: expected an integer of at least 0, got -1"):
        random_stream(-1)


@pytest.mark.parametrize("smoothing", [0.0, 10.0])
def test_smoothed_weights(smoothing):
    layer = DenseLayer((4, 14, 12), 10)
    w = smoothed_normal(layer, random_stream(0), smoothing=smoothing)
    views = layer.parameters.view(w)
    assert np.all(views["bias"] == 0)
    rough = np.square(np.diff(views["kernel"], axis=-1)).mean() / np.square(views["kernel"]).mean()
    assert rough > 1.8 if smoothing == 0 else rough < 0.3
    if smoothing == 0:
        assert abs(w).max() == pytest.approx(0.2)
    else:
        raw = layer.parameters.view(smoothed_normal(layer, random_stream(0), smoothing=0.0))["kernel"]
        gradient = meganet.linop.Gradient((10, 4, 14, 12))
        smooth = views["kernel"]
        np.testing.assert_allclose(smooth + smoothing * (gradient.T @ (gradient @ smooth)), raw, atol=1e-12)


def test_he_normal_deviation_and_normal():
    layer = ConvolutionLayer((16, 8, 8), 64)
    assert he_normal(layer, random_stream(0)).std() == pytest.approx((2 / 144) ** 0.5, rel=0.03)
    assert meganet.layers.normal(layer, random_stream(0), 0.3).std() == pytest.approx(0.3, rel=0.03)
    with pytest.raises(InputError, match="std: expected a finite number of at least 0, got nan"):
        meganet.layers.normal(layer, random_stream(0), float("nan"))


def test_operators_and_layers_can_be_pickled():
    """By the name of the backend: joblib hands them to its processes."""
    layer = ConvolutionLayer((1, 4, 4), 2)
    copy = pickle.loads(pickle.dumps(layer))
    theta, x = np.ones(layer.parameters.size), np.ones((1, 1, 4, 4))
    np.testing.assert_array_equal(copy(theta, x), layer(theta, x))
    assert copy.backend is get_backend("numpy")
