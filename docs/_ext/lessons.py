"""Roles for pages about lessons: ``{lesson}`03_stencils` `` is a link with its title, ``{solution}`` a download."""

from docutils import nodes
from sphinx.addnodes import download_reference, pending_xref


def lesson(role, rawtext, name, lineno, inliner, options=None, content=None):
    """Return the link to the page of a lesson, whose text is its title."""
    where = {"refdomain": "std", "reftype": "doc", "reftarget": f"/gallery/{name}", "refdoc": document(inliner)}
    return [pending_xref(name, nodes.inline(name, name), refexplicit=False, refwarn=True, **where)], []


def solution(role, rawtext, name, lineno, inliner, options=None, content=None):
    """Return the link that downloads the solutions of a lesson."""
    return [download_reference(name, "", nodes.inline(name, "download"), reftarget=f"/solutions/{name}.py")], []


def document(inliner):
    """Return the name of the page that is read."""
    return inliner.document.settings.env.docname


def setup(app):
    """Register them."""
    app.add_role("lesson", lesson)
    app.add_role("solution", solution)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
