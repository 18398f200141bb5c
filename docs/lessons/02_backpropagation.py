r"""
Backpropagation of one layer, by hand
=====================================

To train a network one needs the gradient of the loss in all its weights. Backpropagation computes it, and it is no more
than the chain rule, read from the loss to the input with adjoints of linear operators. We write it down for one
convolution layer, compare it with what the library does, and learn the two tests that find a wrong gradient: the
dot-product test and the Taylor test.

*Section 2.1 of the thesis.*
"""

# %%
# Forward
# -------
#
# The layer is :math:`y = \sigma(z)` with :math:`z = K(\theta) x + b`: a convolution with the kernel :math:`\theta` from
# one channel to three, a bias for each channel and the activation :math:`\sigma = \tanh`. The images are fifty
# handwritten digits. All weights of a layer are one flat vector, here ``theta``, of which the kernel and the bias are
# parts.

import numpy as np

import meganet as mn

rng = np.random.default_rng(0)
digits = mn.datasets.load_digits()
x, labels = digits.images[10::100] / 255.0, digits.labels[10::100]

network = mn.ConvolutionLayer((1, 28, 28), 3, activation="tanh", bias=True)
print(network.parameters)
theta = 0.7 * rng.standard_normal(network.parameters.size)
kernel, bias = network.parameters.view(theta).values()

# %%
# ``forward`` returns the result and a *tape*, the record of what the derivatives will need: here the input and the
# slope :math:`\sigma'(z) = 1 - \tanh^2 z`. We write the same with the operator of the layer.

y, tape = network.forward(theta, x)

K = network.operator(kernel)
z = K @ x + bias[:, None, None]
slope = 1 - np.tanh(z) ** 2
print("the same result:", np.allclose(y, np.tanh(z)))

# %%
# Where the slope is small, the activation is saturated: a change of the weights hardly changes the result there, and
# hardly anything comes back from there. The picture shows one of the digits.

from matplotlib import pyplot as plt

figure, axes = plt.subplots(2, 4, figsize=(7, 3.6), layout="constrained")
axes[0, 0].imshow(x[15, 0], cmap="gray")
axes[0, 0].set(title="x")
axes[1, 0].axis("off")
for channel in range(3):
    results = axes[0, 1 + channel].imshow(y[15, channel], cmap="RdBu_r", vmin=-1, vmax=1)
    slopes = axes[1, 1 + channel].imshow(slope[15, channel], cmap="viridis", vmin=0, vmax=1)
    axes[0, 1 + channel].set(title=f"channel {channel}")
for ax in axes.flat:
    ax.set(xticks=[], yticks=[])
figure.colorbar(results, ax=axes[0], label="y", ticks=[-1, 0, 1])
figure.colorbar(slopes, ax=axes[1], label=r"Slope $\sigma'(z)$", ticks=[0, 0.5, 1])

# %%
# The derivative
# --------------
#
# Change the weights by :math:`d\theta, db` and the input by :math:`dx`. As K is linear in its kernel, the product rule
# gives
#
# .. math::
#
#    dz = K(d\theta)\, x + K(\theta)\, dx + db, \qquad dy = \sigma'(z) \odot dz .
#
# That is the Jacobian times a direction. The library calls it ``jvp``, for *Jacobian-vector product*.


def change_of_z(dtheta):
    """Return K(dtheta) x + db, the part that comes from the weights."""
    dkernel, dbias = network.parameters.view(dtheta).values()
    return K.with_kernel(dkernel) @ x + dbias[:, None, None]


dtheta, dx = rng.standard_normal(theta.shape), rng.standard_normal(x.shape)
dz = change_of_z(dtheta) + K @ dx
print("by hand = jvp:", np.allclose(slope * dz, network.jvp(dtheta, dx, tape)))

