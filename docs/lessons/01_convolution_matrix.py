r"""
Convolution as a matrix, and its adjoint
========================================

A convolution is a linear map, so it has a matrix. The matrix is never stored in practice, but it explains what one
needs to know about a convolution: it is sparse, it repeats a few numbers along its diagonals, its eigenvectors are
Fourier modes, and its transpose is again a convolution. The transpose is what backpropagation computes.

*Section 2.2 of the thesis.*
"""

# %%
# A stencil along a line
# ----------------------
#
# We start with signals of six pixels. The stencil :math:`[-1\ 0\ 1]` takes the right neighbour minus the left one. At
# the ends the signal is continued periodically: the left neighbour of the first pixel is the last one. A signal is an
# image with one row, and a kernel has the shape (output channels, input channels, rows, columns).

import numpy as np

from meganet.linop import CirculantConvolution

difference = np.array([-1.0, 0.0, 1.0]).reshape(1, 1, 1, 3)
D = CirculantConvolution(difference, (1, 6))
print(D.tosparse().toarray())

# %%
# Every row is the row above, shifted by one pixel to the right; what leaves the row at one end comes back at the other.
# Such a matrix is called *circulant*. The operator computes the same product without the matrix:

signal = np.array([0.0, 1.0, 4.0, 9.0, 16.0, 25.0]).reshape(1, 1, 6)
print("operator", (D @ signal).ravel())
print("matrix  ", D.tosparse() @ signal.ravel())

# %%
# A stencil in the plane
# ----------------------
#
# An image of 4x6 pixels becomes a vector row by row. To see where each number of a 3x3 stencil goes, we number them
# from 1 to 9 and draw the matrix in nine colours.

from matplotlib import pyplot as plt

numbered = np.arange(1.0, 10.0).reshape(1, 1, 3, 3)
K = CirculantConvolution(numbered, (4, 6))


def draw_matrix(ax, matrix, block):
    """Draw the entries that are not zero in the colours 1 to 9, with lines between blocks."""
    entries = np.ma.masked_equal(matrix, 0)
    drawn = ax.imshow(entries, cmap=plt.get_cmap("viridis", 9), vmin=0.5, vmax=9.5)
    ticks = np.arange(0, max(matrix.shape) + 1, block)
    ax.set(xticks=ticks[ticks <= matrix.shape[1]] - 0.5, yticks=ticks[ticks <= matrix.shape[0]] - 0.5)
    ax.set(xticklabels=ticks[ticks <= matrix.shape[1]], yticklabels=ticks[ticks <= matrix.shape[0]])
    ax.grid(color="black", linewidth=0.8)
    return drawn


figure, (left, right) = plt.subplots(1, 2, figsize=(6.4, 4.2), width_ratios=(1, 3.2), layout="constrained")
left.imshow(numbered[0, 0], cmap=plt.get_cmap("viridis", 9), vmin=0.5, vmax=9.5)
for (row, column), number in np.ndenumerate(numbered[0, 0]):
    left.text(column, row, f"{number:.0f}", ha="center", va="center", size=14, color="white" if number < 6 else "black")
left.set(title="stencil", xticks=[], yticks=[])
draw_matrix(right, K.tosparse().toarray(), block=6)
_ = right.set(title="matrix K", xlabel="Pixel of the image", ylabel="Pixel of the result")

# %%
# A block is 6x6: it takes one row of the image to one row of the result. Each block is circulant, made of one row of
# the stencil, and the blocks repeat like the entries of a circulant matrix: the middle row of the stencil on the
# diagonal, the first row left of it, the last row right of it, around the corners too. The matrix is *block circulant
# with circulant blocks*. Nine numbers fill it:

matrix = K.tosparse()
print("entries of the matrix:", matrix.shape[0] * matrix.shape[1])
print("not zero:             ", matrix.nnz, "=", K.shape[0], "rows of nine")
print("different numbers:    ", len(np.unique(matrix.data)))

# %%
# Fourier modes are eigenvectors
# ------------------------------
#
# A circulant matrix commutes with shifts, and the eigenvectors of shifts are the Fourier modes
# :math:`v_{kl}[i, j] = \exp(2\pi\mathrm{i}\,(k i / H + l j / W))`. So they are eigenvectors of every convolution,
# whatever its stencil. The eigenvalues are the *symbol* of the stencil, its Fourier transform:
#
# .. math::
#
#    s_{kl} = \sum_{a, b} \theta_{ab} \exp\bigl(2\pi\mathrm{i}\,(k (a - 1) / H + l (b - 1) / W)\bigr),
#    \qquad a, b = 0, 1, 2.
#
# We check all 24 pairs at once: the modes are the columns of a matrix.

