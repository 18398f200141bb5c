"""Models in files: what comes back is what was saved, and nothing else is taken for it."""

import json

import numpy as np
import pytest
import scipy.io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import meganet as mn
from meganet.ground.npz import write_sealed
from meganet.ground.validate import InputError
from meganet.interop import to_matlab
from meganet.layers import Layer, Parameters
from meganet.linop import CirculantConvolution

KINDS = ("npz", "mat")


def images(count=12, shape=(1, 4, 4), dtype="float32"):
    return np.random.default_rng(0).standard_normal((count, *shape)).astype(dtype)


def plain(**arguments):
    return mn.Model([mn.ConvolutionLayer((1, 4, 4), 2), mn.PoolingLayer(...)], **arguments)


def residual():
    kernel = CirculantConvolution(np.zeros((2, 2, 3, 3)), (4, 4))
    steps = mn.ResidualNetwork(mn.networks.SymmetricLayer(kernel, bias_in=True), 3, 0.3)
    return mn.Model([mn.ConvolutionLayer((1, 4, 4), 2), steps], classes=2)


def normalising():
    parts = [mn.ConvolutionLayer((1, 4, 4), 2), mn.NormalisationLayer(..., over=("examples", "pixels"))]
    return mn.Model(parts, classes=[True, False])


MODELS = {
    "numbers": (lambda: plain(classes=3), [0, 1, 2] * 4),
    "matlab": (lambda: plain(classes=3), np.array([[1, 2, 3] * 4])),
    "text": (lambda: plain(classes=["Ä", "b", "c"]), ["b", "c"] * 6),
    "residual": (residual, [0, 1] * 6),
    "normalising": (normalising, [True, False] * 6),
    "regression": (plain, np.linspace(0, 1, 12)),
    "column": (plain, np.linspace(0, 1, 12)[:, None]),
    "answers": (lambda: plain(outputs=2, loss=mn.losses.LogisticLoss()), np.eye(2)[[0, 1] * 6]),
}


def trained(name, dtype="float32"):
    make, labels = MODELS[name]
    x = images(dtype=dtype)
    return make().fit(x, labels, validation=(x, labels), epochs=2, learning_rate=0.1, rng=3), x, labels


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", MODELS)
def test_a_model_comes_back_as_it_was(tmp_path, name, kind):
    model, x, labels = trained(name, "float64" if name == "residual" else "float32")
    model.save(tmp_path / f"net.{kind}")
    again = mn.load(tmp_path / f"net.{kind}")
    for part in ("theta", "W", "classes"):
        ours, theirs = getattr(model, part), getattr(again, part)
        assert np.array_equal(ours, theirs) and getattr(ours, "dtype", 0) == getattr(theirs, "dtype", 0)
    assert str(again) == str(model) and again.history.to_csv() == model.history.to_csv()
    assert np.array_equal(again.predict(x), model.predict(x)) and again.score(x, labels) == model.score(x, labels)
    # plain steps remember nothing, so training goes on to the bit
    assert np.array_equal(again.fit(x, labels, epochs=1).theta, model.fit(x, labels, epochs=1).theta)


def test_weights_that_were_given_need_no_training(tmp_path):
    model = plain(classes=3)
    sizes = model.network.parameters.size, model.classifier.parameters.size
    model = plain(classes=3, theta=np.ones(sizes[0]), W=np.arange(float(sizes[1])))
    model.save(tmp_path / "net.npz")
    again = mn.load(tmp_path / "net.npz")
    # labels may still be 1 to 3
    assert again.epochs == 0 and again.fit(images(dtype="float64"), [1, 2, 3] * 4, epochs=1).classes.tolist() == [
        1,
        2,
        3,
    ]


def test_matlab_reads_the_weights_in_its_order(tmp_path):
    model, *_ = trained("numbers")
    model.save(tmp_path / "net.mat")
    found = scipy.io.loadmat(tmp_path / "net.mat")
    assert np.array_equal(found["theta"], to_matlab(model.network.parameters, model.theta))
    assert np.array_equal(found["W"], to_matlab(model.classifier.parameters, model.W))
    assert found["theta"].dtype == np.float32


