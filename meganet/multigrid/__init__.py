"""Multigrid transfer: R and P, Galerkin stencils, whole networks between grids."""

from meganet.multigrid.galerkin import galerkin_condition, galerkin_matrix, prolongate_kernels, restrict_kernels
from meganet.multigrid.network import Transferred, prolongate, prolongate_classifier, restrict, restrict_classifier
from meganet.multigrid.transfer import prolongate_images, prolongation, restrict_images, restriction

__all__ = [
    "Transferred",
    "galerkin_condition",
    "galerkin_matrix",
    "prolongate",
    "prolongate_classifier",
    "prolongate_images",
    "prolongate_kernels",
    "prolongation",
    "restrict",
    "restrict_classifier",
    "restrict_images",
    "restrict_kernels",
    "restriction",
]
