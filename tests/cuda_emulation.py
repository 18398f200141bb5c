"""CUDA kernels run on the host, thread after thread, so that their arithmetic is tested where there is no GPU.

The source is compiled by a C++ compiler behind a few definitions. The threads of a block run one after another, each to
its end, and in a kernel that waits for others, from one `__syncthreads` to the next, as fibers. These are slow, so but
for the tests of the products themselves a plain loop stands for them (`faithful_product`). What needs more than that,
such as atomic sums or shuffles, is refused. A vector at an address that is no multiple of its size ends the process.
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
#include <cstdlib>
#include <functional>
#include <ucontext.h>
#include <utility>
#include <vector>
struct dim3 { unsigned x = 1, y = 1, z = 1; };
static thread_local dim3 blockIdx, blockDim, threadIdx, gridDim;
#define __global__
#define __device__
#define __launch_bounds__(n)
#define __align__(n) __attribute__((aligned(n)))
#define __shared__ static
static void __syncthreads();
using std::exp; using std::log;
"""
LAUNCHER = """
static ucontext_t scheduler;
static std::vector<ucontext_t> fibers;
static std::vector<char> ended;
static std::function<void()> body;
static void fiber() { body(); ended[threadIdx.x] = 1; }
static void __syncthreads() { swapcontext(&fibers[threadIdx.x], &scheduler); }

static void run_fibers(unsigned block) {
    static std::vector<std::vector<char>> stacks;
    stacks.resize(block, std::vector<char>(1 << 16));
    fibers.assign(block, ucontext_t());
    ended.assign(block, 0);
    for (unsigned t = 0; t < block; ++t) {
        getcontext(&fibers[t]);
        fibers[t].uc_stack.ss_sp = stacks[t].data();
        fibers[t].uc_stack.ss_size = stacks[t].size();
        fibers[t].uc_link = &scheduler;
        makecontext(&fibers[t], fiber, 0);
    }
    for (unsigned left = block; left;) {
        unsigned before = left;
        for (unsigned t = 0; t < block; ++t) {
            threadIdx.x = t;
            if (ended[t]) continue;
            swapcontext(&scheduler, &fibers[t]);
            left -= ended[t];
        }
        if (left && left != before) std::abort();  // some threads ended while others wait
    }
}

template <class... A, std::size_t... I>
static void run(void (*kernel)(A...), dim3 grid, unsigned block, void **args, bool waits, std::index_sequence<I...>) {
    for (unsigned b = 0; b < grid.x * grid.y * grid.z; ++b) {
        blockIdx.x = b % grid.x, blockIdx.y = b / grid.x % grid.y, blockIdx.z = b / grid.x / grid.y;
        if (waits) {
            body = [&] { kernel(*static_cast<A *>(args[I])...); };
            run_fibers(block);
        } else
            for (unsigned t = 0; t < block; ++t) {
                threadIdx.x = t;
                kernel(*static_cast<A *>(args[I])...);
            }
    }
}

extern "C" void plain_product(const R *A, const R *B, R *C, int M, int N, int K, int ta, int tb, index_t oa, index_t ia,
                              index_t ob, index_t ib, int inner, int tm, int tn, int depth, index_t sa, index_t sb,
                              int parts) {
    for (index_t matrix = 0; matrix < gridDim.x / (tm * tn); ++matrix)
        for (index_t part = 0; part < parts; ++part)
            for (int m = 0; m < M; ++m)
                for (int n = 0; n < N; ++n) {
                    const R *a = A + matrix / inner * oa + matrix % inner * ia;
                    const R *b = B + matrix / inner * ob + matrix % inner * ib;
                    R sum = 0;
                    for (index_t e = depth * K * part / parts; e < depth * K * (part + 1) / parts; ++e) {
                        index_t s = e / K, k = e % K;
                        sum += a[s * sa + (ta ? k * M + m : m * K + k)] * b[s * sb + (tb ? n * K + k : k * N + n)];
                    }
                    C[((matrix * parts + part) * M + m) * N + n] = sum;
                }
}
template <class... A>
static void run(void (*kernel)(A...), const unsigned *grid, unsigned block, void **args, bool waits, bool once,
                int *count) {
    *count = sizeof...(A);
    if (!args) return;
    gridDim.x = grid[0], gridDim.y = grid[1], gridDim.z = grid[2], blockDim.x = block;
    run(kernel, once ? dim3() : gridDim, once ? 1 : block, args, waits, std::index_sequence_for<A...>{});
}
"""


