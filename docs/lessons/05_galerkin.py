r"""
The Galerkin condition for stencils
===================================

A network was trained on coarse images; which stencils should it have on images of twice the resolution? Multigrid has
an answer for linear operators, the Galerkin condition :math:`K^{2h} = R K^h P`. For convolutions it becomes a matrix of
nine rows and nine columns. From fine to coarse it averages. From coarse to fine it has to be inverted, and the inverse
amplifies what a coarse grid cannot see. That decides how the thesis' *Multigrid* networks behave on real images.

*Sections 2.4, 3.1.2 and 3.1.4 of the thesis.*
"""

# %%
# Restriction and prolongation
# ----------------------------
#
# A coarse cell consists of two fine cells on a line, of 2x2 in the plane. The restriction R takes means over coarse
# cells. The prolongation P goes back: a *constant* one copies each coarse value to its fine cells, a *linear* one
# interpolates between the centres of coarse cells. Both are sparse matrices. We draw them for a line of eight fine
# cells; in the plane they are the Kronecker products of these.

import numpy as np
from matplotlib import pyplot as plt

from meganet.multigrid import prolongation, restriction

transfers = {
    "R": restriction((1, 8)),
    "P, constant": prolongation((1, 8), "constant"),
    "P, linear": prolongation((1, 8), "linear"),
}
figure, axes = plt.subplots(1, 3, figsize=(7, 4.2), width_ratios=(2, 1, 1), layout="constrained")
for ax, (name, matrix) in zip(axes, transfers.items(), strict=True):
    ax.imshow(matrix.toarray(), cmap="Blues", vmin=0, vmax=1.6)
    for row, column, value in zip(*matrix.nonzero(), matrix.data, strict=True):
        ax.text(column, row, f"{value:g}".lstrip("0"), ha="center", va="center", size=9)
    ax.set(title=name, xticks=range(matrix.shape[1]), yticks=range(matrix.shape[0]))
    ax.set(xlabel="Fine cell" if name == "R" else "Coarse cell", ylabel="Coarse cell" if name == "R" else "Fine cell")

# %%
# All rows sum to 1, so constants stay what they are. Going up and down again with constant P changes nothing. With
# linear P it smooths.

R, constant, linear = transfers.values()
print("R P, constant:", *(R @ constant).toarray()[1].round(3))
print("R P, linear:  ", *(R @ linear).toarray()[1].round(3))

# %%
# The condition
# -------------
#
# Let :math:`K^h` be a convolution on the fine grid. The Galerkin condition asks for the coarse operator that does to a
# coarse image x what the fine one does to its prolongation, seen on the coarse grid:
#
# .. math::
#
#    K^{2h} = R K^h P .
#
# Is that a convolution again? We form the product for a random 3x3 stencil on 16x16 cells, and look at the row of one
# cell in the interior: where it is not zero, and with which numbers. ``restrict_kernels`` gives the same.

from meganet.linop import CirculantConvolution
from meganet.multigrid import restrict_kernels

rng = np.random.default_rng(0)
stencil = rng.standard_normal((1, 1, 3, 3))
R = restriction((16, 16))
K = CirculantConvolution(stencil, (16, 16)).tosparse()

for interpolation in ("constant", "linear"):
    product = (R @ K @ prolongation((16, 16), interpolation)).toarray()
    i, j = 3, 4
    row = product[8 * i + j].reshape(8, 8)
    neighbours = row[i - 1 : i + 2, j - 1 : j + 2]
    coarse = restrict_kernels(stencil, interpolation)
    different = abs(product - CirculantConvolution(coarse, (8, 8)).tosparse()).max(axis=1) > 1e-12
    print(f"{interpolation} P")
    print("    zero outside 3x3 neighbours:", np.isclose(abs(row).sum(), abs(neighbours).sum()))
    print("    as restrict_kernels says:   ", np.allclose(neighbours, coarse[0, 0]))
    print("    rows unlike a convolution:  ", different.sum(), "of", len(different))

# %%
# So the coarse stencil has 3x3 numbers as well. With constant P the product is exactly a convolution. With linear P it
# is one away from the edge: P has no neighbour to interpolate with there, and the 28 cells of the edge have rows of
# their own.

# %%
# Nine equations
# --------------
#
# The product is linear in the stencil, so the coarse stencil is :math:`\theta^{2h} = A \theta^h` with a 9x9 matrix A:
# column by column the products for the nine unit stencils. It is the Kronecker product of a 3x3 matrix with itself, one
# for rows and one for columns. Beside the two A the picture shows the stencil that A shrinks most, the last singular
# vector of A with linear P: a chequerboard.

