"""CUDA kernels run on the host, thread after thread, so that their arithmetic is tested where there is no GPU.

The source is compiled by a C++ compiler behind a few definitions. That is faithful only because no kernel here shares
memory between threads or waits for others; `RawModule` refuses a source that does.
"""

from __future__ import annotations

import ctypes
import hashlib
import re
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

import numpy as np
from graph_emulation import launched

COMPILER = shutil.which("g++") or shutil.which("c++") or shutil.which("clang++")

SHIM = """
#include <cmath>
#include <cstddef>
#include <utility>
struct dim3 { unsigned x = 1, y = 1, z = 1; };
static thread_local dim3 blockIdx, blockDim, threadIdx, gridDim;
#define __global__
#define __device__
#define __forceinline__ inline
using std::exp; using std::log;
"""
LAUNCHER = """
template <class... A, std::size_t... I>
static void run(void (*kernel)(A...), unsigned grid, unsigned block, void **args, std::index_sequence<I...>) {
    gridDim.x = grid; blockDim.x = block;
    for (unsigned b = 0; b < grid; ++b)
        for (unsigned t = 0; t < block; ++t) {
            blockIdx.x = b; threadIdx.x = t;
            kernel(*static_cast<A *>(args[I])...);
        }
}
template <class... A> static void run(void (*kernel)(A...), unsigned grid, unsigned block, void **args, int *count) {
    *count = sizeof...(A);
    if (args) run(kernel, grid, block, args, std::index_sequence_for<A...>{});
}
"""


@lru_cache(maxsize=4)
def _library(code: str, folder: str) -> ctypes.CDLL:
    for word in ("__shared__", "__syncthreads", "atomic", "__shfl"):
        assert word not in code, f"{word} cannot be emulated"
    plain = re.sub(r"\\\n", " ", code)
    names = re.findall(r"void (\w+)_##suffix", plain)
    names = [f"{name}_{dtype}" for name in names for dtype in ("float32", "float64")]
    launchers = "".join(
        f'extern "C" int launch_{n}(unsigned g, unsigned b, void **a) {{ int k; run({n}, g, b, a, &k); return k; }}\n'
        for n in names
    )
    stem = Path(folder) / hashlib.sha256(code.encode()).hexdigest()[:16]
    stem.with_suffix(".cpp").write_text(SHIM + code + LAUNCHER + launchers)
    command = [
        COMPILER,
        "-std=c++17",
        "-O2",
        "-ffp-contract=off",
        "-shared",
        "-fPIC",
        "-Wall",
        "-Werror",
        "-Wno-unused-variable",
    ]
    subprocess.run([*command, str(stem) + ".cpp", "-o", str(stem) + ".so"], check=True)
    return ctypes.CDLL(str(stem) + ".so")


@lru_cache(maxsize=1)
def _folder() -> tempfile.TemporaryDirectory:
    return tempfile.TemporaryDirectory()


class RawModule:
    """CuPy's class of that name, for arrays that `inner` turns into NumPy arrays."""

    def __init__(self, code: str, options: tuple[str, ...], inner) -> None:
        self.library, self.inner = _library(code, _folder().name), inner

    def get_function(self, name: str):
        launch = getattr(self.library, f"launch_{name}")

        def function(grid, block, arguments):
            cells, kept = [], []
            for argument in arguments:
                value = argument if isinstance(argument, np.generic) else self.inner(argument)
                kept.append(value)
                if isinstance(value, np.ndarray):
                    order = sorted(range(value.ndim), key=lambda axis: -value.strides[axis])
                    if not value.transpose(order).flags.c_contiguous:
                        raise TypeError(f"{name}: an array with gaps, shape {value.shape}, strides {value.strides}")
                    cells.append(ctypes.c_void_p(value.ctypes.data))
                elif isinstance(value, (np.int32, np.int64, np.float64)):
                    cells.append(np.ctypeslib.as_ctypes_type(value.dtype)(value.item()))
                else:
                    raise TypeError(f"{name}: a {type(value).__name__} has no fixed size in C")
            pointers = (ctypes.c_void_p * len(cells))(*(ctypes.addressof(c) for c in cells))
            expected = launch(0, 0, None)
            if expected != len(cells):
                raise TypeError(f"{name}: {len(cells)} arguments for {expected} parameters")
            arrays = [value for value in kept if isinstance(value, np.ndarray)]
            # the arguments' cells must live as long as a graph may launch the kernel
            launched(lambda cells=(cells, kept): launch(grid[0], block[0], pointers), arrays)

        return function
