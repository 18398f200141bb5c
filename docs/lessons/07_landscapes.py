r"""
Loss landscapes
===============

The objective of a network is a function of thousands of weights. A *landscape* is its restriction to a plane or a line
through the weights of interest: one sees how steep, how wide and how rough it is there. The thesis looks at landscapes
to ask why one way of carrying a network to another grid generalises worse than another. This lesson draws them, shows
why the directions must be normalised, and where a picture misleads: different weights can be the same function.

*Chapter 4 of the thesis, figures 4.3 and 4.5.*
"""

# %%
# A plane through a solution
# --------------------------
#
# We train a small network on digits of 14x14 pixels. Its objective is a function of one flat vector, which holds the
# stencils of both convolutions and the classifier.

import numpy as np
from matplotlib import pyplot as plt

import meganet as mn
from meganet.multigrid import restrict_images

digits = mn.datasets.load_digits()
images = restrict_images(mn.datasets.scale_images(digits.images, "unit"))
labels = digits.labels
t, v = mn.datasets.split(len(images), [1000, 1000], np.random.default_rng(0))

layers = [mn.ConvolutionLayer((1, 14, 14), 8), mn.ConvolutionLayer(..., 16)]
new = mn.Model(layers, classes=10).fit(images[t], labels[t], epochs=8, learning_rate=0.02, rng=0)
fun = mn.Objective(new.network, new.classifier, images[t[:256]], labels[t[:256]])
print(fun.parameters)


def weights(model):
    """Return the flat vector of all weights."""
    return np.concatenate([model.theta, model.W])


# %%
# ``landscape`` draws two random directions :math:`d_1, d_2` and evaluates the objective on the plane :math:`x + a d_1 +
# b d_2`. The cross marks :math:`x`. Every direction is *filter-normalised*: its part in each filter, the weights of one
# output channel, has the norm of that filter in :math:`x`. So at :math:`a = 1` each filter has changed by as much as it
# is long.

from meganet.objective.landscape import landscape
from meganet.plotting import plot_landscape

x = weights(new)
plane = landscape(fun, x, np.random.default_rng(0), points=17)
plot_landscape(plane)
print(f"objective at x: {plane.center:.2f}, smallest in the plane: {plane.objective.min():.2f}")

# %%
# Why directions are normalised
# -----------------------------
#
# ReLU does not care about positive factors: :math:`\sigma(c y) = c\,\sigma(y)` for :math:`c > 0`. If the stencils of
# the first layer are multiplied by :math:`c` and those of the second divided by it, the network is the same function
# with other weights. Its landscape should be the same too. In a direction of fixed length it is not: what is a small
# step for large stencils is a large one for small ones.

from meganet.objective.landscape import filter_normalized, loss_curvature


def rescaled(x, c):
    """Return the weights with the first layer multiplied by c and the second divided by it."""
    y = x.copy()
    named = fun.parameters.view(y)
    named["theta.0.kernel"] *= c
    named["theta.1.kernel"] /= c
    return y


def section(start, direction, steps):
    """Return the losses at start + step * direction."""
    return np.array([fun.evaluate(start + step * direction).loss for step in steps])


steps = np.linspace(-1, 1, 21, dtype=np.float32)
fixed = np.random.default_rng(1).standard_normal(len(x)).astype(np.float32)
fixed *= np.linalg.norm(x) / np.linalg.norm(fixed)

figure, axes = plt.subplots(1, 2, figsize=(6.4, 3.4), sharey=True, layout="constrained")
looks = {1: ("#000000", "-"), 4: ("#0072B2", "o-"), 16: ("#D55E00", "^--")}
print("  c   loss  curvature, fixed  curvature, normalised")
for c, (color, line) in looks.items():
    y = rescaled(x, c)
    normalised = filter_normalized(fun, y, np.random.default_rng(2))
    for ax, direction in zip(axes, (fixed, normalised), strict=True):
        ax.semilogy(steps, section(y, direction, steps), line, color=color, markevery=2, label=f"c = {c}")
    curvature = fixed @ (fun.hessian(y) @ fixed)
    same = loss_curvature(fun, y, np.random.default_rng(2))
    print(f"{c:3} {fun.evaluate(y).loss:6.3f} {curvature:17.2f} {same:22.2f}")