from meganet.multigrid import galerkin_condition, galerkin_matrix

figure, axes = plt.subplots(1, 3, figsize=(7, 3.3), layout="constrained")
for ax, interpolation in zip(axes, ("constant", "linear"), strict=False):
    A, line = galerkin_matrix((3, 3), interpolation), galerkin_matrix((1, 3), interpolation, axes=-1)
    print(f"{interpolation} P: A = A1 x A1 {np.allclose(A, np.kron(line, line))}, ", end="")
    print(f"condition {galerkin_condition((3, 3), interpolation):.1f}, A1 =")
    print(line)
    drawn = ax.imshow(A, cmap="viridis", vmin=0, vmax=1)
    ax.set(title=f"A, {interpolation} P", xticks=range(0, 9, 2), yticks=range(0, 9, 2))
    ax.set(xlabel="Entry of the fine stencil")
axes[0].set(ylabel="Entry of the coarse one")
figure.colorbar(drawn, ax=axes[:2], orientation="horizontal", shrink=0.6)
shrunk = np.linalg.svd(A)[2][-1].reshape(3, 3)
drawn = axes[2].imshow(shrunk, cmap="RdBu_r", vmin=-0.6, vmax=0.6)
axes[2].set(title="shrunk most, linear P", xticks=[], yticks=[])
figure.colorbar(drawn, ax=axes[2], orientation="horizontal", ticks=[-0.6, 0, 0.6])

# %%
# From coarse to fine
# -------------------
#
# To carry a trained network to the fine grid, solve :math:`A \theta^h = \theta^{2h}`. That is *Multigrid*'s way; the
# alternative, *Transfer*, copies the numbers. We compare them for four stencils on a line.

from meganet.multigrid import prolongate_kernels

lines = {
    "identity": [0, 1, 0],
    "mean": [0.25, 0.5, 0.25],
    "1st difference": [-0.5, 0, 0.5],
    "2nd difference": [1, -2, 1],
}
for name, numbers in lines.items():
    theta = np.array(numbers, dtype=float).reshape(1, 1, 1, 3)
    found = {kind: prolongate_kernels(theta, kind, axes=-1).ravel() for kind in ("constant", "linear")}
    print(f"{name:14} constant P {found['constant']}, linear P {found['linear']}")

# %%
# The differences make sense: the mesh width is halved, and a derivative of order k grows by :math:`2^k`. With linear P
# both do. With constant P the second one grows by 2 where it should by 4: a known defect of constant interpolation for
# second-order operators.
#
# The identity is the surprise. With linear P it becomes :math:`[-0.5\ \ 2\ {-0.5}]`, which sharpens: as R P smooths,
# the fine stencil has to undo that. What does it do to an image that was not interpolated?

# %%
# What the condition leaves open
# ------------------------------
#
# A coarse grid shows frequencies up to a quarter of a cycle per fine cell; the fine grid goes up to a half. The symbol
# of a stencil is the factor by which it multiplies a frequency. We draw it for the coarse stencil on its own grid, and
# for the three stencils that take its place on the fine one.

from meganet.plotting import STYLES

