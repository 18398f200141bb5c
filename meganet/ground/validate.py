"""The one place that words errors about arguments: which one, what was expected, what came."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from numbers import Integral, Real
from pathlib import Path
from textwrap import shorten
from typing import Any, NoReturn

import numpy as np

LARGEST_SIZE = 2**63 - 1
LONGEST = 1000
"""Characters of what came."""
FEW = 8
"""Numbers of an array that are shown."""
LIKENESS = 0.6
"""Of a misspelt name and the one that was meant, at least, as `difflib` measures it: 1 is the same, 0 nothing alike."""
FLOAT_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


class InputError(ValueError):
    """An argument, a setting or a file that was handed in cannot be used.

    The message reads ``<argument>: expected <what>, got <what came>``.

    Examples
    --------
    >>> import meganet as mn
    >>> try:
    ...     mn.ConvolutionLayer((1, 8, 8), out_channels=0)
    ... except mn.InputError as error:
    ...     print(error)
    out_channels: expected an integer of at least 1, got 0
    """


class UserError(InputError):
    """What a user handed to a command cannot be used: settings, files, folders, workers.

    It may come up at any time of a run, and the command shows one line. Any other `InputError` in the middle of a run
    is about an argument that our own code passed: a bug, which shows its traceback.
    """


def reject(argument: str, expected: str, got: object, error: type[InputError] = InputError) -> NoReturn:
    """Raise `InputError`, or a class of it, for `argument` in the common wording, in one line."""
    text = str(got)
    if "\n" in text or len(text) > LONGEST:
        text = shorten(text, LONGEST, placeholder=" ...")
    message = f"{argument}: expected {expected}, got {text}"
    # what came may be text of a damaged file
    raise error("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message))


@contextmanager
def within(part: str, kind: type[Exception] = InputError) -> Iterator[None]:
    """Put the name of a part in front of what is wrong with its arguments."""
    try:
        yield
    except kind as error:
        error.args = (f"{part}: {error}",)
        raise


@contextmanager
def raised_as(kind: type[InputError]) -> Iterator[None]:
    """Let what is wrong with arguments be an error of a class of its own, with the same words."""
    try:
        yield
    except InputError as error:
        raise kind(str(error)) from error


def shown(value: Any) -> str:
    """Return what came in a form that a line can hold: arrays of more than a few numbers by shape and dtype."""
    if math.prod(getattr(value, "shape", ())) > FEW and hasattr(value, "dtype"):
        return f"an array of shape {tuple(value.shape)}, {value.dtype}"
    return repr(value)


def worded(error: BaseException) -> str:
    """Return the first line of another library's error, cut where it is long; its class if it has no message."""
    lines = str(error).strip().splitlines()
    return shorten(lines[0], 100, placeholder=" ...") if lines else type(error).__name__


def reject_file(path: object, expected: str, got: object) -> NoReturn:
    """Raise `UserError` about a file."""
    reject(str(path), expected, got, UserError)


def choice(argument: str, value: Any, choices: Iterable[str]) -> str:
    """Return `value` if it is one of `choices`; the message, if it is not, also says which of them may be meant."""
    known = sorted(choices)
    if not isinstance(value, str) or value not in known:
        meant = closest(value, known)
        hint = "" if meant is None else f"; did you mean {meant!r}?"
        reject(argument, "one of " + ", ".join(repr(c) for c in known), shown(value) + hint)
    return value


def closest(value: Any, choices: Sequence[str]) -> str | None:
    """Return the choice that somebody may have wanted to write; None if there is none, or several are as close."""
    # not needed as long as nothing is wrong
    from difflib import SequenceMatcher, get_close_matches

    if not isinstance(value, str) or len(value) > 2 * max(map(len, choices), default=0):
        return None
    word, names = value.casefold(), {choice.casefold(): choice for choice in choices}
    begun = [name for name in names if word and name.startswith(word)]
    found = begun if len(begun) == 1 else get_close_matches(word, names, n=2, cutoff=LIKENESS)
    likeness = [SequenceMatcher(None, name, word).ratio() for name in found]
    return names[found[0]] if found and (len(found) == 1 or likeness[0] > likeness[1]) else None


def integer(argument: str, value: Any, minimum: int = 1) -> int:
    """Return `value` as an ``int`` of at least `minimum`."""
    if type(value) is int and value >= minimum:
        return value
    if isinstance(value, bool) or not isinstance(value, Integral) or value < minimum:
        reject(argument, f"an integer of at least {minimum}", shown(value))
    return int(value)


def size(argument: str, value: Any, minimum: int = 1) -> int:
    """Return `value` as an ``int`` that an array can have as its size."""
    number = integer(argument, value, minimum)
    if number > LARGEST_SIZE:
        reject(argument, f"an integer of at most {LARGEST_SIZE}", str(number))
    return number