axes[0].set(title="fixed direction", xlabel="Step", ylabel="Loss")
axes[1].set(title="filter-normalised", xlabel="Step")
axes[0].set_yticks([0.3, 1, 3, 10], ["0.3", "1", "3", "10"])
axes[0].minorticks_off()
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)

# %%
# On the left one function has three landscapes, and one could call it sharp or flat as one likes. On the right the
# three curves lie on each other: a normalised direction is rescaled with the filters. Sharpness is worth a number only
# if it does not change with the factor.
#
# Transfer and Multigrid
# ----------------------
#
# Now the question of the thesis. A network that was trained on 7x7 pixels is carried to 14x14: *Transfer* copies the
# stencils, *Multigrid* computes them by the Galerkin condition. Where in the landscape do they start?

from meganet.plotting import plot_landscapes

coarse = mn.Model([mn.ConvolutionLayer((1, 7, 7), 8), mn.ConvolutionLayer(..., 16)], classes=10)
coarse.fit(restrict_images(images[t]), labels[t], epochs=10, learning_rate=0.03, rng=0)
starts = {"Transfer": coarse.prolongate(kernels="copy"), "Multigrid": coarse.prolongate(kernels="galerkin")}
planes = {name: landscape(fun, weights(model), np.random.default_rng(0), points=13) for name, model in starts.items()}
figure = plot_landscapes(planes, quantity="loss")
for name, plane in planes.items():
    print(f"{name:10} loss at the start {plane.loss[6, 6]:6.2f}, curvature {plane.loss_curvature:6.1f}")

# %%
# As in the thesis, *Multigrid* starts at a place where the loss changes much more when weights are perturbed. The
# thesis supposes that this is why it generalises badly after retraining. The picture alone cannot say that: a sharp
# place and a bad validation may have a common cause. Here they do, and the lesson *Carrying a network to another grid*
# finds it.
#
# The line between two solutions
# ------------------------------
#
# A plane shows the surroundings of one point. Another question is how two solutions :math:`a` and :math:`b` are
# related: are they in one valley? The straight line :math:`(1 - s)\,a + s\,b` is the simplest test. We train *Transfer*
# on and look at four lines:
#
# * from its start to its end;
# * from *New* to *Transfer*, which began with the same random stencils (``rng=0``), one on each grid;
# * the same for a *New* that began with others;
# * from *New* to *New* with its channels renumbered, which is the same function.

begun = starts["Transfer"]
transfer = coarse.prolongate(kernels="copy").fit(images[t], labels[t], epochs=5, learning_rate=0.01)
other = mn.Model(layers, classes=10).fit(images[t], labels[t], epochs=8, learning_rate=0.02, rng=1)


def renumbered(x):
    """Return the weights of the same function with the channels of both layers in reversed order."""
    y = x.copy()
    named, old = fun.parameters.view(y), fun.parameters.view(x)
    named["theta.0.kernel"][:] = old["theta.0.kernel"][::-1]
    named["theta.1.kernel"][:] = old["theta.1.kernel"][::-1, ::-1]
    named["W.kernel"][:] = old["W.kernel"][:, ::-1]
    return y


lines = {
    "Transfer, start to end": (weights(begun), weights(transfer)),
    "New to Transfer, same first stencils": (x, weights(transfer)),
    "New to Transfer, others": (weights(other), weights(transfer)),
    "New to New, renumbered": (x, renumbered(x)),
}
shares = np.linspace(0, 1, 15, dtype=np.float32)
found = {name: [fun.evaluate((1 - s) * a + s * b) for s in shares] for name, (a, b) in lines.items()}

figure, axes = plt.subplots(2, 1, figsize=(6.4, 5.6), sharex=True, layout="constrained")
looks = [("#000000", "-"), ("#E69F00", "s--"), ("#0072B2", "o-"), ("#D55E00", "^:")]
for (name, points), (color, line) in zip(found.items(), looks, strict=True):
    axes[0].plot(shares, [point.loss for point in points], line, color=color, label=name)
    axes[1].plot(shares, [100 * point.accuracy for point in points], line, color=color)
axes[0].set(ylabel="Loss")
axes[1].set(ylabel="Training accuracy, %", xlabel="s, from the first to the second network")
figure.legend(loc="outside upper center", ncols=1, frameon=False)

