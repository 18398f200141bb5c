"""Images as users have them, other kinds of networks, other grids, files and devices: what `Model` makes of them."""

import tracemalloc
from html.parser import HTMLParser

import numpy as np
import pytest

import meganet as mn
from meganet.ground.validate import InputError

IMAGES = np.random.default_rng(0).standard_normal((24, 1, 4, 4))
LABELS = np.arange(24) % 3


def model(classes=3, **options):
    return mn.Model([mn.ConvolutionLayer((1, 4, 4), 2), mn.ConvolutionLayer((2, 4, 4), 3)], classes, **options)


def frozen(array):
    array = array.copy()
    array.setflags(write=False)
    return array


KINDS = {
    "read-only": frozen(IMAGES),
    "strided": np.repeat(IMAGES, 2, axis=3)[..., ::2],
    "reversed": np.ascontiguousarray(IMAGES[::-1, :, ::-1])[::-1, :, ::-1],
    "big-endian": IMAGES.astype(">f8"),
    "one channel left out": IMAGES[:, 0],
    "Fortran": np.asfortranarray(IMAGES),
    "a list": list(IMAGES),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_layout_of_images_does_not_matter(kind):
    images, expected = KINDS[kind], model().fit(IMAGES, LABELS, epochs=2)
    copy = np.array(images)
    found = model().fit(images, LABELS, validation=(images, LABELS), epochs=2)
    np.testing.assert_allclose(found.theta, expected.theta, rtol=1e-10)
    np.testing.assert_allclose(found.predict_proba(images), expected.predict_proba(IMAGES), rtol=1e-10)
    assert found.score(images, LABELS) == expected.score(IMAGES, LABELS)
    np.testing.assert_array_equal(np.array(images), copy)


@pytest.mark.parametrize(("first", "second"), [("float32", "float64"), ("float64", "float32")])
def test_the_first_images_decide_the_dtype(first, second):
    found = model().fit(IMAGES.astype(first), LABELS, validation=(IMAGES.astype(second), LABELS), epochs=1)
    assert found.theta.dtype == found.predict_proba(IMAGES.astype(second)).dtype == first
    found.fit(IMAGES.astype(second), LABELS, epochs=1)
    assert found.theta.dtype == first and found.prolongate().theta.dtype == first


WRONG = {
    "pixels": (np.zeros((24, 1, 4, 4), np.uint8), "scale_images"),
    "integers": (np.zeros((24, 1, 4, 4), int), "scale_images"),
    "half": (IMAGES.astype(np.float16), "float32 or float64"),
    "complex": (IMAGES + 0j, "float32 or float64"),
    "NaN": (np.where(IMAGES > 2, np.nan, IMAGES), "finite pixels"),
    "infinity": (np.where(IMAGES > 2, np.inf, IMAGES), "finite pixels"),
    "none": (IMAGES[:0], "at least one image"),
    "two channels": (np.repeat(IMAGES, 2, axis=1), "N, 1, 4, 4"),
    "one image": (IMAGES[0, 0], "N, 1, 4, 4"),
    "masked": (np.ma.masked_array(IMAGES, IMAGES > 1), "masked"),
    "a matrix": (np.zeros((4, 4)).view(np.matrix), "matrix"),
    "ragged": ([[1.0], [1.0, 2.0]], "different lengths"),
    "text": ("images", "an array of shape"),
    "nothing": (None, "an array of shape"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_images_are_one_line_and_change_nothing(kind):
    images, expected = WRONG[kind]
    found = model().fit(IMAGES, LABELS, epochs=1)
    before = found.theta, found.history.to_csv()
    with pytest.raises(InputError, match=r"images: ") as error:
        found.fit(images, LABELS)
    assert expected in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(InputError, match=r"validation\[0\]"):
        found.fit(IMAGES, LABELS, validation=(images, LABELS))
    with pytest.raises(InputError, match=r"images: "), np.errstate(invalid="ignore"):
        found.predict(images)
    np.testing.assert_array_equal(found.theta, before[0])
    assert found.history.to_csv() == before[1] and found.epochs == 1


def test_files_that_are_mapped_train_as_arrays_do(tmp_path):
    np.save(tmp_path / "images.npy", IMAGES)
    np.save(tmp_path / "labels.npy", LABELS)
    images, labels = (np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in ("images", "labels"))
    found, expected = model().fit(images, labels, epochs=2), model().fit(IMAGES, LABELS, epochs=2)
    np.testing.assert_array_equal(found.theta, expected.theta)
    np.testing.assert_array_equal(found.predict_proba(images), expected.predict_proba(IMAGES))
    assert found.history.to_csv() == expected.history.to_csv()


def test_large_files_are_read_in_parts(tmp_path):
    size = 2**27
    shape = (size // 2**13, 1, 32, 32)
    images = np.memmap(tmp_path / "images", dtype=np.float64, mode="w+", shape=shape)
    labels = np.arange(shape[0]) % 2
    found = mn.Model(mn.ConvolutionLayer((1, 32, 32), 1, stride=4), 2)
    tracemalloc.start()
    try:
        found.fit(images, labels, epochs=1, batch_size=64)
        found.predict(images)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # even one byte for each number would be more
    assert peak < size / 8


def test_finite_numbers_are_looked_for_everywhere_in_large_arrays():
    array = np.zeros((5, 2**20), np.float32)
    for place in ((0, 0), (2, 7), (4, -1)):
        assert mn.backend.is_finite(array)
        array[place] = np.nan
        assert not mn.backend.is_finite(array)
        assert not mn.backend.is_finite(array.reshape(1, -1)) and not mn.backend.is_finite(array.reshape(-1))
        array[place] = 0


@pytest.mark.parametrize("kernels", ["galerkin", "copy"])
@pytest.mark.parametrize("interpolation", ["linear", "constant"])
@pytest.mark.parametrize("scaling", ["logits", "none", "thesis"])
@pytest.mark.parametrize("axes", [None, -1])
def test_other_grids_are_those_of_multigrid(kernels, interpolation, scaling, axes):
    options = {"kernels": kernels, "interpolation": interpolation, "classifier_scaling": scaling, "axes": axes}
    names, coarse = list("abc"), np.repeat(np.repeat(IMAGES, 2, axis=2), 2, axis=3)
    layers = [mn.ConvolutionLayer((1, 8, 8), 2), mn.ConvolutionLayer((2, 8, 8), 3)]
    start = mn.Model(layers, names).fit(coarse, np.array(list("abc"))[LABELS], epochs=1)
    theta, w, rows = start.theta, start.W, start.history.to_csv()
    for name in ("prolongate", "restrict"):
        expected, found = getattr(mn, name)(start.network, theta, w, **options), getattr(start, name)(**options)
        assert found.network.domain_shape == expected.network.domain_shape
        np.testing.assert_array_equal(found.theta, expected.theta)
        np.testing.assert_array_equal(found.W, expected.W)
        assert not found.epochs and not len(found.history) and found.classes.tolist() == ["a", "b", "c"]
        images = np.zeros((24, *found.network.domain_shape))
        found.fit(images, np.array(list("abc"))[LABELS], epochs=1)
    np.testing.assert_array_equal(start.theta, theta)
    np.testing.assert_array_equal(start.W, w)
    assert start.history.to_csv() == rows and start.epochs == 1 and start.network.domain_shape == (1, 8, 8)


def normalised():
    return [mn.ConvolutionLayer((1, 4, 4), 2), mn.NormalisationLayer((2, 4, 4), over=("examples", "pixels"))]


def test_statistics_are_those_of_the_training():
    found = mn.Model(normalised(), 3).fit(IMAGES, LABELS, epochs=2)
    together = found.predict_proba(IMAGES)
    for k in (0, 7):
        np.testing.assert_allclose(found.predict_proba(IMAGES[k : k + 1]), together[k : k + 1], rtol=1e-12)
    assert found.score(IMAGES, LABELS) == found.history[-1]["accuracy"]
    fine = found.prolongate()
    images = np.repeat(np.repeat(IMAGES, 2, axis=2), 2, axis=3)
    np.testing.assert_allclose(fine.predict_proba(images[:1]), fine.predict_proba(images)[:1], rtol=1e-12)
    given = mn.Model(normalised(), 3, theta=found.theta, W=found.W)
    with pytest.raises(InputError, match="without statistics"):
        given.predict(IMAGES)


def residual():
    kernel = mn.linop.CirculantConvolution(np.zeros((2, 2, 3, 3)), (4, 4))
    return [
        mn.ConvolutionLayer((1, 4, 4), 2),
        mn.ResidualNetwork(mn.networks.SymmetricLayer(kernel, bias_in=True), 2, 0.5),
    ]


NETWORKS = {
    "residual": (residual, (1, 4, 4)),
    "colour": (lambda: [mn.ConvolutionLayer((3, 4, 4), 2)], (3, 4, 4)),
    "signals": (lambda: [mn.ConvolutionLayer((2, 1, 8), 2, (1, 3))], (2, 1, 8)),
    "without weights": (lambda: [mn.PoolingLayer((1, 4, 4))], (1, 4, 4)),
    "vectors": (lambda: [mn.DenseLayer((5,), 4)], (5,)),
    "one layer": (lambda: mn.ConvolutionLayer((1, 4, 4), 2), (1, 4, 4)),
}


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_networks_of_all_kinds(kind, dtype):
    layers, shape = NETWORKS[kind]
    rng = np.random.default_rng(0)
    images = (rng.standard_normal((24, *shape)) + LABELS.reshape(-1, *[1] * len(shape))).astype(dtype)
    found = mn.Model(layers(), 3).fit(images, LABELS, validation=(images, LABELS), epochs=3, theta_regularizer=0.1)
    assert found.history[-1]["objective"] < found.history[0]["objective"]
    assert found.predict_proba(images).dtype == found.theta.dtype == dtype
    found.fit(images, LABELS, epochs=2, optimizer=mn.optim.newton_cg)
    assert max(map(len, str(found).splitlines())) <= 80
    if len(shape) == 3:
        fine = found.prolongate()
        assert fine.network.domain_shape == (shape[0], *(n if n == 1 else 2 * n for n in shape[1:]))
        assert fine.predict(np.zeros((2, *fine.network.domain_shape), dtype)).shape == (2,)


class Reader(HTMLParser):
    """Checks that every tag is closed, and keeps the text."""

    def __init__(self):
        super().__init__()
        self.open, self.text = [], ""

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize("classes", [["<b>", "&"], None])
def test_printed(classes, fitted):
    deep = [mn.ConvolutionLayer((1, 4, 4), 2), *(mn.ConvolutionLayer((2, 4, 4), 2) for _ in range(30))]
    found = mn.Model(deep, classes)
    if fitted:
        found.fit(IMAGES, LABELS % 2 if classes is None else np.array(classes)[LABELS % 2], epochs=1)
    reader = Reader()
    reader.feed(found._repr_html_())
    reader.close()
    assert not reader.open and "ConvolutionLayer" in reader.text
    state = "1 epoch" if fitted else "not trained"
    assert state in reader.text and state in str(found) and state in repr(found)
    assert max(map(len, str(found).splitlines())) <= 80 and "\n" not in repr(found)


def test_on_each_backend(backend, dtype):
    layers = [mn.ConvolutionLayer((1, 4, 4), 2), mn.NormalisationLayer((2, 4, 4), over=("examples", "pixels"))]
    found, images = mn.Model(layers, list("abc")), IMAGES.astype(dtype)
    names, there = np.array(list("abc"))[LABELS], backend.asarray(images)
    found.fit(images, names, validation=(there, names), epochs=1, rule=mn.Adam(), theta_regularizer=0.1)
    found.fit(there, names, epochs=1, optimizer=mn.trust_region, callback=lambda m: m.score(there, names) > 2)
    assert backend.owns(found.theta) and type(found.predict(there)) is np.ndarray
    np.testing.assert_array_equal(found.predict_proba(there), found.predict_proba(images))
    assert 0 <= found.score(there, names) <= 1
    fine = found.prolongate().fit(np.zeros((24, 1, 8, 8), dtype), names, epochs=1)
    assert fine.restrict().predict(there).shape == (24,)
    targets = backend.asarray(images.mean(axis=(1, 2, 3)))
    regression = mn.Model([mn.ConvolutionLayer((1, 4, 4), 2)]).fit(there, targets, epochs=1)
    assert regression.predict(there).shape == (24,) and regression.score(there, targets) <= 1
