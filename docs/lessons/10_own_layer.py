r"""
Your own layer
==============

A layer is a function of weights and examples, with its derivative and the adjoint of its derivative. Once these three
are written, the layer can be used in every network, optimiser and transfer between grids of this package. A mistake in
a derivative is not easily seen, as the training often still works, only worse. So we also make mistakes on purpose and
watch how the checks find them. At the end we write an activation and a linear operator.
"""

# %%
# What a layer has to say
# -----------------------
#
# Our layer multiplies each number with a gate between 0 and 1 that depends on the number itself,
#
# .. math::
#
#    y = x\, s(b x), \qquad s(t) = \frac{1}{1 + e^{-t}},
#
# with one weight :math:`b` for each channel, the slope of the gate. With :math:`b = 0` the layer is linear, with a
# large :math:`b` it is nearly :math:`\max(x, 0)`.

import numpy as np
from matplotlib import pyplot as plt

x = np.linspace(-4, 4, 201)
figure, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
for b, style, colour in ((0.0, "-.", "#009E73"), (1.0, "-", "#0072B2"), (5.0, "--", "#D55E00")):
    ax.plot(x, x / (1 + np.exp(-b * x)), style, color=colour, linewidth=2, label=f"b = {b}")
ax.set(xlabel="x", ylabel="y")
ax.grid(alpha=0.3)
ax.legend()

# %%
# With :math:`s' = s (1 - s)` the derivative along a direction :math:`(\mathrm{d}b, \mathrm{d}x)` and its adjoint,
# applied to a :math:`\mathrm{d}y`, are
#
# .. math::
#
#    J\, (\mathrm{d}b, \mathrm{d}x) &= s\, \mathrm{d}x + x\, s'\, (x\, \mathrm{d}b + b\, \mathrm{d}x), \\
#    J^\top \mathrm{d}y &= \Bigl( \sum x^2 s'\, \mathrm{d}y, \; (s + b\, x\, s')\, \mathrm{d}y \Bigr),
#
# where the sum goes over the examples and the pixels of a channel. The class says just that. ``Parameters`` names the
# weights and says what they are: a *scale* starts at 1. ``forward_unchecked`` also returns a record of whatever the two
# products need. ``resized`` is the same layer for images of another size. Axes are counted from the end, since weights
# and examples may come as stacks for several networks at once.

import meganet as mn
from meganet.layers import Layer, Parameter, Parameters


class GateLayer(Layer):
    """``y = x s(b x)`` with the logistic function s and a slope b for each channel."""

    def __init__(self, domain_shape, *, backend=None):
        slope = Parameter("slope", (domain_shape[0],), "scale")
        super().__init__(domain_shape, domain_shape, Parameters([slope]), backend)

    def resized(self, domain_shape):
        return GateLayer(domain_shape, backend=self.backend)

    def over_pixels(self, slopes):
        return slopes[..., None, :, None, None]

    def forward_unchecked(self, theta, x):
        b = self.over_pixels(theta)
        s = 1 / (1 + self.backend.xp.exp(-b * x))
        return x * s, (x, b, s)

    def jvp_unchecked(self, dtheta, dx, record):
        x, b, s = record
        return s * dx + x * s * (1 - s) * (x * self.over_pixels(dtheta) + b * dx)

    def vjp_unchecked(self, dy, record):
        x, b, s = record
        u = x * s * (1 - s) * dy
        return (x * u).sum(axis=(-4, -2, -1)), s * dy + b * u


# %%
# The base class makes the products for users of it, which check their arguments, and ``check_layer`` tries all of them
# at random numbers: the derivative against difference quotients, the adjoint against the derivative, both precisions,
# stacks.

from meganet.checks import CheckError, check_layer

gate = GateLayer((3, 4, 5))
table = check_layer(gate)
print(gate, "with", gate.parameters.size, "weights")
print(f"order {table.order:.2f}, relative error of the derivative {table.floor:.0e}")

# %%
# Three mistakes
# --------------
#
# * The adjoint forgets that the gate depends on the example, a term of the product rule.
# * Both products forget it. They fit each other, but not the layer.
# * The gradient of the weights is summed over wrong axes, so that two networks are mixed in a stack.


