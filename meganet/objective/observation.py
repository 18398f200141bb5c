"""What an optimiser reports of objectives: columns of its history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from meganet import _validate
from meganet.backend import Array
from meganet.objective.objective import Objective


@dataclass(frozen=True)
class Evaluation:
    """What `observer` returns: a function of the point that evaluates objectives there."""

    training: Objective
    validation: Objective | None = None

    def __call__(self, x: Array) -> dict[str, float]:
        """Return the columns at one point."""
        return self.together([self], [x])[0]

    @staticmethod
    def together(observers: Sequence[Evaluation], points: Sequence[Array]) -> list[dict[str, float]]:
        """Return the columns of each of several observers at its point, evaluated side by side on a device."""
        rows = [m._asdict() for m in Objective.evaluate_together([o.training for o in observers], points)]
        pairs = [(k, o.validation) for k, o in enumerate(observers) if o.validation is not None]
        if pairs:
            numbers, validations = zip(*pairs, strict=True)
            metrics = Objective.evaluate_together(validations, [points[k] for k in numbers])
            for k, (_, loss, accuracy) in zip(numbers, metrics, strict=True):
                rows[k] |= {"validation_loss": loss, "validation_accuracy": accuracy}
        return rows


def observer(training: Objective, validation: Objective | None = None) -> Evaluation:
    """Return the function that gives an optimiser its columns of training and validation values.

    Parameters
    ----------
    training : Objective
        Columns ``objective``, ``loss``, ``accuracy``.
    validation : Objective, optional
        The same network and classifier over other data: columns ``validation_loss``, ``validation_accuracy``.

    Examples
    --------
    ``sgd(fun, x0, fun.examples, ..., observe=observer(fun, validation))``
    """
    for name, objective in (("training", training), ("validation", validation)):
        if not isinstance(objective, Objective) and not (objective is None and name == "validation"):
            _validate.reject(name, "an Objective", repr(objective))

    return Evaluation(training, validation)
