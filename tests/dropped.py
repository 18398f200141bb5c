"""The files that docs/extend.md shows, dropped beside those of the package."""

import re
from importlib import import_module
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "extend.md"
FILES = dict(re.findall(r"^```python\n# (meganet/\S+\.py)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL))
"""Path of each to what is in it."""
SIZES = {"coarse_examples": 48, "fine_examples": 32, "validation_examples": 30, "batch_size": 16}
EPOCHS = {"coarse_epochs": 2, "fine_epochs": 2}
STRIPES = ["--quiet", "--set=dataset=stripes", *(f"--set={name}={value}" for name, value in (SIZES | EPOCHS).items())]
"""What runs on the data set of them, which has 120 images."""


def drop(folder, files):
    """Write files below a folder; return the packages that they belong to, each with its folder there."""
    found = {}
    for path, text in files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        found[".".join(Path(path).parent.parts)] = place.parent
    return found


def extend(monkeypatch, places):
    """Let packages look for modules in more folders."""
    for name, place in places.items():
        package = import_module(name)
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(place)])