# %%
# The adjoint
# -----------
#
# Now the other direction. Let :math:`g` be the gradient of some loss in the result y. Then
# :math:`\langle g, dy \rangle` is the change of the loss, and we sort it by the three changes. With
# :math:`u = \sigma'(z) \odot g`,
#
# .. math::
#
#    \langle g, dy \rangle = \langle u, dz \rangle
#    = \langle u, K(d\theta) x \rangle + \langle u, K(\theta) dx \rangle + \langle u, db \rangle .
#
# What stands beside each change is the gradient in it: in x it is :math:`K^T u`, in the bias the sum of u over examples
# and pixels, as one number is added everywhere. In the kernel it is the adjoint of
# :math:`d\theta \mapsto K(d\theta) x`: the correlation of x with u. The library calls all this ``vjp``, for
# *vector-Jacobian product*.


def gradient_in_weights(u):
    """Return the gradients in kernel and bias as one vector."""
    return np.concatenate([K.kernel_adjoint(x, u).ravel(), u.sum(axis=(0, 2, 3))])


g = rng.standard_normal(y.shape)
u = slope * g
in_theta, in_x = network.vjp(g, tape)
print("weights, by hand = vjp:", np.allclose(gradient_in_weights(u), in_theta))
print("input, by hand = vjp:  ", np.allclose(K.T @ u, in_x))

# %%
# Test one: the dot product
# -------------------------
#
# Does the adjoint belong to the derivative? By definition :math:`\langle J v, g \rangle = \langle v, J^T g \rangle` for
# all v and g. One random pair is enough to see nearly every mistake. Here v is a change of the weights alone.

from meganet.checks import CheckError, check_adjoint, check_derivative

error = check_adjoint(lambda v: slope * change_of_z(v), lambda g: gradient_in_weights(slope * g), v=dtheta, w=g)
print(f"by hand: {error:.2f} units of round-off")

no_change = np.zeros_like(x)
error = check_adjoint(lambda v: network.jvp(v, no_change, tape), lambda g: network.vjp_theta(g, tape), v=dtheta, w=g)
print(f"library: {error:.2f} units of round-off")

# %%
# Test two: Taylor
# ----------------
#
# The dot-product test compares two formulas. If both are wrong in the same way, it passes. So the derivative is also
# compared with the function itself. For a smooth function f, a point :math:`\theta` and a direction d,
#
# .. math::
#
#    E_0(h) = \| f(\theta + h d) - f(\theta) \| = O(h), \qquad
#    E_1(h) = \| f(\theta + h d) - f(\theta) - h f'(\theta) d \| = O(h^2),
#
# the second only if :math:`f'(\theta) d` is right. If it is wrong, :math:`E_1` falls with h as :math:`E_0` does. We
# draw both, also with two mistakes. One is common: the slope is computed from y in place of z. The other is small: one
# channel of three is too large by 1 %.

one_channel = np.array([1.0, 1.01, 1.0])[:, None, None]
derivatives = {
    "right": lambda d: slope * change_of_z(d),
    "slope from y": lambda d: (1 - np.tanh(y) ** 2) * change_of_z(d),
    "a channel 1 % too large": lambda d: one_channel * slope * change_of_z(d),
}
steps = 2.0 ** -np.arange(31)
changes = [network(theta + h * dtheta, x) - y for h in steps]

figure, ax = plt.subplots(figsize=(6.4, 4.6), layout="constrained")
ax.loglog(steps, [np.linalg.norm(change) for change in changes], "o-", color="#595959", markersize=4, label="$E_0$")
for (name, product), style in zip(derivatives.items(), ("^-", "s--", "D-."), strict=True):
    remainders = [np.linalg.norm(change - h * product(dtheta)) for h, change in zip(steps, changes, strict=True)]
    color = {"^": "#0072B2", "s": "#D55E00", "D": "#CC79A7"}[style[0]]
    ax.loglog(steps, remainders, style, color=color, markersize=4, label=f"$E_1$, {name}")
