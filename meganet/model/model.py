"""Network, classifier and weights as one object."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Self

import numpy as np

from meganet.backend import Array
from meganet.ground import validate
from meganet.layers import Layer
from meganet.losses import Loss, SoftmaxCrossEntropy
from meganet.model import summary
from meganet.model.images import images_for
from meganet.model.levels import LevelPlan, over_levels
from meganet.model.outputs import Classes, head_of, outputs_of, score_of
from meganet.model.prediction import classifier_outputs
from meganet.model.preparation import held_out, started, training_images
from meganet.model.training import COLUMNS, Job, Memory, Plan
from meganet.model.weights import State, joined
from meganet.multigrid import StencilTransfer, Transferred, prolongate, restrict
from meganet.multigrid.transfer import Axes
from meganet.multilevel import Hierarchy, Schedule
from meganet.networks import Chain
from meganet.objective import Objective, observer
from meganet.optim import History, Result
from meganet.optim.rules import Rule
from meganet.regularizers import Regularizer, penalty_of


class Model:
    """A network with its classifier and their weights: train, predict, change the grid, save.

    Parameters
    ----------
    layers : iterable of Layer, or a Layer
        The network, see `Chain`: of the layers after the first ``...`` may stand for the shape of the input. Images are
        (N, C, H, W); signals are images of one row, (N, C, 1, L).
    classes : int or sequence, optional
        How many classes there are, or their names. None for a regression.
    outputs : int or "image"
        How many numbers a regression predicts; "image" for the network's result itself, (C, H, W), without classifier.
    loss : Loss, optional
        `SoftmaxCrossEntropy` for classes, `LeastSquares` for numbers, `MeanSquares` for images, if not given.
    theta, W : array, optional
        Weights of the network, and of the classifier, a `DenseLayer` on the network's range; both or neither. If not
        given, they are drawn when `fit` is called first: `he_normal` the network's, `smoothed_normal` the classifier's
        (`he_normal` where its features are not images).

    Attributes
    ----------
    network, classifier : Layer
    loss : Loss
    epochs : int
        Made by `fit`, in all.
    history : History
        A row for the start (epoch 0) and for each epoch: epoch, learning_rate, step (distance moved), objective, loss,
        accuracy, validation_loss, validation_accuracy; nan is what is not known. On coarser grids these are of the
        images there.
    level_history : History
        Of the last training over grids, with phase, level (in joint training its finest one) and work, see
        `multilevel.TrainingState`; it is not saved.

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> rng = np.random.default_rng(0)
    >>> labels = np.repeat(["dark", "light"], 32)
    >>> images = rng.standard_normal((64, 1, 4, 4)) + (labels == "light")[:, None, None, None]
    >>> model = mn.Model([mn.ConvolutionLayer((1, 4, 4), 4)], classes=2)
    >>> model = model.fit(images, labels, epochs=20, learning_rate=0.1)
    >>> model.theta.shape, model.W.shape, model.predict_proba(images).shape
    ((36,), (130,), (64, 2))
    >>> print(model.predict(images[:2]), model.score(images, labels) > 0.9)
    ['dark' 'dark'] True
    >>> model.prolongate()
    Model(1x8x8 -> 2 classes, 550 weights, not trained)
    """

    def __init__(
        self,
        layers: Iterable[Layer] | Layer,
        classes: Any = None,
        *,
        outputs: int | str = 1,
        loss: Loss | None = None,
        theta: Array | None = None,
        W: Array | None = None,
    ) -> None:
        self.network: Layer = layers if isinstance(layers, Layer) else Chain(layers)
        self._outputs = outputs_of(classes, outputs, self.network.range_shape)
        self.loss = self._outputs.usual_loss() if loss is None else loss
        validate.instance("loss", self.loss, Loss, "a Loss or None")
        self._outputs.check_loss(self.loss)
        self.backend = self.network.backend
        self.classifier = head_of(self._outputs, self.network.range_shape, self.backend)
        self.epochs, self.history, self.level_history = 0, History(), History()
        # the flat vector is replaced as a whole and never changed: what refers to it stays as it is
        self._x: Array | None = None
        self._memory, self._seed = Memory(), 0
        self._frozen: Layer | None = None
        self._examples: Array | None = None
        if theta is not None or W is not None:
            self._x = joined(self.network, self.classifier, theta, W)

    @property
    def classes(self) -> np.ndarray[Any, Any] | None:
        """Names of the classes in the order of the outputs, (K,); None for a regression.

        If they were not given, they are read off the labels when `fit` is called first, 0 to K - 1 until then.
        """
        return self._outputs.names.copy() if isinstance(self._outputs, Classes) else None

    @property
    def theta(self) -> Array:
        """The network's weights, a copy."""
        return self._weights()[: self.network.parameters.size].copy()

    @property
    def W(self) -> Array:
        """The classifier's weights, a copy."""
        return self._weights()[self.network.parameters.size :].copy()

    def _weights(self) -> Array:
        if self._x is None:
            validate.reject("model", "one with weights: call fit, or give theta and W", "one without")
        return self._x

    def fit(
        self,
        images: Any,
        labels: Any,
        *,
        validation: tuple[Any, Any] | None = None,
        epochs: int | None = None,
        learning_rate: float | Callable[[int], float] | None = None,
        batch_size: int | None = None,
        rule: Rule | None = None,
        optimizer: str | Callable[..., Result] = "sgd",
        theta_regularizer: Regularizer | float | None = None,
        W_regularizer: Regularizer | float | None = None,
        grids: Sequence[int] | Hierarchy | None = None,
        schedule: Schedule | None = None,
        rng: int | np.random.Generator | None = None,
        callback: Callable[[Model], bool | None] | None = None,
        on_divergence: str = "warn",
        progress: bool | None = None,
    ) -> Self:
        """Train, from where the weights are: called again, it continues.

        Parameters
        ----------
        images : array, (N, C, H, W)
            float32 or float64, finite; the first ones decide in which of them everything is computed. Images of one
            channel may be (N, H, W). Never changed, and copied only from another dtype: of a memory-mapped file each
            mini-batch is read when it is needed.
        labels : sequence, (N,)
            Classes as 0 to K - 1, 1 to K, or K names of any kind; one-hot, (N, K) or (K, N). For a regression the
            targets, (N, outputs) or, of a single output, (N,); images like the network's results.
        validation : (images, labels), optional
            Evaluated after each epoch.
        epochs : int, optional
            How many more passes through the images, 10 if not given; with `grids` as many on each of them, and other
            numbers in a `schedule`. Iterations of an `optimizer` that takes all images at once.
        learning_rate : float or callable, optional
            A number, 0.003 if not given, or a function of the epoch, which counts from 1 over all calls.
        batch_size : int, optional
            32 if not given; an incomplete last mini-batch is left out. For another `optimizer` than "sgd", how many
            images are processed at a time, 256.
        rule : Momentum, Adam or another rule, optional
            How a mini-batch's gradient moves the weights; plain steps if not given.
        optimizer : "sgd" or callable
            `sgd`, or one that takes all images at once: `lbfgs`, `newton_cg`, `trust_region`, ...;
            ``functools.partial(mn.trust_region, radius=0.1)`` gives it arguments.
        theta_regularizer, W_regularizer : Regularizer or float, optional
            As in `Objective`; a number alpha stands for ``alpha/2 ||.||^2``.
        grids : sequence of int or Hierarchy, optional
            Train over images of these widths, increasing up to the model's own, see `multilevel.in_space`; or over the
            levels of a hierarchy. The model stays that of the finest, with weights carried there after every epoch.
        schedule : Schedule, optional
            What is trained on the grids, such as ``multilevel.nested(3, epochs=(4, 2, 1))``: see `multilevel.Schedule`.
            Nested iteration if not given: the coarsest grid first, then the next with the weights carried there, and so
            on. Weights that are there already are carried to the first phase's level.
        rng : int or numpy.random.Generator, optional
            Where the first weights and the order of the images come from, 0 if not given; later calls go on with it.
        callback : callable, optional
            Called with the model after each epoch; if it returns True, the training stops.
        on_divergence : {"warn", "continue", "stop"}
            See `sgd`.
        progress : bool, optional
            Show a progress bar; if not given, on a terminal and in a notebook.

        Returns
        -------
        Model
            Itself. After an interrupt, or whatever else ends the training early, it has the weights and the history of
            the epochs that were completed.

        Raises
        ------
        InputError
            For arguments that do not fit, before anything is changed.

        Notes
        -----
        A second call with the same images, batch size and rule gives, to the bit, what one call with all the epochs
        would have given; so do `newton_cg` and `trust_region` as the `optimizer`, which goes on with what its `Result`
        calls its state. Others, such as `lbfgs`, start again without the curvature they had gathered; a training over
        `grids` makes its schedule once more.
        """
        penalties = {"theta_regularizer": theta_regularizer, "W_regularizer": W_regularizer}
        steps = Plan(
            10 if epochs is None else epochs, learning_rate, batch_size, rule, optimizer, on_divergence, progress
        )
        plan = over_levels(steps, self, grids, schedule, {"epochs": epochs, **penalties})
        if callback is not None and not callable(callback):
            validate.reject("callback", "a function of the model or None", validate.shown(callback))
        images = training_images(self.network, "images", images, None if self._x is None else self._x.dtype)
        count = int(images.shape[0])
        outputs = self._outputs.fitted("labels", labels, count)
        objective = Objective(
            self.network,
            self.classifier,
            images,
            outputs.numbers("labels", labels, count),
            loss=self.loss,
            theta_regularizer=penalty_of("theta_regularizer", theta_regularizer, self.network, images.dtype),
            W_regularizer=penalty_of("W_regularizer", W_regularizer, self.classifier, images.dtype),
        )
        others = held_out(self.network, self.classifier, self.loss, outputs, validation, images.dtype)
        plan.check(count)
        at = plan.first(self.network, self.classifier, self._x)
        seed, start = started(*at, rng, self._seed, images.dtype)
        trained = {"_outputs": outputs, "_seed": seed, "_examples": images, "_frozen": None}

        def commit(rows: list[dict[str, float]], x: Array, memory: Memory) -> bool | None:
            history = self.history.copy()
            for row in rows if not len(history) else rows[-1:]:
                history.append({name: row.get(name, np.nan) for name in COLUMNS})
            levels = memory.state if isinstance(plan, LevelPlan) else self.level_history
            # in one step, which an interrupt comes before or after
            new = {"_x": x, "_memory": memory, "epochs": math.ceil(rows[-1]["epoch"]), "history": history}
            vars(self).update(trained, **new, level_history=levels)
            return None if callback is None else callback(self)

        try:
            plan.run(Job(objective, observer(objective, others), start, self.epochs, seed, commit), self._memory)
            if self._examples is None:  # an optimiser was there already
                vars(self).update(trained, _x=start)
        finally:
            examples, self._examples = self._examples, None
            if examples is not None:
                self._inference(examples)
        return self

    def predict(self, images: Any) -> np.ndarray[Any, Any]:
        """Return each image's class under its own name, (N,); of a regression numbers, shaped like the targets.

        Parameters
        ----------
        images : array, (N, C, H, W)
            As in `fit`, of either dtype, on the host or the model's device; they are computed with that of the weights.
        """
        return self._outputs.predictions(self.loss, self._classifier_outputs(images))

    def predict_proba(self, images: Any) -> np.ndarray[Any, Any]:
        """Return the probabilities of the classes, in the order of `classes`, (N, K), on the host."""
        if not isinstance(self.loss, SoftmaxCrossEntropy):
            validate.reject("model", "one with classes, for probabilities", "a regression")
        return np.asarray(self.loss.probabilities(self._classifier_outputs(images)))

    def score(self, images: Any, labels: Any) -> float:
        """Return the share of right predictions; of a regression the mean coefficient of determination, R^2.

        Parameters
        ----------
        images, labels
            As in `fit`.
        """
        outputs = self._classifier_outputs(images)
        targets = self._outputs.numbers("labels", labels, len(outputs))
        checked = self.loss.targets("labels", targets, self._outputs.count)
        return score_of(self._outputs, self.loss, outputs, checked)

    def prolongate(
        self,
        *,
        interpolation: str = "linear",
        kernels: str | StencilTransfer = "galerkin",
        classifier_scaling: str = "logits",
        axes: Axes = None,
    ) -> Model:
        """Return a model for images of twice the resolution with these weights; see `multigrid.prolongate`.

        Parameters
        ----------
        interpolation : {"linear", "constant"}
        kernels : {"galerkin", "copy"} or multigrid.StencilTransfer
            For real images "copy" or `multigrid.Dilated`: "galerkin", the thesis' Multigrid, has to be trained on them
            before it is as good as on the coarse grid.
        classifier_scaling : {"logits", "none", "thesis"}
        axes : int or sequence of int, optional

        Returns
        -------
        Model
            Not trained yet: no epochs, an empty history. What trains it begins with its own first epoch.
        """
        given = partial(
            prolongate, interpolation=interpolation, kernels=kernels, classifier_scaling=classifier_scaling, axes=axes
        )
        return self._carried(given)

    def restrict(
        self,
        *,
        interpolation: str = "linear",
        kernels: str | StencilTransfer = "galerkin",
        classifier_scaling: str = "logits",
        axes: Axes = None,
    ) -> Model:
        """Return a model for images of half the resolution, as `prolongate` does; see `multigrid.restrict`."""
        given = partial(
            restrict, interpolation=interpolation, kernels=kernels, classifier_scaling=classifier_scaling, axes=axes
        )
        return self._carried(given)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write architecture, weights, classes and history, as ``.npz`` or ``.mat`` by the name; `load` reads both.

        Parameters
        ----------
        path : path
            ``*.npz``, or ``*.mat`` (level 5), where MATLAB's ``load`` finds the column vectors ``theta`` and ``W`` in
            the order of its Meganet. The file appears whole or not at all.

        Raises
        ------
        InputError
            For a model without weights, another name, and layers or a loss of one's own that cannot be described.

        Notes
        -----
        What a rule or an optimiser remembers between epochs is not stored: after `load`, `fit` starts without it.
        """
        from meganet.model.files import save

        save(self, path)

    def state(self) -> State:
        """Return what is stored besides network, loss and weights."""
        return State(self._outputs, self._frozen, self.epochs, self._seed, self.history)

    def restore(self, state: State) -> None:
        """Take over what was stored."""
        self._outputs, self._frozen, self.epochs, self._seed, self.history = state

    def __repr__(self) -> str:
        return summary.line(self)

    def __str__(self) -> str:
        """Return a table of the layers with their shapes and weights."""
        return summary.text(self)

    def _repr_html_(self) -> str:
        return summary.html(self)

    def _carried(self, transfer: Callable[..., Transferred]) -> Model:
        found = transfer(self.network, self.theta, self.W)
        other = Model(found.network, self._outputs, loss=self.loss, theta=found.theta, W=found.W)
        other._seed = self._seed
        if self.network.couples_examples and self._frozen is not None:
            # statistics of channels hold on every grid, those of pixels on their own
            with suppress(validate.InputError):
                other._frozen = transfer(self._frozen, self.theta, self.W).network
        return other

    def _classifier_outputs(self, images: Any) -> np.ndarray[Any, Any]:
        """Return the outputs for images, (N, K), on the host."""
        x, network = self._weights(), self._inference()
        return classifier_outputs(network, self.classifier, x, images_for(self.network, "images", images))

    def _inference(self, examples: Array | None = None) -> Layer:
        """Return the network for single images: statistics over examples are those of all that it was trained on."""
        if not self.network.couples_examples:
            return self.network
        if self._frozen is None:
            examples = self._examples if examples is None else examples
            if examples is None:
                what = "one that was trained on this grid: it normalises over examples"
                validate.reject("model", what, "one without statistics")
            with np.errstate(all="ignore"):
                self._frozen = self.network.frozen_on(self.theta, examples)
        return self._frozen
