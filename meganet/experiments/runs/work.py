"""How much arithmetic the stages of a protocol take."""

from __future__ import annotations

from collections.abc import Sequence

from meganet.experiments.runs.problems import Shape, build_network
from meganet.experiments.setup.settings import Setup
from meganet.experiments.setup.stages import SGD, Stage
from meganet.networks.work import passes, products


def epoch_flop(setup: Setup, stage: Stage, shapes: Sequence[Shape], classes: int) -> float:
    """Return the arithmetic of an epoch of a stage.

    A step of a Newton method takes a gradient, at most `newton_products` products with the Gauss-Newton matrix, each
    forward and back, and the loss at the new point; that of the classifier alone has its features given.

    Parameters
    ----------
    setup : Setup
    stage : Stage
    shapes : sequence of tuple
        Of the images on all grids, see `grid_shapes`.
    classes : int

    Examples
    --------
    >>> from meganet.experiments import Setup, grid_shapes, tables_of
    >>> from meganet.experiments.runs.work import epoch_flop
    >>> shapes = grid_shapes(Setup(), (1, 28, 28))
    >>> coarse, new, *_ = tables_of("4.1")[0].stages()
    >>> [f"{epoch_flop(Setup(), stage, shapes, 10) / 1e12:.3f} TFLOP" for stage in (coarse, new)]
    ['0.906 TFLOP', '0.905 TFLOP']
    """
    parts = products(build_network(setup.model.network, shapes[stage.grid]), classes)
    examples = stage.examples(setup)
    if stage.method == SGD:
        return examples // setup.descent.batch_size * setup.descent.batch_size * passes(parts, 3)
    if stage.classifier_only:
        parts = parts[-1:]
    step = passes(parts, 3) + setup.newton.newton_products * passes(parts, 4) + sum(parts)
    return examples * setup.newton.newton_steps * step
