"""Protocols: each file here holds some, as data; see `meganet.experiments.setup.tables`."""
