"""Multigrid cycles on Poisson's equation: convergence and time per cycle, beside pyamg's.

pip install ".[bench]" && python benchmarks/multigrid.py
"""

from __future__ import annotations

from typing import Any

import common
import numpy as np
import pyamg
from matplotlib.figure import Figure
from pyamg.multilevel import MultilevelSolver
from pyamg.relaxation.smoothing import change_smoothers
from threadpoolctl import threadpool_limits

from meganet.multigrid import GridHierarchy, GridLevel, Poisson, convergence_factor, multigrid_cycle
from meganet.plotting import to_png

SIZES = (64, 128, 256, 512)
SWEEP = ("gauss_seidel", {"sweep": "forward"})
COLUMNS = [
    "grid",
    "V(1,1), red-black",
    "V(1,1), Gauss-Seidel",
    "V(1,1), Jacobi 4/5",
    "pyamg, classical, Gauss-Seidel",
    "constant P",
    "cycle, ms (Gauss-Seidel)",
    "pyamg on the same levels, ms",
    "ns per unknown",
]


def in_pyamg(hierarchy: GridHierarchy) -> Any:
    """Return pyamg's solver on the levels of a hierarchy, with Gauss-Seidel relaxation."""
    levels = []
    for level in reversed(hierarchy.levels):
        levels.append(MultilevelSolver.Level())
        levels[-1].A = level.A.matrix
        if isinstance(level, GridLevel):
            levels[-1].R, levels[-1].P = level.R.matrix, level.P.matrix
    solver = MultilevelSolver(levels, coarse_solver="pinv")
    change_smoothers(solver, presmoother=SWEEP, postsmoother=SWEEP)
    return solver


def factor(solver: Any, cycles: int = 20) -> float:
    """Return the factor of the last cycles of pyamg's solver, from random numbers on."""
    start, residuals = np.random.default_rng(0).standard_normal(solver.levels[0].A.shape[0]), []
    solver.solve(0 * start, x0=start, residuals=residuals, maxiter=cycles, tol=1e-300)
    return float((residuals[-1] / residuals[-cycles // 4 - 1]) ** (4 / cycles))


def main() -> None:
    """Measure every grid in turn, write the table and the picture."""
    options = common.options(__doc__.splitlines()[0], rounds=5)
    with threadpool_limits(options.threads):
        record: dict[str, Any] = {"machine": common.machine(options.threads), "grids": []}
        record["machine"]["pyamg"] = pyamg.__version__
        rows = []
        for n in SIZES:
            A = Poisson((n, n))
            kinds = {name: GridHierarchy(A, relaxation=name) for name in ("red-black", "gauss-seidel", "jacobi")}
            factors = {name: convergence_factor(hierarchy) for name, hierarchy in kinds.items()}
            factors["pyamg"] = factor(pyamg.ruge_stuben_solver(A.matrix, presmoother=SWEEP, postsmoother=SWEEP))
            factors["constant P"] = convergence_factor(GridHierarchy(A, interpolation="constant"))
            ours, theirs = kinds["gauss-seidel"], in_pyamg(kinds["gauss-seidel"])
            f, u = np.random.default_rng(0).standard_normal((2, n, n))
            one = theirs.solve(f.ravel(), x0=u.ravel(), maxiter=1, tol=1e-300)
            np.testing.assert_allclose(multigrid_cycle(ours, u, f).ravel(), one, rtol=1e-8, atol=1e-8 * abs(one).max())
            preconditioner, residual = theirs.aspreconditioner(), f.ravel()
            times = common.medians(
                {
                    "ours": lambda h=ours, f=f: multigrid_cycle(h, 0 * f, f),
                    "red-black": lambda h=kinds["red-black"], f=f: multigrid_cycle(h, 0 * f, f),
                    "pyamg": lambda p=preconditioner, r=residual: p @ r,
                },
                options.rounds,
                calls=4,
            )
            record["grids"].append({"n": n, "factors": factors, "milliseconds": times})
            shown = (times["ours"], times["pyamg"])
            per_unknown = f"{1e6 * times['ours'] / n**2:.0f}"
            rows.append(
                [f"{n}x{n}", *(f"{v:.3f}" for v in factors.values()), *(f"{t:.2f}" for t in shown), per_unknown]
            )
        text = common.table(COLUMNS, rows) + "\n\n![Time per cycle over unknowns](multigrid.png)"
        (common.FOLDER / "multigrid.png").write_bytes(to_png(picture(record)))
        common.write("multigrid", "Multigrid cycles", text, record, options.isa)


def picture(record: dict[str, Any]) -> Figure:
    """Return the times per cycle over the unknowns, beside a line that is linear in them."""
    figure = Figure(figsize=(6.4, 4), layout="constrained")
    ax = figure.subplots()
    unknowns = np.array([grid["n"] ** 2 for grid in record["grids"]])
    kinds = {"ours": "Gauss-Seidel", "red-black": "red-black", "pyamg": "pyamg on the same levels, Gauss-Seidel"}
    for (name, label), style in zip(kinds.items(), ("o-", "s--", "^-."), strict=True):
        ax.loglog(unknowns, [grid["milliseconds"][name] for grid in record["grids"]], style, label=label)
    last = record["grids"][-1]["milliseconds"]["ours"]
    ax.loglog(unknowns, last * unknowns / unknowns[-1], ":", color="0.5", label="linear in the unknowns")
    ax.set(xlabel="Unknowns", ylabel="Time of a V(1,1) cycle, ms")
    ax.legend(frameon=False)
    return figure


if __name__ == "__main__":
    common.run(main)