class AdjointForgets(GateLayer):
    """dx = s dy."""

    def vjp_unchecked(self, dy, record):
        x, _, s = record
        return (x * x * s * (1 - s) * dy).sum(axis=(-4, -2, -1)), s * dy


class BothForget(AdjointForgets):
    """Neither product has b x s' dx."""

    def jvp_unchecked(self, dtheta, dx, record):
        x, _, s = record
        return s * dx + x * s * (1 - s) * x * self.over_pixels(dtheta)


class WrongAxes(GateLayer):
    """Axis 0 in place of -4."""

    def vjp_unchecked(self, dy, record):
        x, b, s = record
        u = x * s * (1 - s) * dy
        return (x * u).sum(axis=(0, -2, -1)), s * dy + b * u


for wrong in (AdjointForgets, BothForget, WrongAxes):
    try:
        check_layer(wrong((3, 4, 5)))
    except CheckError as error:
        print(str(error).split("\n")[0], "\n")

# %%
# The second message is about Taylor's theorem. With the weights and examples together in one vector :math:`v`,
#
# .. math::
#
#    E_0 = \|F(v + h\, \mathrm{d}v) - F(v)\| = O(h), \qquad
#    E_1 = \|F(v + h\, \mathrm{d}v) - F(v) - h\, J\, \mathrm{d}v\| = O(h^2)
#
# for the right :math:`J`, and only :math:`O(h)` for a wrong one. The table that ``check_layer`` returns has these
# numbers. The argument ``floor_maximum`` makes it accept the wrong layer, so that we see both:

accepted = check_layer(BothForget((3, 4, 5)), floor_maximum=1.0)
figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.loglog(table.h, table.error0, ":", color="0.4", linewidth=2, label="$E_0$")
ax.loglog(accepted.h, accepted.error1, "s--", color="#D55E00", markersize=4, label="$E_1$, the term is missing")
ax.loglog(table.h, table.error1, "o-", color="#0072B2", markersize=4, label="$E_1$, right")
ax.set(xlabel="Step length h", ylabel="Remainder")
ax.grid(alpha=0.3)
ax.legend()

# %%
# The right remainder falls twice as fast on the logarithmic scale, down to round-off.
#
# In a network
# ------------
#
# The layer stands in a network like any other. We train with handwritten digits on a coarse grid, once with ReLU and
# once with our gates. The kernels start from the same random numbers in both.

digits = mn.datasets.load_digits()
fine = mn.datasets.scale_images(digits.images, "standardize")
images, labels = mn.multigrid.restrict_images(fine), digits.labels
t, v = mn.datasets.split(len(images), [1000, 1000], np.random.default_rng(0))


def network(activation):
    convolution = {"activation": "identity", "bias": True}
    return mn.Model(
        [
            mn.ConvolutionLayer((1, 14, 14), 8, **convolution),
            activation(...),
            mn.PoolingLayer(..., 2),
            mn.ConvolutionLayer(..., 16, **convolution),
            activation(...),
        ],
        classes=10,
    )


models = {"ReLU": network(lambda shape: mn.ActivationLayer(shape, "relu")), "gates": network(GateLayer)}
for model in models.values():
    model.fit(images[t], labels[t], validation=(images[v], labels[v]), epochs=8, learning_rate=0.005, rule=mn.Adam())
print(models["gates"])

figure, axes = plt.subplots(2, 1, figsize=(6, 6.4), layout="constrained")
mn.plotting.plot_convergence({name: model.history for name, model in models.items()}, "validation_loss", axes[0])
weights = models["gates"].network.parameters.view(models["gates"].theta)
for name, marker, colour in (("1.slope", "o", "#0072B2"), ("4.slope", "^", "#D55E00")):
    axes[1].plot(np.sort(weights[name]), marker, color=colour, label=name)
axes[1].axhline(1, color="0.5", linestyle=":", label="before training")
axes[1].set(xlabel="Channel, sorted", ylabel="Slope b")
axes[1].grid(alpha=0.3)
axes[1].legend()