def real(argument: str, value: Any, *, above: float | None = None, minimum: float | None = None) -> float:
    """Return `value` as a finite ``float`` with ``value > above`` and ``value >= minimum``."""
    bounds = [f"above {above}"] if above is not None else []
    bounds += [f"of at least {minimum}"] if minimum is not None else []
    expected = " ".join(["a finite number", *bounds])
    number = as_float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
    if not math.isfinite(number):
        reject(argument, expected, shown(value))
    if (above is not None and number <= above) or (minimum is not None and number < minimum):
        reject(argument, expected, shown(value))
    return number


def mesh_width(argument: str, value: Any, power: int = 2) -> float:
    """Return `value` as a ``float`` whose `power` and the inverse of that are numbers, in float64, with some to spare.

    For `power` 2, a difference times its adjoint, those are 1e-150 to 1e150.
    """
    number, digits = real(argument, value, above=0), 300 // power
    if not float(f"1e-{digits}") <= number <= float(f"1e{digits}"):
        reject(argument, f"a number from 1e-{digits} to 1e{digits}", repr(number))
    return number


def store(obj: object, **values: Any) -> None:
    """Set attributes, as they came out of the validation, of an object whose class may be a frozen dataclass."""
    for name, value in values.items():
        object.__setattr__(obj, name, value)


