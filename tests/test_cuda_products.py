"""Products of many matrices by the kernels of a device, run on the host thread by thread."""

from contextlib import contextmanager

import numpy as np
import pytest
from cuda_emulation import COMPILER, RawModule
from guard_array import GUARD
from hypothesis import given, settings
from hypothesis import strategies as st

import meganet
from meganet.backend import cuda
from meganet.backend.cuda import TILES, Kernels, parts_of, tile_of

emulated = pytest.mark.skipif(COMPILER is None, reason="needs a C++ compiler to run the kernels on the host")


@contextmanager
def as_written(faithful=True):
    """Run the products' kernels thread by thread, as on a device."""
    usual, RawModule.faithful_product = RawModule.faithful_product, faithful
    try:
        yield Kernels(GUARD.xp)
    finally:
        RawModule.faithful_product = usual


def agree(got, wanted, dtype, summed=1):
    assert got.dtype == dtype and got.shape == wanted.shape
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(GUARD.to_host(got), wanted, rtol=0, atol=30 * eps * max(10, summed) ** 0.5)


def among_nan(array, before):
    """Return an array of the device with `before` NaNs in front, and many behind."""
    margin = np.full(before + array.size + 5000, np.nan, array.dtype)
    margin[before : before + array.size] = array.ravel()
    return GUARD.asarray(margin)[before : before + array.size].reshape(array.shape)


@emulated
@settings(max_examples=40, deadline=None)
@given(
    st.tuples(st.integers(1, 150), st.integers(1, 90), st.integers(1, 70)),
    st.tuples(st.booleans(), st.booleans()),
    st.sampled_from([((), ()), ((2,), (2,)), ((2, 3), (2, 3)), ((), (2, 3)), ((2, 1), (2, 3)), ((3,), (2, 1))]),
    st.sampled_from(["float32", "float64"]),
    st.booleans(),
    st.integers(0, 4),
)
def test_products_of_matrices(sizes, transposed, leads, dtype, faithful, offset):
    """Wherever they begin in memory; what lies around them is not used."""
    (m, n, k), (ta, tb), rng = sizes, transposed, np.random.default_rng(0)
    a, b = rng.standard_normal((*leads[0], m, k)).astype(dtype), rng.standard_normal((*leads[1], k, n)).astype(dtype)
    stored = [np.ascontiguousarray(x.swapaxes(-1, -2)) if flag else x for x, flag in ((a, ta), (b, tb))]
    with as_written(faithful) as kernels:
        result = kernels.product(among_nan(stored[0], offset), among_nan(stored[1], 4 - offset), ta, tb)
    agree(result, a @ b, dtype, k)


@emulated
@pytest.mark.parametrize("transposed", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("tile", TILES, ids=lambda tile: f"{tile.rows}x{tile.columns}")
def test_every_tile_with_and_without_a_rest(tile, transposed, dtype, monkeypatch, rng):
    monkeypatch.setattr(cuda, "TILES", (tile,))
    for m, n, k in ((tile.rows, tile.columns, 32), (tile.rows + 4, tile.columns + 4, 20), (tile.rows + 1, 3, 17)):
        a, b = rng.standard_normal((2, m, k)).astype(dtype), rng.standard_normal((2, k, n)).astype(dtype)
        stored = [x.swapaxes(-1, -2) if flag else x for x, flag in zip((a, b), transposed, strict=True)]
        with as_written() as kernels:
            agree(
                kernels.product(*(GUARD.asarray(np.ascontiguousarray(x)) for x in stored), *transposed), a @ b, dtype, k
            )


def test_tiles_fit_the_products_of_networks():
    """Tall ones for the points of tiles times channels, small ones where a large one would be padding mostly."""
    shapes = {(1568, 64): (128, 64), (1568, 32): (128, 32), (64, 32): (64, 32), (32, 10): (32, 16), (1, 1): (32, 16)}
    assert {shape: tile_of(*shape)[:2] for shape in shapes} == shapes
    # what one network of a stack computes does not depend on the others, so nothing else is asked
    assert parts_of(32, 10, 784 * 64) == 130 and parts_of(64, 32, 1568) == 4
    assert parts_of(1568, 64, 32) == parts_of(1, 1, 1) == 1


@emulated
@settings(max_examples=30, deadline=None)
@given(
    st.tuples(*[st.integers(1, 40)] * 3),
    st.tuples(st.booleans(), st.booleans()),
    st.sampled_from([(), (1,), (3,)]),
    st.integers(1, 7),
    st.sampled_from([16, 50, 384]),
    st.sampled_from(["float32", "float64"]),
    st.booleans(),
)
def test_sums_of_products(sizes, transposed, lead, depth, part, dtype, faithful):
    """In however many parts; a stack has the sums that each has alone, to the bit."""
    (m, n, k), (ta, tb), rng = sizes, transposed, np.random.default_rng(0)
    a, b = (rng.standard_normal((*lead, depth, *size)).astype(dtype) for size in ((m, k), (k, n)))
    stored = [GUARD.asarray(np.ascontiguousarray(x.swapaxes(-1, -2) if t else x)) for x, t in ((a, ta), (b, tb))]
    with pytest.MonkeyPatch.context() as patch, as_written(faithful) as kernels:
        patch.setattr(cuda, "SUMMED", part)
        result = kernels.summed_product(*stored, ta, tb)
        if lead:
            alone = kernels.summed_product(*(x[-1] for x in stored), ta, tb)
            np.testing.assert_array_equal(GUARD.to_host(result)[-1], GUARD.to_host(alone))
    agree(result, (a @ b).sum(axis=-3), dtype, depth * k)
    host = meganet.get_backend("numpy").summed_product(*(GUARD.to_host(x) for x in stored), ta, tb)
    agree(result, host, dtype, depth * k)
