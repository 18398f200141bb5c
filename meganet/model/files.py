"""Files of models: a header that says what the model is made of, in JSON, and arrays. Nothing is unpickled.

An NPZ file is sealed by its SHA-256. In a MAT-file the header and the arrays are variables, all of them columns; theta
and W are in MATLAB's order, and the variable `digest` is the SHA-256 of the rest.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from meganet._matlab import LARGEST_5, from_matlab, read_variables, to_matlab, write_variables
from meganet._version import __version__
from meganet.backend import Backend, get_backend
from meganet.ground import validate
from meganet.ground.files import write_named
from meganet.ground.npz import MEMBERS, Expected, read_described, write_sealed
from meganet.layers import Layer
from meganet.losses import LeastSquares, LogisticLoss, Loss, MeanSquares, SoftmaxCrossEntropy
from meganet.model.model import Model
from meganet.model.outputs import IMAGE, Images, Numbers, Outputs, head_of, outputs_of
from meganet.model.training import COLUMNS
from meganet.model.weights import State
from meganet.networks.architecture import built, described
from meganet.optim import History

FORMAT = 1
LARGEST_HEADER = 2**24
CLASSES_OF_MATLAB = {"float32": "single", "float64": "double", "int32": "int32", "int64": "int64"}
MOST_AXES = 32
WEIGHTS, PARTS = ("theta", "W"), ("network", "frozen")
LOSSES: dict[str, type[Loss]] = {
    loss.__name__: loss for loss in (SoftmaxCrossEntropy, LogisticLoss, LeastSquares, MeanSquares)
}
HEADER, DIGEST = "header", "digest"

Arrays = dict[str, np.ndarray[Any, Any]]
Listed = dict[str, tuple[str, tuple[int, ...]]]
"""Dtype and shape of each array."""


def save(model: Model, path: str | os.PathLike[str]) -> None:
    """Write a model; see `Model.save`.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.model.files import save
    >>> model = mn.Model([mn.ConvolutionLayer((1, 4, 4), 2)], classes=3, theta=np.zeros(18), W=np.zeros(99))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(model, pathlib.Path(folder, "net.npz"))
    ...     sorted(np.load(pathlib.Path(folder, "net.npz")).files)
    ['W', 'header', 'theta']
    """
    path, suffix = _named(path)
    arrays: Arrays = {name: model.backend.to_host(getattr(model, name)) for name in WEIGHTS}
    parts: dict[str, Any] = dict.fromkeys(PARTS)
    for part, layer in zip(PARTS, (model.network, model.state().frozen), strict=True):
        if layer is None:
            continue
        parts[part], own = described(layer)
        arrays |= {f"{part}_{name}": array for name, array in own.items()}
    header = {
        "format": FORMAT,
        "version": __version__,
        "arrays": {name: [str(array.dtype), list(array.shape)] for name, array in arrays.items()},
        **parts,
        **_facts(model),
    }
    text = np.frombuffer(json.dumps(header).encode(), np.uint8)
    if suffix == ".mat":
        for name, layer in zip(WEIGHTS, (model.network, model.classifier), strict=True):
            arrays[name] = to_matlab(layer.parameters, arrays[name])
        columns = {name: arrays[given].reshape(-1, 1) for given, name in _variables(arrays).items()}
        large = [name for name, column in columns.items() if column.nbytes >= LARGEST_5]
        if large:
            validate.reject("path", f"a file *.npz for 2 GB or more of {large[0]}", repr(str(path)))
        digest = np.frombuffer(_digest(text, arrays), np.uint8)
        write_variables(path, {HEADER: text[:, None], **columns, DIGEST: digest[:, None]})
        return
    write_named(path, write_sealed({HEADER: text, **arrays}))


def load(
    path: str | os.PathLike[str], *, layers: Iterable[type[Layer]] = (), backend: str | Backend | None = None
) -> Model:
    """Read a model that `Model.save` has written, ``.npz`` or ``.mat``.

    Parameters
    ----------
    path : path
    layers : iterable of classes, optional
        Those of layers of one's own that the model has.
    backend : str or Backend, optional
        Where it shall live; the active one if not given.

    Returns
    -------
    Model
        With its weights, classes, epochs and history.

    Raises
    ------
    InputError
        For a file that is missing, none of a model's, from a newer version, damaged or edited. What a file says is
        checked before memory is taken for it, and nothing in it is executed.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import numpy as np
    >>> import meganet as mn
    >>> model = mn.Model([mn.ConvolutionLayer((1, 4, 4), 2)], classes=["even", "odd"])
    >>> x = np.random.default_rng(0).standard_normal((8, 1, 4, 4))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.fit(x, ["even", "odd"] * 4, epochs=1).save(pathlib.Path(folder, "net.npz"))
    ...     again = mn.load(pathlib.Path(folder, "net.npz"))
    >>> bool((again.predict_proba(x) == model.predict_proba(x)).all())
    True
    """
    (path, suffix), home = _named(path), get_backend(backend)
    known, facts = tuple(layers), dict[str, Any]()

    def listed(content: np.ndarray[Any, Any]) -> Listed:
        facts.update(_header(path, content))
        found: Listed = facts["arrays"]
        return found

    try:
        arrays = (_of_npz if suffix == ".npz" else _of_mat)(path, listed)
        return _model(facts, arrays, known, home, from_mat=suffix == ".mat")
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        # of a file that cannot be used it is said where it lies; other errors are of a header that was made to fit
        if isinstance(error, validate.InputError) and str(path) in str(error):
            raise
        validate.reject_file(path, "a model", f"a file whose header does not describe one ({error})")


def _named(path: str | os.PathLike[str]) -> tuple[Path, str]:
    """Return a path and the kind of file that its name says."""
    found = validate.path("path", path)
    suffix = found.suffix.lower()
    if suffix not in (".npz", ".mat"):
        validate.reject("path", "a file *.npz or *.mat", repr(str(found)))
    return found, suffix


def _facts(model: Model) -> dict[str, Any]:
    """Return what a header says besides the layers."""
    state, loss = model.state(), LOSSES.get(type(model.loss).__name__)
    if type(model.loss) is not loss or getattr(model.loss, "weight", None) is not None:
        validate.reject("model", f"a loss among {', '.join(LOSSES)}, without weight", repr(model.loss))
    return {
        "loss": type(model.loss).__name__,
        "outputs": _described_outputs(state.outputs),
        "epochs": state.epochs,
        "seed": state.seed,
        "history": state.history.to_csv(),
    }


def _described_outputs(outputs: Outputs) -> Any:
    """Return the names of classes, their number where labels have not been seen yet, a regression's count, "image"."""
    if isinstance(outputs, Images):
        return IMAGE
    if isinstance(outputs, Numbers):
        return {"count": outputs.count, "columns": outputs.columns}
    return outputs.names.tolist() if outputs.known else outputs.count


