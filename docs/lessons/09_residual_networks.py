r"""
Residual networks as differential equations
===========================================

A residual network adds a small change to its features, layer by layer. That is the forward Euler method for an
ordinary differential equation, with the layers as time. So the theory of time stepping applies to networks: it says
when signals and gradients explode, which step size is small enough, and which other schemes conserve what goes through
them.

*Sections 2.2 and 2.3 of the thesis.*
"""

# %%
# A layer is a time step
# ----------------------
#
# With the layer :math:`F(\theta, x)` a residual network computes, in equation (2.9) of the thesis,
#
# .. math::
#
#    x_{j+1} = x_j + h\, F(\theta_j, x_j), \qquad\text{Euler's method for}\qquad \dot x(t) = F(\theta(t), x(t)) .
#
# ``ResidualNetwork`` takes any layer whose range is its domain, and has one set of weights for each step:

import numpy as np
from matplotlib import pyplot as plt

import meganet as mn
from meganet.networks import ResidualNetwork

rng = np.random.default_rng(0)
layer = mn.DenseLayer((2,), 2, activation="tanh")
network = ResidualNetwork(layer, steps=3, h=0.5)
theta, points = mn.he_normal(network, rng), rng.standard_normal((5, 2))

x = points
for weights in theta.reshape(3, -1):
    x = x + 0.5 * layer(weights, x)
print(network.parameters)
print("the same as Euler's method:", np.allclose(network(theta, points), x))

# %%
# When is a step too long?
# ------------------------
#
# The linear layer :math:`F(x) = A x` shows it. A step multiplies an eigenvector of :math:`A` by :math:`1 + h \lambda`,
# so the features stay bounded if :math:`|1 + h \lambda| \le 1` for all eigenvalues (and grow, if one is larger). We
# take a spiral into the origin, with :math:`\lambda = -1 \pm 2 i`. The exact solution decays; whether the network does
# depends on :math:`h`.
#
# In the lower picture the networks measure the factor by themselves: a whole grid of 2x2 matrices with eigenvalues
# :math:`z = h \lambda` is one *stack* of weights, and each network takes one step of length 1 from a vector of length
# 1. ``RungeKutta4`` evaluates the layer four times in a step; the argument ``coefficients`` makes the weights constant
# in time.

from meganet.networks import RungeKutta4


def rotation(re, im):
    """Return the weights of the linear layer with eigenvalues re +- i im."""
    return np.stack([re, -im, im, re], axis=-1)


def orbit(step, weights, x, count):
    """Return the states of repeated steps, (count + 1, points, features)."""
    states = [x]
    for _ in range(count):
        states.append(step(weights, states[-1]))
    return np.array(states)


linear = mn.DenseLayer((2,), 2, bias=False)
spiral, e1 = rotation(-1.0, 2.0), np.array([[1.0, 0.0]])
euler = ResidualNetwork(linear, steps=1, h=1.0)
runge_kutta = RungeKutta4(linear, times=[0, 1], coefficients=np.ones((1, 3)))

figure, (above, below) = plt.subplots(2, 1, figsize=(6.4, 7.6), layout="constrained")
t = np.linspace(0, 5, 400)
above.plot(np.exp(-t) * np.cos(2 * t), np.exp(-t) * np.sin(2 * t), color="0.6", linewidth=3, label="exact")
colours = {0.1: "#0072B2", 0.35: "#009E73", 0.55: "#D55E00"}
for (h, colour), style in zip(colours.items(), ("o-", "s--", "^:"), strict=True):
    states = orbit(ResidualNetwork(linear, steps=1, h=h), spiral, e1, round(4 / h))
    above.plot(*states[:, 0].T, style, color=colour, markersize=4, label=f"Euler, h = {h}")
    below.plot(-h, 2 * h, style[0], color=colour, markersize=8, label=rf"$h \lambda$ for h = {h}")
    print(f"h = {h}: |1 + h lambda| = {abs(1 + h * (-1 + 2j)):.2f}, length at the end {np.linalg.norm(states[-1]):.2g}")
above.set(xlabel="$x_1$", ylabel="$x_2$", aspect="equal", title="a spiral into the origin")
above.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)

