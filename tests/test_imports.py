"""One direction of flow: a module imports only from its left."""

import ast
import subprocess
import sys
from pathlib import Path

import meganet

PACKAGE = Path(meganet.__file__).parent
ORDER = [
    "_version",
    "ground",
    "document",
    "backend",
    "datasets",
    "linop",
    "stencils",
    "layers",
    "_matlab networks",
    "losses",
    "regularizers",
    "multigrid",
    "optim",
    "objective",
    "checks plotting workers store",
    "multilevel",
    "model",
    "interop",
    "experiments",
    "cli",
    "__main__",
]
METHODS = {"optim/history.py": {"plotting"}}
"""What a method of a file calls that stands to its right; imported when it is called, not before."""
EXPERIMENTS = ["setup", "protocols", "models", "runs", "questions", "report"]
"""Within the experiments: what, as data; how it is run; what it means; how it is shown."""
RANK = {name: rank for rank, names in enumerate(ORDER) for name in names.split()}


def rooms(path):
    """Return the top-level rooms of meganet that a file imports, but those that a method of it may."""
    found = set()
    tree = ast.parse(path.read_text())
    called = METHODS.get(path.relative_to(PACKAGE).as_posix(), set())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [f"meganet.{a.name}" for a in node.names] if node.module == "meganet" else [node.module]
        else:
            continue
        assert "meganet" not in names, f"{path}: imports the whole package"
        imported = {name.split(".")[1] for name in names if name.startswith("meganet.")}
        found |= imported if node in tree.body else imported - called
    return found


def test_modules_import_only_from_their_left():
    paths = [p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py"]
    assert len(paths) > 30
    for path in paths:
        own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        wrong = {room for room in rooms(path) - {own} if RANK[room] >= RANK[own]}
        assert not wrong, f"{path}: imports {sorted(wrong)} from its right"


def test_experiments_go_from_what_is_run_to_how_it_is_shown():
    place = PACKAGE / "experiments"
    for path in place.glob("*/**/*.py"):
        own = path.relative_to(place).parts[0]
        text = path.read_text()
        imported = {node.module for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)}
        inner = {name.split(".")[2] for name in imported if name and name.startswith("meganet.experiments.")}
        wrong = {room for room in inner - {own} if EXPERIMENTS.index(room) >= EXPERIMENTS.index(own)}
        assert not wrong, f"{path}: imports {sorted(wrong)} from its right"


def test_optimisers_know_nothing_of_networks():
    for path in (PACKAGE / "optim").glob("*.py"):
        assert rooms(path) <= {"ground", "backend", "optim"}


def test_files_are_small():
    for path in PACKAGE.rglob("*.py"):
        assert len(path.read_text().splitlines()) <= 400, path


def test_the_package_needs_no_optional_library_to_import():
    for path in PACKAGE.rglob("*.py"):
        top = ast.parse(path.read_text()).body
        modules = [alias.name for n in top if isinstance(n, ast.Import) for alias in n.names]
        modules += [n.module for n in top if isinstance(n, ast.ImportFrom)]
        found = {name.split(".")[0] for name in modules}
        assert not found & {"cupy", "cupyx", "torch", "pooch", "mlxtend", "h5py", "distributed", "ray"}, path
        assert "sklearn" not in found or path.name == "sklearn.py", path
        loops = path.parent.name == "loops" and path.name not in ("__init__.py", "plans.py")
        assert loops or not found & {"numba", "llvmlite"}, path
        needing = {module for module in modules if module.startswith("meganet.backend.loops.")}
        assert loops or needing <= {"meganet.backend.loops.plans"}, path


def test_rooms_are_attributes_that_are_imported_when_they_are_asked_for():
    rooms = ("checks", "datasets", "interop", "model", "multigrid", "multilevel", "plotting", "stencils")
    code = f"""
import sys, meganet
files = {{name for name, module in sys.modules.items() if name.startswith("meganet.") and hasattr(module, "__file__")}}
assert files == {{"meganet.ground", "meganet.ground.deprecated", "meganet._version"}} and "numpy" not in sys.modules
assert set({rooms[:3] + rooms[4:]}) <= set(dir(meganet))
for room in {rooms}:
    assert getattr(meganet, room).__name__ == "meganet." + room
assert "sklearn" not in sys.modules and "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_numba_is_imported_when_something_is_computed():
    code = """
import sys, meganet
from meganet.cli.arguments import build
build().format_help()
layer = meganet.ConvolutionLayer((1, 28, 28), 4)
import meganet.experiments, meganet.interop, meganet.plotting
assert not {"numba", "llvmlite"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
