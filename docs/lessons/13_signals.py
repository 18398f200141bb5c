r"""
Signals: convolution in one dimension
=====================================

Sound, heart beats, sensor readings: a signal is an image of one row. A network of stencils with three points
classifies drawn signals here, and we compare it with derivative filters made by hand. Then the sampling rate doubles.
Which stencils do on the finer grid what the trained ones did on the coarse grid? The answer depends on the noise, for
the same reason that noisy data cannot be differentiated.

*Sections 2.3 and 3.1.2 of the thesis.*
"""

# %%
# The same signal at two sampling rates
# -------------------------------------
#
# ``load_signals`` draws functions of time of ten classes, each at a random time, with a random width, height and
# slope, and averages them over the cells of a grid of any length. Without white noise they are functions that a grid
# resolves; white noise is as rough as the grid allows. We draw 128 numbers for each signal, with noise and without.

import numpy as np
from matplotlib import pyplot as plt

import meganet as mn

LENGTH = 64  # of the coarse grid


def drawn(noise, **options):
    signals = mn.datasets.load_signals(2 * LENGTH, noise=noise, **options)
    return (4 * mn.datasets.scale_images(signals.images, "unit") - 2), signals.labels  # 0 to 255 stand for -2 to 2


x, labels = drawn(0.05, examples=1500)
noisy, test_labels = drawn(0.05, examples=500, train=False)
clean, _ = drawn(0.0, examples=500, train=False)
print(x.shape, x.dtype)

# %%
# An axis of length 1 has no coarser grid. So ``restrict_images`` takes means of pairs along the other axis, and the
# white noise becomes smaller, by the factor :math:`\sqrt{2}`.

from meganet.multigrid import restrict_images

coarse, coarse_noisy, coarse_clean = (restrict_images(signals) for signals in (x, noisy, clean))
print(coarse.shape)
print(
    f"noise on the fine grid {np.std(noisy - clean):.3f}, on the coarse grid {np.std(coarse_noisy - coarse_clean):.3f}"
)

time = (np.arange(2 * LENGTH) + 0.5) / (2 * LENGTH)
figure, axes = plt.subplots(5, 2, figsize=(6.4, 6.4), sharex=True, sharey=True, layout="constrained")
for number, ax in enumerate(axes.T.flat):
    example = np.flatnonzero(test_labels == number)[1]
    ax.plot(time, noisy[example, 0, 0], color="0.65", label="with noise")
    ax.plot(time, clean[example, 0, 0], color="C0", label="without")
    ax.set_ylabel(f"Class {number}")
figure.supxlabel("Time")
figure.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False)

# %%
# Derivatives as features
# -----------------------
#
# By hand one would begin with derivatives: a bump is a positive slope before a negative one, and the second
# derivative does not see the straight line that was added to each signal. The stencils of three points are mean, first
# and second difference, as in the lesson *Stencils as differential operators*. Here they are one convolution from
# one channel to three:

from meganet.linop import CirculantConvolution
from meganet.stencils import derivative_matrix

B = derivative_matrix(2).astype(np.float32)  # h = 1, differences from number to number
filters = CirculantConvolution(B.T[:, None, None, :], (1, LENGTH))
print(filters.kernel.shape, filters.domain_shape, "->", filters.range_shape)
print(CirculantConvolution(B.T[1][None, None, None], (1, 6)).tosparse().toarray())

# %%
# The corners of the matrix say that signals are taken to be periodic. A feature must not depend on when exactly the
# bump comes. So we keep positive and negative parts apart, with ReLU, and take means over blocks of eight numbers. The
# result is a network whose stencils are given: only its classifier is trained. Beside it we train
#
# * the classifier alone, on the numbers of the signal;
# * the same network with six stencils that are learned;
# * two convolutions with pooling behind each.

from meganet.layers import ActivationLayer, LinearLayer, PoolingLayer
from meganet.linop import Identity

both_signs = CirculantConvolution(np.concatenate([B.T, -B.T])[:, None, None, :], (1, LENGTH))
networks = {
    "no layer": [LinearLayer(Identity((1, 1, LENGTH)))],
    "by hand": [LinearLayer(both_signs), ActivationLayer((6, 1, LENGTH), "relu"), PoolingLayer(..., (1, 8))],
    "learned": [mn.ConvolutionLayer((1, 1, LENGTH), 6, (1, 3)), PoolingLayer(..., (1, 8))],
    "two convolutions": [
        mn.ConvolutionLayer((1, 1, LENGTH), 16, (1, 3)),
        PoolingLayer(..., (1, 2)),
        mn.ConvolutionLayer(..., 32, (1, 3)),
        PoolingLayer(..., (1, 4)),
    ],
}
models = {}
for name, layers in networks.items():
    models[name] = mn.Model(layers, classes=10).fit(coarse, labels, epochs=12, learning_rate=0.01, rule=mn.Adam())
    score = models[name].score(coarse_noisy, test_labels)
    print(f"{name:17} {models[name].theta.size:5} weights in stencils, test accuracy {score:.0%}")

