"""Bridges: MATLAB's files, SciPy's optimisers, scikit-learn's estimators, PyTorch's modules."""

import pickle
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import scipy.io
import scipy.optimize
from registry import LAYER_CASES, LAYERS, small_objective

from meganet import Chain, ConvolutionLayer, DenseLayer, PoolingLayer, he_normal
from meganet.backend import get_backend, use_backend
from meganet.ground.validate import InputError
from meganet.interop import from_matlab, from_torch, load_mat, save_mat, scipy_arguments, to_matlab, to_torch
from meganet.layers import LinearLayer
from meganet.linop import Identity
from meganet.optim import Control, newton_cg, trust_region


def network_and_weights(dtype="float64"):
    network = Chain([ConvolutionLayer((2, 6, 5), 3, (3, 5), bias=True), PoolingLayer((3, 6, 5), (2, 1))])
    classifier = DenseLayer(network.range_shape, 4)
    rng = np.random.default_rng(0)
    return network, classifier, *(rng.standard_normal(p.parameters.size).astype(dtype) for p in (network, classifier))


class TestMatlab:
    @pytest.mark.parametrize("case", LAYER_CASES, ids=lambda case: f"{case[0].__name__}-{case[1]}")
    def test_the_order_is_a_permutation(self, case):
        with use_backend("numpy"):
            layer = LAYERS[case[0]][case[1]]()
        theta = np.random.default_rng(0).standard_normal(layer.parameters.size)
        there = to_matlab(layer.parameters, theta)
        assert there.shape == (layer.parameters.size, 1)
        np.testing.assert_array_equal(from_matlab(layer.parameters, there), theta)

    def test_the_order(self):
        network, classifier, theta, w = network_and_weights()
        kernel = network.parameters.view(theta)["0.kernel"]
        stencils = to_matlab(network.parameters, theta)[: kernel.size].reshape(3, 5, 2, 3, order="F")
        np.testing.assert_array_equal(stencils, kernel.transpose(2, 3, 1, 0))
        matrix = to_matlab(classifier.parameters, w).reshape(4, -1, order="F")
        np.testing.assert_array_equal(matrix[:, -1], w[-4:])
        blocks = matrix[:, :-1].reshape(4, 3, 5, 3, order="F")
        np.testing.assert_array_equal(blocks.transpose(0, 3, 1, 2), classifier.parameters.view(w)["kernel"])

    @pytest.mark.parametrize("version", ["5", "7.3"])
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_files_both_ways(self, tmp_path, version, dtype):
        pytest.importorskip("h5py", reason="needs the extra matlab") if version == "7.3" else None
        network, classifier, theta, w = network_and_weights(dtype)
        path = tmp_path / "weights.mat"
        save_mat(path, {"theta": (network.parameters, theta), "W": (classifier.parameters, w)}, version=version)
        assert path.read_bytes().startswith(b"MATLAB " + version.encode())
        read = load_mat(path, {"theta": network.parameters, "W": classifier.parameters}, dtype)
        np.testing.assert_array_equal(read["theta"], theta)
        np.testing.assert_array_equal(read["W"], w)
        assert read["W"].dtype == dtype
        if version == "5":
            assert scipy.io.loadmat(path)["theta"].shape == (theta.size, 1)

    def test_a_classifier_as_a_matrix(self, tmp_path):
        """As MATLAB's examples keep it: nc x (nf + 1)."""
        _, classifier, _, w = network_and_weights()
        matrix = to_matlab(classifier.parameters, w).reshape(4, -1, order="F")
        scipy.io.savemat(tmp_path / "w.mat", {"W": matrix})
        np.testing.assert_array_equal(load_mat(tmp_path / "w.mat", {"W": classifier.parameters})["W"], w)

    def test_errors(self, tmp_path):
        network, _, theta, _ = network_and_weights()
        path = tmp_path / "weights.mat"
        for call, message in (
            (lambda: load_mat(path, {"theta": network.parameters}), "path: expected a file, got"),
            *(
                (lambda n=name: save_mat(path, {n: (network.parameters, theta)}), "weights: expected names that MATLAB")
                for name in ("2", "_x", "é", "end", 3, "a" * 64)
            ),
            (lambda: save_mat(tmp_path / "no" / "w.mat", {}), "path: expected a file in an existing folder"),
            (lambda: from_matlab(network.parameters, theta + 1j), "vector: expected real numbers, got complex128"),
            (
                lambda: save_mat(path, {"theta": theta}),
                r"weights\['theta'\]: expected a pair of parameters and vector, got an array of shape \(93,\), float",
            ),
            (lambda: save_mat(path, {}, version="4"), "version: expected one of '5', '7.3', got '4'"),
            (lambda: to_matlab(network.parameters, theta[1:]), "vector: expected an array of shape"),
            (lambda: from_matlab(network.parameters, theta[1:]), "vector: expected 93 weights, got 92"),
        ):
            with pytest.raises(InputError, match=message):
                call()
        path.write_bytes(b"no MAT-file at all, but long enough to be looked at as one" * 9)
        with pytest.raises(InputError, match="path: expected a MAT-file of level 5 or 7.3, got"):
            load_mat(path, {"theta": network.parameters})
        scipy.io.savemat(path, {"theta": theta})
        whole = path.read_bytes()
        for length in (0, 5, 126, 128, 140, len(whole) - 9):
            path.write_bytes(whole[:length])
            with pytest.raises(InputError, match="path: expected a (MAT-file|file with the variable)"):
                load_mat(path, {"theta": network.parameters})
        scipy.io.savemat(path, {"theta": theta + 1j})
        with pytest.raises(InputError, match="vector: expected real numbers, got complex128"):
            load_mat(path, {"theta": network.parameters})
        path.write_bytes(b"MATLAB 7.3 MAT-file, but nothing behind")
        with pytest.raises(InputError, match=r"path: expected a MAT-file of version 7.3|h5py"):
            load_mat(path, {"theta": network.parameters})
        scipy.io.savemat(path, {"other": theta})
        with pytest.raises(InputError, match="path: expected a file with the variable 'theta'"):
            load_mat(path, {"theta": network.parameters})

    def test_hdf5_files_with_something_else(self, tmp_path):
        h5py = pytest.importorskip("h5py", reason="needs the extra matlab")
        network, _, theta, _ = network_and_weights()
        path = tmp_path / "w.mat"

        def empty(data):
            data.attrs["MATLAB_empty"] = 1

        def text(data):
            data.attrs["MATLAB_class"] = np.bytes_("char")

        for values, change in (
            (theta + 1j, None),
            (np.zeros(2), None),
            (theta, empty),
            (theta.astype(np.uint16), text),
        ):
            save_mat(path, {"theta": (network.parameters, theta)}, version="7.3")
            with h5py.File(path, "a") as file:
                del file["theta"]
                file["theta"] = values
                if change is not None:
                    change(file["theta"])
            with pytest.raises(InputError, match="path: expected 93 real numbers in the variable 'theta', got"):
                load_mat(path, {"theta": network.parameters})


