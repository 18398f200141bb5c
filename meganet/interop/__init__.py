"""Bridges to other software: MATLAB files, SciPy, scikit-learn, PyTorch. Each needs its peer only when it is used."""

from meganet.interop.matlab import from_matlab, load_mat, save_mat, to_matlab

__all__ = ["from_matlab", "load_mat", "save_mat", "to_matlab"]