# %%
# The derivatives help much, and six learned stencils are not better: every stencil of three points is a combination
# of mean, first and second difference anyway. What the larger network adds are more combinations and a second layer,
# which combines them again behind a nonlinearity.
#
# What the first layer sees
# -------------------------
#
# Each trained stencil is one point in the plane of its first and second difference; its colour is the mean. Stencils
# near the horizontal axis differentiate, those near the vertical one see curvature.

from meganet.stencils import to_derivatives

model = models["two convolutions"]
first = model.network.layers[0]
kernel = model.network.parameters.view(model.theta)["0.kernel"]
beta = to_derivatives(kernel)[:, 0, 0]  # (16, 1, 1, 3) -> 16 stencils with three coefficients

figure, ax = plt.subplots(figsize=(6.4, 4), layout="constrained")
largest = abs(beta[:, 0]).max()
points = ax.scatter(*beta[:, 1:].T, c=beta[:, 0], s=90, cmap="RdBu_r", vmin=-largest, vmax=largest, edgecolors="k")
ax.axhline(0, color="0.7", zorder=0)
ax.axvline(0, color="0.7", zorder=0)
ax.set(xlabel=r"$\beta_2$, first difference", ylabel=r"$\beta_3$, second difference")
figure.colorbar(points, label=r"$\beta_1$, mean")

# %%
# Now one signal of class 5, a wave, goes through the layer. We look at the stencil that is most of all a mean and at
# the one that is most of all a first difference, before ReLU. The mean makes the noise smaller against the signal, the
# difference makes it larger. The jumps at both ends are the price of the periodic convolution.

share = abs(beta) / np.linalg.norm(beta, axis=1, keepdims=True)
chosen = {"most a mean": share[:, 0].argmax(), "most a first difference": share[:, 1].argmax()}
example = np.flatnonzero(test_labels == 5)[1]
coarse_time = restrict_images(time[None])[0]
figure, axes = plt.subplots(3, 1, figsize=(6.4, 5), sharex=True, layout="constrained")
for signals, style in ((coarse_noisy, {"color": "0.65", "label": "with noise"}), (coarse_clean, {"label": "without"})):
    signal = signals[[example]]
    responses = first.operator(kernel) @ signal
    axes[0].plot(coarse_time, signal[0, 0, 0], **style)
    for ax, (name, channel) in zip(axes[1:], chosen.items(), strict=True):
        ax.plot(coarse_time, responses[0, channel, 0], **style)
        ax.set_title(f"{name}: {kernel[channel, 0, 0].round(1)}", fontsize="medium")
axes[0].set_title("signal", fontsize="medium")
figure.supylabel("Value")
axes[-1].set_xlabel("Time")
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False)

of_noise, of_signal = (first.operator(kernel) @ part for part in (coarse_noisy - coarse_clean, coarse_clean))
print(f"noise to signal: {np.linalg.norm(coarse_noisy - coarse_clean) / np.linalg.norm(coarse_clean):.1%}")
for name, channel in chosen.items():
    print(f"  {name}: {np.linalg.norm(of_noise[:, channel]) / np.linalg.norm(of_signal[:, channel]):.1%}")

# %%
# To twice the sampling rate
# --------------------------
#
# ``prolongate`` carries the network to signals of 128 numbers. The classifier is interpolated; for the stencils there
# are several answers. *Copied* keeps the numbers: the differential operator changes, as :math:`h` does. *Rediscretised*
# and *Galerkin* keep the operator and change the numbers. *Dilated* keeps the numbers and the distances in time between
# them: every second number is left out.

from meganet.multigrid import Copied, Dilated, Galerkin, Rediscretised

transfers = {"copied": Copied(), "rediscretised": Rediscretised(), "Galerkin": Galerkin(), "dilated": Dilated()}
for name, transfer in transfers.items():
    mean, difference = (transfer.finer((1, 3), axes=-1) @ B[:, :2]).T.round(2) + 0.0
    print(f"{name:14} the mean becomes {mean}, the first difference {difference}")

# %%
# The dilated stencils keep their three numbers, too; they are multiplied with numbers that lie two apart. *Dilated* is
# the only transfer with :math:`R\,K^h = K^{2h}\,R` for all signals, smooth or not. By how much do the two sides differ
# in the first layer?

