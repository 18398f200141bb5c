"""Whether CuPy can be used on this machine, and if not, what is missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from meganet.ground.validate import worded

MINIMUM_CUPY = 14


def _compiles(cupy: Any) -> None:
    """Compile a kernel and run it: NVRTC, and the headers that CuPy's own kernels include."""
    cupy.cuda.nvrtc.getVersion()
    module = cupy.RawModule(code='extern "C" __global__ void nothing() {}', options=("-std=c++17",))
    module.get_function("nothing")((1,), (1,), ())
    cupy.zeros(2) + 1
    cupy.cuda.get_current_stream().synchronize()


LIBRARIES: dict[str, Callable[[Any], Any]] = {
    "NVRTC": _compiles,
    "cuBLAS": lambda cupy: cupy.cuda.Device().cublas_handle,
    "cuSOLVER": lambda cupy: cupy.cuda.cusolver,
    "cuSPARSE": lambda cupy: cupy.cuda.cusparse,
    "cuFFT": lambda cupy: cupy.cuda.cufft,
}
"""What the backend uses of CUDA, and what fails where it is missing; CuPy loads each library on its first use. Only the
handle of cuBLAS is made, which nearly all work needs: others take memory of the device."""

_sound: list[Any] = []
"""The module whose libraries have been found sound."""


def cupy_problem() -> str | None:
    """Return why CuPy cannot be used here, None if it can. What is missing of CUDA is looked for once."""
    try:
        import cupy
    except ModuleNotFoundError as error:
        if error.name not in (None, "cupy"):
            return f"CuPy is installed but cannot be imported ({error})"
        return "CuPy is not installed; install the extra for your driver: pip install 'meganet[cuda12]'"
    except Exception as error:  # a foreign package, which fails in its own ways
        return f"CuPy is installed but cannot be imported ({worded(error)})"
    if int(cupy.__version__.split(".")[0]) < MINIMUM_CUPY:
        return f"CuPy {MINIMUM_CUPY} or newer is needed, {cupy.__version__} is installed"
    try:
        available = cupy.cuda.is_available()
    except Exception as error:
        return f"CuPy {cupy.__version__} is installed, but CUDA does not start ({worded(error)})"
    if not available:
        return f"CuPy {cupy.__version__} is installed, but no usable CUDA device and driver were found"
    if any(module is cupy for module in _sound):
        return None
    missing = _missing(cupy)
    if missing:
        package = f"cupy-cuda{_cuda_version(cupy)}x[ctk]"
        first, reason = next(iter(missing.items()))
        return (
            f"CuPy {cupy.__version__} is installed without CUDA libraries that it needs: {', '.join(missing)} "
            f"({first}: {reason}); install them with pip install '{package}'"
        )
    _sound[:] = [cupy]
    return None


def _missing(cupy: Any) -> dict[str, str]:
    """Return the libraries that cannot be used, with the reason."""
    found = {}
    for name, used in LIBRARIES.items():
        try:
            used(cupy)
        except Exception as error:  # CuPy's errors have no common class: ImportError, RuntimeError, its own
            found[name] = worded(error)
    if not found:
        try:
            import cupyx.scipy.fft
            import cupyx.scipy.sparse.linalg  # noqa: F401
        except Exception as error:
            found["cupyx.scipy"] = worded(error)
    return found


def _cuda_version(cupy: Any) -> int:
    """Return the major version of CUDA that CuPy is made for."""
    try:
        return int(cupy.cuda.runtime.runtimeGetVersion()) // 1000
    except Exception:  # it may be just that which is missing
        return 12