class TestScipy:
    def test_products(self, backend, dtype):
        objective, x = small_objective(backend, dtype)
        arguments = scipy_arguments(objective, "exact")
        host = backend.to_host(x).astype(np.float64)
        value, gradient = arguments["fun"](host)
        assert isinstance(value, float) and gradient.dtype == np.float64
        np.testing.assert_allclose(gradient, backend.to_host(objective(x)[1]), rtol=1e-6)
        v = np.random.default_rng(0).standard_normal(len(host))
        for point in (host, 0.5 * host):
            ours = objective.hessian(backend.asarray(point, dtype), "exact") @ backend.asarray(v, dtype)
            np.testing.assert_allclose(arguments["hessp"](point, v), backend.to_host(ours), rtol=1e-5, atol=1e-7)
        with pytest.raises(InputError, match="hessian: expected one of 'exact', 'gauss-newton'"):
            scipy_arguments(objective, "bfgs")

    def test_optimisers_work_on_the_same_object(self):
        objective, x0 = small_objective(get_backend("numpy"), "float64")
        arguments = scipy_arguments(objective)
        found = scipy.optimize.minimize(x0=x0, method="trust-ncg", options={"maxiter": 30}, **arguments)
        ours = trust_region(objective, x0, objective.hessian, control=Control(max_iterations=30))
        assert found.fun < 0.1 * objective(x0)[0] and ours.value < 0.1 * objective(x0)[0]
        found = scipy.optimize.minimize(arguments["fun"], x0, jac=True, method="L-BFGS-B", options={"maxiter": 30})
        assert found.fun < 0.2 * objective(x0)[0]


