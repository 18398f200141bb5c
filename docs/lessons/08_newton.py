r"""
Second-order methods: CG-Steihaug step by step
==============================================

Gradient descent knows the slope of a function, Newton's method also knows how the slope changes. The second derivatives
of a network cannot be stored, but their product with a vector costs about as much as a gradient. Conjugate gradients
need nothing else, and a trust region keeps them where the model is good. We watch this method, CG-Steihaug, step by
step in two dimensions, then let it train a small network and count its work.

*Equation (3.7) in section 3.2.1 of the thesis.*
"""

# %%
# A quadratic model
# -----------------
#
# Our first function has two minima, at :math:`\pm(1, 1/2)`, and a saddle point between them at 0. A check compares
# its derivatives with difference quotients: the gradient with those of the value, the Hessian :math:`H` with those of
# the gradient.

import numpy as np
from matplotlib import pyplot as plt

from meganet.checks import check_derivative


def fun(x):
    """Return value and gradient."""
    u, v = x[0] ** 2 - 1, x[1] - x[0] / 2
    return u**2 / 4 + 2 * v**2, np.array([x[0] * u - 2 * v, 4 * v])


def hessian(x):
    return np.array([[3 * x[0] ** 2, -2.0], [-2.0, 4.0]])


x, d = np.array([1.6, -0.2]), np.array([0.3, 1.0])
print("order", round(check_derivative(lambda x: fun(x)[0], lambda d: fun(x)[1] @ d, x, d).order, 2), "of the gradient")
print("order", round(check_derivative(lambda x: fun(x)[1], lambda d: hessian(x) @ d, x, d).order, 2), "of the Hessian")

# %%
# Around a point the function is approximated by a quadratic model of the step :math:`p`, which is trusted in a ball
# of radius :math:`\Delta`:
#
# .. math::
#
#    \min_p \; m(p) = f + g^\top p + \tfrac12\, p^\top H p \quad \text{subject to} \quad \|p\| \le \Delta .
#
# ``steihaug`` minimises it by conjugate gradients from :math:`p = 0`. There are three ways to end:
#
# * the residual :math:`\|H p + g\|` is small: the minimum of the model lies *inside* the ball;
# * the next iterate would leave the ball: we stop on the *boundary*;
# * a direction has :math:`d^\top H d \le 0`, *negative curvature*: the model falls without end along it, and we follow
#   it up to the boundary.
#
# All that it asks of :math:`H` is the product with a vector. Stopped after 1, 2, ... products, it shows its path.

from meganet.optim import steihaug


def cg_path(x, radius):
    """Return all iterates of CG-Steihaug for the model at x, and how it ended."""
    H, g = hessian(x), fun(x)[1]
    solved = steihaug(lambda v: H @ v, g, radius, rtol=1e-10)
    steps = [
        steihaug(lambda v: H @ v, g, radius, rtol=1e-10, max_iterations=k).step for k in range(1, solved.products + 1)
    ]
    return np.array([0 * g, *steps]), solved.reason


cases = [([1.6, -0.2], 1.2), ([1.6, -0.2], 0.78), ([0.2, 1.0], 1.4)]
grid = np.stack(np.meshgrid(np.linspace(-1.6, 1.6, 81), np.linspace(-1.6, 1.6, 81)))
circle = np.stack([np.cos(np.linspace(0, 2 * np.pi, 721)), np.sin(np.linspace(0, 2 * np.pi, 721))])


def model(x, p):
    return np.tensordot(fun(x)[1], p, 1) + 0.5 * np.einsum("i...,ij,j...->...", p, hessian(x), p)


figure, axes = plt.subplots(1, 3, figsize=(7, 3.3), sharey=True, layout="constrained")
for ax, (x, radius) in zip(axes, cases, strict=True):
    x = np.array(x)
    path, reason = cg_path(x, radius)
    print(f"{reason}: eigenvalues of H {np.linalg.eigvalsh(hessian(x)).round(2)}, {len(path) - 1} products")
    ball = radius * circle
    best = ball[:, np.argmin(model(x, ball))]
    ax.contour(*grid, model(x, grid), levels=18, colors="0.7", linewidths=0.8, linestyles="solid")
    ax.plot(*ball, color="#009E73", label="trust region")
    ax.plot(*path.T, "o-", color="#0072B2", markersize=5, label="CG iterates")
    ax.plot(*path[-1], "s", color="#D55E00", markersize=8, label="end of CG")
    if reason != "converged":
        ax.plot(*best, "*", color="black", markersize=10, label="minimum in the ball")
    ax.set(title=reason, xlabel="$p_1$", aspect="equal", xticks=[-1, 0, 1], yticks=[-1, 0, 1])
