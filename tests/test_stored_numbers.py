"""Numbers that are given are stored as Python numbers: those of NumPy would widen float32, and not be the same bits."""

import dataclasses

import numpy as np
import pytest
from registry import LAYERS, LOSSES, OPERATORS, REGULARIZERS, dense, small_objective

import meganet
from meganet import (
    Adam,
    Control,
    ConvolutionLayer,
    DenseLayer,
    Momentum,
    NormalisationLayer,
    PoolingLayer,
    ResidualNetwork,
    Tikhonov,
    get_backend,
    he_normal,
    sgd,
)
from meganet.experiments import Setup
from meganet.layers import (
    ActivationLayer,
    GlobalPoolingLayer,
    ScalingLayer,
    SmoothReLU,
    TVNormalisationLayer,
    UpsamplingLayer,
    normal,
    smoothed_normal,
)
from meganet.linop import (
    AveragePooling,
    Broadcast,
    CirculantConvolution,
    DepthwiseConvolution,
    Difference,
    Gradient,
    Identity,
    PixelMean,
    RemoveMean,
    Reshape,
)
from meganet.networks import (
    DoubleHamiltonian,
    Hamiltonian,
    Integrator,
    Leapfrog,
    RungeKutta4,
    Stage,
    SymmetricLayer,
    antisymmetric,
)
from meganet.optim import (
    Armijo,
    Run,
    SGDState,
    StrongWolfe,
    ball,
    bounds,
    gmres,
    gmres_in_ball,
    lbfgs,
    meganet_cg,
    meganet_newton,
    nonlinear_cg,
    prox_l1,
    prox_tikhonov,
    proximal_gradient,
    sgd_stacked,
    steepest_descent,
    steihaug,
    trust_region,
)
from meganet.regularizers import SmoothedL1
from meganet.workers import Workers

KINDS = {"float64": (np.float64, np.int64), "float32": (np.float32, np.int32), "longdouble": (np.longdouble, np.uint8)}


