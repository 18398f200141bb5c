"""dense, getDenseAntiSym, sparseKernel, scalingKernel, the implicit products, initial weights of a convolution."""

import numpy as np
from layout import matlab, tensors

from meganet.interop.matlab import from_matlab, to_matlab
from meganet.layers import AffineLayer, ConvolutionLayer, DenseLayer, ScalingLayer, clipped_normal
from meganet.linop import Dense, Identity, Matrix, Sparse
from meganet.networks import Chain, Reparametrised, antisymmetric


def compare_kernel(golden, c, layer, shape=None):
    """Compare the products of a linear kernel: with Y, with the weights' direction, and both adjoints."""
    domain = layer.domain_shape
    theta, dtheta = (from_matlab(layer.parameters, golden(c, name)) for name in ("theta", "dtheta"))
    x, w = (tensors(golden(c, name), domain if name == "Y" else layer.range_shape) for name in ("Y", "W"))
    y, tape = layer.forward(theta, x)
    offset = 0 if not isinstance(layer, Reparametrised) or layer.offset is None else 1
    golden.compare(matlab(y, golden(c, "Amv")), golden(c, "Amv"))
    golden.compare(matlab(layer.jvp(dtheta, 0 * x, tape), golden(c, "Jthetamv")), golden(c, "Jthetamv"))
    if not offset:
        golden.compare(layer.jvp(theta, 0 * x, tape), y)
    in_theta, in_x = layer.vjp(w, tape)
    golden.compare(matlab(in_x, golden(c, "ATmv")), golden(c, "ATmv"))
    golden.compare(to_matlab(layer.parameters, in_theta), golden(c, "JthetaTmv"))
    if golden.has(c, "JthetaTmv_ex"):
        for n in range(len(x)):
            one = layer.vjp_theta(w[n : n + 1], layer.forward(theta, x[n : n + 1])[1])
            golden.compare(to_matlab(layer.parameters, one)[:, 0], golden(c, "JthetaTmv_ex")[:, n])


def dense(golden, c, width=None):
    """Return a dense layer, in the basis Q with the offset q where the case has them."""
    name = c.removesuffix("_impl")
    n = len(golden(name, "Y"))
    m = len(golden(name, "W"))
    layer = DenseLayer((n,), m, bias=False)
    if not golden.has(name, "Q"):
        return layer
    # rows of Q are entries of the matrix column by column
    order = np.arange(m * n).reshape(m, n, order="F").ravel()
    q = golden(name, "q").ravel()[order] if golden.has(name, "q") else None
    return Reparametrised(layer, Matrix(golden(name, "Q")[order]), q)


def test_dense(golden):
    cases = [c for c in golden.cases("Amv", "theta") if c.startswith("dense")]
    assert cases
    for c in cases:
        compare_kernel(golden, c, dense(golden, c))


def test_antisymmetric(golden):
    cases = golden.cases("A", "Q", "q")
    assert cases
    for c in cases:
        layer = antisymmetric(len(golden(c, "A")))
        compare_kernel(golden, c, layer)
        theta = from_matlab(layer.parameters, golden(c, "theta"))
        golden.compare(layer.weights(theta).reshape(golden(c, "A").shape), golden(c, "A"))
        order = np.arange(len(golden(c, "q"))).reshape(golden(c, "A").shape, order="F").ravel()
        golden.compare(layer.basis.tosparse().toarray(), golden(c, "Q")[order])
        compare_kernel(golden, c, dense(golden, c))


def test_implicit_products(golden):
    """``(h K'K + I)^-1 Y`` from the operator algebra."""
    cases = golden.cases("h", "out", "theta")
    assert cases
    for c in cases:
        layer = dense(golden, c)
        weights = from_matlab(layer.parameters, golden(c, "theta"))
        if isinstance(layer, Reparametrised):
            weights, layer = layer.weights(weights), layer.layer
        k = Dense(weights.reshape(layer.parameters[0].shape))
        system = golden.number(c, "h") * (k.T @ k) + Identity(k.domain_shape)
        out = np.linalg.solve(system.tosparse().toarray(), golden(c, "Y"))
        golden.compare(out, golden(c, "out"))


def test_sparse(golden):
    cases = golden.cases("ival", "jval", "Amv")
    assert cases
    for c in cases:
        places = [np.array(golden.integers(c, name)) - 1 for name in ("ival", "jval")]
        shape = golden(c, "A").shape
        kernel = Sparse(golden(c, "theta").ravel(), *places, shape)
        golden.compare(kernel.tosparse().toarray(), golden(c, "A"))
        compare_kernel(golden, c, AffineLayer(kernel))


def test_scaling(golden):
    """Factors along pixels and channels, and along examples, which then are an axis of a single example."""
    cases = golden.cases("isWeight", "nData")
    assert cases
    for c in cases:
        shape = tuple(golden.integers(c, "nData"))[::-1]
        axes = [2 - k for k, flag in enumerate(golden.integers(c, "isWeight")) if flag]
        assert shape == golden.shape(c, "Y", 3)[::-1]
        compare_whole(golden, c, Chain([ScalingLayer(shape, (axis,)) for axis in axes]))


def compare_whole(golden, c, layer):
    """Compare a kernel on the whole array as one example."""
    theta, dtheta = (from_matlab(layer.parameters, golden(c, name)) for name in ("theta", "dtheta"))
    x, w = (golden(c, name).reshape(golden.shape(c, name, 3)).transpose()[None] for name in ("Y", "W"))
    y, tape = layer.forward(theta, x)
    in_theta, in_x = layer.vjp(w, tape)
    for name, ours in (("Amv", y), ("Jthetamv", layer.jvp(dtheta, 0 * x, tape)), ("ATmv", in_x)):
        golden.compare(ours[0].T.reshape(golden(c, name).shape, order="F"), golden(c, name))
    golden.compare(to_matlab(layer.parameters, in_theta), golden(c, "JthetaTmv"))


class Recorded:
    """A generator that returns recorded normal numbers."""

    def __init__(self, draws):
        self.draws = list(draws)

    def standard_normal(self, n):
        taken, self.draws = self.draws[:n], self.draws[n:]
        return np.array(taken)


def test_initial_weights(golden):
    cases = golden.cases("draws", "sK")
    assert cases
    for c in cases:
        k1, k2, channels, out = golden.integers(c, "sK")
        layer = ConvolutionLayer((channels, k1, k2), out, (k1, k2))
        ours = clipped_normal(layer, Recorded(golden(c, "draws").ravel()))
        golden.compare(to_matlab(layer.parameters, ours), golden(c, "theta"))
