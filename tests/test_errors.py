"""Every error about an argument is worded in one place."""

import ast
from pathlib import Path

import numpy as np
import pytest

import meganet
from meganet.ground import validate
from meganet.ground.validate import InputError

PACKAGE = Path(meganet.__file__).parent


def test_errors_are_raised_only_by_the_validation():
    """Elsewhere only failed checks, and what is raised again."""
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text())
        assert not any(isinstance(node, ast.Assert) for node in ast.walk(tree)), path
        raised = {ast.unparse(n.exc).split("(")[0] for n in ast.walk(tree) if isinstance(n, ast.Raise) and n.exc}
        # a missing attribute, module or key is told as Python tells it
        usual = {"deprecated.py": "AttributeError", "dropins.py": "ModuleNotFoundError", "catalogue.py": "KeyError"}
        allowed = {"ground": {"error", "kind"}, "checks": {"CheckError"}}.get(path.relative_to(PACKAGE).parts[0], set())
        assert raised <= allowed | {usual.get(path.name, "")}, path


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: validate.choice("a", "z", ["x", "y"]), "a: expected one of 'x', 'y', got 'z'"),
        (
            lambda: validate.choice("a", "Momentm", ["momentum", "seed"]),
            "a: expected one of 'momentum', 'seed', got 'Momentm'; did you mean 'momentum'?",
        ),
        (
            lambda: validate.choice("a", "mo", ["momentum", "x"]),
            "a: expected one of 'momentum', 'x', got 'mo'; did you mean 'momentum'?",
        ),
        (lambda: validate.choice("a", "4.9", ["4.1", "4.2"]), "a: expected one of '4.1', '4.2', got '4.9'"),
        (lambda: validate.choice("a", "", ["x"]), "a: expected one of 'x', got ''"),
        (lambda: validate.choice("a", "x", []), "a: expected one of , got 'x'"),
        (lambda: validate.choice("a", 3, ["x"]), "a: expected one of 'x', got 3"),
        (lambda: validate.integer("n", 0), "n: expected an integer of at least 1, got 0"),
        (lambda: validate.integer("n", True), "n: expected an integer of at least 1, got True"),
        (lambda: validate.integer("n", 1.0), "n: expected an integer of at least 1, got 1.0"),
        (lambda: validate.real("x", float("nan")), "x: expected a finite number, got nan"),
        (lambda: validate.real("x", 0, above=0), "x: expected a finite number above 0, got 0"),
        (lambda: validate.real("x", -1, minimum=0), "x: expected a finite number of at least 0, got -1"),
        (lambda: validate.real("x", "1"), "x: expected a finite number, got '1'"),
        (lambda: validate.pair("p", "ab"), "p[0]: expected an integer of at least 1, got 'a'"),
        (lambda: validate.pair("p", (1, 2, 3)), "p: expected one integer or a pair of integers, got (1, 2, 3)"),
        (lambda: validate.shape("s", ()), "s: expected a tuple of positive integers, got ()"),
        (lambda: validate.shape("s", (1, 2), 3), "s: expected a tuple of 3 positive integers, got (1, 2)"),
        (lambda: validate.shape("s", (1, 0)), "s[1]: expected an integer of at least 1, got 0"),
        (lambda: validate.odd_shape("k", 4), "k: expected odd sizes, so that the kernel has a centre, got 4x4"),
        (
            lambda: validate.even_shape("k", (4, 5)),
            "k: expected even sizes, so that 2x2 blocks cover the image, got 4x5",
        ),
        (
            lambda: validate.even_shape("k", (4, 5), (1,)),
            "k: expected even sizes, so that 1x2 blocks cover the image, got 4x5",
        ),
        (lambda: validate.float_dtype("d", "int8"), "d: expected float32 or float64, got int8"),
        (lambda: validate.float_dtype("d", "nonsense"), "d: expected float32 or float64, got 'nonsense'"),
        (
            lambda: validate.float_images("x", np.zeros(2, "uint8")),
            'x: expected float32 or float64 (scale_images(x, "unit") makes them of pixels from 0 to 255), got uint8',
        ),
        (
            lambda: validate.float_images("x", np.zeros(2, "int64")),
            'x: expected float32 or float64 (scale_images(x, "unit") makes them of pixels from 0 to 255), got int64',
        ),
        (
            lambda: validate.float_images("x", np.zeros(2, bool)),
            'x: expected float32 or float64 (x.astype("float32") makes 0 and 1 of booleans), got bool',
        ),
        (
            lambda: validate.float_images("x", np.zeros(2, "float16")),
            'x: expected float32 or float64 (x.astype("float32") makes them), got float16',
        ),
        (lambda: validate.float_images("x", np.zeros(2, complex)), "x: expected float32 or float64, got complex128"),
    ],
)
def test_wording(call, message):
    with pytest.raises(InputError) as error:
        call()
    assert str(error.value) == message


def test_messages_are_one_line():
    """Whatever a damaged file holds."""
    with pytest.raises(InputError) as error:
        validate.reject("path", "text", "a\nb\x1b\u2028 é ±")
    assert str(error.value) == r"path: expected text, got a b\x1b é ±"
    with pytest.raises(InputError) as error:
        validate.reject("path", "text", "a\x1b\u2028 é ±")
    assert str(error.value) == r"path: expected text, got a\x1b\u2028 é ±"
