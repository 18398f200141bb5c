"""Damage done to files, and a process of its own in which damaged files are read.

A reader that brings down the interpreter, never ends or takes all memory fails its test there, with the seed named.
"""

from __future__ import annotations

import collections
import json
import os
import random
import resource
import runpy
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

MEMORY = 256 * 2**20
SECONDS = 20
NUMBERS = (0, 1, 2, 3, 4, 5, 7, 8, 9, 12, 14, 15, 16, 64, 127, 128, 255, 256, 2**15, 2**16, 2**31 - 1, 2**31, 2**32 - 1)


def peak(call: Callable[[], object]) -> int:
    """Return the most bytes that Python's memory held while something was done."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def damaged(content: bytes, rng: random.Random) -> bytes:
    """Return the content with a bit, bytes, numbers or blocks changed, or cut."""
    found, kind = bytearray(content), rng.randrange(7)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        if not found:
            break
        place = rng.randrange(len(found))
        length = rng.choice((1, 2, 4, 8, 64))
        if kind == 0:
            found[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            found[place] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
        elif kind == 2:
            del found[place:]
        elif kind == 3:
            found[place:place] = rng.randbytes(length)
        elif kind == 4:
            found[place:place] = found[max(place - length, 0) : place]
        elif kind == 5:
            there = rng.randrange(len(found)) & ~7
            found[place & ~7 : (place & ~7) + length] = found[there : there + length]
        else:
            number = rng.choice((*NUMBERS, len(found))).to_bytes(rng.choice((4, 8)), rng.choice(("little", "big")))
            found[place & ~3 : (place & ~3) + len(number)] = number
    return bytes(found)


def count_outcomes(test_file: str, trials: int, folder: Path, first: int = 0) -> dict[str, int]:
    """Call ``trial(seed, folder)`` of a file of tests with so many seeds, elsewhere, and count what it returns.

    Each call has 20 seconds, and all of them 256 MB more than they found.
    """
    here = Path(__file__)
    paths = [str(here.parent), str(here.parent.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    # threads of a linear algebra library reserve memory that nobody uses
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error", str(here), test_file, str(first), str(trials), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stderr[-4000:]}"
    return json.loads(done.stdout)


def main(test_file: str, first: int, trials: int, folder: Path) -> None:
    trial = runpy.run_path(test_file)["trial"]
    trial(first, folder)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    counts: collections.Counter[str] = collections.Counter()
    for seed in range(first, first + trials):
        print(f"{Path(test_file).name}: trial({seed})", file=sys.stderr, flush=True)
        signal.alarm(SECONDS)
        counts[trial(seed, folder)] += 1
    print(json.dumps(counts))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
