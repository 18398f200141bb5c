r"""
Colour images
=============

A colour image has three channels, and a kernel one stencil for each of them. We draw coloured shapes, look at kernels
as small colour pictures, and train networks that are asked two things at once: which outline, and which colour? Turning
the images grey is a linear map, and what lies in its null space no network can bring back.

*Section 2.2 of the thesis has the layers; its images are grey.*
"""

# %%
# Coloured shapes
# ---------------
#
# Nine classes: three outlines in three colours. Light and contrast vary, and the light is warm, with less blue than
# red. The colours are added such that the mean of red, green and blue stays the same: in grey they cannot be told
# apart.

import numpy as np
from matplotlib import pyplot as plt

import meganet as mn
from meganet.datasets.drawn.outlines import OUTLINES, cover

SIZE = 24
SHAPES, COLOURS = ("disc", "square", "triangle"), ("red", "green", "blue")
names = [f"{colour} {shape}" for shape in SHAPES for colour in COLOURS]
HUES = np.array([[2, -1, -1], [-1, 2, -1], [-1, -1, 2]]) / 2  # each sums to zero
LIGHT = np.array([1.2, 1.0, 0.8])
points = (np.arange(SIZE) + 0.5) / SIZE


def drawn(count, seed):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) % len(names))
    images = np.empty((count, 3, SIZE, SIZE), dtype=np.float32)
    for image, label in zip(images, labels, strict=True):
        shape, colour = divmod(label, len(COLOURS))
        middle, radius, turn = tuple(rng.uniform(0.38, 0.62, 2)), rng.uniform(0.25, 0.35), rng.uniform(-0.3, 0.3)
        inside = cover(OUTLINES[SHAPES[shape]], points, middle, radius, turn, edge=1 / SIZE)
        added = rng.uniform(0.2, 0.35) + rng.uniform(0.1, 0.2) * HUES[colour]
        image[:] = rng.uniform(0.2, 0.4) * LIGHT[:, None, None] + added[:, None, None] * inside
    images += rng.normal(0, 0.05, images.shape)
    return images, labels


x, labels = drawn(720, seed=0)
test, test_labels = drawn(450, seed=1)
print(x.shape, x.dtype)

# %%
# The mean over the channels is a linear operator, a convolution with a kernel of shape (1, 3, 1, 1). At each pixel it
# maps three numbers to one, so two of three dimensions are its null space.

from meganet.linop import CirculantConvolution

to_grey = CirculantConvolution(np.full((1, 3, 1, 1), 1 / 3, dtype=np.float32), (SIZE, SIZE))
grey, grey_test = to_grey @ x, to_grey @ test