re, im = np.meshgrid(np.linspace(-3.2, 1, 151), np.linspace(-3.2, 3.2, 151))
stack = rotation(re.ravel(), im.ravel())
starts = np.broadcast_to(e1, (len(stack), 1, 2)).copy()
for scheme, colour, name in ((euler, "#56B4E9", "Euler"), (runge_kutta, "#E69F00", "Runge-Kutta 4")):
    factor = np.linalg.norm(scheme(stack, starts), axis=(1, 2)).reshape(re.shape)
    below.contourf(re, im, factor, levels=[0, 1], colors=[colour], alpha=0.45)
    below.contour(re, im, factor, levels=[1], colors=[colour])
    below.plot([], [], "s", color=colour, alpha=0.6, markersize=10, label=f"stable: {name}")
below.set(
    xlabel=r"Real part of $h \lambda$", ylabel=r"Imaginary part of $h \lambda$", aspect="equal", title="stability"
)
below.set_xticks([-3, -2, -1, 0, 1])
below.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)

# %%
# The more accurate scheme is also the more stable one. It covers a part of the imaginary axis, which Euler's disc only
# touches in 0. Smaller steps help both, and how fast is their order: with half the step the error of Euler is about
# half, that of Runge-Kutta a sixteenth. ``refined_in_time`` makes the network with twice the steps.

exact = np.exp(-2.0) * np.array([[np.cos(4), np.sin(4)]])
nets = {
    "Euler": ResidualNetwork(linear, steps=20, h=0.1, coefficients=np.ones((1, 20))),
    "Runge-Kutta 4": RungeKutta4(linear, np.linspace(0, 2, 6), coefficients=np.ones((1, 11))),
}
print("error with 1, 2, 4, 8 times as many steps")
for name, net in nets.items():
    weights, errors = spiral, []
    for _ in range(4):
        errors.append(np.linalg.norm(net(weights, e1) - exact))
        net, weights = net.refined_in_time(weights)
    print(f"{name:13}", "  ".join(f"{error:.1e}" for error in errors))

# %%
# Networks that conserve
# ----------------------
#
# A rotation, :math:`\lambda = \pm i \omega`, should neither grow nor decay, but Euler makes it grow with every step
# size. Hamiltonian networks split the features into two halves and update them in turn,
#
# .. math::
#
#    y \leftarrow y + h\, \sigma(K_1 z + b_1), \qquad z \leftarrow z - h\, \sigma(K_2 y + b_2) .
#
# Each of the two updates shears the plane, so together they conserve areas exactly. We let a small disc of points
# rotate by a nonlinear layer, :math:`\dot y = \tanh z`, :math:`\dot z = -\tanh y`, which conserves the energy
# :math:`\log\cosh y + \log\cosh z`, and compare with Euler for the same equation, step size and number of layers.

from meganet.networks import DoubleHamiltonian

h, layers = 0.3, 60
half = mn.DenseLayer((1,), 1, activation="tanh", bias=False)
whole = mn.DenseLayer((2,), 2, activation="tanh", bias=False)
schemes = {
    "Euler": (ResidualNetwork(whole, steps=1, h=h), np.array([0.0, 1.0, -1.0, 0.0])),
    "Hamiltonian": (DoubleHamiltonian(half, half, steps=1, h=h), np.ones(2)),
}
angle = np.linspace(0, 2 * np.pi, 40)
disc = np.array([1.0, 0.0]) + 0.35 * np.stack([np.cos(angle), np.sin(angle)], axis=1)

