"""A file in a folder registers by name; it is read, not run, until somebody asks for what is in it."""

import re
import subprocess
import sys
from itertools import count

import pytest

from meganet.ground.dropins import module_of, titles, value_of
from meganet.ground.validate import InputError

NUMBERS = count()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Return a function that makes a package of files, named by their stems, and returns its name."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(**files):
        # a new one each time, since modules are kept
        outer = f"dropins_{next(NUMBERS)}"
        (tmp_path / outer / "inner").mkdir(parents=True)
        for folder, content in ((outer, "raise RuntimeError"), (f"{outer}/inner", "")):
            (tmp_path / folder / "__init__.py").write_text(content)
        for name, content in files.items():
            (tmp_path / outer / "inner" / f"{name}.py").write_text(content)
        return f"{outer}.inner"

    return make


def test_files_are_read_but_not_run(package):
    name = package(
        one='"""Of one name."""\n\nTITLES = {"a": "the first"}\nraise RuntimeError\n',
        two='import nonsense\n\nTITLES: dict[str, str] = {"b-c": "the second", "a-d": "the third"}\n',
        shared="def helper():\n    TITLES = 1\n",
        _private='TITLES = {"x": "not shown"}\n',
    )
    # neither these nor the packages around them: importing those would fail
    assert titles(name) == {"a": "the first", "b-c": "the second", "a-d": "the third"}
    assert not any(module.startswith(name) for module in sys.modules)


def test_order_is_that_of_the_files_then_of_their_names(package):
    name = package(
        a='TITLES = {"last": "1"}\n',
        b='ORDER = 20\nTITLES = {"z": "2", "y": "3"}\n',
        c='TITLES = {"first": "4"}\nORDER = 10\n',
        d='TITLES = {"of-d": "5"}\nORDER = 20\n',
    )
    assert [*titles(name)] == ["first", "z", "y", "of-d", "last"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a": 'TITLES = {"x": "1"}\n', "b": 'TITLES = {"x": "2"}\n'}, "b.py: expected names that no .*a.py .*got 'x'"),
        ({"a": "TITLES = dict(x='1')\n"}, r"a.py: expected TITLES as a literal, .* got dict\(x='1'\)"),
        ({"a": "TITLES = ['x']\n"}, r"a.py: expected TITLES as a dict of names and a line on each, got \['x'\]"),
        ({"a": "TITLES = {'x': 'two\\nlines'}\n"}, "a.py: expected TITLES as a dict of names and a line on each"),
        ({"a": "TITLES = {'x': ''}\n"}, "a.py: expected TITLES as a dict of names and a line on each"),
        ({"a": "TITLES = {3: 'x'}\n"}, "a.py: expected TITLES as a dict of names and a line on each"),
        ({"a": "TITLES = {'x': '1'}\nORDER = 'first'\n"}, "a.py: expected ORDER as a number, got 'first'"),
        ({"a": "TITLES = {[]: '1'}\n"}, "a.py: expected TITLES as a literal"),
        ({"a": "TITLES = {'x/y': '1'}\n"}, "a.py: expected names of at most 80 letters, .*got 'x/y'"),
        ({"a": "TITLES = {'..': '1'}\n"}, "a.py: expected names of"),
        ({"a": "TITLES = {'two words': '1'}\n"}, "a.py: expected names of"),
        ({"a": "TITLES = {'\u00e4': '1'}\n"}, "a.py: expected names of"),
        ({"a": f"TITLES = {{'{81 * 'x'}': '1'}}\n"}, "a.py: expected names of"),
        ({"a.b": "TITLES = {'x': '1'}\n"}, "a.b.py: expected a file that can be imported"),
        ({"a": "TITLES = {'x': '1'}\0\n"}, "a.py: expected a file of Python, got "),
    ],
)
def test_what_a_file_may_not_say(package, files, message):
    with pytest.raises(InputError, match=message) as error:
        titles(package(**files))
    assert "\n" not in str(error.value)


def test_a_file_that_is_no_python_is_named_with_its_line(package):
    with pytest.raises(InputError, match=r"broken.py: expected a file of Python, got SyntaxError: .*line 2\)"):
        titles(package(broken="TITLES = {'x': '1'}\ndef (:\n"))


@pytest.mark.parametrize("rest", ["", "VALUES = 3", "VALUES = {}", "VALUES = {'x': 3}"])
def test_a_file_that_has_not_what_it_registers(tmp_path, package, rest):
    name = package(one=f"TITLES = {{'x': '1'}}\n{rest}\n")
    (tmp_path / name.partition(".")[0] / "__init__.py").write_text("")
    with pytest.raises(InputError, match="one.py: expected VALUES, a dict with a text for 'x', got (None|3)$"):
        value_of(name, "x", "VALUES", "a text", lambda value: isinstance(value, str))


def test_a_package_that_is_not_there():
    for name in ("meganet.nowhere", "meganet.nowhere.inner", "nowhere", "meganet.ground.files"):
        with pytest.raises(ModuleNotFoundError, match=re.escape(repr(name))):
            titles(name)


def test_module_of_a_name(tmp_path, package):
    name = package(_shared="VALUE = 3\n", one="TITLES = {'first': '1', 'second': '2'}\nfrom ._shared import VALUE\n")
    outer = tmp_path / name.partition(".")[0] / "__init__.py"
    outer.write_text("")
    module = module_of(name, "second")
    assert module is module_of(name, "first") and module.VALUE == 3 and module.__name__ == f"{name}.one"
    with pytest.raises(InputError, match="^name: expected one of 'first', 'second', got 'frist'; did you mean 'first'"):
        module_of(name, "frist")


def test_a_package_that_is_imported_may_have_more_folders(tmp_path, package, monkeypatch):
    name = package(one="TITLES = {'first': '1'}\n")
    (tmp_path / name.partition(".")[0] / "__init__.py").write_text("")
    module_of(name, "first")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "two.py").write_text("TITLES = {'second': '2'}\n")
    monkeypatch.setattr(sys.modules[name], "__path__", [*sys.modules[name].__path__, str(tmp_path / "more")])
    assert [*titles(name)] == ["first", "second"] and module_of(name, "second").__name__ == f"{name}.two"


def test_names_are_known_without_the_numerical_libraries():
    code = (
        "import sys; from meganet.ground.dropins import titles; titles('meganet.checks'); "
        "assert 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