def _outputs(facts: Any, weights: int, feature_shape: tuple[int, ...]) -> Outputs:
    """Return what the outputs stand for, once there are so many weights for them."""
    if facts == IMAGE:
        if weights:
            validate.reject("W", "no weights, for images", f"{weights} numbers")
        return outputs_of(None, IMAGE, feature_shape)
    given = len(facts) if isinstance(facts, list) else facts["count"] if isinstance(facts, dict) else facts
    count = validate.size("outputs", given)
    if weights != count * (math.prod(feature_shape) + 1):
        validate.reject("W", f"the weights of {count} outputs", f"{weights} numbers")
    return Numbers(count, bool(facts["columns"])) if isinstance(facts, dict) else outputs_of(facts, 1, feature_shape)


def _history(text: Any) -> History:
    validate.instance("history", text, str, "a table as text")
    history = History.from_csv(text)
    if history.columns not in ((), COLUMNS):
        validate.reject("history", f"the columns {', '.join(COLUMNS)}", ", ".join(history.columns))
    return history


def _model(facts: dict[str, Any], arrays: Arrays, known: Any, home: Backend, *, from_mat: bool) -> Model:
    """Return the model that a header and arrays describe."""
    parts: dict[str, Any] = {}
    weights = int(arrays["theta"].size)
    for part in PARTS:
        own = {name.removeprefix(f"{part}_"): array for name, array in arrays.items() if name.startswith(f"{part}_")}
        parts[part] = None if facts[part] is None else built(facts[part], own, home, weights=weights, classes=known)
    network, frozen = (parts[part] for part in PARTS)
    loss = LOSSES[validate.choice("loss", facts["loss"], LOSSES)]()
    theta, w = (arrays[name] for name in WEIGHTS)
    dtype = theta.dtype
    outputs = _outputs(facts["outputs"], w.size, network.range_shape)
    if frozen is not None and (frozen.domain_shape, frozen.range_shape) != (network.domain_shape, network.range_shape):
        validate.reject("frozen", f"a network like {network!r}", repr(frozen))
    if from_mat:
        classifier = head_of(outputs, network.range_shape, home)
        theta, w = from_matlab(network.parameters, theta, dtype), from_matlab(classifier.parameters, w, dtype)
    model = Model(network, outputs, loss=loss, theta=home.asarray(theta), W=home.asarray(w))
    epochs = validate.integer("epochs", facts["epochs"], minimum=0)
    seed = validate.integer("seed", facts["seed"], minimum=0)
    model.restore(State(outputs, frozen, epochs, seed, _history(facts["history"])))
    return model


