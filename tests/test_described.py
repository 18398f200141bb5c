"""What the command line says of settings, tables, figures and experiments is what they are."""

import subprocess
import sys

import pytest
from meganet.experiments.described import described
from meganet.experiments.named import EXPERIMENTS
from meganet.experiments.plan import protocol_for

from meganet._validate import InputError
from meganet.experiments import PRESETS, TABLES, Protocol, titles
from meganet.plotting import FIGURES

SETTINGS = {setting.name: setting for setting in described()}


def test_each_setting_is_described_in_a_line():
    assert list(SETTINGS) == list(Protocol.__dataclass_fields__)
    for setting in SETTINGS.values():
        # what is left of 80 columns beside name, type and default
        assert 0 < len(setting.meaning) <= 36 and setting.kind in ("int", "float", "str"), setting


@pytest.mark.parametrize("setting", [s for s in SETTINGS.values() if s.kind == "str"], ids=lambda s: s.name)
def test_the_choices_are_those_that_are_accepted(setting):
    for choice in setting.choices:
        assert getattr(Protocol().replaced({setting.name: choice}), setting.name) == choice
    listed = ", ".join(map(repr, sorted(setting.choices)))
    with pytest.raises(InputError, match=rf"^{setting.name}: expected one of {listed}, got '\?'$"):
        Protocol().replaced({setting.name: "?"})


def test_the_defaults_are_those_of_the_presets():
    for name, setting in SETTINGS.items():
        small, thesis = (str(getattr(protocol_for("4.1", preset), name)) for preset in ("small", "thesis"))
        assert setting.default == (small if small == thesis else f"{small}/{thesis}")


def test_titles_are_of_what_there_is():
    assert list(titles.TABLES) == list(TABLES) and set(titles.PRESETS) == set(PRESETS)
    assert list(titles.FIGURES) == list(FIGURES) and list(titles.QUESTIONS) == list(EXPERIMENTS)
    for number, plan in TABLES.items():
        assert titles.TABLES[number].startswith(f"net {plan.network}, ")


def test_settings_are_known_without_the_numerical_libraries():
    code = "import sys; from meganet.experiments.described import described; described(); print('scipy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "False\n", done.stderr