def kernel_names(code: str) -> list[str]:
    """Return the names of all kernels of a source, those that macros make included."""
    found = re.findall(r"__global__ void (?!__launch_bounds__)(\w+)\(|^PRODUCT\((\w+)", code, re.MULTILINE)
    return [plain or made for plain, made in found]


@lru_cache(maxsize=8)
def _library(code: str, folder: str) -> ctypes.CDLL:
    for word in ("atomic", "__shfl", "__syncwarp"):
        assert word not in code, f"{word} cannot be emulated"
    names = [(name, name.startswith("product"), False) for name in kernel_names(code)]
    launchers = "".join(_launcher(*each) for each in [*names, ("plain_product", False, True)])
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
        "-Wno-unknown-pragmas",
    ]
    subprocess.run([*command, str(stem) + ".cpp", "-o", str(stem) + ".so"], check=True)
    return ctypes.CDLL(str(stem) + ".so")


def _launcher(name: str, waits: bool, once: bool) -> str:
    call = f"run({name}, g, b, a, {str(waits).lower()}, {str(once).lower()}, &k)"
    return f'extern "C" int launch_{name}(const unsigned *g, unsigned b, void **a) {{ int k; {call}; return k; }}\n'


@lru_cache(maxsize=1)
def _folder() -> tempfile.TemporaryDirectory:
    return tempfile.TemporaryDirectory()


def _dense(array: np.ndarray) -> bool:
    order = sorted(range(array.ndim), key=lambda axis: -array.strides[axis])
    return array.transpose(order).flags.c_contiguous


def _told(array: np.ndarray, arguments) -> bool:
    """Whether a kernel is told how far apart the parts of a stack begin, which have no gaps of their own."""
    stride = array.strides[0] // array.itemsize
    return array[0].flags.c_contiguous and any(type(a) is np.int64 and a == stride for a in arguments)


class RawModule:
    """CuPy's class of that name, for arrays that `inner` turns into NumPy arrays."""

    faithful_product = False

    def __init__(self, code: str, options: tuple[str, ...], inner) -> None:
        self.compiled, self.inner = _library(code, _folder().name), inner

    def get_function(self, name: str):
        plain = name.startswith("product_") and not RawModule.faithful_product
        launch = getattr(self.compiled, f"launch_{'plain_product' if plain else name}")

        def function(grid, block, arguments):
            cells, kept = [], []
            for argument in arguments:
                value = argument if isinstance(argument, np.generic) else self.inner(argument)
                kept.append(value)
                if isinstance(value, np.ndarray):
                    if not _dense(value) and not _told(value, arguments):
                        raise TypeError(f"{name}: an array with gaps, shape {value.shape}, strides {value.strides}")
                    cells.append(ctypes.c_void_p(value.ctypes.data))
                elif isinstance(value, (np.int32, np.int64, np.float64)):
                    cells.append(np.ctypeslib.as_ctypes_type(value.dtype)(value.item()))
                else:
                    raise TypeError(f"{name}: a {type(value).__name__} has no fixed size in C")
            pointers = (ctypes.c_void_p * len(cells))(*(ctypes.addressof(c) for c in cells))
            extents = (ctypes.c_uint * 3)(*grid, *[1] * (3 - len(grid)))
            expected = launch(extents, 0, None)
            if expected != len(cells):
                raise TypeError(f"{name}: {len(cells)} arguments for {expected} parameters")
            arrays = [value for value in kept if isinstance(value, np.ndarray)]
            # the arguments' cells must live as long as a graph may launch the kernel
            launched(lambda cells=(cells, kept): launch(extents, block[0], pointers), arrays)

        return function
