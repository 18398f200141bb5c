"""What an optimiser reports of objectives: columns of its history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from meganet.backend import Array
from meganet.ground import validate
from meganet.ground.deprecated import renamed
from meganet.objective.objective import Objective


@dataclass(frozen=True)
class Evaluation:
    """What `observer` returns: a function of the point that evaluates objectives there.

    Attributes
    ----------
    training : Objective
    validation : Objective or None

    Examples
    --------
    >>> import numpy as np
    >>> from meganet import DenseLayer, Objective
    >>> fun = Objective(DenseLayer((2,), 3), DenseLayer((3,), 2), np.ones((4, 2)), [0, 1, 0, 1])
    >>> from meganet.objective import Evaluation
    >>> observers, points = [Evaluation(fun), Evaluation(fun, fun)], [np.zeros(fun.parameters.size)] * 2
    >>> [sorted(row) for row in Evaluation.stacked(observers, points)]
    [['accuracy', 'loss', 'objective'],
     ['accuracy', 'loss', 'objective', 'validation_accuracy', 'validation_loss']]
    """

    training: Objective
    validation: Objective | None = None

    def __call__(self, x: Array) -> dict[str, float]:
        """Return the columns at one point."""
        return self.stacked([self], [x])[0]

    @staticmethod
    def stacked(observers: Sequence[Evaluation], points: Sequence[Array]) -> list[dict[str, float]]:
        """Return the columns of each of several observers at its point, evaluated side by side on a device."""
        rows = [m._asdict() for m in Objective.evaluate_stacked([o.training for o in observers], points)]
        pairs = [(k, o.validation) for k, o in enumerate(observers) if o.validation is not None]
        if pairs:
            numbers, validations = zip(*pairs, strict=True)
            metrics = Objective.evaluate_stacked(validations, [points[k] for k in numbers])
            for k, (_, loss, accuracy) in zip(numbers, metrics, strict=True):
                rows[k] |= {"validation_loss": loss, "validation_accuracy": accuracy}
        return rows

    together = staticmethod(renamed("Evaluation.together", stacked))


def observer(training: Objective, validation: Objective | None = None) -> Evaluation:
    """Return the function that gives an optimiser its columns of training and validation values.

    Parameters
    ----------
    training : Objective
        Columns ``objective``, ``loss``, ``accuracy``.
    validation : Objective, optional
        The same network and classifier over other data: columns ``validation_loss``, ``validation_accuracy``.

    Returns
    -------
    Evaluation

    Examples
    --------
    >>> import numpy as np
    >>> from meganet import DenseLayer, Objective, sgd
    >>> from meganet.objective import observer
    >>> fun = Objective(DenseLayer((2,), 3), DenseLayer((3,), 2), np.ones((4, 2)), [0, 1, 0, 1])
    >>> x0 = np.zeros(fun.parameters.size)
    >>> state = sgd(fun, x0, fun.examples, epochs=1, learning_rate=0.1, batch_size=2, observe=observer(fun))
    >>> [round(row["accuracy"], 2) for row in state.history]
    [0.5, 0.5]
    """
    for name, objective in (("training", training), ("validation", validation)):
        if not isinstance(objective, Objective) and not (objective is None and name == "validation"):
            validate.reject(name, "an Objective", repr(objective))

    return Evaluation(training, validation)