ax.loglog(steps, 3000 * steps, "k:")
ax.text(1e-5, 0.15, "slope 1", ha="right")
ax.loglog(steps[:22], 3 * steps[:22] ** 2, "k:")
ax.text(1e-4, 1e-9, "slope 2")
ax.set(xlabel="Step h", ylabel="Norm of the remainder")
figure.legend(loc="outside upper center", ncols=2, frameon=False)

# %%
# The right one falls with slope 2, until only round-off is left. The wrong one falls with slope 1. The small mistake
# shows slope 2 at first, where the curvature of f counts for more than the mistake, then slope 1: one has to look at
# small steps. ``check_derivative`` makes this test, chooses the steps and decides. It sees a relative error of one in a
# million.

for name, product in derivatives.items():
    try:
        table = check_derivative(lambda theta: network(theta, x), product, theta, dtheta, name=name)
        print(f"{name}: passes, order {table.order:.2f}")
    except CheckError as error:
        print(str(error).splitlines()[0])

# %%
# The dot-product test cannot see the slope from y, if both products use it:

wrong = 1 - np.tanh(y) ** 2
error = check_adjoint(lambda v: wrong * change_of_z(v), lambda g: gradient_in_weights(wrong * g), v=dtheta, w=g)
print(f"both products with the slope from y: {error:.2f} units of round-off, the test passes")

# %%
# A classifier on top
# -------------------
#
# The result y goes through an affine classifier, :math:`c = W y + b`, and the softmax
# :math:`p = \exp(c) / \sum \exp(c)` makes probabilities of it. The loss is the mean of :math:`-\log p_{\text{label}}`.
# Its gradient in c is as simple as that of least squares: the probabilities minus one at the right class, divided by
# the number of images. From there one goes back layer by layer; each needs only the gradient in its result.

classifier, loss = mn.DenseLayer(network.range_shape, 10), mn.SoftmaxCrossEntropy()
W = 0.01 * rng.standard_normal(classifier.parameters.size)

c, classifier_tape = classifier.forward(W, y)
in_c = loss.probabilities(c)
in_c[np.arange(len(labels)), labels] -= 1
in_c /= len(labels)
in_W, in_y = classifier.vjp(in_c, classifier_tape)
in_theta, in_x = network.vjp(in_y, tape)

# %%
# The library's ``Objective`` does the same for whole networks. All weights are one vector, :math:`w = [\theta; W]`.

J = mn.Objective(network, classifier, x, labels)
point, gradient = np.concatenate([theta, W]), np.concatenate([in_theta, in_W])
value, expected = J(point)
print("loss by hand", loss.value(c, labels).round(6), "and of the objective", value.round(6))
print("gradient by hand = that of the objective:", np.allclose(gradient, expected))
table = check_derivative(lambda point: J(point)[0], lambda d: gradient @ d, point, rng.standard_normal(point.shape))
print(f"Taylor test: order {table.order:.2f}")

# %%
# Finite differences would need one more evaluation of J for every weight. Backpropagation needs one way forward and one
# back, whatever their number.

print(f"{point.size:,} weights: {point.size + 1:,} evaluations, or one forward and one backward pass")

# %%
# What the gradient is for: along :math:`-\nabla J` the objective falls, at first as fast as its tangent. How far one
# may go, the gradient does not say: beyond some learning rate the objective is larger than before the step.

rates = np.linspace(0, 0.3, 31)
values = [J(point - rate * gradient)[0] for rate in rates]
tangent = value - rates * (gradient @ gradient)

figure, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
ax.plot(rates, values, color="#0072B2", linewidth=2, label=r"$J(w - \alpha\, \nabla J(w))$")
ax.plot(rates, tangent, "--", color="#D55E00", label="tangent")
ax.set(xlabel=r"Learning rate $\alpha$", ylabel="Loss", ylim=(0, 1.1 * max(values)))
ax.legend(loc="upper left", frameon=False)