figure, axes = plt.subplot_mosaic(
    [["Euler", "Hamiltonian"], ["energy", "energy"]], figsize=(6.4, 5.8), height_ratios=(3, 2), layout="constrained"
)
below = axes["energy"]
for (name, (step, weights)), colour, line in zip(schemes.items(), ("#D55E00", "#0072B2"), ("--", "-"), strict=True):
    ax = axes[name]
    states = orbit(step, weights, disc, layers)
    ax.plot(*states[:, 0].T, color="0.7", linewidth=1)
    for k in range(0, layers + 1, 12):
        ax.fill(*states[k].T, color=colour, alpha=0.25 + 0.6 * k / layers)
    ax.set(title=name, xlabel="y", aspect="equal", xlim=(-3.4, 3.4), ylim=(-3.4, 3.4))
    energy = np.log(np.cosh(states)).sum(axis=-1).mean(axis=1)
    below.plot(energy, color=colour, linestyle=line, linewidth=2, label=name)
    _, tape = step.forward(weights, disc[:1])
    jacobian = np.array([step.jvp(0 * weights, unit[None], tape)[0] for unit in np.eye(2)])
    print(f"{name}: one step multiplies areas by {np.linalg.det(jacobian):.6f}")
axes["Euler"].set_ylabel("z")
below.set(xlabel="Layer", ylabel="Energy", ylim=(0, None))
below.legend()

# %%
# Darker discs come later. Euler's disc is pushed out and grows. In the Hamiltonian network its shape changes, since
# points further out rotate more slowly, but its area does not.
#
# Deep networks
# -------------
#
# What a deep network does to small differences between inputs is its Jacobian :math:`\partial x_N / \partial x_0`, and
# its transpose is what it does to gradients. Differences are multiplied by factors between its smallest and its largest
# singular value: if the one is tiny, the network forgets; if the other is huge, gradients explode. Jacobian products
# with the unit vectors give it, all at once, as many examples with the same :math:`x_0`. Besides a dense layer we try
# layers whose weights are restricted: ``antisymmetric`` has a matrix :math:`A - A^\top`, whose eigenvalues are
# imaginary (and a very slight damping), and ``SymmetricLayer`` is :math:`-K^\top \sigma(K x + b)`, whose Jacobian is
# negative semidefinite, so that it forgets. The same layer in ``Leapfrog``,
# :math:`x_{j+1} = 2 x_j - x_{j-1} + h^2 F(x_j)`, is an oscillation.

from meganet.linop import Dense
from meganet.networks import Leapfrog, SingleLayer, SymmetricLayer, antisymmetric

n, h, depths = 6, 0.15, range(1, 122, 3)
symmetric = SymmetricLayer(Dense(np.zeros((n, n))), "tanh", bias_in=True)
kinds = {
    "dense, Euler": (ResidualNetwork, mn.DenseLayer((n,), n, activation="tanh"), "#D55E00", "-"),
    "antisymmetric, Euler": (ResidualNetwork, SingleLayer(antisymmetric(n), "tanh", bias_in=True), "#0072B2", "--"),
    "symmetric, Euler": (ResidualNetwork, symmetric, "#009E73", ":"),
    "symmetric, leapfrog": (Leapfrog, symmetric, "#CC79A7", "-."),
}
figure, ax = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
for name, (scheme, layer, colour, style) in kinds.items():
    rng = np.random.default_rng(1)
    weights, x = mn.he_normal(layer, rng), 0.5 * rng.standard_normal((1, n))
    extremes = []
    for depth in depths:
        net = scheme(layer, depth, h, coefficients=np.ones((1, depth)))
        _, tape = net.forward(weights, np.repeat(x, n, axis=0))
        jacobian = net.jvp(0 * weights, np.eye(n), tape)
        extremes.append(np.linalg.svd(jacobian, compute_uv=False)[[0, -1]])
    largest, smallest = np.array(extremes).T
    ax.semilogy(depths, largest, linestyle=style, color=colour, linewidth=2, label=name)
    ax.semilogy(depths, smallest, linestyle=style, color=colour, linewidth=2)
ax.set(xlabel="Number of layers", ylabel="Largest and smallest singular value", ylim=(1e-6, None))
ax.grid(alpha=0.3)
figure.legend(loc="outside upper center", ncols=2, frameon=False)

