"""Questions beyond the thesis' tables, each with runs of its own; see `meganet.experiments.questions.base`."""
