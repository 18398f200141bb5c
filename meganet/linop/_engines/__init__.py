"""How a periodic convolution is computed. Readers of the mathematics need not come here.

Every engine computes the same products (see `base.Engine`); `ENGINES` lists them by name and `chosen` picks one:

* *winograd*: 3x3 kernels with 2.25 instead of 9 multiplications per output and channel pair (`winograd.py`),
* *direct*: any kernel, shifted images times the kernel's matrices (`direct.py`),
* *sparse*: the explicit circulant matrix, which is the definition (`circulant.py`).

Each exists as expressions of arrays on the CPU and with hand-written kernels on a GPU (`device.py`), the first two also
as loops compiled by numba (`compiled_winograd.py`, `compiled_direct.py`), used where these are in use. "auto" takes
*winograd* on the CPU only for images and kernels for which it is accurate, else *direct* (`guarded.py`), and where a
stride is given to compiled loops always *direct*, which computes only what is kept.

Kernels with a time axis too have no engines of their own: `folded.py` makes images of videos, for the ones above.
"""

from __future__ import annotations

from functools import lru_cache

from meganet.backend import Backend, loops
from meganet.linop._engines.base import Engine
from meganet.linop._engines.circulant import SparseEngine
from meganet.linop._engines.compiled_direct import CompiledDirect
from meganet.linop._engines.compiled_winograd import CompiledWinograd
from meganet.linop._engines.device import DeviceDirect, DeviceSparse, DeviceWinograd
from meganet.linop._engines.direct import DirectEngine
from meganet.linop._engines.folded import FoldedEngine, kernel_of_images
from meganet.linop._engines.guarded import GuardedEngine
from meganet.linop._engines.winograd import WinogradEngine

ENGINES: tuple[Engine, ...] = (
    DeviceWinograd(),
    CompiledWinograd(),
    WinogradEngine(),
    DeviceDirect(),
    CompiledDirect(),
    DirectEngine(),
    DeviceSparse(),
    SparseEngine(),
)
"""Every engine; of those with one name, the first that serves."""

AUTOMATIC: tuple[Engine, ...] = (
    DeviceWinograd(),
    GuardedEngine(CompiledWinograd(), CompiledDirect()),
    GuardedEngine(WinogradEngine(), DirectEngine()),
    *(engine for engine in ENGINES if engine.name != "winograd"),
)
"""The engines that "auto" chooses from."""

NAMES = tuple(dict.fromkeys(engine.name for engine in ENGINES))

FEWEST_CHANNELS = 8
"""Below this many channels on either side the transforms of *winograd* cost more than they spare."""


def choose_engine(name: str, backend: Backend, kernel_shape: tuple[int, ...]) -> Engine | None:
    """Return the engine called `name`, for "auto" the fastest, for kernels (O, I, k1, k2); None if there is none.

    For kernels (O, I, kt, k1, k2) it is one for videos.
    """
    return _chosen(name, backend, kernel_shape, loops.in_use())


def has_engine(name: str, backend: Backend, kernel_shape: tuple[int, ...]) -> bool:
    """Whether there is an engine called `name`; numba is not imported for the answer, which is the same without."""
    return _chosen(name, backend, kernel_shape, False) is not None


@lru_cache(maxsize=128)
def _chosen(name: str, backend: Backend, kernel_shape: tuple[int, ...], compiled: bool) -> Engine | None:
    if len(kernel_shape) > 4:
        engine = _chosen(name, backend, kernel_of_images(kernel_shape), compiled)
        return None if engine is None else FoldedEngine(engine)
    few = min(kernel_shape[:2]) < FEWEST_CHANNELS
    for engine in AUTOMATIC if name == "auto" else ENGINES:
        wanted = not (few and engine.name == "winograd") if name == "auto" else engine.name == name
        if wanted and engine.compiled <= compiled and engine.serves(backend, kernel_shape):
            return engine
    return None