# %%
# Each kind has two curves, one above and one below. The dense layers stretch some differences and shrink others, more
# with every layer; the antisymmetric ones do so less. The symmetric ones let nothing grow, but some differences vanish
# after a few layers. With leapfrog they oscillate: no difference is lost for good.
#
# A network that classifies points
# --------------------------------
#
# Now the weights are learned. Two classes of points lie inside and outside of an ellipse, and the classifier at the end
# can only tell them apart if a line, in three dimensions a plane, separates their features. We train two residual
# networks: one moves the points in the plane, the other has a first layer that lifts them to three dimensions,
# :math:`x_0 = L x`.
#
# As functions of time the weights :math:`\theta(t)` should be smooth. We let them be piecewise linear with six nodes
# for thirty layers: row k of the matrix ``coefficients`` is the hat function of node k at the times of the layers.

LAYERS, NODES = 30, 6
data = mn.datasets.circle(150, np.random.default_rng(0))
hats = np.array([np.interp(np.linspace(0, NODES - 1, LAYERS), np.arange(NODES), unit) for unit in np.eye(NODES)])


def trained(features):
    layers = [mn.DenseLayer((2,), features, bias=False)] if features > 2 else []
    layers.append(
        ResidualNetwork(mn.DenseLayer((features,), features, activation="tanh"), LAYERS, 0.2, coefficients=hats)
    )
    model = mn.Model(layers, classes=2)
    penalties = {"theta_regularizer": 1e-4, "W_regularizer": 1e-3}
    return model.fit(data.features, data.targets, optimizer=mn.lbfgs, epochs=120, **penalties)


models = {"2 features": trained(2), "3 features": trained(3)}
for name, model in models.items():
    print(f"{name}: {100 * model.score(data.features, data.targets):.1f} % of the points correct")

# %%
# We draw how points travel to their side of the classifier's line, and what both networks say of every place in the
# plane.


def trajectories(model, x):
    """Return the features of points after each layer of the residual network."""
    *lift, flow = model.network.layers
    start = model.theta.size - flow.parameters.size
    for layer in lift:
        x = layer(model.theta[:start], x)
    step = ResidualNetwork(flow.layers[0], 1, flow.h)
    states = [x]
    for weights in flow.coefficients.T @ model.theta[start:].reshape(NODES, -1):
        states.append(step(weights, states[-1]))
    return np.array(states)


shown = np.arange(0, 300, 5)
colours = ["#0072B2", "#D55E00"]
plane = np.stack(np.meshgrid(np.linspace(-2.4, 2.4, 161), np.linspace(-1.6, 1.6, 107)), axis=-1)
figure, axes = plt.subplots(2, 2, figsize=(6.4, 6.2), height_ratios=(3, 2), layout="constrained")
for (above, below), (name, model) in zip(axes.T, models.items(), strict=True):
    kernel, bias = model.classifier.parameters.view(model.W).values()
    normal, offset = kernel[1] - kernel[0], bias[1] - bias[0]
    states = trajectories(model, data.features[shown])
    # across the line, and along it, where the points spread most
    across = (states @ normal + offset) / np.linalg.norm(normal)
    rest = states - (states @ normal)[..., None] * normal / (normal @ normal)
    along = rest @ np.linalg.svd(rest[-1] - rest[-1].mean(axis=0))[2][0]
    for label, marker, place in ((0, "o", "inside"), (1, "^", "outside")):
        those = data.targets[shown] == label
        above.plot(across[:, those], along[:, those], color=colours[label], linewidth=0.7, alpha=0.6)
        above.plot(
            across[-1, those],
            along[-1, those],
            marker,
            color=colours[label],
            linestyle="none",
            markersize=4,
            label=place,
        )
        chosen = data.features[data.targets == label]
        below.plot(*chosen.T, marker, color=colours[label], markersize=2, linestyle="none")
    above.axvline(0, color="black", linewidth=1)
    above.set(title=name, xlabel="Across the line")
    decided = model.predict(plane.reshape(-1, 2)).reshape(plane.shape[:2])
    below.contourf(*plane.T, decided.T, levels=[-0.5, 0.5, 1.5], colors=["#BBD7EA", "#F5CDB0"])
    below.set(title="decision", xlabel="$x_1$", aspect="equal")
axes[0, 0].set_ylabel("Along the line")
axes[1, 0].set_ylabel("$x_2$")
figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False)

