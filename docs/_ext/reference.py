"""Links of the reference: short names of this package, and the methods that a class inherits."""

import inspect
from importlib import import_module

from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_refnode


def place(cls):
    """Return the name of the outermost module that shows a class, with that of the class."""
    parts = cls.__module__.split(".")
    for stop in range(2, len(parts) + 1):
        if getattr(import_module(".".join(parts[:stop])), cls.__name__, None) is cls:
            return ".".join([*parts[:stop], cls.__name__])
    return f"{cls.__module__}.{cls.__qualname__}"


def inherited(module, name):
    """Return the public methods and properties that a class has from others of this package, by their full names."""
    cls = getattr(import_module(module), name)
    found = {}
    for base in cls.__mro__[1:]:
        if base.__module__.startswith("meganet."):
            for member in vars(base):
                if not member.startswith("_") and member not in vars(cls) and inspect.getdoc(getattr(base, member)):
                    found.setdefault(member, f"{place(base)}.{member}")
    return [found[member] for member in sorted(found)]


class Inherited(SphinxDirective):
    """``.. inherited:: module class`` lists them, with links to where they are described."""

    required_arguments = 2

    def run(self):
        names = ", ".join(f":py:obj:`~{name}`" for name in inherited(*self.arguments))
        return self.parse_text_to_nodes(f".. rubric:: Inherited\n\n{names}") if names else []


def linked(app, env, node, contnode):
    """Resolve a name that is not found where it is used, if only one thing in the package ends with it."""
    if node.get("refdomain") != "py" or not node.get("reftarget"):
        return None
    objects = env.domains["py"].objects
    end = "." + node["reftarget"].removeprefix("mn.")
    found = {entry.node_id: entry for name, entry in objects.items() if name.endswith(end) and not entry.aliased}
    if len(found) != 1:
        return None
    ((anchor, entry),) = found.items()
    return make_refnode(app.builder, node["refdoc"], entry.docname, anchor, contnode, anchor)


def setup(app):
    """Register them."""
    app.add_directive("inherited", Inherited)
    app.connect("missing-reference", linked)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
