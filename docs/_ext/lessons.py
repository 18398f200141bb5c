"""Roles for pages about lessons: ``{lesson}`03_stencils` `` is a link with its title, ``{solution}`` a download."""

from pathlib import Path

from docutils import nodes
from sphinx.addnodes import download_reference, pending_xref
from sphinx.util.docutils import SphinxRole


class OfLesson(SphinxRole):
    """What `make` makes of the name; the name alone while there is no such file in a folder."""

    def __init__(self, folder, make):
        self.folder, self.make = folder, make

    def run(self):
        there = (Path(self.env.srcdir) / self.folder / f"{self.text}.py").exists()
        return [self.make(self.text, self.env.docname) if there else nodes.literal(self.text, self.text)], []


def page(name, document):
    """Return the link to the page of a lesson, whose text is its title."""
    where = {"refdomain": "std", "reftype": "doc", "reftarget": f"/gallery/{name}", "refdoc": document}
    return pending_xref(name, nodes.inline(name, name), refexplicit=False, refwarn=True, **where)


def solutions(name, document):
    """Return the link that downloads the solutions of a lesson."""
    return download_reference(name, "", nodes.inline(name, "download"), reftarget=f"/solutions/{name}.py")


def setup(app):
    """Register them."""
    app.add_role("lesson", OfLesson("lessons", page))
    app.add_role("solution", OfLesson("solutions", solutions))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
