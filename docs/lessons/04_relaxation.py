r"""
Relaxation and the V-cycle
==========================

Multigrid was not invented for neural networks but for linear systems. There the work is proportional to the number of
unknowns, because of two observations: simple iterations make an error smooth long before they make it small, and a
smooth error can be computed on a coarser grid. This lesson shows both, puts them together, and shows a choice of
:math:`P` that spoils them.

*Section 2.4 of the thesis.*
"""

# %%
# The model problem
# -----------------
#
# Poisson's equation :math:`-u'' = f` on the unit interval, which vanishes at both ends, becomes :math:`A u = f` with
# second differences on :math:`n` cells. The walls are faces of the first and the last cell: beyond them we imagine a
# cell with the value :math:`-u`, so that the mean at the wall is zero and the corners of :math:`A` are 3 instead of 2.
# The eigenvectors are sines; we call them *modes*.

import numpy as np
from matplotlib import pyplot as plt

from meganet.multigrid import Poisson, modes

A = Poisson(32)
print(Poisson(5, h=1.0).tosparse().toarray())

waves = modes(32)
figure, ax = plt.subplots(figsize=(6.4, 2.8), layout="constrained")
for k, style in ((0, "o-"), (3, "s--"), (23, "^:")):
    ax.plot(waves[k], style, markersize=3, label=f"mode {k + 1}")
ax.set(xlabel="Cell", ylabel="Value")
ax.legend(ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)

# %%
# Relaxation makes errors smooth
# ------------------------------
#
# Weighted Jacobi relaxation corrects every cell by its own equation, :math:`u \leftarrow u + \omega D^{-1} (f - A u)`
# with the diagonal :math:`D` of :math:`A`. The error obeys the same iteration with :math:`f = 0`. We start from the sum
# of a smooth mode and an oscillatory one:

from meganet.multigrid import Jacobi

jacobi = Jacobi(A, weight=2 / 3)
error = waves[1] + waves[23]
zero = np.zeros(32)

figure, axes = plt.subplots(1, 3, figsize=(7, 2.4), sharey=True, layout="constrained")
for ax, sweeps in zip(axes, (0, 2, 20), strict=True):
    ax.plot(jacobi(error, zero, sweeps), ".-")
    ax.set(title=f"{sweeps} sweeps", xlabel="Cell")
axes[0].set_ylabel("Error")

# %%
# After two sweeps the oscillations are gone; after twenty three quarters of the smooth part are still there. On finer
# grids it is worse: a sweep leaves :math:`1 - O(h^2)` of the smoothest mode.

for n in (16, 32, 64, 128):
    smoothest = modes(n)[0]
    left = np.linalg.norm(Jacobi(Poisson(n), weight=2 / 3)(smoothest, 0 * smoothest))
    print(f"{n:4d} cells: a sweep leaves {left:.5f} of the smoothest mode")

# %%
# What is left of every mode tells relaxations apart. The coarse grid has half of the frequencies, so relaxation is
# judged by the other half, shaded; there the picture shows the oscillatory part of what is left, as the coarse grid
# sees to the rest. Jacobi's method without a weight is useless.

from meganet.multigrid import GaussSeidel, RedBlack
from meganet.plotting import plot_relaxation

plot_relaxation(
    {
        "Jacobi": Jacobi(A, weight=1.0),
        "Jacobi, weight 2/3": jacobi,
        "Gauss-Seidel": GaussSeidel(A),
        "red-black Gauss-Seidel": RedBlack(A),
    },
    sweeps=2,
)

# %%
# A smooth error on a coarser grid
# --------------------------------
#
# The error solves :math:`A e = r` with the residual :math:`r = f - A u`. Being smooth, it loses little on a grid of
# half as many cells. There :math:`A^{2h} = R A P`, Galerkin's condition, is a system of half the size; its solution is
# interpolated and added, :math:`u + P e^{2h}`. The error that remains is small, and its rough part is for the next
# sweeps.

