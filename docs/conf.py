"""Settings of Sphinx: `pip install ".[docs]" && sphinx-build -W docs docs/_build`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

from meganet import __version__

project = "meganet"
author = copyright = "The meganet authors"
release = version = __version__
extensions = [
    "myst_parser",
    "numpydoc",
    "lessons",
    "reference",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "lessons", "solutions"]
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
# the tables of single results are reached by links from the text
suppress_warnings = ["toc.not_included"]
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
    "navigation_depth": 3,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_show_sourcelink = False
# these two are no sections whose pages could be listed beside them
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
linkcheck_timeout, linkcheck_retries = 20, 2

sphinx_gallery_conf = {
    "examples_dirs": "lessons",
    "gallery_dirs": "gallery",
    "filename_pattern": r"/\d\d_",
    "within_subsection_order": "FileNameSortKey",
    "ignore_repr_types": r"matplotlib|'(bool|list|tuple)'",
    "abort_on_example_error": True,
    "show_signature": False,
    "parallel": True,  # as many lessons at a time as processes, sphinx-build -j
    # names in the lessons' code lead to the reference, and pages of the reference to the lessons
    "backreferences_dir": "gallery/backreferences",
    "doc_module": ("meganet",),
    "reference_url": {"meganet": None},
}