# %%
# Exercises
# ---------
#
# Fill in the functions; the line below each of them tries it.
#
# **1. Two layers.** Backpropagation through :math:`y_1 = F_1(\theta_1, x)`, :math:`y_2 = F_2(\theta_2, y_1)`. Use
# ``forward`` and ``vjp`` of the layers.

from meganet.checks import try_exercise


def two_layers(first, second, theta_1, theta_2, x, g):
    """Return the gradients of <g, y_2> in theta_1, in theta_2 and in x."""
    raise NotImplementedError


def check_two_layers(two_layers):
    rng = np.random.default_rng(1)
    first = mn.ConvolutionLayer((2, 6, 6), 2, activation="tanh")
    second = mn.ConvolutionLayer((2, 6, 6), 2, activation="tanh", bias=True)
    theta_1, theta_2 = rng.standard_normal(first.parameters.size), rng.standard_normal(second.parameters.size)
    x, g = rng.standard_normal((2, 3, 2, 6, 6))
    found = two_layers(first, second, theta_1, theta_2, x, g)
    assert len(found) == 3, "three gradients are asked for"
    parts = {"theta_1": theta_1, "theta_2": theta_2, "x": x}
    for (name, part), gradient in zip(parts.items(), found, strict=True):
        assert np.shape(gradient) == part.shape, f"the gradient in {name} has the shape of {name}, {part.shape}"

        def value(changed, name=name):
            now = {**parts, name: changed}
            return np.sum(g * second(now["theta_2"], first(now["theta_1"], now["x"])))

        direction = rng.standard_normal(part.shape)
        try:
            check_derivative(value, lambda d, gradient=gradient: np.sum(gradient * d), part, direction)
        except CheckError as error:
            raise AssertionError(f"the gradient in {name} fails the Taylor test") from error


try_exercise(two_layers, check_two_layers)

# %%
# **2. An activation of your own.** The *swish* is :math:`\sigma(z) = z\, s(z)` with :math:`s(z) = 1 / (1 + e^{-z})`.
# Return its values and its slopes.


def swish(z):
    """Return sigma(z) and its derivative at z, two arrays of the shape of z."""
    raise NotImplementedError


def check_swish(swish):
    z = np.linspace(-4, 4, 9)
    value, slope = swish(z)
    assert np.allclose(value, z / (1 + np.exp(-z))), "the values are wrong"
    try:
        check_derivative(lambda z: swish(z)[0], lambda d: slope * d, z, np.ones_like(z))
    except CheckError as error:
        raise AssertionError("the slopes fail the Taylor test; s'(z) = s(z) (1 - s(z))") from error


try_exercise(swish, check_swish)

# %%
# **3. A residual step.** Write the adjoint of the derivative in x of :math:`y = x + h\, \sigma(K x)`, a step of a
# residual network, with :math:`\sigma = \tanh`.


def residual_adjoint(K, h, x, g):
    """Return J'g, where J is the derivative of x + h tanh(K x) in x."""
    raise NotImplementedError


def check_residual_adjoint(residual_adjoint):
    rng = np.random.default_rng(2)
    K = mn.linop.CirculantConvolution(rng.standard_normal((2, 2, 3, 3)), (5, 5))
    x, v, g = rng.standard_normal((3, 4, 2, 5, 5))
    slope = 1 - np.tanh(K @ x) ** 2
    for h in (0.1, 1.0):
        product = np.asarray(residual_adjoint(K, h, x, g))
        assert product.shape == x.shape, f"the shape is that of x, {x.shape}, not {product.shape}"
        try:
            check_adjoint(lambda v, h=h: v + h * slope * (K @ v), lambda g, h=h: residual_adjoint(K, h, x, g), v=v, w=g)
        except CheckError as error:
            raise AssertionError(f"for h = {h} <J v, g> is not <v, J'g>") from error


try_exercise(residual_adjoint, check_residual_adjoint)