axes[0].set_ylabel("$p_2$")
figure.legend(*axes[1].get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False, fontsize=9)

# %%
# The grey lines are contours of the model. In two dimensions two steps of conjugate gradients are enough to find its
# minimum (left). On the boundary the end is not the true minimum in the ball, the star, but the work stays at the few
# products that were made, and the model is at least as low as at the best point along the gradient.
#
# The trust-region method
# -----------------------
#
# Each iteration solves one such subproblem and then compares the real decrease with the promised one,
#
# .. math::
#
#    \rho = \frac{f(x) - f(x + p)}{m(0) - m(p)} .
#
# The step is rejected if :math:`\rho` is not above a small number, the radius shrinks if :math:`\rho < 1/4`, and it
# doubles if :math:`\rho > 3/4` and the step has reached the boundary.

from meganet import Control, trust_region

observed = Control(observe=lambda x: {"x1": x[0], "x2": x[1]})
result = trust_region(fun, np.array([0.1, 1.0]), hessian, radius=1.0, control=observed)
print("iteration      value  radius    ratio  accepted  CG steps")
for row in result.history:
    print(
        f"{row['iteration']:9}  {row['value']:.3e}  {row['radius']:6.3f}  {row['ratio']:7.3f}"
        f"  {row['accepted']:8}  {row['cg_steps']:8}"
    )

# %%
# We draw the path over the function itself, with every ball in which a model was trusted, beside steepest descent with
# a line search from the same point.

from meganet.optim import steepest_descent

descent = steepest_descent(fun, np.array([0.1, 1.0]), control=observed)
runs = {"trust region": (result, "o-", "#0072B2"), "steepest descent": (descent, "^--", "#D55E00")}

figure, (ax, below) = plt.subplots(2, 1, figsize=(6.4, 7), height_ratios=(3, 2), layout="constrained")
plane = np.stack(np.meshgrid(np.linspace(-1.3, 1.9, 161), np.linspace(-0.7, 1.25, 121)))
ax.contour(*plane, fun(plane)[0], levels=np.geomspace(0.01, 8, 14), colors="0.75", linewidths=0.8)
for name, (run, style, colour) in runs.items():
    points = np.array([run.history.column("x1"), run.history.column("x2")])
    ax.plot(*points, style, color=colour, markersize=4, label=name)
    norms = run.history.column("gradient_norm")
    below.semilogy(norms, style, color=colour, markersize=4, label=f"{name}, {len(norms) - 1} iterations")
    if run is result:
        for start, radius in zip(points.T[:-1], run.history.column("radius")[1:], strict=True):
            ax.add_patch(plt.Circle(start, radius, fill=False, color="#009E73", alpha=0.6, linestyle=":"))
ax.plot([-1, 1], [-0.5, 0.5], "k+", markersize=10, label="minima")
ax.set(xlabel="$x_1$", ylabel="$x_2$", aspect="equal", xlim=(-1.3, 1.9), ylim=(-0.7, 1.25))
ax.legend(loc="lower right", fontsize=9)
below.set(xlabel="Iteration", ylabel="Norm of the gradient")
below.legend(fontsize=9)

# %%
# Steepest descent zigzags across the valley and gains a constant factor per iteration, on average. Near the minimum the
# radius of the trust region no longer matters and the steps are Newton's: from one to the next the number of correct
# digits doubles.
#
# The Hessian of a network
# ------------------------
#
# Now :math:`f` is the objective of a small network that tells five classes of points in the plane apart. With its
# outputs :math:`z(x)`, their Jacobian :math:`Z` and the loss :math:`\ell`, the Hessian is
#
# .. math::
#
#    H = \underbrace{Z^\top \ell''\, Z}_{\text{Gauss-Newton}} + \sum_i \frac{\partial \ell}{\partial z_i} \nabla^2 z_i .
#
# Gauss-Newton leaves out the second term. It is positive semidefinite for a convex loss, and needs only first
# derivatives of the layers. ``objective.hessian`` has the products with both. The check sees that Gauss-Newton is not
# the derivative of the gradient:

import meganet as mn
from meganet.checks import CheckError
from meganet.linop import Identity

rng = np.random.default_rng(0)
points = mn.datasets.peaks(250, 5, rng)
network = mn.Chain([mn.DenseLayer((2,), 8, activation="tanh"), mn.DenseLayer(..., 8, activation="tanh")])
classifier = mn.DenseLayer(network.range_shape, 5)
objective = mn.Objective(
    network,
    classifier,
    points.features,
    points.targets,
    theta_regularizer=mn.Tikhonov(Identity((network.parameters.size,)), 1e-4),
    W_regularizer=mn.Tikhonov(Identity((classifier.parameters.size,)), 1e-4),
)
start = np.concatenate([mn.he_normal(network, rng), mn.he_normal(classifier, rng)])
direction = rng.standard_normal(start.shape)
for kind in ("exact", "gauss-newton"):
    H = objective.hessian(start, kind)
    try:
        check_derivative(lambda x: objective(x)[1], lambda d, H=H: H @ d, start, direction)
        print(f"{kind}: {H.shape[0]} weights, the derivative of the gradient")
    except CheckError:
        print(f"{kind}: {H.shape[0]} weights, not the derivative of the gradient")

# %%
# We train with both of them, with steepest descent, with stochastic gradient descent and with Adam. The comparison
# counts the work: a gradient is one unit, a product with a Hessian another, and an epoch of a stochastic method takes
# as many gradients of single examples as one gradient. The stochastic methods need a learning rate. Theirs are the best
# of those that we tried, by the objective at the end: 0.3 for SGD, of 0.01, 0.03, 0.1, 0.2, 0.3 and 1; 0.03 for Adam,
# of 0.001, 0.003, 0.01, 0.03 and 0.1. The work of this search is not counted.

WORK = 400
budget = Control(max_iterations=WORK, callback=lambda run: run.evaluations + run.products >= WORK)
trained = {
    "trust region, Gauss-Newton": trust_region(objective, start, objective.hessian, control=budget),
    "trust region, exact": trust_region(objective, start, lambda x: objective.hessian(x, "exact"), control=budget),
    "steepest descent": steepest_descent(objective, start, control=budget),
}
stochastic = {"SGD": {"learning_rate": 0.3}, "Adam": {"learning_rate": 0.03, "rule": mn.Adam()}}
for name, settings in stochastic.items():
    trained[name] = mn.sgd(
        objective,
        start,
        objective.examples,
        epochs=WORK,
        batch_size=50,
        observe=lambda x: {"value": objective.evaluate(x).objective},
        **settings,
    )
STYLES = {
    "trust region, Gauss-Newton": ("-", "#0072B2"),
    "trust region, exact": ((0, (5, 1.5)), "#009E73"),
    "steepest descent": ((0, (6, 1.5, 1, 1.5)), "#D55E00"),
    "SGD": ("-", "#CC79A7"),
    "Adam": ("-", "#000000"),
}

figure, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
for name, run in trained.items():
    if name in stochastic:
        work = run.history.column("epoch")
    else:
        work = np.add(run.history.column("evaluations"), run.history.column("products"))
    linestyle, colour = STYLES[name]
    width = 1 if name in stochastic else 2
    ax.semilogy(work, run.history.column("value"), linestyle=linestyle, color=colour, linewidth=width, label=name)
ax.set(xlabel="Work in gradients over all examples", ylabel="Objective", xlim=(0, WORK))
ax.grid(alpha=0.3)
figure.legend(loc="outside upper center", ncols=2, frameon=False)

# %%
# With the same work the trust region with the exact Hessian comes to the lowest objective. Both second-order methods
# end below the two descents. Adam is ahead of all up to a work of about 250, and ends between Gauss-Newton and the
# exact Hessian. It divides each component of the gradient by its recent size, so weights with small gradients take
# longer steps. It pays for that with a rate that must be found, where a trust region adjusts its radius by itself. The
# spectra say why plain descent is slow, and what the two Hessians have in common:

figure, axes = plt.subplots(1, 2, figsize=(6.8, 3.6), sharey=True, layout="constrained")
places = {"at the start": start, "after training": trained["trust region, exact"].x}
for ax, (title, x) in zip(axes, places.items(), strict=True):
    for kind, marker, colour in (("exact", ".", "#009E73"), ("gauss-newton", "_", "#0072B2")):
        eigenvalues = np.linalg.eigvalsh(objective.hessian(x, kind).tosparse().toarray())
        ax.plot(eigenvalues[::-1], marker, color=colour, label=kind)
        print(f"{title}, {kind}: {np.sum(eigenvalues < 0)} negative eigenvalues, the largest is {eigenvalues[-1]:.2f}")
    ax.set(title=title, xlabel="Number")
    ax.set_yscale("symlog", linthresh=1e-3)
    ax.grid(alpha=0.3)
axes[0].set_ylabel("Eigenvalue")
axes[0].legend(loc="lower left")

# %%
# The eigenvalues span several decades: a step that is short enough for the largest is far too short for the others. At
# the start many are negative, which Gauss-Newton does not see. Where the objective is small both agree better.
#
# New points
# ----------
#
# A low objective is not the aim. What counts are points that the training has not seen. On them the second-order
# methods and Adam are within a point of each other, although their objectives are not. SGD follows, and steepest
# descent comes last. This is one start of one small network. In the thesis (tables 4.3 and 4.4) networks that are
# retrained by CG-Steihaug are worse on the validation images than those retrained by stochastic gradient descent.

fresh = mn.datasets.peaks(1000, 5, np.random.default_rng(1))
for name, run in trained.items():
    right = objective.outputs(run.x, fresh.features).argmax(axis=1) == fresh.targets
    print(f"{name}: objective {objective(run.x)[0]:.3f}, {100 * right.mean():.1f} % of new points correct")

# %%
# Exercises
# ---------
#
# Fill in the functions; the line below each of them tries it.
#
# **1. The Cauchy point.** The first thing that CG-Steihaug tries is the minimum of the model along :math:`-g` in the
# ball. Compute it, for every symmetric :math:`H`.

from meganet.checks import try_exercise


def cauchy_point(H, g, radius):
    """Return the step p = -t g with the smallest m(p) in the ball; H is a matrix."""
    raise NotImplementedError


def check_cauchy_point(cauchy_point):
    g = np.array([3.0, 4.0])
    hints = {
        "minimum inside": (np.diag([2.0, 1.0]), 10.0),
        "boundary": (np.diag([2.0, 1.0]), 1.0),
        "negative curvature": (np.diag([1.0, -3.0]), 2.0),
        "curvature zero": (np.zeros((2, 2)), 0.5),
    }
    for hint, (H, radius) in hints.items():
        expected = steihaug(lambda v, H=H: H @ v, g, radius, max_iterations=1).step
        found = np.asarray(cauchy_point(H, g, radius))
        assert np.allclose(found, expected), f"not the lowest point along -g in the case '{hint}'"


try_exercise(cauchy_point, check_cauchy_point)

# %%
# **2. A Gauss-Newton product.** For least squares, :math:`\ell = \tfrac12 \|z - y\|^2`, the Gauss-Newton Hessian is
# :math:`Z^\top Z`. Write its product with a direction of the weights by the two Jacobian products of a layer; no matrix
# is needed.


def gauss_newton(layer, theta, examples, v):
    """Return Z' Z v, a vector like theta, where Z is the Jacobian of layer(theta, examples) in theta."""
    raise NotImplementedError


def check_gauss_newton(gauss_newton):
    rng = np.random.default_rng(2)
    layer = mn.DenseLayer((3,), 2, activation="tanh")
    theta, v = rng.standard_normal((2, layer.parameters.size))
    examples = rng.standard_normal((5, 3))
    _, tape = layer.forward(theta, examples)
    Z = [layer.jvp(unit, 0 * examples, tape).ravel() for unit in np.eye(len(theta))]
    found = np.asarray(gauss_newton(layer, theta, examples, v))
    assert found.shape == theta.shape, f"a vector like theta, {theta.shape}, not {found.shape}"
    assert np.allclose(found, np.array(Z) @ (v @ np.array(Z))), "only the weights move, the examples stay"


try_exercise(gauss_newton, check_gauss_newton)
