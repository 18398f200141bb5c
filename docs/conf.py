"""Settings of Sphinx: `pip install ".[docs]" && sphinx-build -W docs docs/_build`."""

from meganet import __version__

project = "meganet"
author = "The meganet authors"
copyright = "the meganet authors"
release = version = __version__
extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "results", "lessons", "solutions"]
myst_enable_extensions = ["colon_fence", "dollarmath"]
suppress_warnings = ["myst.xref_missing"]
numpydoc_show_class_members = False
autodoc_member_order = "bysource"
autosummary_generate = True

html_theme = "pydata_sphinx_theme"
html_title = "meganet"

sphinx_gallery_conf = {
    "examples_dirs": "lessons",
    "gallery_dirs": "gallery",
    "filename_pattern": r"/\d\d_",
    "within_subsection_order": "FileNameSortKey",
    "capture_repr": ("_repr_html_", "__repr__"),
    "ignore_repr_types": "matplotlib",
    "abort_on_example_error": True,
    "download_all_examples": True,
    "remove_config_comments": True,
    "show_signature": False,
    "min_reported_time": 0,
}
