"""Settings of Sphinx: `pip install ".[docs]" && sphinx-build -W docs docs/_build`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

from meganet import __version__

project = "meganet"
author = "The meganet authors"
copyright = "the meganet authors"
release = version = __version__
extensions = [
    "myst_parser",
    "numpydoc",
    "lessons",
    "reference",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "results", "lessons", "solutions"]
myst_enable_extensions = ["colon_fence", "dollarmath"]
suppress_warnings = ["myst.xref_missing"]
default_role = "py:obj"
numpydoc_show_class_members = False
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
maximum_signature_line_length = 80
autosummary_generate = True

html_theme = "pydata_sphinx_theme"
html_title = "meganet"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {
    "header_links_before_dropdown": 6,
    "navigation_depth": 3,
    "show_nav_level": 1,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_show_sourcelink = False
# the first page has no section whose pages could be listed beside it
html_sidebars = {"index": [], "quickstart": []}

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# `sphinx-build -b linkcheck docs docs/_build/links`
linkcheck_ignore = [
    r"https?://(localhost|127\.0\.0\.1)",
    r"https?://example\.org",
    # publishers that answer programs by 403
    r"https://(doi\.org|epubs\.siam\.org|www\.sciencedirect\.com|link\.springer\.com)/",
]
linkcheck_anchors_ignore_for_url = [r"https://github\.com/"]
linkcheck_timeout, linkcheck_retries, linkcheck_workers = 20, 2, 4

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
    # names in the lessons' code lead to the reference, and pages of the reference to the lessons
    "backreferences_dir": "gallery/backreferences",
    "doc_module": ("meganet",),
    "reference_url": {"meganet": None},
}
