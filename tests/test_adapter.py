"""Operators under SciPy's solvers, which send float64, integers or complex numbers, one column or many."""

from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse.linalg as sla
from registry import OPERATORS, small_objective

from meganet import get_backend
from meganet.ground.validate import InputError
from meganet.linop import CirculantConvolution, Dense, Diagonal, Gradient, Identity
from meganet.losses import LeastSquares, SoftmaxCrossEntropy

NUMPY = get_backend("numpy")
SENT = ["float64", "int64", "complex64", "float32", "float16", "uint8", "bool", "complex128"]


def drawn(rng, shape, dtype):
    x = rng.integers(0, 2, shape) if np.dtype(dtype).kind in "biu" else rng.standard_normal(shape)
    return (x + 1j * rng.standard_normal(shape) if np.dtype(dtype).kind == "c" else x).astype(dtype)


@pytest.mark.parametrize("own", ["float32", "float64"])
@pytest.mark.parametrize("case", OPERATORS, ids=lambda kind: kind.__name__)
def test_products_in_the_promoted_dtype(case, own):
    """As those of the explicit matrix, to the accuracy of the dtype."""
    operator, rng = OPERATORS[case](NUMPY, np.dtype(own)), np.random.default_rng(0)
    exact = operator.with_dtype(np.dtype("float64")).tosparse().toarray()
    adapter = operator.aslinearoperator()
    assert adapter.dtype == own and adapter.shape == operator.shape
    for sent in SENT[:3] if "Hessian" in case.__name__ else SENT:
        promoted = np.result_type(own, sent)
        tolerance = 200 * np.finfo(promoted).eps
        for a, apply in ((exact, adapter), (exact.T, adapter.H)):
            x = drawn(rng, (a.shape[1], 2), sent)
            expected = a @ x.astype(np.result_type(promoted, "float64"))
            scale = abs(a).sum(axis=1).max() * abs(x.astype(promoted)).max() + 1e-30
            found = [apply.matmat(x), np.stack([apply.matvec(v) for v in x.T], axis=1), apply @ x]
            found += [np.hstack([apply.matvec(v[:, None]) for v in x.T]), apply.T.T @ x]
            for y in found:
                assert y.dtype == promoted and y.shape == expected.shape
                assert abs(y - expected).max() <= tolerance * scale
            assert (apply @ x[:, :0]).shape == (a.shape[0], 0)
    np.testing.assert_array_equal(adapter.rmatvec(np.ones(operator.shape[0])), adapter.H @ np.ones(operator.shape[0]))


def system():
    """A symmetric positive definite operator in float32 with its matrix."""
    kernel = np.random.default_rng(0).standard_normal((1, 1, 3, 3)).astype("float32")
    a = CirculantConvolution(kernel, (6, 5))
    operator = a.T @ a + 2.0 * Identity((1, 6, 5), "float32")
    return operator, operator.with_dtype(np.dtype("float64")).tosparse().toarray()


B = np.random.default_rng(1).standard_normal(30)
SOLVERS = {
    "cg": lambda a: sla.cg(a, B, rtol=1e-12)[0],
    "cg of integers": lambda a: sla.cg(a, np.arange(30), rtol=1e-12)[0],
    "gmres": lambda a: sla.gmres(a, B, rtol=1e-12, restart=30)[0],
    "lgmres": lambda a: sla.lgmres(a, B, rtol=1e-12)[0],
    "gcrotmk": lambda a: sla.gcrotmk(a, B, rtol=1e-12)[0],
    "minres": lambda a: sla.minres(a, B, rtol=1e-13)[0],
    "bicg": lambda a: sla.bicg(a, B, rtol=1e-12)[0],
    "bicgstab": lambda a: sla.bicgstab(a, B, rtol=1e-12)[0],
    "cgs": lambda a: sla.cgs(a, B, rtol=1e-12)[0],
    "qmr": lambda a: sla.qmr(a, B, rtol=1e-12)[0],
    "tfqmr": lambda a: sla.tfqmr(a, B, rtol=1e-12)[0],
    "complex": lambda a: sla.gmres(a, B + 1j * B[::-1], rtol=1e-12, restart=30)[0],
    "lsqr": lambda a: sla.lsqr(a, B, atol=1e-14, btol=1e-14)[0],
    "lsmr": lambda a: sla.lsmr(a, B, atol=1e-14, btol=1e-14)[0],
    "lsqr of integers": lambda a: sla.lsqr(a, np.arange(30), atol=1e-14, btol=1e-14)[0],
    "lobpcg": lambda a: np.sort(sla.lobpcg(a, np.random.default_rng(0).standard_normal((30, 3)), tol=1e-6,
                                           maxiter=200)[0]),
    "onenormest": lambda a: sla.onenormest(a),
}  # fmt: skip


