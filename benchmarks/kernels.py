"""Which instruction sets the libraries may use: the script is restarted with settings for all of them.

The libraries read them when they are imported.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping

CHOSEN = "BENCHMARKS_ISA"
AVX2 = {
    "OPENBLAS_CORETYPE": "Haswell",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "DNNL_MAX_CPU_ISA": "AVX2",
    "ATEN_CPU_CAPABILITY": "avx2",
    "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
    "NUMBA_CPU_NAME": "znver3",
    # besides those of that processor; without it numba would add those of this one
    "NUMBA_CPU_FEATURES": "+avx2,+fma",
}
PINS = (*AVX2, "OPENBLAS_L2_SIZE", "NPY_DISABLE_CPU_FEATURES")


def add_isa(parser: argparse.ArgumentParser) -> None:
    """Add the option that says which."""
    text = "instruction sets that all sides are held to; native: whatever each chooses on this processor"
    parser.add_argument("--isa", choices=["native", "avx2"], default="native", help=text)


def with_chosen_kernels() -> None:
    """Restart the script under ``--isa``: held to AVX2, or without settings that keep a library from any kernels."""
    parser = argparse.ArgumentParser(add_help=False)
    add_isa(parser)
    wanted = environment(parser.parse_known_args()[0].isa, os.environ)
    if wanted is not None:
        os.execve(sys.executable, [sys.executable, *sys.argv], wanted)


def environment(isa: str, given: Mapping[str, str]) -> dict[str, str] | None:
    """Return the environment of a script held to instruction sets; None if the given one is of that kind."""
    if given.get(CHOSEN) == isa:
        return None
    kept = {name: value for name, value in given.items() if name not in PINS}
    held = {**AVX2, "NPY_DISABLE_CPU_FEATURES": " ".join(_beyond_avx2())} if isa == "avx2" else {}
    return kept | held | {CHOSEN: isa}


def _beyond_avx2() -> list[str]:
    """Return the names of NumPy's kernels for AVX-512 that this processor has."""
    from numpy._core import _multiarray_umath as umath

    return [name for name in umath.__cpu_dispatch__ if umath.__cpu_features__[name] and ("512" in name or "V4" in name)]
