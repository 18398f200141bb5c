"""How a periodic convolution is computed. Readers of the mathematics need not come here.

Every engine computes the same products (see `base.Engine`); `ENGINES` lists them by name and `chosen` picks one:

* *winograd*: 3x3 kernels with 2.25 instead of 9 multiplications per output and channel pair (`winograd.py`),
* *direct*: any kernel, shifted images times the kernel's matrices (`direct.py`),
* *sparse*: the explicit circulant matrix, which is the definition (`circulant.py`).
"""

from __future__ import annotations

from meganet.backend import Backend
from meganet.linop._engines.base import Engine
from meganet.linop._engines.circulant import SparseEngine
from meganet.linop._engines.direct import DirectEngine
from meganet.linop._engines.winograd import WinogradEngine

ENGINES: dict[str, Engine] = {engine.name: engine for engine in (WinogradEngine(), DirectEngine(), SparseEngine())}
"""The engines by name."""

FEWEST_CHANNELS = 8
"""Below this many channels on either side the transforms of *winograd* cost more than they spare."""


def chosen(name: str, backend: Backend, kernel_shape: tuple[int, ...]) -> Engine:
    """Return the engine called `name`, for "auto" the fastest for a kernel (O, I, k1, k2)."""
    if name != "auto":
        return ENGINES[name]
    winograd = ENGINES["winograd"]
    few = min(kernel_shape[:2]) < FEWEST_CHANNELS
    return ENGINES["direct"] if few or not winograd.serves(backend, kernel_shape) else winograd
