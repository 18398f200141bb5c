"""What the command line says of settings, protocols and figures is what they are."""

import subprocess
import sys

import pytest

from meganet.cli import arguments
from meganet.experiments import PRESETS, Setup, setup_for, tables_of
from meganet.experiments.report.figure import Figure, figure_of, figures
from meganet.experiments.setup.fields import as_text
from meganet.experiments.setup.settings import DEFAULTS, FIELDS, described
from meganet.experiments.setup.tables import protocols
from meganet.ground.validate import InputError

SETTINGS = {setting.name: setting for setting in described()}


def test_each_setting_is_described_in_a_line():
    assert list(SETTINGS) == list(FIELDS) == list(Setup().values())
    for setting in SETTINGS.values():
        # what is left of 80 columns beside name, type and default
        assert 0 < len(setting.meaning) <= 36 and setting.kind in ("int", "float", "str", "ints"), setting
        assert setting.source.isprintable() and getattr(Setup(), setting.section), setting


@pytest.mark.parametrize("setting", [s for s in SETTINGS.values() if s.kind == "str"], ids=lambda s: s.name)
def test_the_choices_are_those_that_are_accepted(setting):
    for choice in setting.choices:
        assert Setup().parsed({setting.name: choice}).values()[setting.name] == choice
    listed = ", ".join(map(repr, sorted(setting.choices)))
    with pytest.raises(InputError, match=rf"^{setting.name}: expected one of {listed}, got '\?'$"):
        Setup().parsed({setting.name: "?"})


def test_the_defaults_are_those_of_the_presets():
    for name, setting in SETTINGS.items():
        presets = ("small", "thesis", "printed")
        small, thesis, printed = (as_text(setup_for("4.1", preset).values()[name]) for preset in presets)
        assert setting.default == (small if small == thesis else f"{small}/{thesis}")
        assert setting.printed == ("" if printed == thesis else printed)


@pytest.mark.parametrize("name", DEFAULTS)
def test_a_value_is_read_as_it_is_written(name):
    assert Setup().parsed({name: as_text(DEFAULTS[name])}) == Setup()


def test_titles_are_of_what_there_is():
    assert set(arguments.PRESETS) == set(PRESETS)
    for name, title in protocols().items():
        networks = {table.network for table in tables_of(name)}
        assert len(networks) == 1, "one case of a study holds a protocol"
        assert networks == {None} or title.startswith(f"net {networks.pop()}, ")
    for number, title in figures().items():
        figure = figure_of(number)
        assert isinstance(figure, Figure) and figure.protocol in protocols() and title.startswith(f"Figure {number}: ")


def test_what_is_offered_is_known_without_the_numerical_libraries():
    code = (
        "import sys; from meganet.experiments.setup.settings import described; described()\n"
        "from meganet.experiments.setup.tables import protocols; from meganet.cli.arguments import build; protocols()\n"
        "build().commands['reproduce'].format_help(); print('scipy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "False\n", done.stderr
