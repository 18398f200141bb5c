"""The thesis' experiments: described by data, resumable, reported beside the thesis' numbers."""

from meganet.experiments.coarse_to_fine import histories, load_data, run
from meganet.experiments.protocol import ARMS, PRESETS, Protocol, build_network, protocol_for
from meganet.experiments.store import ResultsError, ResultsFolder

__all__ = [
    "ARMS",
    "PRESETS",
    "Protocol",
    "ResultsError",
    "ResultsFolder",
    "build_network",
    "histories",
    "load_data",
    "protocol_for",
    "run",
]