@pytest.mark.parametrize("kind", KINDS)
def test_a_bit_that_was_changed_is_noticed(tmp_path, kind):
    path = tmp_path / f"net.{kind}"
    trained("normalising")[0].save(path)
    content = path.read_bytes()
    for place in np.random.default_rng(1).choice(len(content), 60, replace=False):
        if kind == "mat" and place < 124:
            # free text at the head of a MAT-file
            continue
        changed = bytearray(content)
        changed[place] ^= 1 << int(place) % 8
        path.write_bytes(changed)
        try:
            again = mn.load(path)
        except InputError as error:
            assert str(path) in str(error) and "\n" not in str(error)
        else:
            # bytes that fill up a MAT-file's variable
            assert kind == "mat" and str(again) == str(trained("normalising")[0])
    for length in (0, 10, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(InputError, match=r"net\.(npz|mat)"):
            mn.load(path)


def parts(tmp_path, name="numbers"):
    """Return the header and the other arrays of a stored model."""
    trained(name)[0].save(tmp_path / "good.npz")
    arrays = dict(np.load(tmp_path / "good.npz"))
    return json.loads(arrays.pop("header").tobytes()), arrays


def forged(path, header, arrays):
    """Write a file with a seal of its own."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(write_sealed({"header": np.frombuffer(text, np.uint8), **arrays}))
    return path


def test_a_newer_version_is_refused_in_one_line(tmp_path):
    header, arrays = parts(tmp_path)
    path = forged(tmp_path / "net.npz", {**header, "format": 2, "version": "9.0", "network": 7}, {**arrays, "new": 1})
    with pytest.raises(InputError) as caught:
        mn.load(path)
    assert str(caught.value) == (
        f"{path}: expected a model of format 1, got format 2, written by meganet 9.0: a newer one can read it"
    )


FORGERIES = {
    "no JSON": lambda header, arrays: (b"{", arrays),
    "a list": lambda header, arrays: ([], arrays),
    "nested": lambda header, arrays: (b"[" * 100_000, arrays),
    "no format": lambda header, arrays: ({k: v for k, v in header.items() if k != "format"}, arrays),
    "more weights": lambda header, arrays: (
        header | {"arrays": {**header["arrays"], "W": ["float32", [10**12]]}},
        arrays,
    ),
    "other dtype": lambda header, arrays: (header | {"arrays": {**header["arrays"], "W": ["object", [3]]}}, arrays),
    "another array": lambda header, arrays: (header, {**arrays, "x": np.ones(3)}),
    "no weights": lambda header, arrays: (header, {"theta": arrays["theta"]}),
    "other loss": lambda header, arrays: (header | {"loss": "os.system"}, arrays),
    "loss of others": lambda header, arrays: (header | {"loss": "LogisticLoss"}, arrays),
    "other classes": lambda header, arrays: (header | {"outputs": 4}, arrays),
    "many classes": lambda header, arrays: (header | {"outputs": 10**14}, arrays),
    "names": lambda header, arrays: (header | {"outputs": [{}, 1, 2]}, arrays),
    "history": lambda header, arrays: (header | {"history": "epoch\nx"}, arrays),
    "columns": lambda header, arrays: (header | {"history": "a,b\n1,2"}, arrays),
    "epochs": lambda header, arrays: (header | {"epochs": -1}, arrays),
    "network": lambda header, arrays: (header | {"network": None}, arrays),
    "class": lambda header, arrays: (header | {"network": {"class": "open", "arguments": {}}}, arrays),
    "frozen": lambda header, arrays: (header | {"frozen": header["network"]["arguments"]["layers"][0]}, arrays),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_header_that_does_not_fit_is_refused(tmp_path, name):
    path = forged(tmp_path / "net.npz", *FORGERIES[name](*parts(tmp_path)))
    with pytest.raises(InputError) as caught:
        mn.load(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


leaves = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**20), 10**20), st.floats(), st.text(max_size=4), st.just([])
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_a_header_says_there_is_one_line(tmp_path, data):
    header, arrays = parts(tmp_path, "residual")
    node = header
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = data.draw(st.sampled_from(keys))
        deeper = isinstance(node[key], (dict, list)) and len(node[key])
        if not deeper or data.draw(st.integers(0, 4)) == 0:
            break
        node = node[key]
    node[key] = data.draw(leaves)
    path = forged(tmp_path / "net.npz", header, arrays)
    try:
        mn.load(path).predict(images())
    except InputError as error:
        assert "\n" not in str(error)


class Doubled(Layer):
    """A layer of a user's own."""

    def __init__(self, domain_shape, backend=None):
        super().__init__(tuple(domain_shape), tuple(domain_shape), Parameters(), backend)

    def resized(self, domain_shape):
        return Doubled(domain_shape, self.backend)

    def forward_unchecked(self, theta, x):
        return 2 * x, None

    def jvp_unchecked(self, dtheta, dx, record):
        return 2 * dx

    def vjp_unchecked(self, dy, record):
        return self._no_weights(dy), 2 * dy


@pytest.mark.parametrize("kind", KINDS)
def test_layers_of_ones_own_are_named_when_the_file_is_read(tmp_path, kind):
    model = mn.Model([mn.ConvolutionLayer((1, 4, 4), 2), Doubled(...)], classes=2).fit(images(), [0, 1] * 6, epochs=1)
    path = tmp_path / f"net.{kind}"
    model.save(path)
    with pytest.raises(InputError, match="Doubled"):
        mn.load(path)
    assert np.array_equal(mn.load(path, layers=[Doubled]).predict(images()), model.predict(images()))


def test_what_cannot_be_saved_is_said_and_leaves_the_old_file(tmp_path):
    path = tmp_path / "net.npz"
    path.write_bytes(b"old")
    weighted = plain(outputs=2, loss=mn.losses.LeastSquares(mn.linop.Identity((2,))))
    weighted.fit(images(), np.ones((12, 2)), epochs=1)
    for model in (plain(classes=3), weighted):
        with pytest.raises(InputError):
            model.save(path)
    assert path.read_bytes() == b"old"
    good = trained("numbers")[0]
    for wrong in (tmp_path / "net.pkl", tmp_path / "missing" / "net.npz", tmp_path):
        with pytest.raises(InputError, match="path"):
            good.save(wrong)
        with pytest.raises(InputError):
            mn.load(wrong)
    good.save(path)
    good.save(path)
    assert len(list(tmp_path.iterdir())) == 1 and mn.load(path).epochs == 2
