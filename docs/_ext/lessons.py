"""Roles for pages about lessons: ``{lesson}`03_stencils` `` is a link with its title, ``{solution}`` a download."""

from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxRole


class OfLesson(SphinxRole):
    """A link that another role makes; the name alone while there is no such file."""

    def __init__(self, folder, role):
        self.folder, self.role = folder, role

    def run(self):
        if not (Path(self.env.srcdir) / self.folder / f"{self.text}.py").exists():
            return [nodes.literal(self.text, self.text)], []
        parsed = self.inliner.parse(self.role.format(self.text), self.lineno, self.inliner, self.inliner.parent)
        return parsed


def setup(app):
    app.add_role("lesson", OfLesson("lessons", ":doc:`/gallery/{0}`"))
    app.add_role("solution", OfLesson("solutions", ":download:`{0}.py </solutions/{0}.py>`"))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