# %%
# Both losses run alike, and the slopes have left their initial value 1 in both directions: their gradients
# arrive. Because the layer says how it is ``resized``, the network can be carried to the fine images, and it can be
# stored. When the file is loaded the class has to be given, as code is never read from files.

import tempfile
from pathlib import Path

larger = models["gates"].prolongate()
print("coarse and fine domain:", models["gates"].network.domain_shape, larger.network.domain_shape)
with tempfile.TemporaryDirectory() as folder:
    models["gates"].save(Path(folder) / "gates.npz")
    again = mn.load(Path(folder) / "gates.npz", layers=[GateLayer])
print("read back, the same answers:", np.array_equal(again.predict(images[v]), models["gates"].predict(images[v])))

# %%
# An activation of your own
# -------------------------
#
# If the slope is fixed, no layer has to be written. An ``Activation`` is a function of one variable with two
# derivatives and goes into any layer by its argument ``activation``. With the second derivative ``check_layer`` also
# tries the products with exact Hessians.

from meganet.layers import Activation


class Gated(Activation):
    """``z s(z)``, also known as SiLU or Swish."""

    def value(self, backend, z):
        return z / (1 + backend.xp.exp(-z))

    def evaluate(self, backend, z):
        s = 1 / (1 + backend.xp.exp(-z))
        return z * s, s + z * s * (1 - s)

    def second_derivative(self, backend, z):
        s = 1 / (1 + backend.xp.exp(-z))
        return s * (1 - s) * (2 + z * (1 - 2 * s))


convolution = mn.ConvolutionLayer((2, 6, 5), 3, activation=Gated(), bias=True)
print(f"order {check_layer(convolution).order:.2f}, exact Hessians: {convolution.twice_differentiable}")

# %%
# An operator of your own
# -----------------------
#
# A linear operator has a product, the product with the adjoint and its explicit matrix. Ours takes every second pixel
# in rows and columns. A tempting mistake is to fill the larger image with copies; the adjoint fills it with zeros.

import scipy.sparse

from meganet.checks import check_adjoint
from meganet.linop import CirculantConvolution, LinearOperator