# %%
# A differential equation deforms the plane without tearing it, and so does Euler's method with small steps. What lies
# inside of a closed curve stays inside of its image. But the line's side of the class *inside* goes on to infinity, and
# so must the region that is moved there. Hence the channels through the ring on the left, and the points that are
# wrong. With a third dimension the inside can be lifted over the ring: the region of the inner points on the right is
# closed. The blue areas at the edge of both pictures lie where there are no points: the training did not ask for
# anything there.
#
# Exercises
# ---------
#
# Fill in the functions; the line below each of them tries it.
#
# **1. The largest step.** All eigenvalues of a matrix :math:`A` have negative real parts. What is the largest
# :math:`h` for which :math:`|1 + h \lambda| \le 1` for all of them? Square the inequality first.

from meganet.checks import try_exercise


def largest_step(A):
    """Return the largest stable step of Euler's method for dx/dt = A x."""
    raise NotImplementedError


def check_largest_step(largest_step):
    tall = np.diag([-0.1, -0.2, -0.3]) + 5 * np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 0]])
    for A in (np.diag([-1.0, -10.0]), np.array([[-1.0, -2.0], [2.0, -1.0]]), tall):
        step = np.eye(len(A)) + largest_step(A) * A
        factor = abs(np.linalg.eigvals(step)).max()
        hint = f"for eigenvalues {np.linalg.eigvals(A).round(2)} the largest factor is {factor:.3f}"
        assert np.isclose(factor, 1), f"{hint}, at the largest stable step it is 1"
        assert largest_step(A) > 0, "a step is positive"


try_exercise(largest_step, check_largest_step)

# %%
# **2. Backwards.** A Hamiltonian network can be run backwards, so that training need not store its states. Undo the
# step :math:`y \leftarrow y + h F(z)`, then :math:`z \leftarrow z - h G(y)`.


def backwards(F, G, h, y, z):
    """Return y and z before the step; F and G are functions of an array."""
    raise NotImplementedError


def check_backwards(backwards):
    rng = np.random.default_rng(3)
    half = mn.DenseLayer((2,), 2, activation="tanh")
    weights, x = mn.he_normal(DoubleHamiltonian(half, half, 1, 0.5), rng), rng.standard_normal((4, 4))
    S, T = weights.reshape(2, -1)
    after = DoubleHamiltonian(half, half, steps=1, h=0.5)(weights, x)
    before = backwards(lambda z: half(S, z), lambda y: half(T, y), 0.5, after[:, :2].copy(), after[:, 2:].copy())
    assert np.allclose(np.concatenate(before, axis=1), x), "the network does not bring the result back to where it was"


try_exercise(backwards, check_backwards)

# %%
# **3. A scheme of your own.** A scheme is a list of ``Stage(layer, time, read, update)``: number ``layer`` of the
# layers is evaluated with weights number ``time`` at the combination ``read`` of the state's arrays; each row of
# ``update`` makes an array of the new state from the old ones and the result, which comes last. ``euler_stages`` is
# Euler's method in these terms. Write Heun's method,
#
# .. math::
#
#    k_1 = F(\theta_0, x), \quad k_2 = F(\theta_1, x + h k_1), \quad x \leftarrow x + \tfrac{h}{2} (k_1 + k_2) .

from meganet.networks import Integrator, Stage


def euler_stages(h):
    return [Stage(0, 0, (1.0,), ((1.0, h),))]


def heun(h):
    """Return the two stages of a step, with the state (x, k1) between them."""
    raise NotImplementedError


def check_heun(heun):
    class Scheme(Integrator):
        def resized(self, domain_shape):
            return self

    h, layer, rng = 0.5, mn.DenseLayer((2,), 2, activation="tanh"), np.random.default_rng(4)
    network = Scheme([("layer", layer)], heun(h), times=2)
    weights, x = mn.he_normal(network, rng), rng.standard_normal((3, 2))
    k1 = layer(weights[:6], x)
    k2 = layer(weights[6:], x + h * k1)
    assert np.allclose(network(weights, x), x + h / 2 * (k1 + k2)), "a step is not x + h/2 (k1 + k2)"


try_exercise(heun, check_heun)
