"""Weights in the order of MATLAB's Meganet, and ``.mat`` files of them (level 5 and 7.3)."""

from meganet._matlab import from_matlab, load_mat, matlab_positions, save_mat, to_matlab

__all__ = ["from_matlab", "load_mat", "matlab_positions", "save_mat", "to_matlab"]
