r"""
Your own images, from a MATLAB file
===================================

The data of a project rarely come as a library wants them. Here they are a ``.mat`` file: images as [rows, columns,
channels, examples], classes from 1 on. We read it, put the axes in order, scale, split and train, look at the
mistakes, and give the trained network back to MATLAB. On the way we make the usual mistakes, and see which of them
are noticed.
"""

# %%
# A file from a colleague
# -----------------------
#
# The file is made here, so that the lesson runs anywhere; with one of your own you begin at the next cell. It has
# drawings of five outlines, wider than high, as MATLAB keeps them, and the names of the classes in a cell array.

import tempfile
from pathlib import Path

import numpy as np
import scipy.io
from matplotlib import pyplot as plt

import meganet as mn

folder = tempfile.TemporaryDirectory()
path = Path(folder.name, "outlines.mat")

drawn = mn.datasets.load_shapes(28, 900)
outlines = ["disc", "ring", "square", "triangle", "cross"]
content = {
    "Y": drawn.images[:, :, 2:26].transpose(2, 3, 1, 0),  # [rows, columns, channels, examples]
    "C": (drawn.labels // 2 + 1)[None],  # a row of classes, 1 to 5
    "names": np.array(outlines, dtype=object),
}
scipy.io.savemat(path, content)

# %%
# What is in it?
# --------------
#
# ``whosmat`` lists the variables without reading them, ``loadmat`` reads them.

for name, shape, kind in scipy.io.whosmat(path):
    print(f"{name:6} {shape!s:18} {kind}")

stored = scipy.io.loadmat(path)
Y, C = stored["Y"], stored["C"]
print("pixels", Y.min(), "to", Y.max(), "- classes", np.unique(C), "- examples of each", np.bincount(C.ravel())[1:])

# %%
# The order of the axes
# ---------------------
#
# meganet wants (N, C, H, W): examples, channels, rows, columns. MATLAB's first index runs fastest in memory, NumPy's
# last one. This makes two wrong ways tempting. ``reshape`` gives an array of the right shape and mixes all pixels. The
# transposed array ``Y.T`` reverses the axes, and so exchanges rows and columns. ``transpose(3, 2, 0, 1)`` names the
# axes and is right.

rows, columns, channels, examples = Y.shape
images = Y.transpose(3, 2, 0, 1)
ways = {
    "transpose(3, 2, 0, 1)": images,
    "Y.T": Y.T,
    "reshape": Y.reshape(examples, channels, rows, columns),
}
one = [int(np.flatnonzero(C[0] == k)[0]) for k in (3, 4, 5)]
figure, axes = plt.subplots(3, 3, figsize=(6.4, 6), layout="constrained")
for line, (way, array) in zip(axes, ways.items(), strict=True):
    for ax, example in zip(line, one, strict=True):
        ax.imshow(array[example, 0], cmap="gray", vmin=0, vmax=255)
        ax.set(xticks=[], yticks=[])
    line[1].set_title(f"{way}: {array.shape}", fontsize="medium")

# %%
# Which of these are noticed? The shape tells wherever rows and columns differ in number, and then the message says
# what to write. It cannot tell for square images, nor after a ``reshape``: look at a few images before you train.

layers = [
    mn.ConvolutionLayer((channels, rows, columns), 8),
    mn.PoolingLayer(...),
    mn.ConvolutionLayer(..., 16),
    mn.PoolingLayer(...),
]
for candidate in (Y / 255, Y.T / 255, images):
    try:
        mn.Model(layers, classes=5).fit(candidate, C)
    except mn.InputError as error:
        print(error)

# %%
# Scale and split
# ---------------
#
# The last message asks for floating-point numbers. ``"unit"`` divides by 255; ``"standardize"`` gives each image mean 0
# and deviation 1, as Meganet's ``normalizeData`` does, so that brightness and contrast no longer matter. ``split``
# draws disjoint sets: one to train on, one to watch while training, and one that is looked at once, at the end.

x = mn.datasets.scale_images(images, "standardize")
training, validation, test = mn.datasets.split(len(x), [300, 400, 200], np.random.default_rng(0))
print(x.shape, x.dtype, "from", images.dtype)
print("in two sets:", len(set(training) & set(validation) | set(training) & set(test) | set(validation) & set(test)))

# %%
# Five lines
# ----------
#
# The labels may stay as they are, a row from 1 to 5. With names, ``predict`` answers in names, so we take those of the
# file.

names = np.concatenate(stored["names"].ravel())  # a cell array holds one array for each text
labels = names[C.ravel() - 1]
held_out = (x[validation], labels[validation])

model = mn.Model(layers, classes=names)
model.fit(x[training], labels[training], validation=held_out, epochs=12, learning_rate=0.003, rule=mn.Adam())
print(model)
print(f"right in the test: {model.score(x[test], labels[test]):.1%}")
axes = model.history.plot(columns=["loss", "validation_loss", "accuracy", "validation_accuracy"])

# %%
# Look at the mistakes
# --------------------
#
# One number says how many are wrong, not why. ``predict_proba`` says how sure the network was. We draw the mistakes of
# the validation, the surest first. The test images are left alone, so that nothing is fitted to them.

sure, predicted = model.predict_proba(x[validation]).max(axis=1), model.predict(x[validation])
mistakes = np.flatnonzero(predicted != labels[validation])
mistakes = mistakes[np.argsort(-sure[mistakes])]
shown = mistakes[:5]
said = [f"{labels[validation[k]]}\nas {predicted[k]}\n({sure[k]:.0%})" for k in shown]
figure, ax = plt.subplots(figsize=(6.4, 2.2), layout="constrained")
mn.plotting.plot_mosaic([[images[validation[k], 0] for k in shown]], ax, column_labels=said)

# %%
# All of these have stripes or checks, whose edges are as strong as those of the outline. We know which drawings are
# patterned, and count them among all mistakes:

patterned = drawn.labels % 2 == 1
among = np.mean(patterned[validation[mistakes]])
print(f"patterned are {among:.0%} of {len(mistakes)} mistakes, {np.mean(patterned):.0%} of all images")

# %%
# Back to MATLAB
# --------------
#
# ``save`` writes architecture, weights, names and history. In a file ``*.mat`` MATLAB's ``load`` finds ``theta`` and
# ``W``, column vectors in the order of its Meganet: a kernel is [rows, columns, in, out] there, so that
# ``reshape(theta(1:72), 3, 3, 1, 8)`` is the first one. We do the same with NumPy, where ``order="F"`` is MATLAB's
# order, and compare with the kernel as it is here, (out, in, rows, columns).

saved = Path(folder.name, "net.mat")
model.save(saved)
for name, shape, kind in scipy.io.whosmat(saved):
    print(f"{name:8} {shape!s:11} {kind}")

theta = scipy.io.loadmat(saved)["theta"]
in_matlab = theta[:72].reshape((3, 3, 1, 8), order="F")
kernel = model.network.parameters.view(model.theta)["0.kernel"]
print("the same kernel:", np.array_equal(in_matlab.transpose(3, 2, 0, 1), kernel))

# %%
# ``mn.load`` makes the model again, and it can be trained further. Weights that were trained in MATLAB come the other
# way, by ``interop.load_mat``.

again = mn.load(saved)
print("the same answers:", np.array_equal(again.predict(x[test]), model.predict(x[test])), "-", again.epochs, "epochs")

theirs = mn.interop.load_mat(saved, {"theta": model.network.parameters, "W": model.classifier.parameters}, "float32")
theirs = mn.Model(model.network, classes=names, theta=theirs["theta"], W=theirs["W"])
print("and by load_mat:", np.array_equal(theirs.predict(x[test]), model.predict(x[test])))
folder.cleanup()

# %%
# Exercises
# ---------
#
# **1. Any file.** Write the function that you need for your own files: images of MATLAB, [rows, columns, channels,
# examples] or, of one channel, [rows, columns, examples], with pixels from 0 to 255, become (N, C, H, W), float32 from
# 0 to 1.

from meganet.checks import try_exercise


def from_matlab_images(Y):
    """Return images (N, C, H, W), float32 from 0 to 1."""
    raise NotImplementedError


def check_from_matlab_images(from_matlab_images):
    Y = np.random.default_rng(1).integers(0, 256, (4, 6, 3, 5), dtype=np.uint8)
    for given in (Y, Y[:, :, 0]):
        found, whole = np.asarray(from_matlab_images(given)), given.reshape(4, 6, -1, 5)
        shape = (5, whole.shape[2], 4, 6)
        assert found.shape == shape, f"{given.shape} became {found.shape}, which should be {shape}"
        assert found.dtype == np.float32, f"the dtype is {found.dtype}"
        assert found.min() >= 0 and found.max() <= 1, f"the pixels are from {found.min()} to {found.max()}"
        same = np.allclose(255 * found[2, 0, 1], whole[1, :, 0, 2])
        assert same, "row 1 of example 2 is another one: the shape is right, the order of the pixels is not"


try_exercise(from_matlab_images, check_from_matlab_images)

# %%
# **2. Rare classes.** ``split`` draws from all examples alike, and a rare class may be missing in one of the sets.
# Split class by class: of each class the given share, a whole number here, for training.


def split_by_class(labels, share, rng):
    """Return the numbers of the examples for training, and those of the others."""
    raise NotImplementedError


def check_split_by_class(split_by_class):
    labels = np.repeat([1, 2, 3], [60, 32, 4])
    for seed in range(3):
        training, others = split_by_class(labels, 0.75, np.random.default_rng(seed))
        both = np.sort(np.concatenate([training, others]))
        assert np.array_equal(both, np.arange(len(labels))), "an example is in both sets, or in none"
        for name, count in ((1, 45), (2, 24), (3, 3)):
            found = np.sum(labels[training] == name)
            assert found == count, f"{found} of {np.sum(labels == name)} of class {name} are in training, not {count}"
    first = [set(split_by_class(labels, 0.75, np.random.default_rng(seed))[0]) for seed in (0, 1)]
    assert first[0] != first[1], "another rng should draw other examples"


try_exercise(split_by_class, check_split_by_class)

# %%
# **3. A kernel from MATLAB's vector.** Return the kernel (out, in, rows, columns) that a part of MATLAB's ``theta``
# holds, without the help of ``interop``.


def kernel_of(column, shape):
    """Return the kernel of a shape (O, I, k1, k2) for MATLAB's column (O I k1 k2, 1)."""
    raise NotImplementedError


def check_kernel_of(kernel_of):
    layer = mn.ConvolutionLayer((2, 8, 8), 4, (3, 5))
    weights = np.arange(float(layer.parameters.size))
    found = np.asarray(kernel_of(mn.interop.to_matlab(layer.parameters, weights), (4, 2, 3, 5)))
    assert found.shape == (4, 2, 3, 5), f"the kernel has the shape {found.shape}, not (4, 2, 3, 5)"
    expected = layer.parameters.view(weights)["kernel"]
    assert np.array_equal(found[1, 0, 0], expected[1, 0, 0]), "MATLAB's first index, of the rows, runs fastest"
    assert np.array_equal(found, expected), "the channels are in another order"


try_exercise(kernel_of, check_kernel_of)