@pytest.mark.parametrize("name", SOLVERS)
def test_solvers_reach_the_accuracy_of_float64(name):
    operator, matrix = system()
    found = SOLVERS[name](operator.aslinearoperator())
    np.testing.assert_allclose(found, SOLVERS[name](matrix), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_eigenvalues_and_singular_values(dtype):
    operator, matrix = system()
    adapter = (operator if dtype == "float32" else operator.with_dtype(np.dtype("float64"))).aslinearoperator()
    v0, tolerance = np.ones(30) + np.arange(30) / 7, 1e-4 if dtype == "float32" else 1e-9
    exact = np.linalg.eigvalsh(matrix)
    found = np.sort(sla.eigsh(adapter, k=3, v0=v0, return_eigenvectors=False))
    np.testing.assert_allclose(found, exact[-3:], rtol=tolerance)
    gradient = Gradient((4, 5), 0.5, dtype)
    exact = np.linalg.svd(gradient.tosparse().toarray(), compute_uv=False)
    found = sla.svds(gradient.aslinearoperator(), k=2, v0=v0[:20], return_singular_vectors=False)
    np.testing.assert_allclose(np.sort(found), np.sort(exact)[-2:], rtol=tolerance)


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_algebra_of_adapters():
    """SciPy's own products, sums and adjoints of them."""
    operator, matrix = system()
    a, x = operator.aslinearoperator(), np.arange(30)
    for combined, explicit in ((a @ a, matrix @ matrix), (a + 2 * a, 3 * matrix), (a.H @ a.T, matrix.T @ matrix.T),
                               (-a / 2, -matrix / 2), (a**2, matrix @ matrix)):  # fmt: skip
        np.testing.assert_allclose(combined @ x, explicit @ x, rtol=1e-12)
    np.testing.assert_allclose(x @ a, x @ matrix, rtol=1e-12)
    np.testing.assert_allclose(np.asarray(a @ np.matrix(x).T).ravel(), matrix @ x, rtol=1e-12)


def test_hessian_under_solvers():
    """In float32: conjugate gradients and eigenvalues to an accuracy that float32 does not have."""
    objective, x = small_objective(NUMPY, "float32")
    h = objective.hessian(x)
    double, _ = small_objective(NUMPY, "float64")
    double.images = objective.images.astype(np.float64)
    matrix = double.hessian(x.astype(np.float64)).tosparse().toarray()
    b = np.random.default_rng(2).standard_normal(x.size)
    damped = h.aslinearoperator() + sla.aslinearoperator(np.eye(x.size))
    solved, info = sla.cg(damped, b, rtol=1e-12)
    assert info == 0
    np.testing.assert_allclose(solved, np.linalg.solve(matrix + np.eye(x.size), b), rtol=1e-7, atol=1e-11)
    start = np.random.default_rng(0).standard_normal((x.size, 2))
    values = sla.lobpcg(h.aslinearoperator(), start, tol=1e-6, maxiter=300)[0]
    np.testing.assert_allclose(np.sort(values), np.linalg.eigvalsh(matrix)[-2:], rtol=1e-7)


def test_the_operator_itself_stays_strict():
    operator, _ = system()
    with pytest.raises(InputError, match="x: expected float32, the dtype of the operator, got float64"):
        operator @ np.ones((1, 6, 5))
    with pytest.raises(InputError, match="dtype of x: expected float32 or float64, got int64"):
        Gradient((4, 5)) @ np.ones((4, 5), int)
    with pytest.raises(InputError, match="dtype of x: expected real or complex numbers, got object"):
        operator.aslinearoperator().matmat(np.full((30, 1), None))
    with pytest.raises(ValueError, match="dimension mismatch"):
        operator.aslinearoperator() @ np.ones(29)
    stack = Dense(np.ones((2, 3))).with_kernel(np.ones((4, 2, 3)))
    with pytest.raises(InputError, match="operator: expected a single one, which has a matrix, got a stack of 4"):
        stack.aslinearoperator()


def test_results_share_no_memory():
    x = np.ones(6)
    for operator in (Identity((6,)), Diagonal(np.ones(6))):
        adapter = operator.aslinearoperator()
        for y in (adapter @ x, adapter.H @ x, adapter.matmat(x[:, None])):
            assert not np.shares_memory(x, y)


def test_the_cast_is_made_once():
    class Counted(Dense):
        casts = 0

        def with_dtype(self, dtype):
            Counted.casts += 1
            return super().with_dtype(dtype)

    adapter = Counted(np.ones((3, 4), "float32")).aslinearoperator()
    for _ in range(3):
        adapter @ np.ones(4, "float32")
    assert Counted.casts == 0
    for _ in range(3):
        adapter @ np.ones(4)
        adapter.H @ np.ones(3, int)
    assert Counted.casts == 1


def test_losses_with_operators_are_cast():
    weight = Dense(np.random.default_rng(0).standard_normal((2, 3)).astype("float32"))
    objective, x = small_objective(
        NUMPY, "float32", LeastSquares(weight), np.random.default_rng(1).standard_normal((7, 3))
    )
    assert (objective.hessian(x).aslinearoperator() @ np.ones(x.size)).dtype == "float64"
    assert isinstance(SoftmaxCrossEntropy().with_dtype(np.dtype("float64")), SoftmaxCrossEntropy)


def test_on_a_device(backend):
    """The same products where the library of the backend has its own class of operators."""
    if backend.name != "guard":
        pytest.skip("SciPy's class is tried above, CuPy's needs complex numbers of a device")
    backend.linalg = SimpleNamespace(LinearOperator=lambda shape, **products: SimpleNamespace(**products))
    try:
        kernel = np.random.default_rng(0).standard_normal((3, 4))
        adapter = Dense(backend.asarray(kernel, "float32")).aslinearoperator()
        x = np.random.default_rng(1).standard_normal((4, 2))
        expected = kernel.astype("float32").astype(float) @ x
        np.testing.assert_allclose(backend.to_host(adapter.matmat(backend.asarray(x))), expected, rtol=1e-12)
        found = adapter.matvec(backend.asarray(x[:, 0].copy()))
        np.testing.assert_allclose(backend.to_host(found), expected[:, 0], rtol=1e-12)
        assert adapter.rmatvec(backend.asarray(np.ones(3, int))).dtype == "float64"
        with pytest.raises(InputError, match="x: expected an array of the guard backend, got numpy ndarray"):
            adapter.matvec(x[:, 0])
    finally:
        backend.linalg = None
