"""Multigrid transfer: R and P, Galerkin stencils, whole networks between grids."""

from meganet.multigrid.classifier import prolongate_classifier, restrict_classifier
from meganet.multigrid.exact_transfers import Dilated, Enlarged
from meganet.multigrid.galerkin import galerkin_condition, galerkin_matrix, prolongate_kernels, restrict_kernels
from meganet.multigrid.network import Transferred, prolongate, restrict
from meganet.multigrid.penalty import prolongation_penalty
from meganet.multigrid.resampling import resample_images, resampling
from meganet.multigrid.stencil_transfers import (
    Copied,
    DampedGalerkin,
    Galerkin,
    Rediscretised,
    StencilTransfer,
    TruncatedGalerkin,
)
from meganet.multigrid.transfer import prolongate_images, prolongation, restrict_images, restriction
from meganet.multigrid.weights import weights_prolongation, weights_restriction

__all__ = [
    "Copied",
    "DampedGalerkin",
    "Dilated",
    "Enlarged",
    "Galerkin",
    "Rediscretised",
    "StencilTransfer",
    "Transferred",
    "TruncatedGalerkin",
    "galerkin_condition",
    "galerkin_matrix",
    "prolongate",
    "prolongate_classifier",
    "prolongate_images",
    "prolongate_kernels",
    "prolongation",
    "prolongation_penalty",
    "resample_images",
    "resampling",
    "restrict",
    "restrict_classifier",
    "restrict_images",
    "restrict_kernels",
    "restriction",
    "weights_prolongation",
    "weights_restriction",
]