H, W = 4, 6
i, j = (index.ravel() for index in np.mgrid[:H, :W])
modes = np.exp(2j * np.pi * (np.outer(i, i) / H + np.outer(j, j) / W))
eigenvalues = K.symbol()[0, 0].ravel()
print("largest error of K v = s v:", abs(matrix @ modes - modes * eigenvalues).max().round(12))

# %%
# The symbol says what a stencil does to an image, frequency by frequency. The mean keeps what is smooth and damps what
# oscillates. A difference removes what is constant. A Laplacian amplifies what oscillates most, by 8 at the corners.
# Frequencies are in cycles per pixel; 0.5 is the fastest oscillation, from pixel to pixel.

stencils = {
    "mean": np.outer([1, 2, 1], [1, 2, 1]) / 16,
    "difference in columns": np.outer([0, 1, 0], [-1, 0, 1]) / 2,
    "Laplacian": np.array([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]]),
}
figure, axes = plt.subplots(1, 3, figsize=(7, 2.9), sharey=True, layout="constrained")
for ax, (name, stencil) in zip(axes, stencils.items(), strict=True):
    symbol = CirculantConvolution(stencil[None, None], (64, 64)).symbol()[0, 0]
    drawn = ax.imshow(np.fft.fftshift(abs(symbol)), extent=(-0.5, 0.5, 0.5, -0.5), cmap="viridis", vmin=0)
    ax.set(title=f"{name}\nlargest {abs(symbol).max():.0f}", xlabel="In columns", xticks=[-0.5, 0, 0.5])
    figure.colorbar(drawn, ax=ax, orientation="horizontal", ticks=[0, abs(symbol).max()], format="{x:.0f}")
_ = axes[0].set(ylabel="Cycles per pixel, in rows", yticks=[-0.5, 0, 0.5])

# %%
# The mean and the Laplacian are symmetric under a point reflection, so their matrices are symmetric and the symbols
# real. The difference is antisymmetric, and its symbol is imaginary:

for name, stencil in stencils.items():
    K = CirculantConvolution(stencil[None, None], (8, 8))
    matrix, symbol = K.tosparse().toarray(), K.symbol()
    print(f"{name}: K' = K {np.allclose(matrix.T, matrix)}, K' = -K {np.allclose(matrix.T, -matrix)}, ", end="")
    print(f"symbol: real part up to {abs(symbol.real).max():.0f}, imaginary up to {abs(symbol.imag).max():.0f}")

# %%
# The adjoint turns the stencil around
# ------------------------------------
#
# The adjoint, or transpose, is defined by :math:`\langle K x, y \rangle = \langle x, K^T y \rangle` for all x and y.
# Where K *gathers* the neighbours of a pixel, its transpose *scatters* a pixel to the same neighbours. Both are seen in
# what they make of a single bright pixel. We take a stencil without symmetry.

corner = np.array([[0.0, 1.0, 2.0], [0.0, 3.0, 0.0], [0.0, 0.0, 0.0]])
K = CirculantConvolution(corner[None, None], (5, 5))
pixel = np.zeros((1, 5, 5))
pixel[0, 2, 2] = 1

figure, axes = plt.subplots(1, 4, figsize=(7, 2.1), layout="constrained")
pictures = {"stencil": corner, "pixel x": pixel[0], "K x": (K @ pixel)[0], "K'x": (K.T @ pixel)[0]}
for ax, (name, picture) in zip(axes, pictures.items(), strict=True):
    ax.imshow(picture, cmap="Blues", vmin=0, vmax=4)
    for (row, column), value in np.ndenumerate(picture):
        if value:
            ax.text(column, row, f"{value:.0f}", ha="center", va="center", size=12)
    ax.set(title=name, xticks=[], yticks=[])

# %%
# The transpose puts the stencil around the pixel as it is, K puts it there turned by 180 degrees. So K, as in libraries
# for neural networks, is the *correlation* with the stencil, and its transpose the *convolution* of signal
# processing. The other way round: the transpose is the correlation with the stencil turned around, and its eigenvalues
# are the complex conjugates.

turned = CirculantConvolution(corner[None, None, ::-1, ::-1].copy(), (5, 5))
print("K' = correlation with the turned stencil:", abs(K.T.tosparse() - turned.tosparse()).max() == 0)
print("its symbol is the conjugate one:         ", np.allclose(turned.symbol(), K.symbol().conj()))

# %%
# The dot-product test
# --------------------
#
# An adjoint is tested by its definition, with random x and y. No matrix is needed, so the test works at any size. The
# result is the error in units of round-off.

from meganet.checks import CheckError, check_adjoint

print(f"error of K': {check_adjoint(K):.2f} units of round-off")

rng = np.random.default_rng(0)
x, y = rng.standard_normal((2, 1, 1, 5, 5))
try:
    check_adjoint(K.__matmul__, K.__matmul__, v=x, w=y, name="K in place of K'")
except CheckError as error:
    print(error)