def of_numpy(value, kind):
    """Return the same arguments with numbers of NumPy; theirs are exact in every kind."""
    real, integer = KINDS[kind]
    if isinstance(value, float):
        return real(value) if value == float(np.float32(value)) else np.float64(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return integer(value) if value >= 0 else np.int64(value)
    if isinstance(value, (tuple, list)) and not hasattr(value, "_fields"):
        return type(value)(of_numpy(v, kind) for v in value)
    return value


def stored(obj, seen=None):
    """Yield every number in the attributes of an object and of its parts."""
    seen = set() if seen is None else seen
    if id(obj) in seen or isinstance(obj, (str, bytes, type, np.ndarray, np.dtype, np.random.Generator)):
        return
    seen.add(id(obj))
    if isinstance(obj, (int, float, complex, np.generic)):
        yield obj
    elif isinstance(obj, (tuple, list, set, frozenset)):
        for part in obj:
            yield from stored(part, seen)
    elif isinstance(obj, dict):
        for part in obj.values():
            yield from stored(part, seen)
    elif type(obj).__module__.startswith("meganet") and type(obj).__name__ != "NumpyBackend":
        names = [field.name for field in dataclasses.fields(obj)] if dataclasses.is_dataclass(obj) else []
        values = {name: getattr(obj, name) for name in names} | getattr(obj, "__dict__", {})
        yield from stored(list(values.values()), seen)


def assert_python(obj):
    wrong = [n for n in stored(obj) if isinstance(n, np.generic)]
    assert not wrong, [(type(n).__name__, n) for n in wrong]


F32 = "float32"


def vector(n=12, seed=0):
    return np.random.default_rng(seed).standard_normal(n).astype(F32)


class Scheme(Integrator):
    """A scheme of one's own."""

    def __repr__(self):
        return repr(self.stages)

    def resized(self, domain_shape):
        return self


def stages(read, third, update):
    return Scheme([("layer", tanh_layer())], [Stage(0, 0, read, ((1.0, third), update)), Stage(0, 1, read * 2,
                      ((1.0, 0.5, 0.25),))], 2)  # fmt: skip


def tanh_layer():
    return DenseLayer((4,), 4, activation="tanh")


MADE = {
    Momentum: (Momentum, {"momentum": 0.75, "nesterov": True}),
    Adam: (Adam, {"beta1": 0.875, "beta2": 0.96875, "eps": 2.0**-20}),
    Armijo: (Armijo, {"decrease": 0.125, "shrink": 0.5, "max_trials": 20}),
    StrongWolfe: (StrongWolfe, {"decrease": 0.125, "curvature": 0.5, "max_trials": 20, "max_step": 1024.0}),
    Control: (Control, {"max_iterations": 7, "rtol": 0.125, "atol": 0.0}),
    Identity: (Identity, {"domain_shape": (3, 4)}),
    Difference: (Difference, {"domain_shape": (3, 4), "axis": 1, "h": 0.5}),
    Gradient: (Gradient, {"domain_shape": (2, 3, 4), "h": (0.5, 2.0)}),
    "one width": (Gradient, {"domain_shape": (2, 3, 4), "h": 0.5}),
    PixelMean: (PixelMean, {"domain_shape": (2, 6, 4)}),
    AveragePooling: (AveragePooling, {"domain_shape": (2, 6, 4), "factor": (3, 2)}),
    Reshape: (Reshape, {"domain_shape": (2, 3, 4), "range_shape": (4, 6), "axes": (2, 0, 1)}),
    Broadcast: (Broadcast, {"range_shape": (3, 4, 5), "axes": (0, 2)}),
    RemoveMean: (RemoveMean, {"domain_shape": (3, 2, 3, 5), "axes": (-2, -1)}),
    CirculantConvolution: (
        lambda **k: CirculantConvolution(np.ones((2, 2, 3, 3), F32), **k),
        {"image_shape": (6, 4), "stride": 2},
    ),
    DepthwiseConvolution: (lambda **k: DepthwiseConvolution(np.ones((2, 3, 3), F32), **k), {"image_shape": (6, 4)}),
    "scaled": (lambda factor: factor * Identity((3,)), {"factor": 2.5}),
    ConvolutionLayer: (
        ConvolutionLayer,
        {"domain_shape": (1, 6, 4), "out_channels": 2, "kernel_shape": (3, 3), "stride": 2},
    ),
    DenseLayer: (DenseLayer, {"domain_shape": (6,), "outputs": 4}),
    UpsamplingLayer: (UpsamplingLayer, {"domain_shape": (2, 6, 4), "factor": (3, 2)}),
    GlobalPoolingLayer: (GlobalPoolingLayer, {"domain_shape": (2, 6, 4)}),
    PoolingLayer: (PoolingLayer, {"domain_shape": (2, 6, 4), "factor": (3, 2)}),
    ScalingLayer: (ScalingLayer, {"domain_shape": (3, 2, 4), "axes": (1, 2)}),
    NormalisationLayer: (NormalisationLayer, {"domain_shape": (3, 2, 4), "eps": 0.25}),
    TVNormalisationLayer: (TVNormalisationLayer, {"domain_shape": (3, 2, 4), "eps": 0.25}),
    SmoothReLU: (lambda eta: ActivationLayer((3, 4), SmoothReLU(eta)), {"eta": 0.5}),
    ResidualNetwork: (lambda **k: ResidualNetwork(SymmetricLayer(dense(5, 3)), **k), {"steps": 3, "h": 0.25}),
    Leapfrog: (lambda **k: Leapfrog(tanh_layer(), **k), {"steps": 3, "h": 0.25}),
    RungeKutta4: (lambda **k: RungeKutta4(tanh_layer(), **k), {"times": [0.0, 0.5, 0.75]}),
    Hamiltonian: (lambda **k: Hamiltonian(dense(4, 4), **k), {"steps": 3, "h": 0.25}),
    DoubleHamiltonian: (
        lambda **k: DoubleHamiltonian(tanh_layer(), tanh_layer(), **k),
        {"steps": 3, "h": 0.25},
    ),
    Integrator: (stages, {"read": (1.0,), "third": 0.375, "update": (0.5, 1.5)}),
    "antisymmetric": (antisymmetric, {"n": 4, "damping": 0.0625}),
    Tikhonov: (lambda alpha: Tikhonov(Gradient((2, 3, 4), 0.5), alpha), {"alpha": 0.375}),
    SmoothedL1: (lambda **k: SmoothedL1(Gradient((2, 3, 4), 0.5), **k), {"alpha": 0.375, "eps": 0.25}),
    Setup: (Setup.of, {"trials": 3, "seed": 5, "learning_rate": 0.125, "momentum": 0.5, "trust_radius": 2.0}),
    Workers: (Workers, {"jobs": 2}),
}
"""How things are made that keep numbers, with the numbers."""


def results(obj):
    """Return what an operator, layer, regulariser or rule makes of float32."""
    rng = np.random.default_rng(1)
    if isinstance(obj, meganet.linop.LinearOperator):
        if obj.stores_numbers:
            obj = obj.with_kernel(rng.standard_normal(obj.kernel_shape).astype(F32))
        x = rng.standard_normal((2, *obj.domain_shape)).astype(F32)
        y = rng.standard_normal((2, *obj.range_shape)).astype(F32)
        found = [obj @ x, obj.T @ y, obj.normal(x)]
        return found + ([obj.solve_normal(x, 0.5, 0.25)] if isinstance(obj, (Difference, Gradient)) else [])
    if isinstance(obj, meganet.layers.Layer):
        theta = rng.standard_normal(obj.parameters.size).astype(F32)
        x = rng.standard_normal((2, *obj.domain_shape)).astype(F32)
        y, tape = obj.forward(theta, x)
        return [y, obj.jvp(theta, x, tape), *obj.vjp(y.copy(), tape), *obj.curvature(theta, x, y, tape)]
    if isinstance(obj, meganet.regularizers.Regularizer):
        x = vector(24)
        return [*obj.value_and_gradient(x), obj.value(x), obj.hessian_product(x, x)]
    return []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", MADE, ids=lambda name: name if isinstance(name, str) else name.__name__)
def test_numbers_are_stored_as_python_numbers(name, kind):
    make, arguments = MADE[name]
    ours, theirs = make(**arguments), make(**{k: of_numpy(v, kind) for k, v in arguments.items()})
    assert_python(theirs)
    assert repr(theirs) == repr(ours)
    for a, b in zip(results(theirs), results(ours), strict=True):
        assert a.dtype == F32
        np.testing.assert_array_equal(a, b)


def test_every_class_of_the_registry_stores_python_numbers():
    backend = get_backend("numpy")
    for make in OPERATORS.values():
        assert_python(make(backend, F32))
    for cases in LAYERS.values():
        for make in cases:
            assert_python(make())
    for cases in REGULARIZERS.values():
        for make in cases:
            assert_python(make(backend, F32))
    for cases in LOSSES.values():
        for make, _ in cases:
            assert_python(make(backend, F32))
    assert_python(small_objective(backend, F32)[0])


def quadratic(x):
    h = np.linspace(1, 30, x.size).astype(x.dtype)
    return np.float64(0.5) * np.float64((h * x * x).sum() - 2 * x.sum()), h * x - 1


def hessian(x):
    return np.diag(np.linspace(1, 30, x.size).astype(x.dtype))


def penalty(x):
    return np.float64(abs(x).sum() * 0.25)


COMPUTED = {
    "steepest_descent": (lambda **k: steepest_descent(quadratic, vector(), **k).x, {}),
    "armijo": (lambda **k: steepest_descent(quadratic, vector(), line_search=Armijo(**k)).x, {"decrease": 0.125}),
    "shrink": (lambda **k: nonlinear_cg(quadratic, vector(), line_search=Armijo(**k)).x, {"shrink": 0.25}),
    "wolfe": (
        lambda **k: nonlinear_cg(quadratic, vector(), line_search=StrongWolfe(**k)).x,
        {"decrease": 0.125, "curvature": 0.25, "max_step": 2.0},
    ),
    "lbfgs": (lambda **k: lbfgs(quadratic, vector(), **k).x, {"memory": 3}),
    "trust_region": (
        lambda **k: trust_region(quadratic, vector(), hessian, **k).x,
        {"radius": 0.5, "max_radius": 0.75, "accept": 0.125, "max_products": 3},
    ),
    "gmres in a trust region": (
        lambda **k: trust_region(quadratic, vector(), hessian, subproblem="gmres", **k).x,
        {"radius": 0.5, "max_radius": 0.75, "accept": 0.125, "max_products": 3},
    ),
    "meganet_newton": (
        lambda **k: meganet_newton(quadratic, vector(), hessian, **k).x,
        {"tol": 0.125, "max_products": 3, "mu": 0.5},
    ),
    "steihaug": (
        lambda **k: steihaug(lambda v: hessian(v) @ v, vector(), **k).step,
        {"radius": 0.0625, "rtol": 0.125, "max_iterations": 5},
    ),
    "meganet_cg": (
        lambda **k: meganet_cg(lambda v: hessian(v) @ v, vector(), **k).x,
        {"radius": 4.0, "tol": 0.125, "max_iterations": 5},
    ),
    "gmres": (lambda **k: gmres(lambda v: hessian(v) @ v, vector(), **k), {"dimension": 4}),
    "gmres_in_ball": (
        lambda **k: gmres_in_ball(lambda v: hessian(v) @ v, vector(), **k).step,
        {"radius": 0.0625, "dimension": 4},
    ),
    "bounds": (lambda **k: bounds(**k)(vector()), {"lower": -0.25, "upper": 0.5}),
    "ball": (lambda **k: ball(**k)(vector()), {"radius": 0.5}),
    "prox_l1": (lambda alpha, tau: prox_l1(alpha)(vector(), tau), {"alpha": 0.25, "tau": 2.0}),
    "prox_tikhonov": (
        lambda alpha, tau: prox_tikhonov(Gradient((3, 4), 0.5, F32), alpha)(vector(), tau),
        {"alpha": 0.25, "tau": 2.0},
    ),
    "proximal_gradient": (
        lambda tau: proximal_gradient(quadratic, vector(), prox_l1(0.25), penalty, tau=tau).x,
        {"tau": 32.0},
    ),
    "he_normal": (lambda outputs: he_normal(DenseLayer((6,), outputs), np.random.default_rng(0), F32), {"outputs": 4}),
    "normal": (lambda std: normal(DenseLayer((6,), 4), np.random.default_rng(0), std, F32), {"std": 0.125}),
    "smoothed_normal": (
        lambda **k: smoothed_normal(DenseLayer((1, 4, 4), 3), np.random.default_rng(0), **k, dtype=F32),
        {"std": 0.125, "clip": 0.25, "smoothing": 2.0},
    ),
    "solve_normal": (
        lambda **k: Gradient((3, 4), 0.5, F32).solve_normal(vector().reshape(3, 4), **k),
        {"alpha": 0.25, "gamma": 0.5},
    ),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", COMPUTED)
def test_numbers_of_numpy_leave_the_dtype_and_the_bits(name, kind):
    compute, arguments = COMPUTED[name]
    expected, found = compute(**arguments), compute(**{k: of_numpy(v, kind) for k, v in arguments.items()})
    assert found.dtype == expected.dtype == F32
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rule", [Momentum(), Momentum(0.75), Momentum(0.75, nesterov=True), Adam(0.875),
                                  Adam(variant="meganet")], ids=repr)  # fmt: skip
