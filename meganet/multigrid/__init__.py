"""Multigrid: R and P, Galerkin stencils, whole networks between grids; relaxation and cycles for linear systems."""

from meganet.multigrid.classifier import prolongate_classifier, restrict_classifier
from meganet.multigrid.cycles import Cycle, Solution, convergence_factor, full_multigrid, multigrid_cycle, solve
from meganet.multigrid.exact_transfers import Dilated, Enlarged
from meganet.multigrid.galerkin import galerkin_condition, galerkin_matrix, prolongate_kernels, restrict_kernels
from meganet.multigrid.grid_hierarchy import CoarsestLevel, GridHierarchy, GridLevel
from meganet.multigrid.network import Transferred, prolongate, restrict
from meganet.multigrid.penalty import prolongation_penalty
from meganet.multigrid.poisson import Poisson, modes
from meganet.multigrid.relaxation import GaussSeidel, Jacobi, RedBlack, Relaxation
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
from meganet.multigrid.transfer_operators import Prolongation, Restriction
from meganet.multigrid.weights import weights_prolongation, weights_restriction

__all__ = [
    "CoarsestLevel",
    "Copied",
    "Cycle",
    "DampedGalerkin",
    "Dilated",
    "Enlarged",
    "Galerkin",
    "GaussSeidel",
    "GridHierarchy",
    "GridLevel",
    "Jacobi",
    "Poisson",
    "Prolongation",
    "RedBlack",
    "Rediscretised",
    "Relaxation",
    "Restriction",
    "Solution",
    "StencilTransfer",
    "Transferred",
    "TruncatedGalerkin",
    "convergence_factor",
    "full_multigrid",
    "galerkin_condition",
    "galerkin_matrix",
    "modes",
    "multigrid_cycle",
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
    "solve",
    "weights_prolongation",
    "weights_restriction",
]
