"""Exercises of the lessons that check themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from meganet.ground import validate


def try_exercise(answer: Callable[..., Any], check: Callable[[Callable[..., Any]], Any]) -> bool:
    """Try the function that a student wrote and print in one line how it went.

    Parameters
    ----------
    answer : callable
        What the student fills in; as long as it raises NotImplementedError it counts as not started.
    check : callable
        Called with `answer`; raises AssertionError, as the checks of this package do, if the answer is wrong. Its
        message is the hint that is printed.

    Returns
    -------
    bool
        Whether the answer is right.

    Raises
    ------
    InputError
        If one of the two cannot be called.
    Exception
        Whatever else the answer raises, so that its author sees the traceback.

    Examples
    --------
    >>> from meganet.checks import try_exercise
    >>> def double(x):
    ...     raise NotImplementedError  # your code
    >>> def check_double(double):
    ...     assert double(3) == 6, "twice 3 is 6"
    >>> try_exercise(double, check_double)
    double: not started
    False
    >>> try_exercise(lambda x: x * x, check_double)
    <lambda>: not yet, twice 3 is 6
    False
    >>> try_exercise(lambda x: 2 * x, check_double)
    <lambda>: right
    True
    """
    for argument, function in (("answer", answer), ("check", check)):
        if not callable(function):
            validate.reject(argument, "a function", repr(function))
    name = getattr(answer, "__name__", type(answer).__name__)
    try:
        check(answer)
    except NotImplementedError:
        print(f"{name}: not started")
    except AssertionError as error:
        # of the checks that measure a table the first line says what is wrong
        hint = str(error).strip().partition("\n")[0]
        print(f"{name}: not yet, {hint or 'it gives another result'}")
    else:
        print(f"{name}: right")
        return True
    return False