class Sampling(LinearOperator):
    """Every second pixel of images (C, H, W)."""

    def __init__(self, domain_shape, dtype=np.float64, backend=None):
        channels, height, width = domain_shape
        super().__init__(domain_shape, (channels, (height + 1) // 2, (width + 1) // 2), dtype, backend)

    def apply_unchecked(self, x):
        return x[:, :, ::2, ::2].copy()

    def adjoint_unchecked(self, y):
        x = self.backend.xp.zeros((len(y), *self.domain_shape), dtype=y.dtype)
        x[:, :, ::2, ::2] = y
        return x

    def tosparse(self):
        channels, rows, columns = (scipy.sparse.eye_array(n, dtype=self.dtype) for n in self.domain_shape)
        return self.backend.csr(scipy.sparse.kron(channels, scipy.sparse.kron(rows.tocsr()[::2], columns.tocsr()[::2])))


class Copies(Sampling):
    """With the wrong adjoint."""

    def adjoint_unchecked(self, y):
        return self.backend.xp.kron(y, np.ones((2, 2), dtype=y.dtype))


S, wrong = Sampling((1, 28, 28)), Copies((1, 28, 28))
print(f"{S}: the adjoint is right, {check_adjoint(S):.1f} units of round-off")
try:
    check_adjoint(wrong)
except CheckError as error:
    print(error)

# %%
# Everything else is made of these. ``S @ K`` samples the result of a convolution, which is a convolution with stride 2;
# its adjoint and its matrix come with it. A ``LinearLayer`` puts ``S`` into a network.

K = CirculantConvolution(np.array([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]])[None, None] / 16, (28, 28))
strided = S @ K
x = digits.images[7] / 255.0
print(strided, f"{check_adjoint(strided):.1f} units of round-off")
print("the matrix has the same product:", np.allclose(strided.tosparse() @ x.ravel(), (strided @ x).ravel()))
print(mn.Chain([mn.ConvolutionLayer((1, 28, 28), 8), lambda shape: mn.layers.LinearLayer(Sampling(shape))]))

figure, axes = plt.subplots(2, 2, figsize=(6, 6.2), layout="constrained")
pictures = {"x": x, "S x": S @ x, "adjoint: S.T S x": S.T @ S @ x, "copies, no adjoint": wrong.T @ wrong @ x}
for ax, (name, picture) in zip(axes.flat, pictures.items(), strict=True):
    ax.imshow(picture[0], cmap="gray")
    ax.set(title=name, xticks=[], yticks=[])

# %%
# Exercises
# ---------
#
# Fill in the functions; the line below each of them tries it.
#
# **1. A wave.** Derive twice: :math:`\sigma(z) = z\, e^{-z^2/2}`.

from meganet.checks import try_exercise


def wave(z):
    """Return sigma(z), sigma'(z) and sigma''(z) for an array z."""
    raise NotImplementedError


def check_wave(wave):
    class Wave(Activation):
        def value(self, backend, z):
            return wave(z)[0]

        def evaluate(self, backend, z):
            return wave(z)[:2]

        def second_derivative(self, backend, z):
            return wave(z)[2]

    z = np.linspace(-3, 3, 7)
    assert np.allclose(wave(z)[0], z * np.exp(-z * z / 2)), "the value is z exp(-z^2 / 2)"
    try:
        check_layer(mn.ActivationLayer((20,), Wave()))
    except CheckError as error:
        which = "second" if "curvature" in str(error) else "first"
        raise AssertionError(f"the {which} derivative is wrong") from None


try_exercise(wave, check_wave)

# %%
# **2. The adjoint of a sum.** The cumulative sum ``np.cumsum(x, axis=-1)`` is linear: its matrix has ones on and below
# the diagonal. What does the transposed matrix do to a vector?


def summed_adjoint(y):
    """Return the adjoint of the cumulative sum along the last axis, applied to an array y."""
    raise NotImplementedError


def check_summed_adjoint(summed_adjoint):
    rng = np.random.default_rng(5)
    v, w = rng.standard_normal((2, 4, 6))
    check_adjoint(lambda v: np.cumsum(v, axis=-1), summed_adjoint, v=v, w=w, name="cumulative sum")


try_exercise(summed_adjoint, check_summed_adjoint)

# %%
# **3. Backpropagation through a parabola.** The layer :math:`y = a x + b x^2` has two weights for each channel. Write
# the adjoint of its derivative. The arrays ``a`` and ``b`` have shape (..., 1, C, 1, 1) and ``x`` and ``dy`` have
# (..., N, C, H, W), where the dots are the axis of a stack or nothing.


def parabola_vjp(a, b, x, dy):
    """Return the gradients da and db, (..., C), and dx, (..., N, C, H, W)."""
    raise NotImplementedError


def check_parabola_vjp(parabola_vjp):
    class Parabola(Layer):
        def __init__(self, domain_shape):
            parts = [Parameter(name, (domain_shape[0],), "scale") for name in "ab"]
            super().__init__(domain_shape, domain_shape, Parameters(parts))

        def resized(self, domain_shape):
            return Parabola(domain_shape)

        def forward_unchecked(self, theta, x):
            a, b = (w[..., None, :, None, None] for w in self.parameters.view(theta).values())
            return a * x + b * x * x, (a, b, x)

        def jvp_unchecked(self, dtheta, dx, record):
            a, b, x = record
            da, db = (w[..., None, :, None, None] for w in self.parameters.view(dtheta).values())
            return da * x + db * x * x + (a + 2 * b * x) * dx

        def vjp_unchecked(self, dy, record):
            da, db, dx = parabola_vjp(*record, dy)
            stack = dy.shape[:-4]
            for name, array, shape in (("da", da, (*stack, 3)), ("db", db, (*stack, 3)), ("dx", dx, dy.shape)):
                assert np.shape(array) == shape, f"{name} has shape {np.shape(array)} and should have {shape}"
            return np.concatenate([da, db], axis=-1), dx

    check_layer(Parabola((3, 4, 5)))


try_exercise(parabola_vjp, check_parabola_vjp)
