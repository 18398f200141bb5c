"""The work memory of compiled loops, and the form in which they take arrays."""

import threading

import numpy as np
import pytest

from meganet.backend.loops import plans
from meganet.backend.loops.plans import KEPT_BYTES, optional, readable, slopes_of, work


@pytest.fixture
def fresh(monkeypatch):
    monkeypatch.setattr(plans, "_pieces", plans._Pieces())


def address(array):
    return array.ctypes.data


def test_a_name_has_the_same_memory_until_it_needs_more(fresh):
    first = work("sums", 100, "float32")
    assert first.size == 100 and first.dtype == "float32" and address(first) % 64 == 0
    assert address(work("sums", 50, "float64")) == address(first)
    assert not np.shares_memory(work("pixels", 100, "float32"), first)
    larger = work("sums", 1000, "float64")
    assert larger.size == 1000 and address(larger) % 64 == 0
    assert not np.shares_memory(larger, first)


def test_threads_share_no_memory(fresh):
    pieces = [work("sums", 100, "float32")]
    thread = threading.Thread(target=lambda: pieces.append(work("sums", 100, "float32")))
    thread.start()
    thread.join()
    assert not np.shares_memory(*pieces)


def test_what_is_kept_is_bounded(fresh):
    addresses = {name: address(work(name, KEPT_BYTES // 4, np.uint8)) for name in "abcd"}
    work("a", 1, np.uint8)
    work("e", KEPT_BYTES // 4, np.uint8)
    assert list(plans._pieces.pieces) == ["c", "d", "a", "e"]
    assert address(work("a", 5, np.uint8)) == addresses["a"]
    work("huge", 2 * KEPT_BYTES, np.uint8)
    assert list(plans._pieces.pieces) == ["c", "d", "e", "a"], "what is not kept costs no other"


def test_what_loops_read_is_flat_and_of_one_form():
    rng = np.random.default_rng(0)
    array = rng.standard_normal((3, 4))
    frozen = array.copy()
    frozen.flags.writeable = False
    shifted = np.empty(8 * 12 + 1, np.uint8)[1:].view(np.float64).reshape(3, 4)
    shifted[...] = array
    for given in (array, frozen, shifted, np.asfortranarray(array)):
        flat = readable(given)
        assert np.array_equal(flat, array.ravel())
        assert flat.flags.c_contiguous and flat.flags.aligned and not flat.flags.writeable
    assert np.shares_memory(readable(array), array) and array.flags.writeable


def test_what_is_not_given_has_no_numbers(dtype):
    for empty in (optional(None, dtype), slopes_of(None)):
        assert empty.shape == (0,)
    assert optional(None, dtype).dtype == dtype and not optional(None, dtype).flags.writeable
    assert np.array_equal(optional(np.ones((2, 3), dtype), dtype), np.ones(6))


def test_slopes_are_copied_only_if_they_cannot_be_written():
    slope = np.ones((2, 3), bool)
    assert np.shares_memory(slopes_of(slope), slope)
    slope.flags.writeable = False
    assert slopes_of(slope).flags.writeable and not np.shares_memory(slopes_of(slope), slope)