figure, axes = plt.subplots(3, 1, figsize=(6.4, 7.4), sharex=True, layout="constrained")
cells = 128
frequencies = np.arange(cells // 2 + 1) / cells
for ax, name in zip(axes, ("identity", "mean", "2nd difference"), strict=True):
    theta = np.array(lines[name], dtype=float).reshape(1, 1, 1, 3)
    ax.axvspan(0.25, 0.5, color="0.93")
    coarse = CirculantConvolution(theta, (1, cells // 2)).symbol().real.ravel()
    ax.plot(frequencies[: cells // 4 + 1], coarse[: cells // 4 + 1], color="0.75", linewidth=10, label="coarse grid")
    stencils = {
        "copied": (theta, STYLES["transfer"], {"linewidth": 5, "linestyle": "-", "alpha": 0.6}),
        "Galerkin, linear P": (prolongate_kernels(theta, "linear", axes=-1), STYLES["multigrid"], {"linewidth": 3}),
        "Galerkin, constant P": (
            prolongate_kernels(theta, "constant", axes=-1),
            STYLES["multigrid-constant"],
            {"linestyle": "none", "marker": "D", "markersize": 4, "markevery": 4},
        ),
    }
    for label, (fine, style, look) in stencils.items():
        symbol = CirculantConvolution(fine, (1, cells)).symbol().real.ravel()[: cells // 2 + 1]
        ax.plot(frequencies, symbol, **{"color": style.color, "linestyle": style.linestyle, "label": label} | look)
    ax.set(title=name, ylabel="Symbol", xlim=(0, 0.5))
axes[0].text(0.375, 1.6, "not on the\ncoarse grid", ha="center", va="center")
axes[-1].set(xlabel="Frequency, cycles per fine cell")
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False)

# %%
# Near frequency 0 Galerkin's stencils with linear P agree with the coarse ones. Of the second difference the copied
# stencil has a quarter there, Galerkin's with constant P a half. Interpolated images have little in the grey half, and
# so the condition hardly restricts what happens there: the identity grows to 3. The mean, which removes the fastest
# oscillation, now keeps it with the opposite sign. In the plane such factors multiply. The largest growth of any
# stencil is the norm of the inverse of A.

theta = np.zeros((1, 1, 3, 3))
theta[0, 0, 1, 1] = 1
fine = CirculantConvolution(prolongate_kernels(theta), (8, 8))
print("identity in the plane, linear P: symbol up to", fine.symbol().real.max())
for interpolation in ("constant", "linear"):
    inverse = np.linalg.inv(galerkin_matrix((3, 3), interpolation))
    print(f"{interpolation} P: stencils grow up to {np.linalg.norm(inverse, 2):.1f} times")

# %%
# On images
# ---------
#
# Every image is what the coarse grid sees of it and a rest, :math:`x = P R x + (x - P R x)`. We take digits, one coarse
# stencil with random numbers and two fine ones made of it. On :math:`P R x` the Galerkin condition says that the
# answer, seen on the coarse grid, is that of the coarse stencil to :math:`R x`, away from the edge.

import meganet as mn

digits = mn.datasets.load_digits().images[10::10] / 255.0
coarse = mn.multigrid.restrict_images(digits)
seen = mn.multigrid.prolongate_images(coarse)
theta = rng.standard_normal((1, 1, 3, 3))
stencils = {"copied": theta, "Galerkin,\nlinear P": prolongate_kernels(theta)}

wanted = CirculantConvolution(theta, (14, 14)) @ coarse
for name, fine in stencils.items():
    answer = mn.multigrid.restrict_images(CirculantConvolution(fine, (28, 28)) @ seen)
    error = np.linalg.norm((answer - wanted)[..., 1:-1, 1:-1]) / np.linalg.norm(wanted)
    print(f"{' '.join(name.split())}: relative error on the coarse grid {100 * error:.2f} %")

# %%
# The picture shows one digit, and also what the stencils do to the rest.

number = 155
figure, axes = plt.subplots(3, 3, figsize=(6.4, 6.6), layout="constrained")
columns = {"P R x": seen[number], "rest": digits[number] - seen[number], "x": digits[number]}
for column, (name, image) in enumerate(columns.items()):
    rows = {"image": image} | {kind: CirculantConvolution(fine, (28, 28)) @ image for kind, fine in stencils.items()}
    for ax, (kind, picture), largest in zip(axes[:, column], rows.items(), (1, 5, 5), strict=True):
        drawn = ax.imshow(picture[0], cmap="RdBu_r", vmin=-largest, vmax=largest)
        ax.set(xticks=[], yticks=[], ylabel=kind if column == 0 else "")
        if column == 2:
            figure.colorbar(drawn, ax=axes[axes[:, 2] == ax], ticks=[-largest, 0, largest])
    axes[0, column].set(title=name)

# %%
# On :math:`P R x` both answers are smooth. On the rest Galerkin's stencil gives the larger answer, which changes from
# pixel to pixel and is seen in the answer to x. The same over all these digits and 32 random stencils:

kernels = rng.standard_normal((32, 1, 3, 3)) / 3
ways = {"copied": kernels}
ways |= {f"Galerkin, {kind} P": prolongate_kernels(kernels, kind) for kind in ("constant", "linear")}
print(f"{len(digits)} digits, norm of the answer of a channel relative to that of the image")
for name, fine in ways.items():
    K = CirculantConvolution(fine, (28, 28))
    parts = {"P R x": seen, "rest": digits - seen}
    gains = {part: np.linalg.norm(K @ images) / np.linalg.norm(images) / 32**0.5 for part, images in parts.items()}
    print(f"{name:20}", *(f"{part} {gain:.2f}  " for part, gain in gains.items()))

# %%
# The thesis retrains its fine networks on interpolated images, :math:`P R x`. They have no rest, so nothing in training
# makes the large answer to it small. Real images have it. The page *Why Multigrid trains to 99.9 % and validates at 63*
# tests this explanation. Other ways from coarse to fine are in ``meganet.multigrid``: ``Copied``, ``DampedGalerkin``,
# ``Dilated`` and ``Enlarged`` among them.

# %%
# Exercises
# ---------
#
# Fill in the functions; the line below each of them tries it.
#
# **1. Galerkin on a line.** Find the 3x3 matrix of :math:`\theta^{2h} = A \theta^h` for stencils (1, 3) and any R and P
# on a line, such as R with shape (8, 16) and P with shape (16, 8): form R K P for each unit stencil and read the coarse
# stencil in the interior.

from meganet.checks import try_exercise


def on_a_line(R, P):
    """Return the matrix (3, 3) from fine to coarse stencils."""
    raise NotImplementedError


def check_on_a_line(on_a_line):
    R = restriction((1, 16))
    for interpolation in ("constant", "linear"):
        A = np.asarray(on_a_line(R, prolongation((1, 16), interpolation)))
        assert A.shape == (3, 3), f"a matrix (3, 3) is asked for, not {A.shape}"
        expected = galerkin_matrix((1, 3), interpolation, axes=-1)
        if not np.allclose(A, expected) and np.allclose(A.T, expected):
            raise AssertionError("the coarse stencil of each unit stencil is a column of A, not a row")
        assert np.allclose(A, expected), f"wrong for {interpolation} P: is the cell in the interior?"
    every_second = R.copy()
    every_second.data = np.tile([1.0, 0.0], 8)
    A = on_a_line(every_second, prolongation((1, 16), "constant"))
    assert np.allclose(A, [[1, 0, 0], [0, 1, 1], [0, 0, 0]]), "wrong for R that takes every second cell"


try_exercise(on_a_line, check_on_a_line)

# %%
# **2. An exact transfer.** Galerkin's condition asks for :math:`R K^h P = K^{2h}` only. With constant P more can be
# had: a stencil of five points with :math:`K^h P = P K^{2h}`, so that the fine answer to a prolongated image is the
# prolongated coarse answer, without a rest. Find it for a coarse stencil of three points. Write the equations for an
# even and an odd fine cell.


def exact(s):
    """Return five numbers for the three of s."""
    raise NotImplementedError


def check_exact(exact):
    s = np.array([0.3, -1.0, 2.0])
    found = np.asarray(exact(s))
    assert found.shape == (5,), f"five numbers are asked for, not shape {found.shape}"
    P = prolongation((1, 16), "constant")
    K_h = CirculantConvolution(found.reshape(1, 1, 1, 5), (1, 16)).tosparse()
    K_2h = CirculantConvolution(s.reshape(1, 1, 1, 3), (1, 8)).tosparse()
    error = abs((K_h @ P - P @ K_2h).toarray()).max(axis=1)
    assert error[::2].max() < 1e-12, "an even fine cell does not get the answer of its coarse cell"
    assert error[1::2].max() < 1e-12, "an odd fine cell does not get the answer of its coarse cell"


try_exercise(exact, check_exact)

# %%
# **3. A compromise.** Find the fine stencil t that minimises :math:`\|A t - s\|^2 + \delta \|t - s\|^2` for a coarse
# stencil s: near Galerkin's for small :math:`\delta`, near the copy for a large one.


def damped(A, s, delta):
    """Return t, a vector like s."""
    raise NotImplementedError


def check_damped(damped):
    s = np.random.default_rng(1).standard_normal(9)
    A = galerkin_matrix((3, 3))
    found = np.asarray(damped(A, s, 1e8))
    assert found.shape == s.shape, f"a vector of shape {s.shape}, not {found.shape}"
    assert np.allclose(found, s, atol=1e-4), "for a very large delta the stencil is s"
    for delta in (0.01, 1.0):
        expected = mn.multigrid.DampedGalerkin("linear", delta).finer((3, 3)) @ s
        assert np.allclose(damped(A, s, delta), expected), (
            f"not the minimum for delta = {delta}: where is the gradient 0?"
        )


try_exercise(damped, check_damped)