@pytest.mark.parametrize("together", [False, True])
def test_sgd_with_numbers_of_numpy(rule, kind, together):
    real, integer = KINDS[kind]

    def fun(x, indices):
        value, gradient = quadratic(x)
        return value, gradient

    def stack(funs):
        def stacked(x, indices):
            values, gradients = zip(*(f(x[t], indices[t]) for t, f in enumerate(funs)), strict=True)
            return np.array(values), np.stack(gradients)

        return stacked

    def trained(kind_of=lambda n: n, integer=int, rule=rule):
        settings = {"epochs": integer(4), "batch_size": integer(2), "rule": rule}
        settings["learning_rate"] = lambda epoch: kind_of(2.0 ** -(5 + epoch))
        half = sgd(fun, vector(), integer(4), **{**settings, "epochs": 2}, order=integer(1))
        half.epoch = integer(half.epoch)
        if together:
            run = Run(fun, vector(), integer(1), state=half)
            return sgd_stacked([run], integer(4), stack=stack, **settings)[0]
        return sgd(fun, vector(), integer(4), state=half, order=integer(1), **settings)

    fields = {f.name: of_numpy(getattr(rule, f.name), kind) for f in dataclasses.fields(rule)}
    expected, found = trained(), trained(real, integer, type(rule)(**fields))
    for a, b in zip((found.x, *found.memory), (expected.x, *expected.memory), strict=True):
        assert a.dtype == F32
        np.testing.assert_array_equal(a, b)
    assert type(found.epoch) is int and found.history.to_csv() == expected.history.to_csv()