def _header(path: Path, content: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Return the header, as far as it concerns the arrays known to be right."""
    try:
        header = json.loads(content.tobytes())
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict) or not isinstance(header.get("format"), int):
        validate.reject_file(path, "the header of a model", "something else")
    if header["format"] > FORMAT:
        got = f"format {header['format']}, written by meganet {header.get('version')}: a newer one can read it"
        validate.reject_file(path, f"a model of format {FORMAT}", got)
    listed = header.get("arrays")
    if not isinstance(listed, dict) or not set(WEIGHTS) <= set(listed) or len(listed) > MEMBERS:
        validate.reject_file(path, "a header that lists theta and W", "another")
    for name, entry in listed.items():
        dtype, shape = entry if isinstance(entry, list) and len(entry) == 2 else (None, None)
        sizes = shape if isinstance(shape, list) else [None]
        if (
            dtype not in CLASSES_OF_MATLAB
            or not all(type(n) is int and n >= 0 for n in sizes)
            or len(sizes) > MOST_AXES
        ):
            validate.reject_file(path, f"dtype and shape of the array {name!r}", repr(entry))
        listed[name] = (dtype, tuple(sizes))
    return header


def _of_npz(path: Path, listed: Callable[[np.ndarray[Any, Any]], Listed]) -> Arrays:
    def describe(content: np.ndarray[Any, Any]) -> dict[str, Expected]:
        return {name: Expected(dtype, shape) for name, (dtype, shape) in listed(content).items()}

    return read_described(path, HEADER, LARGEST_HEADER, describe)


def _of_mat(path: Path, listed: Callable[[np.ndarray[Any, Any]], Listed]) -> Arrays:
    """Return the arrays of a MAT-file, theta and W in MATLAB's order, once the digest has been checked."""

    def bytes_only(name: str, kind: str, shape: tuple[int, ...]) -> None:
        if kind != "uint8" or math.prod(shape) > (LARGEST_HEADER if name == HEADER else hashlib.sha256().digest_size):
            validate.reject_file(path, "a model's header and digest", f"{name!r} of {kind}, {shape}")

    first = read_variables(path, [HEADER, DIGEST], bytes_only)
    header = first[HEADER].ravel().astype(np.uint8)
    expected = listed(header)
    variables = _variables(expected)
    wanted = {variables[given]: entry for given, entry in expected.items()}

    def fits(name: str, kind: str, shape: tuple[int, ...]) -> None:
        dtype, needed = wanted[name]
        if kind != CLASSES_OF_MATLAB[dtype] or math.prod(shape) != math.prod(needed):
            validate.reject_file(path, f"the variable {name!r}, {dtype} of shape {needed}", f"{kind}, {shape}")

    found = read_variables(path, list(wanted), fits)
    arrays = {given: found[variables[given]].astype(d).reshape(shape) for given, (d, shape) in expected.items()}
    if _digest(header, arrays) != first[DIGEST].astype(np.uint8).tobytes():
        validate.reject_file(path, "the file that was written", "another SHA-256; it is damaged or was edited")
    return arrays


def _variables(names: Iterable[str]) -> dict[str, str]:
    """Return the variables of a MAT-file that hold the arrays: theta, W, and numbered ones."""
    return {name: name if name in WEIGHTS else f"array{k}" for k, name in enumerate(names)}


def _digest(header: np.ndarray[Any, Any], arrays: Arrays) -> bytes:
    """Return the SHA-256 of header and arrays, little-endian and in C order."""
    digest = hashlib.sha256(header.tobytes())
    for array in arrays.values():
        digest.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
    return digest.digest()