class TestTorch:
    def test_weights_both_ways(self, backend, dtype):
        torch = pytest.importorskip("torch", reason="needs PyTorch")
        network = Chain(
            [ConvolutionLayer((2, 6, 5), 3, bias=True), PoolingLayer((3, 6, 5), (2, 1)), DenseLayer((3, 3, 5), 4)]
        )
        module = torch.nn.Sequential(
            torch.nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"),
            torch.nn.ReLU(),
            torch.nn.AvgPool2d((2, 1)),
            torch.nn.Flatten(),
            torch.nn.Linear(45, 4),
        ).to(getattr(torch, dtype.name))
        theta = he_normal(network, np.random.default_rng(0), dtype)
        to_torch(network, theta, module)
        x = np.random.default_rng(1).standard_normal((5, 2, 6, 5)).astype(dtype)
        ours = backend.to_host(network(theta, backend.asarray(x)))
        np.testing.assert_allclose(module(torch.from_numpy(x)).detach().numpy(), ours, rtol=1e-4, atol=1e-5)
        back = from_torch(network, module, dtype)
        assert back.dtype == dtype
        np.testing.assert_array_equal(backend.to_host(back), backend.to_host(theta))
        with pytest.raises(InputError, match=r"module: expected 4 arrays of weights \(0.kernel, 0.bias, 2.kernel"):
            to_torch(network, theta, torch.nn.Conv2d(2, 3, 3))
        np.testing.assert_allclose(
            backend.to_host(from_torch(network, module.bfloat16(), dtype)), backend.to_host(theta), rtol=1e-2
        )
        module[-1].bias = torch.nn.Parameter(torch.zeros(1).expand(4))
        before = [tensor.detach().clone() for tensor in module.parameters()]
        with pytest.raises(InputError, match="module: expected tensors that can be written"):
            to_torch(network, 2 * theta, module)
        assert all(torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=True))
        with pytest.raises(InputError, match="module: expected weights of real numbers in memory"):
            from_torch(network, module.to("meta"))
        wrong = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 5), torch.nn.Linear(45, 4))
        with pytest.raises(
            InputError, match=r"module: expected 0.kernel of shape \(3, 2, 3, 3\), got 0.weight of shape"
        ):
            from_torch(network, wrong)


