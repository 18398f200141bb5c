"""Hierarchies of videos, in time and in space, and the long cycle over them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from meganet.ground import validate
from meganet.layers import Layer
from meganet.multilevel.hierarchy import Hierarchy
from meganet.multilevel.schedules import Schedule, in_turn
from meganet.multilevel.space import Grids, Transfer, levels_on


def in_video(
    network: Layer, classes: int, shapes: Sequence[tuple[int, int, int]], transfer: Transfer | None = None
) -> Grids:
    """Return a network on several grids of videos, which differ in the number of frames, in their size, or in both.

    Other levels than the finest see means of frames and of pixels.

    Parameters
    ----------
    network : Layer
        For videos (C, T, H, W) of any of the grids, or of another.
    classes : int
        How many outputs the classifier has.
    shapes : sequence of tuple of int
        (T, H, W) of each grid, increasing: along every axis a grid is as long as the one before, or that doubled, once
        or more.
    transfer : Transfer, optional
        How weights go from grid to grid.

    Raises
    ------
    InputError
        If a shape is not the one before with axes doubled, or if the network or its pooling does not fit one of them.

    References
    ----------
    Wu, Girshick, He, Feichtenhofer, Kraehenbuehl, *A multigrid method for efficiently training video models* (2020),
    goes over (T/4, S/sqrt 2), (T/2, S/sqrt 2), (T/2, S) and (T, S). Here lengths are halved.

    Examples
    --------
    >>> import meganet as mn
    >>> from meganet.multilevel import in_video, long_cycle
    >>> layers = [mn.ConvolutionLayer((1, 16, 28, 28), 8, (1, 3, 3)), mn.ConvolutionLayer(..., 8, (3, 1, 1))]
    >>> shapes = [(4, 14, 14), (8, 14, 14), (8, 28, 28), (16, 28, 28)]
    >>> hierarchy = in_video(mn.Chain(layers), classes=10, shapes=shapes)
    >>> print(hierarchy)
    level      grid   unknowns  MFLOP   share
        0   4x14x14     62,994   1.51    6.2%
        1   8x14x14    125,714   3.01   12.5%
        2   8x28x28    502,034  12.04   50.0%
        3  16x28x28  1,003,794  24.08  100.0%
    a step on every level: 168.8% of the arithmetic of the finest
    >>> print(long_cycle(hierarchy, epochs=(4, 2, 1, 1), batch_size=8))
    phase  level  passes   rate  batch  other settings
        0      0       4  0.003    128  -
        1      1       2  0.003     64  -
        2      2       1  0.003     16  -
        3      3       1  0.003      8  -
    """
    validate.instance("network", network, Layer, "a layer or network")
    if len(network.domain_shape) != 4:
        validate.reject("network", "videos (C, T, H, W) as domain_shape", str(network.domain_shape))
    outputs = validate.integer("classes", classes)
    given = validate.items("shapes", shapes, Sequence, "one or more shapes (T, H, W) of videos")
    found = [validate.shape(f"shapes[{k}]", shape, ndim=3) for k, shape in enumerate(given)]
    for before, after in zip(found[:-1], found[1:], strict=True):
        ratios = [divmod(n, m) for m, n in zip(before, after, strict=True)]
        if before == after or any(rest or factor < 1 or factor & (factor - 1) for factor, rest in ratios):
            expected = "shapes of which each is the one before with axes doubled, once or more"
            validate.reject("shapes", expected, f"{validate.by(before)} before {validate.by(after)}")
    return levels_on(network, outputs, [(network.domain_shape[0], *shape) for shape in found], transfer, "shapes")


def long_cycle(
    hierarchy: Hierarchy,
    epochs: float | Sequence[float] = 1.0,
    *,
    batch_size: int = 32,
    turns: int = 1,
    **settings: Any,
) -> Schedule:
    """Return nested iteration with larger mini-batches on coarser levels, so that each step costs about the same.

    Coarser levels then make fewer steps in a pass, for which the learning rate has to be larger there. It pays where a
    large step takes little longer than a small one, as on a GPU; `in_turn` keeps the mini-batches as they are.

    Parameters
    ----------
    hierarchy : Hierarchy
    epochs, turns, **settings
        As in `in_turn`.
    batch_size : int
        Examples in a mini-batch on the finest level; on the others as many more as an example costs less there.

    Examples
    --------
    >>> import meganet as mn
    >>> from meganet.multilevel import in_space, long_cycle
    >>> hierarchy = in_space(mn.ConvolutionLayer((1, 28, 28), 4), classes=10, grids=(14, 28))
    >>> [(phase.level, phase.batch_size) for phase in long_cycle(hierarchy, batch_size=8, turns=2)]
    [(0, 32), (1, 8), (0, 32), (1, 8)]
    """
    validate.instance("hierarchy", hierarchy, Hierarchy, "a Hierarchy")
    finest = validate.integer("batch_size", batch_size)
    sizes = [round(finest * hierarchy[-1].flop / level.flop) for level in hierarchy]
    return in_turn(hierarchy, epochs, turns=turns, batch_size=sizes, **settings)