from meganet.multigrid import Prolongation, Restriction

R, P = Restriction(32), Prolongation(32, boundary="dirichlet")
coarse = (R @ A @ P).tosparse().toarray()

stages = {"start": waves[0] + 0.5 * waves[23]}
stages["relaxed"] = jacobi(stages["start"], zero, 2)
residual = -(A @ stages["relaxed"])
stages["corrected"] = stages["relaxed"] + P @ np.linalg.solve(coarse, R @ residual)
stages["relaxed again"] = jacobi(stages["corrected"], zero, 2)
for name, e in stages.items():
    print(f"{name:14s} norm of the error {np.linalg.norm(e):.4f}")

figure, axes = plt.subplots(1, 2, figsize=(7, 2.6), layout="constrained")
for ax, names in zip(axes, (("start", "relaxed"), ("corrected", "relaxed again")), strict=True):
    for name, style in zip(names, ("o-", "s--"), strict=True):
        ax.plot(stages[name], style, markersize=3, label=name)
    ax.set(xlabel="Cell")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False)
axes[0].set_ylabel("Error")

# %%
# The V-cycle
# -----------
#
# The coarse system is solved in the same way, by relaxation and a still coarser grid, down to a few cells. In two
# dimensions the grids together have four thirds of the unknowns of the finest:

from meganet.multigrid import Cycle, GridHierarchy, solve
from meganet.plotting import plot_cycle

hierarchy = GridHierarchy(Poisson((64, 64)))
print(hierarchy)

figure, axes = plt.subplots(2, 1, figsize=(6.4, 5.6), layout="constrained")
plot_cycle(hierarchy, axes[0])
plot_cycle(hierarchy, axes[1], cycle=Cycle("W"))

# %%
# Now the point of it all. The factor by which a cycle reduces the error grows a little with the size, but stays below a
# bound, and a cycle costs a fixed number of operations for each unknown: the work to solve a system is proportional to
# the number of its unknowns.

from meganet.multigrid import convergence_factor

for n in (16, 32, 64, 128, 256):
    factor = convergence_factor(GridHierarchy(Poisson((n, n))))
    print(f"{n:3d}x{n:<3d}  V(1,1) leaves {factor:.3f} of the error")

# %%
# Full multigrid starts on the coarsest grid and takes what it finds to the next. After one cycle on each grid the error
# is about that of the discretisation: it falls with :math:`h^2`.

from meganet.multigrid import full_multigrid

plot_cycle(hierarchy, full=True)

for n in (32, 64, 128):
    x = np.sin(np.pi * (np.arange(n) + 0.5) / n)
    exact = np.outer(x, x)
    u = full_multigrid(GridHierarchy(Poisson((n, n))), 2 * np.pi**2 * exact)
    print(f"{n:3d}x{n:<3d}  largest error {abs(u - exact).max():.6f}")

# %%
# The wrong P
# -----------
#
# Galerkin's condition is only as good as :math:`P` and :math:`R`. If :math:`P` interpolates polynomials of degree below
# :math:`m_P` exactly, and :math:`R^T` those below :math:`m_R`, then :math:`m_P + m_R` must exceed the order of the
# differential operator, here 2. The mean :math:`R` has 1, linear :math:`P` 2, but constant :math:`P`, which copies a
# cell to the cells that it is made of, has 1: the sum is 2, not more. The coarse operator is then twice as strong as it
# should be,

from meganet.multigrid import restrict_kernels

laplace = np.array([[0.0, -1.0, 0.0], [-1.0, 4.0, -1.0], [0.0, -1.0, 0.0]])
for interpolation in ("linear", "constant"):
    stencil = restrict_kernels(laplace[None, None], interpolation)[0, 0]
    y, x = np.mgrid[-1:2, -1:2]
    strength = -np.sum(stencil * x**2) / 2 * 4  # of the second derivative, where cells are twice as wide
    print(f"{interpolation:8s} P: the coarse operator is {strength:.1f} times the Laplacian")

