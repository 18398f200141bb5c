"""Figures: each file here holds some; see `meganet.experiments.report.figure`."""