def test_what_is_no_number_is_refused():
    for make, message in (
        (lambda: Momentum(np.array(0.5)), "momentum: expected a finite number, got array"),
        (lambda: Momentum(np.complex128(0.5)), "momentum: expected a finite number, got np.complex128"),
        (lambda: Adam(eps=np.float64("nan")), "eps: expected a finite number above 0, got np.float64"),
        (lambda: Adam(eps=10**400), "eps: expected a finite number above 0, got 1000"),
        (lambda: Momentum(-(10**400)), "momentum: expected a finite number, got -1000"),
        (lambda: Control(np.float64(3)), "max_iterations: expected an integer of at least 0, got np.float64"),
        (lambda: Difference((3, 4), 1.0), "axis: expected an integer of at least -2, got 1.0"),
        (lambda: Reshape((2, 3), (6,), (1.0, 0.0)), "axes: expected a permutation of 0 to 1"),
        (lambda: steihaug(lambda v: v, vector(), "1"), "radius: expected a positive number, got '1'"),
        (lambda: sgd(lambda x, i: (0.0, x), vector(), 4, epochs=2, batch_size=2, learning_rate=1.0,
                     state=SGDState(vector(), epoch=-1)), "state.epoch: expected an integer of at least 0"),
    ):  # fmt: skip
        with pytest.raises(meganet.ground.validate.InputError, match=message):
            make()