# %%
# so that each correction from the coarse grid is half of what it should be. The cycle crawls; the cure is linear
# :math:`P`.

from meganet.plotting import plot_residuals

f = np.ones((64, 64))
found = {
    f"{interpolation} P": solve(GridHierarchy(Poisson((64, 64)), interpolation=interpolation), f, max_cycles=12)
    for interpolation in ("linear", "constant")
}
plot_residuals({name: solution.residuals for name, solution in found.items()})

# %%
# The thesis' networks use the same condition, :math:`K^{2h} = R K^h P`, for their stencils, but in the other direction,
# from coarse to fine. There it has to be inverted, and the roles of the two :math:`P` are exchanged: it is linear
# :math:`P` that does harm. That is the subject of the lesson "The Galerkin condition for stencils".
#
# Exercises
# ---------
#
# **1. The smoothing factor.** Away from the walls a sweep of Jacobi's method multiplies the mode of angle
# :math:`\theta` by :math:`1 - 2 \omega \sin^2(\theta/2)`. Which number is the largest, in absolute value, over the
# oscillatory half, :math:`\pi/2 \le \theta \le \pi`? (For which weight is it smallest?)

from meganet.checks import try_exercise


def smoothing_factor(weight):
    """Return the largest absolute factor over the oscillatory half."""
    raise NotImplementedError


def check_smoothing_factor(smoothing_factor):
    angles = np.linspace(np.pi / 2, np.pi, 1001)
    for weight in (0.5, 2 / 3, 0.8, 1.0):
        expected = abs(1 - 2 * weight * np.sin(angles / 2) ** 2).max()
        assert np.isclose(smoothing_factor(weight), expected), f"for weight {weight:.2f} it is {expected:.3f}"


try_exercise(smoothing_factor, check_smoothing_factor)

# %%
# **2. Richardson's relaxation.** ``Relaxation`` is the base of all relaxations: a new one says what a sweep does. Write
# one which adds ``step`` times the residual.

from meganet.multigrid import Relaxation


class Richardson(Relaxation):
    """Relaxation by the residual itself."""

    def __init__(self, operator, step):
        super().__init__(operator)
        self.step = step

    def sweep_unchecked(self, u, f):
        return richardson_sweep(self.operator, self.step, u, f)


def richardson_sweep(A, step, u, f):
    """Return the approximation after a sweep."""
    raise NotImplementedError


def check_richardson_sweep(richardson_sweep):
    A, rng = Poisson(8, h=1.0), np.random.default_rng(0)
    u, f = rng.standard_normal((2, 8))
    found = richardson_sweep(A, 0.3, u, f)
    assert np.allclose(found, u + 0.3 * (f - A @ u)), "the residual is f - A u"


try_exercise(richardson_sweep, check_richardson_sweep)

# %%
# **3. The two-grid method.** Write a cycle on two grids with the operators of a hierarchy of two levels: relax, correct
# from the coarse grid, relax.


def two_grid(hierarchy, u, f):
    """Return u after one cycle, with one sweep before and one after the correction."""
    # hierarchy[1] is the fine level: A, R and P are operators, as in A @ u, and relaxation(u, f) is a sweep;
    # hierarchy[0].inverse @ r solves the equations of the coarse one
    raise NotImplementedError


def check_two_grid(two_grid):
    from meganet.multigrid import multigrid_cycle

    hierarchy = GridHierarchy(Poisson((8, 8)), levels=2)
    u, f = np.random.default_rng(0).standard_normal((2, 8, 8))
    found, expected = two_grid(hierarchy, u, f), multigrid_cycle(hierarchy, u, f)
    assert np.allclose(found, expected), f"it is {abs(found - expected).max():.2g} away from the cycle"


try_exercise(two_grid, check_two_grid)
