"""Settings of Sphinx: `pip install ".[docs]" && sphinx-build -W docs docs/_build`."""

from meganet import __version__

project = "meganet"
author = "The meganet authors"
release = __version__
extensions = ["myst_parser", "numpydoc", "sphinx.ext.autodoc"]
exclude_patterns = ["_build", "results"]
numpydoc_show_class_members = False
autodoc_member_order = "bysource"
html_theme = "alabaster"
suppress_warnings = ["myst.xref_missing"]
