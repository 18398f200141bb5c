"""Links of the reference: short names of this package, the methods that a class inherits, lessons that use a thing."""

import inspect
from importlib import import_module
from pathlib import Path

from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_refnode

import meganet

MODULES = {f"meganet.{room}" for room in (*meganet._ROOMS, "model")}


def public_name(cls):
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
                hidden = member.startswith("_") or member.endswith("_unchecked") or member in vars(cls)
                if not hidden and inspect.getdoc(getattr(base, member)):
                    found.setdefault(member, f"{public_name(base)}.{member}")
    return [found[member] for member in sorted(found)]


class Inherited(SphinxDirective):
    """``.. inherited:: module class`` lists them, with links to where they are described."""

    required_arguments = 2

    def run(self):
        names = ", ".join(f":py:obj:`~{name}`" for name in inherited(*self.arguments))
        return self.parse_text_to_nodes(f".. rubric:: Inherited\n\n{names}") if names else []


def is_own(module, name):
    """Whether the package itself has an object of a module, under the same name."""
    return name in meganet.__all__ and getattr(meganet, name) is getattr(import_module(module), name)


class Lessons(SphinxDirective):
    """``.. lessons:: module object`` shows the lessons that use an object, under either of its names."""

    required_arguments = 2

    def run(self):
        module, name = self.arguments
        names = {f"{module}.{name}", *([f"meganet.{name}"] if is_own(module, name) else [])}
        folder = Path(self.env.srcdir) / self.config.sphinx_gallery_conf["backreferences_dir"]
        files = {found: folder / f"{found}.examples" for found in sorted(names)}
        used = " ".join(found for found, file in files.items() if file.exists() and file.stat().st_size)
        text = f".. rubric:: Lessons that use it\n\n.. minigallery:: {used}"
        return self.parse_text_to_nodes(text) if used else []


def parsable_signature(app, what, name, obj, options, signature, returned):
    """Write defaults that a dataclass makes as ``...``, which Sphinx can parse."""
    return (signature or "").replace("<factory>", "...") or signature, returned


def resolve_short_name(app, env, node, contnode):
    """Resolve a name that is not found where it is used, if only one thing in the package ends with it."""
    if node.get("refdomain") != "py" or not node.get("reftarget"):
        return None
    end = "." + node["reftarget"].removeprefix("mn.")
    found = {
        entry.node_id: entry
        for name, entry in env.domains["py"].objects.items()
        # a name in an explanation may be that of an argument: it is not that of somebody's attribute
        if name.endswith(end)
        and not entry.aliased
        and ("." in end[1:] or entry.objtype not in ("attribute", "property", "method"))
    }
    if len(found) != 1:
        return None
    ((anchor, entry),) = found.items()
    return make_refnode(app.builder, node["refdoc"], entry.docname, anchor, contnode, anchor)


def add_names_of_the_package(app, env):
    """Let ``meganet.sgd`` lead to the page of ``meganet.optim.sgd``, also from the code of the lessons."""
    objects = env.domains["py"].objects
    for full, entry in list(objects.items()):
        module, _, name = full.rpartition(".")
        if module.count(".") == 1 and module in MODULES and is_own(module, name):
            objects[f"meganet.{name}"] = entry
    return []


def setup(app):
    """Register them."""
    app.add_directive("inherited", Inherited)
    app.add_directive("lessons", Lessons)
    app.connect("autodoc-process-signature", parsable_signature)
    app.connect("missing-reference", resolve_short_name)
    app.connect("env-updated", add_names_of_the_package)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