class TestSklearn:
    def test_is_the_face_of_a_model(self):
        pytest.importorskip("sklearn", reason="needs the extra sklearn")
        from sklearn.model_selection import GridSearchCV

        import meganet as mn

        rng = np.random.default_rng(0)
        y = np.array(["dark", "light"])[np.arange(40) % 2]
        x = rng.standard_normal((40, 1, 4, 4)) + (y == "light")[:, None, None, None]
        given = {"width": 2, "depth": 1, "solver": "adam", "max_iter": 3, "random_state": 0}
        face = mn.interop.sklearn.MeganetClassifier(**given)
        face.fit(x, y)
        model = mn.Model(face.model_.network, classes=2)
        seed = np.random.RandomState(0).randint(2**31 - 1)
        model.fit(
            x,
            y,
            epochs=3,
            rule=mn.Adam(),
            learning_rate=face.learning_rate,
            theta_regularizer=face.alpha,
            W_regularizer=face.alpha,
            rng=np.random.default_rng(seed),
        )
        assert np.array_equal(model.theta, face.theta_) and np.array_equal(model.W, face.W_)
        assert np.array_equal(model.predict(x), face.predict(x)) and model.score(x, y) == face.score(x, y)
        # the same images in rows of numbers
        rows = mn.interop.sklearn.MeganetClassifier(image_shape=(1, 4, 4), **given).fit(x.reshape(40, -1), y)
        assert np.array_equal(rows.theta_, face.theta_) and np.array_equal(
            rows.predict(x.reshape(40, -1)), face.predict(x)
        )
        search = GridSearchCV(face, {"width": [1, 2]}, cv=2).fit(x, y)
        assert set(search.predict(x[:3])) <= {"dark", "light"}

    @staticmethod
    def colour_images():
        names = np.array(["dark", "grey", "light"])[np.arange(48) % 3]
        x = np.random.default_rng(0).standard_normal((48, 2, 4, 5)) + (np.arange(48) % 3)[:, None, None, None]
        return x, names

    def test_is_imported_when_it_is_asked_for(self):
        pytest.importorskip("sklearn", reason="needs the extra sklearn")
        code = """
import sys
from meganet import interop
assert "sklearn" in dir(interop) and "sklearn" not in sys.modules
assert interop.sklearn.MeganetClassifier().solver == "lbfgs" and not hasattr(interop, "sklaern")
"""
        subprocess.run([sys.executable, "-c", code], check=True)

    def test_images_and_their_rows_are_the_same_features(self):
        sklearn = pytest.importorskip("sklearn", reason="needs the extra sklearn")
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import FunctionTransformer

        from meganet.interop.sklearn import MeganetClassifier

        x, y = self.colour_images()
        rows = x.reshape(48, -1)
        given = {"width": 2, "depth": 1, "max_iter": 3, "random_state": 0}
        face = MeganetClassifier(**given).fit(x, y)
        other = MeganetClassifier(image_shape=(2, 4, 5), **given).fit(rows, y)
        assert face.n_features_in_ == other.n_features_in_ == 40
        for fitted in (face, other, pickle.loads(pickle.dumps(face)), sklearn.base.clone(face).fit(x.tolist(), y)):
            for form in (x, rows):
                np.testing.assert_array_equal(fitted.predict_proba(form), face.predict_proba(x))
        pipe = make_pipeline(FunctionTransformer(lambda a: a / 2), sklearn.base.clone(face)).fit(2 * x, y)
        np.testing.assert_array_equal(pipe.predict(2 * x), face.predict(x))
        assert not hasattr(sklearn.base.clone(face), "model_")
        # the model is one on its own, for whoever wants to save it or carry it to another grid
        assert list(face.model_.classes) == list(face.classes_)
        np.testing.assert_array_equal(face.model_.predict(x), face.predict(x))
        for call, message in (
            (
                lambda: face.predict(x[:, :, :3]),
                r"X: expected an array of shape \(N, 2, 4, 5\), got shape \(48, 2, 3, 5",
            ),
            (lambda: face.predict(x.transpose(0, 1, 3, 2)), r"X: expected an array of shape \(N, 2, 4, 5\), got shape"),
            (lambda: face.predict(rows[:, :2]), "X has 2 features, but MeganetClassifier is expecting 40"),
            (
                lambda: MeganetClassifier(image_shape=(1, 8, 5)).fit(x, y),
                r"X: expected an array of shape \(N, 1, 8, 5\), got shape \(48, 2, 4, 5\)",
            ),
            (
                lambda: MeganetClassifier(**given).fit(rows, y).predict(x),
                r"X: expected an array of shape \(N, 40\), got shape \(48, 2, 4, 5\)",
            ),
        ):
            with pytest.raises(ValueError, match=message):
                call()

    def test_functions_as_solvers(self):
        pytest.importorskip("sklearn", reason="needs the extra sklearn")
        from meganet.interop.sklearn import MeganetClassifier

        x, y = self.colour_images()
        given = {"width": 2, "depth": 1, "max_iter": 8, "random_state": 0}
        by_name = MeganetClassifier(solver="trust_region", **given).fit(x, y)
        np.testing.assert_array_equal(MeganetClassifier(solver=trust_region, **given).fit(x, y).theta_, by_name.theta_)
        small = partial(trust_region, radius=1e-3)
        assert (MeganetClassifier(solver=small, **given).fit(x, y).theta_ != by_name.theta_).any()
        # where an optimiser stops is said by the estimator, or by a control of its own
        assert MeganetClassifier(solver=newton_cg, tol=0.5, **given).fit(x, y).n_iter_ < 8
        own = partial(newton_cg, control=Control(rtol=0.0))
        assert MeganetClassifier(solver=own, tol=0.5, **given).fit(x, y).n_iter_ == 8

    @pytest.mark.parametrize("dtype", ["bool", "int64", "float64", "U3", "object"])
    def test_classes_of_any_kind(self, dtype):
        pytest.importorskip("sklearn", reason="needs the extra sklearn")
        from meganet.interop.sklearn import MeganetClassifier

        names = {"bool": [False, True], "U3": ["a", "bcd"], "object": ["a", "bcd"]}.get(dtype, [3, 7])
        y = np.array(names, dtype)[np.arange(20) % 2]
        x = np.random.default_rng(0).standard_normal((20, 3)) + 4 * (np.arange(20) % 2)[:, None]
        face = MeganetClassifier(width=2, depth=1, max_iter=20, random_state=0).fit(x, y)
        assert list(face.classes_) == names and face.score(x, y) == 1
        assert list(face.model_.classes) == ([0, 1] if dtype == "float64" else names)

    def test_is_an_estimator(self):
        pytest.importorskip("sklearn", reason="needs the extra sklearn")
        from sklearn.utils.estimator_checks import check_estimator

        from meganet.interop.sklearn import MeganetClassifier

        results = check_estimator(MeganetClassifier(width=4, depth=2, max_iter=100), on_skip=None)
        skipped = {result["check_name"] for result in results if result["status"] != "passed"}
        # needs an environment variable of SciPy's, and is for estimators that take arrays of other libraries
        assert skipped <= {"check_array_api_input"} and len(results) > 40

    @pytest.mark.parametrize("solver", ["lbfgs", "trust_region", "adam"])
    def test_images(self, solver, dtype):
        pytest.importorskip("sklearn", reason="needs the extra sklearn")
        from sklearn.datasets import load_digits
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import FunctionTransformer

        from meganet.interop.sklearn import MeganetClassifier

        x, y = load_digits(return_X_y=True)
        names = np.array([f"digit {k}" for k in range(10)])[y]
        classifier = MeganetClassifier(
            image_shape=(1, 8, 8), width=4, depth=2, solver=solver, max_iter=15, dtype=dtype.name, random_state=0
        )
        model = make_pipeline(FunctionTransformer(lambda a: a / 16), classifier).fit(x[:600], names[:600])
        assert model.score(x[600:900], names[600:900]) > 0.8
        assert classifier.theta_.dtype == dtype and len(classifier.history_) > 1
        np.testing.assert_allclose(model.predict_proba(x[:3]).sum(axis=1), 1)

    def test_own_network_and_errors(self):
        pytest.importorskip("sklearn", reason="needs the extra sklearn")
        from meganet.interop.sklearn import MeganetClassifier

        rng = np.random.default_rng(0)
        x, y = rng.standard_normal((60, 6)), np.arange(60) % 3
        model = MeganetClassifier(network=lambda shape: DenseLayer(shape, 5, activation="relu"), random_state=1).fit(
            x, y
        )
        assert model.network_.range_shape == (5,)
        again = MeganetClassifier(network=lambda shape: DenseLayer(shape, 5, activation="relu"), random_state=1).fit(
            x, y
        )
        np.testing.assert_array_equal(model.theta_, again.theta_)
        linear = MeganetClassifier(network=lambda shape: LinearLayer(Identity(shape)), random_state=0).fit(x, y)
        assert linear.theta_.size == 0 and linear.W_.size == 21
        for arguments, message in (
            ({"solver": "newton"}, "solver: expected one of"),
            ({"alpha": -1}, "alpha: expected a finite number of at least 0, got -1"),
            ({"dtype": "int32"}, "dtype: expected float32 or float64, got int32"),
            ({"image_shape": (1, 2, 2)}, "X: expected 4 features, an image of shape"),
            ({"image_shape": 6}, "image_shape: expected a tuple of 3 or 4 positive integers"),
            ({"network": "residual"}, "network: expected a function from domain_shape to a layer, or None"),
            ({"network": len}, "network: expected a function from domain_shape to a layer, got 1"),
            (
                {"network": DenseLayer((6,), 5)},
                "network: expected a function from domain_shape to a layer, or None, got",
            ),
            ({"network": lambda shape: None}, "network: expected a function from domain_shape to a layer, got None"),
            ({"width": 0}, "width: expected an integer of at least 1, got 0"),
            ({"max_iter": 0}, "max_iter: expected an integer of at least 1, got 0"),
        ):
            with pytest.raises(InputError, match=message):
                MeganetClassifier(**arguments).fit(x, y)
        with pytest.raises(InputError, match="y: expected two classes or more, got one class"):
            MeganetClassifier().fit(x, 0 * y)

    @pytest.mark.parametrize("image_shape", [(1, 1, 6), (1, 6, 1), (3, 1, 2)])
    def test_signals_get_stencils_along_their_axis(self, image_shape):
        from meganet.interop.sklearn import MeganetClassifier

        x, y = np.random.default_rng(0).standard_normal((30, 6)), np.arange(30) % 2
        model = MeganetClassifier(image_shape=image_shape, width=2, depth=1, max_iter=2, random_state=0).fit(x, y)
        assert model.predict(x[:4]).shape == (4,)