# %%
# Retraining walks down a slope without a hill. *New* and *Transfer* are in one valley if they began with the same
# stencils, although one of them spent most of its training on another grid. With other first stencils there is a hill
# between them.
#
# Does the hill mean that the two networks do different things? The fourth line says no: between two copies of *one*
# function there is a hill as well. Channels have no order, so every solution exists in many places, and half way
# between two of them is a mean of channels that do not belong together.

print(f"loss of New {fun.evaluate(x).loss:.4f}, renumbered {fun.evaluate(renumbered(x)).loss:.4f}")
print(f"distance between them: {np.linalg.norm(renumbered(x) - x) / np.linalg.norm(x):.2f} norms of the weights")

# %%
# Exercises
# ---------
#
# **1. Normalise a direction.** Scale a random direction, filter by filter, to the norms of a kernel. A kernel has the
# shape (output channels, input channels, rows, columns), and a filter is what belongs to one output channel.

from meganet.checks import try_exercise


def normalised(direction, kernel):
    """Return the direction, shaped like the kernel, with the norm of each filter of the kernel."""
    raise NotImplementedError


def check_normalised(normalised):
    rng = np.random.default_rng(0)
    kernel = rng.standard_normal((3, 2, 3, 3)) * np.array([0.1, 1.0, 10.0])[:, None, None, None]
    direction = rng.standard_normal(kernel.shape)
    found = normalised(direction.copy(), kernel.copy())
    assert np.shape(found) == kernel.shape, "a direction is shaped like the kernel"
    norms, wanted = (np.linalg.norm(k.reshape(3, -1), axis=1) for k in (np.asarray(found), kernel))
    assert np.allclose(norms, wanted), (
        f"norms of the filters are {norms.round(2)}, those of the kernel {wanted.round(2)}"
    )
    aligned = np.sum(found * direction, axis=(1, 2, 3)) / np.linalg.norm(direction.reshape(3, -1), axis=1)
    assert np.allclose(aligned, wanted), "each filter keeps its direction and changes its length only"


try_exercise(normalised, check_normalised)

# %%
# **2. Renumber channels.** Put the channels between two convolutions into another order, so that the network stays the
# same function. ``first`` has the shape (C, I, 3, 3), ``second`` (O, C, 3, 3); ``order`` is a permutation of C numbers,
# and new channel ``k`` is the old channel ``order[k]``.


def permuted(first, second, order):
    """Return both kernels with renumbered channels between them."""
    raise NotImplementedError


def check_permuted(permuted):
    rng = np.random.default_rng(0)
    network = mn.Chain([mn.ConvolutionLayer((2, 6, 6), 4), mn.ConvolutionLayer(..., 4)])
    first, second = rng.standard_normal((4, 2, 3, 3)), rng.standard_normal((4, 4, 3, 3))
    order = np.array([2, 0, 3, 1])
    kernels = permuted(first.copy(), second.copy(), order)
    assert np.allclose(kernels[0], first[order]), "new channel k of the first layer is the old channel order[k]"
    some = rng.standard_normal((2, 2, 6, 6))
    before, after = (
        network(np.concatenate([np.ravel(kernel) for kernel in pair]), some) for pair in ((first, second), kernels)
    )
    assert np.allclose(before, after), "the network is another function: which axis of second are its inputs?"


try_exercise(permuted, check_permuted)

# %%
# **3. The height of a hill.** How much higher is the loss on the line than the straight line between the losses of its
# ends? Return the largest difference over all points, so that a slope without a hill has height 0.


def hill(losses):
    """Return the height of the hill of losses at equidistant points, the ends among them."""
    raise NotImplementedError


def check_hill(hill):
    assert np.isclose(hill(np.array([1.0, 3.0, 1.0])), 2), "between ends of loss 1 a loss of 3 is a hill of height 2"
    assert np.isclose(hill(np.array([3.0, 2.0, 1.0])), 0), "a straight slope has no hill"
    assert np.isclose(hill(np.array([0.0, 4.0, 5.0, 4.0, 4.0])), 3), (
        "compare with the line between the two ends, at each point; from 0 to 4 it is at 1 after the first step"
    )
    assert np.isclose(hill(np.array([1.0, 0.0, 1.0])), 0), "a valley is no hill: at the ends the difference is 0"


try_exercise(hill, check_hill)