fine = {name: model.prolongate(kernels=transfer) for name, transfer in transfers.items()}


def disagreement(name, signals):
    fine_kernel = fine[name].network.parameters.view(fine[name].theta)["0.kernel"]
    found = restrict_images(fine[name].network.layers[0].operator(fine_kernel) @ signals)
    expected = first.operator(kernel) @ restrict_images(signals)
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


for name in fine:
    print(f"{name:14} without noise {disagreement(name, clean):6.1%}, with noise {disagreement(name, noisy):6.1%}")
print("restricted again:", np.allclose(fine["Galerkin"].restrict().theta, model.theta, atol=1e-5))

# %%
# How well do the carried networks classify, before and after one epoch of training on the fine grid?

scores = {}
for name, carried in fine.items():
    before = carried.score(clean, test_labels), carried.score(noisy, test_labels)
    carried.fit(x, labels, epochs=1, learning_rate=0.003, rule=mn.Adam())
    scores[name] = (*before, carried.score(noisy, test_labels))

figure, ax = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
kinds = (("carried, without noise", "s", "C0"), ("carried, with noise", "o", "C1"), ("and one epoch", "^", "0.3"))
for k, (kind, marker, colour) in enumerate(kinds):
    ax.plot([100 * score[k] for score in scores.values()], list(scores), marker, color=colour, ms=9, label=kind)
ax.axvline(100 * model.score(coarse_noisy, test_labels), color="k", ls=":", label="coarse network, with noise")
ax.set(xlabel="Test accuracy, %", ylim=(-0.5, 3.5), xlim=(0, 100))
ax.grid(axis="y", alpha=0.4)
figure.legend(loc="outside upper center", ncols=2, frameon=False)

# %%
# Without noise the theory holds: the stencils that keep the differential operator keep the accuracy, the copied ones
# do not. With noise these two lose it. White noise has no derivative: on half the mesh width its differences are
# divided by half the distance, and grow. The dilated stencils see the noise that they were trained with. One epoch on
# the fine grid repairs much, since the weights are near good ones.
#
# Exercises
# ---------
#
# **1. What a stencil does to a wave.** A convolution maps :math:`e^{i \omega j}`, with :math:`j` the number of the
# sample, to a multiple of itself. Return this factor for a stencil of three numbers.

from meganet.checks import try_exercise


def response(theta, omega):
    """Return the complex factor of the stencil theta, (3,), for the wave exp(i omega j)."""
    raise NotImplementedError


def check_response(response):
    j = np.arange(32)
    for theta in (np.array([1.0, -2.0, 1.0]), np.array([-0.5, 0.0, 0.5]), np.array([0.3, 1.0, -0.4])):
        for waves in (0, 1, 5, 16):
            omega = 2 * np.pi * waves / len(j)
            K = CirculantConvolution(theta[None, None, None], (1, len(j)))
            real, imaginary = (K @ part[None, None] for part in (np.cos(omega * j), np.sin(omega * j)))
            expected = real[0, 0, 0] + 1j * imaginary[0, 0, 0]  # at j = 0, where the wave is 1
            found = response(theta, omega)
            hint = "; theta[0] is multiplied with the sample before" if np.isclose(found, np.conj(expected)) else ""
            assert np.isclose(found, expected), f"{theta} for omega = {omega:.2f}: {found:.2f}{hint}"


try_exercise(response, check_response)

# %%
# **2. What a stencil does to noise.** White noise has independent numbers with mean 0 and deviation 1. What is the
# deviation of the numbers of :math:`K(\theta)` times white noise? Apply your answer to the first difference on both
# grids, :math:`[-1\ 0\ 1] / 2` and :math:`[-1\ 0\ 1]`: that is what *Rediscretised* and *Galerkin* do to the noise.


def noise_gain(theta):
    """Return the factor by which the stencil theta, (3,), multiplies the deviation of white noise."""
    raise NotImplementedError


def check_noise_gain(noise_gain):
    for theta in (np.array([0.0, 2.0, 0.0]), np.array([0.25, 0.5, 0.25]), np.array([-0.5, 0.0, 0.5]), B[:, 2]):
        K = CirculantConvolution(theta[None, None, None].astype(float), (1, 16)).tosparse()
        covariance = (K @ K.T).toarray()  # of K n, if that of n is the identity
        found, expected = noise_gain(theta), np.sqrt(covariance[0, 0])
        assert np.ndim(found) == 0, "one number is expected"
        hint = "for independent numbers variances add up, not deviations"
        assert np.isclose(found, expected), f"{found:.3f}, not {expected:.3f}, for {theta}: {hint}"


try_exercise(noise_gain, check_noise_gain)