def as_float(value: Any) -> float:
    """Return a real number as a ``float``; one beyond its range is infinite."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def instance(argument: str, value: Any, kind: type, expected: str) -> None:
    """Check that `value` is of a class."""
    if not isinstance(value, kind):
        reject(argument, expected, shown(value))


def items(argument: str, value: Any, kind: type, expected: str) -> tuple[Any, ...]:
    """Return the items of an iterable, all of a class and at least one."""
    scalar = isinstance(value, (str, bytes)) or getattr(value, "ndim", 1) == 0
    try:
        found = tuple(value) if isinstance(value, Iterable) and not scalar else ()
    except TypeError:
        # a sparse array says that it can be iterated over
        found, scalar = (), True
    if not found or not all(isinstance(item, kind) for item in found):
        empty = not scalar and hasattr(value, "__len__") and not len(value)
        reject(argument, expected, "none" if empty else shown(value))
    return found


def generator(argument: str, value: Any, method: str) -> None:
    """Check that `value` is a source of random numbers with a method."""
    if not hasattr(value, method):
        reject(argument, "a numpy.random.Generator", shown(value))


def path(argument: str, value: Any) -> Path:
    """Return `value` as a path."""
    text = os.fspath(value) if isinstance(value, (str, os.PathLike)) else None
    if not isinstance(text, str):
        reject(argument, "a path", shown(value))
    if "\0" in text:
        reject(argument, "a path without null characters", repr(text))
    return Path(text)


def pair(argument: str, value: Any, minimum: int = 1) -> tuple[int, int]:
    """Return `value`, one integer or two, as two integers of at least `minimum`."""
    first, second = sizes(argument, value, 2, minimum)
    return first, second


def sizes(argument: str, value: Any, count: int, minimum: int = 1) -> tuple[int, ...]:
    """Return `value`, one integer for all axes or one for each of `count`, as integers of at least `minimum`."""
    values = (value,) * count if isinstance(value, Integral) else value
    if not isinstance(values, Sequence) or len(values) != count:
        several = "a pair of integers" if count == 2 else f"{count} integers"
        reject(argument, f"one integer or {several}", shown(value))
    return tuple(size(f"{argument}[{k}]", v, minimum) for k, v in enumerate(values))


def shape(argument: str, value: Any, ndim: int | tuple[int, ...] | None = None) -> tuple[int, ...]:
    """Return `value` as a tuple of positive integers, `ndim` of them if given, or one of several numbers of them."""
    if isinstance(value, Integral):
        value = (value,)
    counts = (ndim,) if isinstance(ndim, int) else ndim
    if not isinstance(value, Sequence) or (counts is not None and len(value) not in counts) or not value:
        count = "" if counts is None else f"{' or '.join(map(str, counts))} "
        reject(argument, f"a tuple of {count}positive integers", shown(value))
    found = tuple(size(f"{argument}[{k}]", v) for k, v in enumerate(value))
    if math.prod(found) > LARGEST_SIZE:
        reject(argument, f"at most {LARGEST_SIZE} entries", shown(value))
    return found


def grid(argument: str, value: Any) -> tuple[int, ...]:
    """Return `value` as positive integers, two for images, or three for videos; one integer is both of an image."""
    return sizes(argument, value, 3 if isinstance(value, Sequence) and len(value) == 3 else 2)


def odd_shape(argument: str, value: Any, count: int | None = None) -> tuple[int, ...]:
    """Return `value`, a `grid` or so many numbers, as odd positive integers (a kernel with a centre)."""
    found = grid(argument, value) if count is None else sizes(argument, value, count)
    if any(n % 2 == 0 for n in found):
        reject(argument, "odd sizes, so that the kernel has a centre", by(found))
    return found


def even_shape(argument: str, value: Any, axes: Sequence[int] = (0, 1)) -> tuple[int, ...]:
    """Return `value`, a `grid`, as positive integers, even along some axes (a grid that has a coarser one)."""
    found = grid(argument, value)
    if any(found[k] % 2 for k in axes):
        block = by(2 if k in axes else 1 for k in range(len(found)))
        reject(argument, f"even sizes, so that {block} blocks cover the image", by(found))
    return found


def by(values: Iterable[int]) -> str:
    """Return sizes as they are written in lines, such as 28x28."""
    return "x".join(map(str, values))


def plain(argument: str, value: Any) -> None:
    """Refuse arrays of which computations here would ignore what is special about them."""
    values = value if isinstance(value, (list, tuple)) else (value,)
    if any(isinstance(v, np.ma.MaskedArray) for v in values):
        reject(argument, "a plain array (of a masked one, .filled(value) gives the numbers)", "a masked array")
    if any(isinstance(v, np.matrix) for v in values):
        reject(argument, "a plain array (np.asarray makes one of a matrix)", "np.matrix")


def read(argument: str, value: Any, expected: str) -> Any:
    """Return `value`, which lives on the host, as a plain NumPy array of whatever dtype."""
    plain(argument, value)
    try:
        return np.asarray(value)
    except (ValueError, TypeError, RuntimeError):
        # or another library's array that cannot be read here
        is_nested = isinstance(value, (list, tuple))
        reject(argument, expected, "sequences of different lengths" if is_nested else type(value).__name__)


def numbers(argument: str, value: Any, expected: str = "real numbers", kinds: str = "iuf") -> Any:
    """Return `value`, which lives on the host, as a plain NumPy array if its dtype is of one of the `kinds`."""
    found = read(argument, value, expected)
    if found.dtype.kind not in kinds:
        reject(argument, expected, str(found.dtype))
    return found


def fits(argument: str, array: Any, dtype: Any, largest: float | None = None) -> None:
    """Check that no finite number of a host `array` is beyond the range of `dtype`.

    Of a dtype that NumPy does not know, `largest` is its largest number.
    """
    found = float(np.abs(array[np.isfinite(array)]).max(initial=0))
    if array.dtype.kind == "f" and found > (float(np.finfo(dtype).max) if largest is None else largest):
        reject(argument, f"numbers in the range of {dtype}", f"{found:g} among them")


def array_shape(argument: str, array: Any, expected: tuple[Any, ...]) -> None:
    """Check the shape of `array`; letters in `expected`, such as "N", stand for any size."""
    got = tuple(_attribute(argument, array, "shape"))
    fits = len(got) == len(expected) and all(isinstance(e, str) or e == g for e, g in zip(expected, got, strict=True))
    if not fits:
        comma = "," if len(expected) == 1 else ""
        reject(argument, f"an array of shape ({', '.join(map(str, expected))}{comma})", f"shape {got}")


def axes(argument: str, value: Any, ndim: int) -> tuple[int, ...]:
    """Return `value`, one axis or several of a tensor with `ndim` axes, as increasing numbers from 0."""
    values = (value,) if isinstance(value, Integral) else value
    expected = f"different axes of a tensor with {ndim}"
    if not isinstance(values, Sequence) or not values or not all(isinstance(v, Integral) for v in values):
        reject(argument, expected, shown(value))
    found = sorted({int(v) % ndim for v in values if -ndim <= int(v) < ndim})
    if len(found) != len(values):
        reject(argument, expected, shown(value))
    return tuple(found)


def not_empty(argument: str, array: Any, what: str = "example", axis: int = 0) -> None:
    """Check that `array` holds at least one example along an axis, by default the first."""
    if not array.shape[axis]:
        reject(argument, f"at least one {what}", "none")


def float_dtype(argument: str, dtype: Any) -> np.dtype[Any]:
    """Return `dtype` as a NumPy dtype if it is float32 or float64."""
    try:
        found = np.dtype(dtype)
    except TypeError:
        reject(argument, "float32 or float64", shown(dtype))
    if found not in FLOAT_DTYPES:
        reject(argument, "float32 or float64", str(found))
    return found


def float_images(argument: str, images: Any) -> np.dtype[Any]:
    """Return the dtype of images if it is float32 or float64; the message, if it is not, says how they become it."""
    dtype = _attribute(argument, images, "dtype")
    kind = getattr(dtype, "kind", "")
    advice = {
        "u": f' (scale_images({argument}, "unit") makes them of pixels from 0 to 255)',
        "b": f' ({argument}.astype("float32") makes 0 and 1 of booleans)',
        "f": f' ({argument}.astype("float32") makes them)',
    }
    if dtype not in FLOAT_DTYPES:
        reject(argument, f"float32 or float64{advice.get('u' if kind == 'i' else kind, '')}", str(dtype))
    return np.dtype(dtype)


def same_dtype(argument: str, array: Any, dtype: np.dtype[Any], owner: str) -> None:
    """Check that `array` has the dtype of `owner`, so that nothing is widened unseen."""
    if _attribute(argument, array, "dtype") != dtype:
        reject(argument, f"{dtype}, the dtype of {owner}", str(array.dtype))


def _attribute(argument: str, array: Any, name: str) -> Any:
    """Return what only arrays have."""
    if not hasattr(array, name):
        reject(argument, "an array", type(array).__name__)
    return getattr(array, name)
