r"""
Training on many grids
======================

A step on images of 14x14 takes a quarter of the arithmetic of one on 28x28, and a step on 7x7 a sixteenth. Multigrid
solves equations by doing most of its work on coarse grids. Can a network learn most of what it knows there too? This
lesson trains over three grids, counts the work, and compares with training on the fine grid alone at equal work. The
answer depends on the budget, and on how fairly the learning rates were chosen.

*Beyond the thesis, whose section 4.1 goes from one grid to the next.*
"""

# %%
# A hierarchy of grids
# --------------------
#
# One network is put on three grids. It has the same number of stencils on all of them, and its classifier a weight for
# each pixel of the features. ``in_space`` counts what a gradient costs for one example, in floating-point operations:

import numpy as np
from matplotlib import pyplot as plt

import meganet as mn
from meganet import multilevel as ml

digits = mn.datasets.load_digits()
x, labels = mn.datasets.scale_images(digits.images, "unit"), digits.labels
t, v = mn.datasets.split(len(x), [600, 600], np.random.default_rng(0))

network = mn.Chain([mn.ConvolutionLayer((1, 28, 28), 8), mn.ConvolutionLayer(..., 16)])
copied = ml.in_space(network, classes=10, grids=(7, 14, 28))
print(copied)

# %%
# What the levels see is made by restriction, means over 2x2 pixels:

from meganet.plotting import plot_mosaic

chosen = t[:6]
plot_mosaic(
    [[image[0] for image in copied.images(level, x[chosen])] for level in (2, 1, 0)],
    row_labels=[copied[level].name for level in (2, 1, 0)],
)

# %%
# Nested iteration
# ----------------
#
# A *schedule* says which level is trained when, for how many passes through the images, at which learning rate. The
# simplest one starts on the coarsest grid and carries the weights to the next:

schedule = ml.nested(copied, epochs=(4, 4, 2), learning_rate=[0.3, 0.2, 0.1])
print(schedule)

# %%
# ``Model.fit`` carries it out. The model stays that of the finest grid: after every pass the weights are carried there,
# so that its accuracy on images of 28x28 is what one has if the training stops now. Work is counted in passes through
# the training images on the finest grid.


def trained(hierarchy, schedule, trial, **more):
    """Return a model, and an array (passes, 2) of its work and its accuracy in percent on the finest grid."""
    model = mn.Model(hierarchy[-1].network, classes=10)
    one_pass = hierarchy[-1].flop * len(t)
    points = []

    def look(model):
        points.append((model.level_history[-1]["work"] / one_pass, 100 * model.score(x[v], labels[v])))

    model.fit(x[t], labels[t], grids=hierarchy, schedule=schedule, rng=trial, callback=look, **more)
    return model, np.array(points)


model, points = trained(copied, schedule, trial=0, validation=(x[v], labels[v]))
axes = model.level_history.plot(columns=["accuracy", "validation_accuracy"])

# %%
# The picture has the accuracies on the grid of each phase; a dotted line is where the next grid begins. There is a step
# down at each line: copied stencils cover half the distance in the picture, so the network is not the same function on
# the next grid. A pass or two make up for it. The same training as the finest grid sees it, with the weights carried
# there after each pass:

print("work, passes on 28x28  accuracy on 28x28, %")
for work, accuracy in points:
    print(f"{work:21.2f} {accuracy:22.1f}")

# %%
# A transfer without loss
# -----------------------
#
# If the stencils are dilated, their points twice as far apart on the next grid, and :math:`P` copies pixels, then the
# fine network gives on :math:`P y` what the coarse one gives on :math:`y`. Weights go up without any loss on such
# images. The network on the finest grid is then one with dilated convolutions.

from meganet.multigrid import Dilated

exact = ml.in_space(
    network, classes=10, grids=(7, 14, 28), transfer=ml.Transfer(up=Dilated(), interpolation="constant")
)
for level in exact:
    print(f"{level.name:6} dilations", [layer.dilation for layer in level.network.layers])