# %%
# To forget the turn is a common mistake, and a symmetric stencil hides it: here it passes the test, as K = K'. So test
# with numbers that have no symmetry, random ones for example.

smooth = CirculantConvolution(stencils["mean"][None, None], (5, 5))
error = check_adjoint(smooth.__matmul__, smooth.__matmul__, v=x, w=y)
print(f"the same mistake with the mean: {error:.2f} units of round-off")

# %%
# Several channels
# ----------------
#
# From two channels to three there are six stencils, one for each pair, and the matrix has 3x2 blocks of the kind above.
# The transpose has 2x3: it exchanges the channels, and turns every stencil around. Each pair has one colour here, so
# that one sees where its block goes.

channels = np.stack([np.full((3, 3), number) for number in (1.0, 3.0, 4.0, 6.0, 7.0, 9.0)]).reshape(3, 2, 3, 3)
K = CirculantConvolution(channels, (4, 6))
figure, axes = plt.subplots(1, 2, figsize=(6.4, 3.9), layout="constrained")
for ax, operator, name in zip(axes, (K, K.T), ("K, 2 to 3 channels", "K', 3 to 2 channels"), strict=True):
    draw_matrix(ax, operator.tosparse().toarray(), block=24)
    ax.set(title=name, xlabel="24 pixels of each channel")

# %%
# The second layer of the thesis' net A maps 32 channels to 64, on images of 28x28 pixels. Its stencils are few numbers,
# its matrix would be large:

K = CirculantConvolution(np.zeros((64, 32, 3, 3)), (28, 28))
rows, columns = K.shape
print(f"numbers in the stencils:       {K.kernel.size:>13,}")
print(f"entries that are not zero:     {rows * K.kernel[0].size:>13,}")
print(f"entries of the dense matrix:   {rows * columns:>13,}")

# %%
# Exercises
# ---------
#
# Fill in the functions; the line below each of them tries it.
#
# **1. The kernel of the adjoint.** Return the kernel whose convolution is the adjoint of that with ``kernel``, for
# any number of channels.

from meganet.checks import try_exercise


def adjoint_kernel(kernel):
    """Return a kernel (I, O, k1, k2) for a kernel (O, I, k1, k2)."""
    raise NotImplementedError


def check_adjoint_kernel(adjoint_kernel):
    kernel = np.random.default_rng(1).standard_normal((3, 2, 3, 5))
    K = CirculantConvolution(kernel, (6, 7))
    found = np.array(adjoint_kernel(kernel))
    assert found.shape == (2, 3, 3, 5), f"the adjoint maps 3 channels to 2, but the shape is {found.shape}"
    error = abs(CirculantConvolution(found, (6, 7)).tosparse() - K.tosparse().T).max()
    assert error < 1e-12, "the shape is right, but the matrix is not the transposed one: look at a single pixel"


try_exercise(adjoint_kernel, check_adjoint_kernel)

# %%
# **2. Undo a blur.** With eigenvectors and eigenvalues one can solve :math:`K x = y`. NumPy's ``np.fft.fft2`` gives the
# coefficients of an image in the Fourier modes, and ``np.fft.ifft2`` the image of its coefficients. Let K have one
# channel, and no eigenvalue 0.


def solve(K, y):
    """Return the real image x, (1, H, W), with K @ x = y."""
    raise NotImplementedError


def check_solve(solve):
    x = np.random.default_rng(2).standard_normal((1, 8, 6))
    for stencil in (corner + 1, stencils["Laplacian"] - np.eye(3)):
        K = CirculantConvolution(stencil[None, None], (8, 6))
        found = np.array(solve(K, K @ x))
        assert found.shape == x.shape, f"an image of shape {x.shape}, not {found.shape}"
        assert not np.iscomplexobj(found), "the image is real: take the real part"
        assert np.allclose(K @ found, K @ x), "K x is not y: by which number is the mode (k, l) multiplied?"


try_exercise(solve, check_solve)

# %%
# **3. The norm of a layer.** How much longer can K make an image? For one channel it is the largest absolute
# eigenvalue. For several channels the symbol is a matrix (O, I) at each frequency. Return the largest singular value
# of the matrix of K, from the symbol.


def norm(K):
    """Return the 2-norm of the matrix of K as a number."""
    raise NotImplementedError


def check_norm(norm):
    rng = np.random.default_rng(3)
    for shape in ((1, 1, 3, 3), (3, 2, 3, 3)):
        K = CirculantConvolution(rng.standard_normal(shape), (5, 6))
        expected = np.linalg.norm(K.tosparse().toarray(), 2)
        found = norm(K)
        assert np.ndim(found) == 0, "one number is asked for"
        assert np.isclose(found, expected), f"{found:.3f}, not {expected:.3f}, for {shape[1]} to {shape[0]} channels"


try_exercise(norm, check_norm)
