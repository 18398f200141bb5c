"""Methods that were defined under other names still are what their classes do, and the classes warn."""

import numpy as np
import pytest

import meganet
from meganet.checks import check_adjoint, check_layer
from meganet.layers import DenseLayer, Layer, Parameters
from meganet.linop import Identity, LinearOperator
from meganet.losses import LeastSquares, Loss, SoftmaxCrossEntropy
from meganet.networks import Chain
from meganet.networks.architecture import built


def test_a_layer_by_the_old_names_warns_and_works():
    with pytest.warns(DeprecationWarning) as caught:

        class Doubled(Layer):
            def __init__(self, domain_shape, *, backend=None):
                super().__init__(domain_shape, domain_shape, Parameters(), backend)

            def resized(self, domain_shape):
                return Doubled(domain_shape)

            def _forward(self, theta, x):
                return 2 * x, None

            def _jvp(self, dtheta, dx, record):
                return 2 * dx

            def _vjp(self, dy, record):
                return self._no_weights(dy), 2 * dy

    said = [str(warning.message).rpartition(".")[2] for warning in caught]
    assert said == [f"_{name} is now called {name}_unchecked" for name in ("forward", "jvp", "vjp")]
    assert {warning.filename for warning in caught} == {__file__}
    check_layer(Chain([Doubled((3,)), DenseLayer(..., 2)]))
    assert not Doubled((3,)).twice_differentiable


def test_the_methods_of_a_parent_are_found_by_the_old_names():
    with pytest.warns(DeprecationWarning, match="Shifted._[a-z]* is now called [a-z]*_unchecked"):

        class Shifted(DenseLayer):
            def _forward(self, theta, x):
                y, record = super()._forward(theta, x)
                return y + 1, record

            def _evaluate(self, theta, x):
                return super()._evaluate(theta, x) + 1

    layer, theta, x = Shifted((3,), 2), np.arange(8.0), np.ones((4, 3))
    plain = DenseLayer((3,), 2)(theta, x)
    assert (layer(theta, x) == plain + 1).all() and (layer.forward(theta, x)[0] == plain + 1).all()


def test_an_operator_and_a_loss_by_the_old_names_warn_and_work(rng):
    with pytest.warns(DeprecationWarning, match="_a[a-z]* is now called a[a-z]*_unchecked"):

        class Halved(LinearOperator):
            def _apply(self, x):
                return 0.5 * x

            def _adjoint(self, y):
                return 0.5 * y

            def tosparse(self):
                return 0.5 * Identity(self.domain_shape).tosparse()

    check_adjoint(Halved((3,), (3,)) @ Identity((3,)))
    with pytest.warns(DeprecationWarning, match="_value_and_gradient is now called value_and_gradient_unchecked"):

        class Halving(LeastSquares):
            def _value_and_gradient(self, outputs, targets):
                value, gradient = super()._value_and_gradient(outputs, targets)
                return value / 2, gradient / 2

    outputs, targets = rng.standard_normal((2, 5, 3))
    assert Halving().value(outputs, targets) == LeastSquares().value(outputs, targets) / 2
    assert issubclass(Halving, Loss)


def test_the_linear_layer_is_found_by_its_old_name_and_in_old_files():
    with pytest.warns(DeprecationWarning, match="ConnectorLayer is now meganet.layers.LinearLayer"):
        assert meganet.layers.ConnectorLayer is meganet.layers.LinearLayer
    operator = {"class": "Identity", "arguments": {"domain_shape": [3], "dtype": "float64"}}
    old = {"class": "ConnectorLayer", "arguments": {"operator": operator, "offset": None}}
    assert type(built(old, {}, weights=0)) is meganet.layers.LinearLayer


def test_a_class_mixed_in_by_the_old_names_holds_as_before():
    class Doubling:
        def _forward(self, theta, x):
            y, record = super()._forward(theta, x)
            return 2 * y, record

        def _evaluate(self, theta, x):
            return 2 * super()._evaluate(theta, x)

    with pytest.warns(DeprecationWarning, match=r"Doubling\._[a-z]* is now called [a-z]*_unchecked") as caught:

        class Doubled(Doubling, DenseLayer):
            pass

        class Same(DenseLayer, Doubling):
            pass

    assert {warning.filename for warning in caught} == {__file__} and len(caught) == 2
    theta, x = np.arange(8.0), np.ones((4, 3))
    plain = DenseLayer((3,), 2)(theta, x)
    for kind, factor in ((Doubled, 2), (Same, 1)):
        layer = kind((3,), 2)
        assert (layer(theta, x) == factor * plain).all() and (layer.forward(theta, x)[0] == factor * plain).all()
        assert (layer._evaluate(theta, x) == factor * plain).all()


def test_a_class_mixed_in_by_the_new_names_is_found_by_the_old_ones():
    class Tripling:
        def apply_unchecked(self, x):
            return 3 * super().apply_unchecked(x)

    class Tripled(Tripling, Identity):
        pass

    with pytest.warns(DeprecationWarning, match="Called._apply is now called apply_unchecked"):

        class Called(Tripled):
            def _apply(self, x):
                return 2 * super()._apply(x)

    assert (Called((2,)) @ np.ones(2) == 6).all()


def test_the_warning_names_the_class_statement_behind_hooks_of_the_users_own():
    class Base(Identity):
        def __init_subclass__(cls, **kwargs):
            super().__init_subclass__(**kwargs)

    with pytest.warns(DeprecationWarning, match="Own._apply is now called apply_unchecked") as caught:

        class Own(Base):
            def _apply(self, x):
                return x

    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize("thing", [Identity((2,)), LeastSquares(), SoftmaxCrossEntropy()], ids=repr)
def test_copies_are_made_in_the_dtypes_that_are_computed_in(thing):
    assert type(thing.with_dtype(np.float32)) is type(thing)
    with pytest.raises(ValueError, match="dtype: expected float32 or float64, got int64"):
        thing.with_dtype("int64")