# %%
# Equal work
# ----------
#
# Now the comparison: nested iteration with copied and with exact transfer, and the finest grid alone, which gets *more*
# work than the others. Learning rates decide such comparisons: with too low a rate on the fine grid anything else looks
# good. The rate of the fine grid alone was chosen from seven between 0.01 and 0.32, those of nested iteration from six
# sets. Two trials each, with other first weights and another order of the images.

alone = [ml.Phase(level=-1, epochs=6, learning_rate=0.12)]
curves = {
    "finest grid alone": np.array([trained(copied, alone, trial)[1] for trial in (0, 1)]),
    "nested, copied": np.array([points, trained(copied, schedule, trial=1)[1]]),  # the first trial is above
    "nested, exact": np.array([trained(exact, schedule, trial)[1] for trial in (0, 1)]),
}

figure, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
looks = [("#0072B2", "o-"), ("#D55E00", "s--"), ("#000000", "^-.")]
for (name, found), (color, line) in zip(curves.items(), looks, strict=True):
    work, accuracy = found[0, :, 0], found[:, :, 1]
    ax.semilogx(work, accuracy.mean(axis=0), line, color=color, markersize=5, label=name)
    ax.fill_between(work, accuracy.min(axis=0), accuracy.max(axis=0), color=color, alpha=0.15, linewidth=0)
ax.set(xlabel="Work, in passes on 28x28", ylabel="Validation accuracy on 28x28, %", ylim=(50, 95))
ax.set_xticks([0.1, 0.25, 0.5, 1, 2, 5], ["0.1", "0.25", "0.5", "1", "2", "5"])
ax.minorticks_off()
ax.grid(alpha=0.3)
figure.legend(loc="outside upper center", ncols=3, frameon=False)

# %%
# Lines are means, bands go from the lower to the higher trial. The same in numbers: what has been reached when a budget
# is spent.

budgets = (0.25, 1.25, 3.2, 6)
print("mean accuracy, %, after so many passes on 28x28, or their work on other grids")
print(" " * 17, *(f"{budget:6.2f}" for budget in budgets))
for name, found in curves.items():
    work, mean = found[0, :, 0], found[:, :, 1].mean(axis=0)
    cells = [f"{mean[work <= budget][-1]:6.1f}" if work[0] <= budget else "     -" for budget in budgets]
    print(f"{name:17}", *cells)

# %%
# What can be read off, and what cannot:
#
# * With a *small budget* the coarse grids win clearly, if the transfer is exact. Eight passes on them cost little more
#   than one on the finest grid, and what they have learned is usable on 28x28 at once.
# * Copied stencils lose most of what was learned on 7x7, and a part of what was learned on 14x14. They are a good start
#   for training on the finest grid all the same.
# * With a *large budget* the finest grid alone catches up. The differences that are left at the end are of the size of
#   those between two trials, so nothing can be said about which network is the better one in the end.
#
# So training on many grids saves work on the way to a given accuracy. The documentation has the experiment with more
# trials, larger sets, and rates chosen by one rule for every method, on the page *Training on many grids*. There the
# dilated network is trained alone too, and is no better than the usual one, so the gain comes from the grids. Work is
# not time: a small grid does not keep a machine as busy as its share of the arithmetic says.
#
# Other schedules
# ---------------
#
# A schedule is data, and schedules add. Progressive resizing keeps its last passes for the finest grid; joint training
# sends each mini-batch to a grid drawn at random, with one set of weights for all of them. One trial of each, at rates
# that were not tuned:

others = {
    "growing": ml.growing(copied, epochs=6, last=0.3, learning_rate=[0.3, 0.2, 0.1]),
    "joint": ml.joint(copied, epochs=5, learning_rate=0.1),
}
for name, other in others.items():
    work, accuracy = trained(copied, other, trial=0)[1][-1]
    print(f"{name}: {other.epochs:g} passes, work of {work:.2f} on 28x28, {accuracy:.1f} %")

# %%
# And any path through the levels can be written down, here a V-cycle with a pass of joint training behind it:

print(ml.cycle((2, 1, 0, 1, 2), epochs=0.5) + ml.joint(copied, epochs=1))

