r"""
Stencils as differential operators
==================================

A convolution stencil of three numbers is a difference formula, and a stencil of 3x3 numbers a combination of nine
of them. Seen in this way the weights of a trained network say what it does to an image: how much it smooths, in which
direction it differentiates. It is also what lets a network move to another grid, where :math:`h` changes and the
differential operator should not.

*Section 2.3 of the thesis.*
"""

# %%
# Three numbers, three derivatives
# --------------------------------
#
# On a grid of mesh width :math:`h` every stencil :math:`\theta` of three points is
#
# .. math::
#
#    \theta = \frac{\beta_1}{4} [1\ 2\ 1] + \frac{\beta_2}{2h} [-1\ 0\ 1] + \frac{\beta_3}{h^2} [1\ {-2}\ 1]
#
# for exactly one :math:`\beta`: a mean, a first and a second difference. The three stencils are the columns of a
# matrix :math:`B` with :math:`\theta = B \beta`:

import numpy as np
from matplotlib import pyplot as plt

from meganet.stencils import derivative_matrix, from_derivatives, to_derivatives

h = 0.1
print(derivative_matrix(2, h))

# %%
# A difference formula is checked by what it does to a function whose derivative is known. The stencils are of second
# order: half the mesh width, a quarter of the error.

widths = np.array([0.2, 0.1, 0.05, 0.025])
errors = np.empty((3, len(widths)))
for k, h in enumerate(widths):
    samples = np.exp(np.array([-h, 0, h]))  # every derivative of exp at 0 is 1
    errors[:, k] = abs(derivative_matrix(2, h).T @ samples - 1)

figure, ax = plt.subplots(layout="constrained")
for error, name in zip(errors, ("mean", "first difference", "second difference"), strict=True):
    ax.loglog(widths, error, "o-", label=name)
ax.loglog(widths, widths**2, "k:", label="$h^2$")
ax.set(xlabel="Mesh width h", ylabel="Error")
ax.legend()

# %%
# Nine numbers, nine derivatives
# ------------------------------
#
# In two dimensions the products of the one-dimensional stencils, one in rows and one in columns, are a basis of the
# 3x3 stencils. The five-point Laplacian is not quite the sum of the two second derivatives of that basis, because
# these average across their direction. The rest is a fourth derivative with the coefficient :math:`-h^2 / 2`, so the
# Laplacian is still of second order. For :math:`h = 1`:

from meganet.stencils import derivatives

laplace = np.array([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])
for (rows, columns), coefficient in zip(derivatives(2), to_derivatives(laplace), strict=True):
    if abs(coefficient) > 1e-12:
        print(f"{coefficient:+.2f} times {rows} derivatives in rows, {columns} in columns")

# %%
# What a stencil does to an image
# -------------------------------
#
# We take one picture of a handwritten digit and let four of the basis stencils act on it.

import meganet as mn
from meganet.linop import CirculantConvolution
from meganet.stencils import derivative_stencils

image = mn.datasets.load_digits().images[7] / 255.0
wanted = {"mean": (0, 0), "in rows": (1, 0), "in columns": (0, 1), "second, in columns": (0, 2)}
stencils = derivative_stencils(2)[[derivatives(2).index(d) for d in wanted.values()]]
responses = CirculantConvolution(stencils[:, None], image.shape[-2:]) @ image

figure, axes = plt.subplots(1, 5, figsize=(10, 2.4), layout="constrained")
for ax, picture, name in zip(axes, [image[0], *responses], ["image", *wanted], strict=True):
    largest = abs(picture).max()
    ax.imshow(picture, cmap="RdBu_r", vmin=-largest, vmax=largest)
    ax.set(title=name, xticks=[], yticks=[])

# %%
# The same operator on another grid
# ---------------------------------
#
# Keep :math:`\beta`, change :math:`h`: the stencil changes, the differential operator does not. This is
# *rediscretisation*, one of the ways in which ``meganet.multigrid`` carries a network to another grid.

stencil = np.array([0.1, -0.5, 0.6])
beta = to_derivatives(stencil, h=1.0)
print("beta     ", beta.round(3))
print("on h = 1 ", from_derivatives(beta, h=1.0).round(3))
print("on h = 2 ", from_derivatives(beta, h=2.0).round(3))

# %%
# Exercises
# ---------
#
# Fill in the functions; the line below each of them tries it.
#
# **1. The one-sided difference.** Which :math:`\beta` has the stencil :math:`[0\ {-1}\ 1] / h`? On paper first: it
# is the first derivative and half of something times :math:`h`.

from meganet.checks import try_exercise


def one_sided(h):
    """Return the three coefficients beta of [0, -1, 1] / h."""
    raise NotImplementedError


def check_one_sided(one_sided):
    for h in (1.0, 0.1):
        expected = to_derivatives(np.array([0.0, -1.0, 1.0]) / h, h)
        assert np.allclose(one_sided(h), expected), f"B beta is not the stencil for h = {h}"


try_exercise(one_sided, check_one_sided)

# %%
# **2. A directional derivative.** Write the 3x3 stencil of the first derivative in the direction
# :math:`(\cos\phi, \sin\phi)` of (rows, columns), from the two of the basis.


def directional(phi):
    """Return a stencil (3, 3) for h = 1."""
    raise NotImplementedError


def check_directional(directional):
    y, x = np.mgrid[-1:2, -1:2]
    for phi in (0.0, 0.5, 2.0):
        plane = 3.0 * y - 2.0 * x
        slope = 3.0 * np.cos(phi) - 2.0 * np.sin(phi)
        assert np.isclose(np.sum(directional(phi) * plane), slope), f"wrong slope of a plane for phi = {phi}"
        assert np.isclose(np.sum(directional(phi)), 0), "a constant has no slope"


try_exercise(directional, check_directional)
