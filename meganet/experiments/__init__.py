"""The thesis' experiments: described by data, resumable, reported beside the thesis' numbers."""

from meganet.experiments.coarse_to_fine import histories, run
from meganet.experiments.parallel import Workers
from meganet.experiments.plan import TABLES, protocol_for
from meganet.experiments.problems import load_data
from meganet.experiments.protocol import ARMS, PRESETS, Protocol, build_network
from meganet.experiments.store import ResultsError, ResultsFolder, read_protocol

__all__ = [
    "ARMS",
    "PRESETS",
    "TABLES",
    "Protocol",
    "ResultsError",
    "ResultsFolder",
    "Workers",
    "build_network",
    "histories",
    "load_data",
    "protocol_for",
    "read_protocol",
    "run",
]