# %%
# Exercises
# ---------
#
# **1. The work of a schedule.** How many passes on the finest grid cost as much as a schedule? Each phase has ``level``
# and ``epochs``, each level of a hierarchy has ``flop``; ``hierarchy[-1]`` is the finest. Phases train one level each.

from meganet.checks import try_exercise


def work_of(schedule, hierarchy):
    """Return the work of a schedule in passes on the finest grid."""
    raise NotImplementedError


def check_work_of(work_of):
    one = ml.nested(copied, epochs=3)
    shares = [level.flop / copied[-1].flop for level in copied]
    found = work_of(one, copied)
    assert np.isclose(found, 3 * sum(shares)), (
        f"three passes on every level cost {3 * sum(shares):.4f}, not {found:.4f}"
    )
    found, expected = work_of(schedule, copied), 4 * shares[0] + 4 * shares[1] + 2
    assert np.isclose(found, expected), f"the schedule of this lesson costs {expected:.4f}, not {found:.4f}"
    found = work_of(ml.cycle((-1, 0), epochs=(0.5, 8)), copied)
    assert np.isclose(found, 0.5 + 8 * shares[0]), "levels may be numbered from the finest, -1, and passes be parts"


try_exercise(work_of, check_work_of)

# %%
# **2. The V-cycle.** Write a schedule that starts on the finest of a number of levels, goes down to the coarsest, and
# up again: each level twice, but the coarsest once. ``ml.cycle`` takes the path.


def v_cycle(levels, epochs):
    """Return the V-cycle over so many levels, with so many passes in each phase."""
    raise NotImplementedError


def check_v_cycle(v_cycle):
    for levels in (2, 3, 4):
        found = v_cycle(levels, 0.5)
        assert isinstance(found, ml.Schedule), "a Schedule is expected, as ml.cycle makes it"
        path = [phase.level % levels for phase in found]
        assert path[0] == path[-1] == levels - 1, (
            f"with {levels} levels the path is {path}: start and end on the finest"
        )
        assert path.count(0) == 1, f"with {levels} levels the path is {path}: the coarsest level comes once"
        assert path == [*range(levels - 1, 0, -1), *range(levels)], f"with {levels} levels the path is {path}"
        assert all(phase.epochs == 0.5 for phase in found), "each phase has the passes that are given"


try_exercise(v_cycle, check_v_cycle)

# %%
# **3. The gradient of joint training.** In joint training the weights :math:`x` are those of the finest grid, and a
# coarser one takes :math:`T x`, where :math:`T` is ``hierarchy.sharing(level)``. Given the coarse objective :math:`f`,
# return value and gradient of :math:`x \mapsto f(T x)`. The operator has ``T @ x`` and ``T.T @ y``, and ``f(y)``
# returns value and gradient at :math:`y`.


def joint_gradient(f, T, x):
    """Return value and gradient of f(T x) with respect to x."""
    raise NotImplementedError


def check_joint_gradient(joint_gradient):
    rng = np.random.default_rng(0)
    small = ml.in_space(mn.ConvolutionLayer((1, 8, 8), 2, activation="tanh"), classes=3, grids=(4, 8))
    images = small.images(0, rng.standard_normal((6, 1, 8, 8)))
    f, T = mn.Objective(small[0].network, small[0].classifier, images, [0, 1, 2, 0, 1, 2]), small.sharing(1)
    point, direction = rng.standard_normal((2, small[1].unknowns))
    value, gradient = joint_gradient(f, T, point.copy())
    assert np.isclose(value, f(T @ point)[0]), "the value is that of f at T x"
    assert np.shape(gradient) == point.shape, f"a gradient has the shape of x, {point.shape}, not {np.shape(gradient)}"
    along = f(T @ point)[1] @ (T @ direction)
    assert np.isclose(gradient @ direction, along), (
        "along d the function rises by <grad f(T x), T d>: what has to stand before grad f(T x) to make that <..., d>?"
    )


try_exercise(joint_gradient, check_joint_gradient)
