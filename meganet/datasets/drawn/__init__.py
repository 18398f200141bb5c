"""Continuous functions, drawn by chance, and their averages over the cells of any grid."""