figure, axes = plt.subplots(4, 5, figsize=(6.4, 5.6), layout="constrained")
chosen = [np.flatnonzero(labels == k)[0] for k in range(9)] + [np.flatnonzero(labels == 0)[1]]
for k, example in enumerate(chosen):
    row, column = 2 * (k // 5), k % 5
    axes[row, column].imshow(np.clip(x[example].transpose(1, 2, 0), 0, 1))  # matplotlib has the channels last
    axes[row, column].set_title(names[labels[example]], fontsize="medium")
    axes[row + 1, column].imshow(grey[example, 0], cmap="gray", vmin=0, vmax=1)
for ax in axes.flat:
    ax.set(xticks=[], yticks=[])

# %%
# Normalisation
# -------------
#
# How fast gradient descent goes depends on the condition number of the second moments of its inputs. We look at those
# of the three numbers of a pixel: they are all positive, so that their mean dominates the matrix. A
# ``NormalisationLayer`` over examples and pixels subtracts each channel's mean and divides by its deviation. ``frozen``
# fixes those of the training images, and the layer goes in front of the network, where no prediction can forget it.

from meganet.layers import LinearLayer, NormalisationLayer
from meganet.linop import Identity

normalisation = NormalisationLayer((3, SIZE, SIZE), over=("examples", "pixels"))
statistics = normalisation.statistics(x)
normalised = normalisation.frozen(statistics)
print("mean     ", statistics.mean.ravel().round(2))
print("deviation", np.sqrt(statistics.variance).ravel().round(2))


def moments(images):
    pixels = np.moveaxis(images, 1, -1).reshape(-1, 3)
    return pixels.T @ pixels / len(pixels)


as_they_are = LinearLayer(Identity((3, SIZE, SIZE)))
for name, layer in (("as they are", as_they_are), ("normalised", normalised)):
    print(f"{name}: condition number {np.linalg.cond(moments(layer(np.zeros(0, x.dtype), x))):.0f}")
    for rate in (0.003, 0.01, 0.03, 0.1):
        model = mn.Model(layer, classes=9).fit(x, labels, epochs=3, learning_rate=rate)
        print(f"    learning rate {rate:5}, loss after three epochs {model.history.column('loss')[-1]:.2f}")

# %%
# Each at its best learning rate, the linear classifier reaches a lower loss on the normalised images.
#
# One kernel for three channels
# -----------------------------
#
# A convolution adds up over the input channels, :math:`y_o = \sum_c K(\theta_{oc})\, x_c`. Its matrix has one block
# for each pair of channels, each of them circulant. Here are three channels to one, on rows of six pixels:

rng = np.random.default_rng(0)
small = CirculantConvolution(rng.standard_normal((1, 3, 1, 3)), (1, 6))
blocks = [CirculantConvolution(small.kernel[:, [c]], (1, 6)).tosparse().toarray() for c in range(3)]
print(small.tosparse().shape, np.array_equal(small.tosparse().toarray(), np.hstack(blocks)))

# %%
# Now a network: two convolutions, with pooling behind each. The same on grey images has one channel to begin with.

from meganet.layers import PoolingLayer


def two_layers(first):
    return [first, mn.ConvolutionLayer(..., 10), PoolingLayer(...), mn.ConvolutionLayer(..., 20), PoolingLayer(...)]


def trained(layers, images, epochs=8):
    model = mn.Model(layers, classes=9)
    return model.fit(images, labels, epochs=epochs, learning_rate=0.003, rule=mn.Adam())


grey_normalisation = NormalisationLayer((1, SIZE, SIZE), over=("examples", "pixels"))
in_colour = trained(two_layers(normalised), x)
in_grey = trained(two_layers(grey_normalisation.frozen(grey_normalisation.statistics(grey))), grey)

# %%
# The kernels of the first layer, (10, 3, 3, 3), are ten colour pictures of 3x3 pixels. Grey of medium brightness is
# zero; a colour is what the kernel answers to. The part of a kernel that is the same in all channels answers to light,
# the rest to colour alone. Above each picture stands the share of colour in the sum of the squares. Two of three
# dimensions are colour, so for random numbers the share is two thirds on average.

kernel = in_colour.network.parameters.view(in_colour.theta)["1.kernel"]
of_light = kernel.mean(axis=1, keepdims=True)
share = np.sum((kernel - of_light) ** 2, axis=(1, 2, 3)) / np.sum(kernel**2, axis=(1, 2, 3))

figure, axes = plt.subplots(2, 5, figsize=(6.4, 3.2), layout="constrained")
for stencils, part, ax in zip(kernel, share, axes.flat, strict=True):
    ax.imshow(0.5 + 0.5 * stencils.transpose(1, 2, 0) / abs(stencils).max())
    ax.set(xticks=[], yticks=[])
    ax.set_title(f"colour {part:.0%}", fontsize="medium")

# %%
# Colour against grey
# -------------------
#
# The confusion matrix says which classes are taken for which. In grey the outlines are known, and within an outline
# the colours are guessed: three blocks. In colour the mistakes are between outlines of the same colour.

figure, axes = plt.subplots(1, 2, figsize=(6.8, 3.8), layout="constrained", sharey=True)
for ax, name, model, images in ((axes[0], "colour", in_colour, test), (axes[1], "grey", in_grey, grey_test)):
    counts = np.zeros((9, 9))
    np.add.at(counts, (test_labels, model.predict(images)), 1)
    shown = ax.imshow(100 * counts / counts.sum(axis=1, keepdims=True), cmap="Greys", vmin=0, vmax=100)
    ax.set(title=f"{name}: {model.score(images, test_labels):.0%} right", xlabel="Predicted")
    ax.set_xticks(range(9), names, rotation=90)
axes[0].set_yticks(range(9), names)
axes[0].set_ylabel("True class")
figure.colorbar(shown, ax=axes, label="Share of the true class, %", shrink=0.7)

# %%
# What pooling and a second layer add
# -----------------------------------
#
# Colour is easy: it is there in each pixel. An outline is not, and a kernel of 3x3 pixels sees a piece of an edge only.
# We build the network up and ask for both.


def first_layer(*others):
    return [normalised, mn.ConvolutionLayer(..., 10), *others]


steps = {
    "no layer": [normalised],
    "1 layer, pooling 4x4": first_layer(PoolingLayer(..., 4)),
    "2 layers, no pooling": first_layer(mn.ConvolutionLayer(..., 20)),
}
found = {name: trained(layers, x) for name, layers in steps.items()} | {"2 layers, pooling": in_colour}

print(f"{'':22}weights  training  test  colour  outline")
for name, model in found.items():
    predicted = model.predict(test)
    right = [model.score(x, labels), np.mean(predicted == test_labels)]
    right += [np.mean(predicted % 3 == test_labels % 3), np.mean(predicted // 3 == test_labels // 3)]
    size = model.theta.size + model.W.size
    print(f"{name:22}{size:7,}  {right[0]:8.0%}  {right[1]:4.0%}  {right[2]:6.0%}  {right[3]:7.0%}")

# %%
# All of them know the colour. Without pooling the networks fit the training images and do much worse on others: each
# weight of their classifier belongs to one pixel, and a shape is elsewhere the next time. A mean over blocks depends
# less on the place, so that training and test come closer, but one layer of 3x3 pixels sees too little. The second
# layer sees, behind the pooling, a larger part of the outline. It takes both.
#
# Exercises
# ---------
#
# **1. A grey network for colour images.** A convolution with the kernel (O, 1, k, k) was trained on grey images, the
# weighted means :math:`\sum_c w_c x_c` of the channels. Which kernel gives the same on the colour images themselves?

from meganet.checks import try_exercise


def for_colour(kernel, weights):
    """Return the kernel (O, 3, k, k) for a kernel (O, 1, k, k) and the weights (3,) of red, green and blue."""
    raise NotImplementedError


def check_for_colour(for_colour):
    rng = np.random.default_rng(1)
    images, kernel = rng.standard_normal((2, 3, 6, 8)), rng.standard_normal((4, 1, 3, 3))
    for weights in (np.array([0.299, 0.587, 0.114]), np.array([1.0, 0.0, 0.0])):
        grey = np.einsum("c,nchw->nhw", weights, images)[:, None]
        found = np.asarray(for_colour(kernel, weights))
        assert found.shape == (4, 3, 3, 3), f"the kernel has the shape {found.shape}, not (4, 3, 3, 3)"
        same = np.allclose(CirculantConvolution(found, (6, 8)) @ images, CirculantConvolution(kernel, (6, 8)) @ grey)
        assert same, f"another result than on grey images with the weights {weights}"


try_exercise(for_colour, check_for_colour)

# %%
# **2. Colour without light.** Find two kernels of 1x1 pixels which give zero wherever red, green and blue are equal,
# and which are orthonormal: the coordinates of what ``to_grey`` cannot see.


def opponents():
    """Return a kernel (2, 3, 1, 1)."""
    raise NotImplementedError


def check_opponents(opponents):
    found = np.asarray(opponents(), dtype=float)
    assert found.shape == (2, 3, 1, 1), f"the kernel has the shape {found.shape}, not (2, 3, 1, 1)"
    K = CirculantConvolution(found, (4, 4))
    light = np.ones((1, 3, 1, 1)) * np.random.default_rng(1).standard_normal((1, 1, 4, 4))
    assert np.allclose(K @ light, 0), "grey images do not give zero"
    products = found[:, :, 0, 0] @ found[:, :, 0, 0].T
    assert np.allclose(np.diag(products), 1), "the kernels do not have the norm 1"
    assert np.allclose(products, np.eye(2)), "the kernels are not orthogonal to each other"


try_exercise(opponents, check_opponents)
