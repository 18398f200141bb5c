"""What a whole table of the thesis costs: training and evaluation of 20 trials, against the fastest peer; peak memory.

Measured are a step and an evaluation of 10,000 images of each network, in one process on the same threads, and the
peak memory of training, each side in a process of its own. The hours are these times the protocol's numbers of steps
and evaluations: 20 coarse epochs of 40,000 examples, then three arms with 10 epochs of 10,000, both with training and
validation evaluated before and after every epoch, 20 times.

    pip install ".[bench]" && python benchmarks/table.py
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import common
import sides
from memory import peak_of_training
from peers import Variant, peers
from suite.cases import Case
from threadpoolctl import threadpool_limits

from meganet.experiments import Setup, tables_of
from meganet.experiments.setup.stages import planned

TABLES = {"4.1": (Case("A", 14), Case("A", 28)), "4.2": (Case("B", 14), Case("B", 28))}
EXAMPLES = 10_000
PEER = "best peer"
"""Of each row."""


def main() -> None:
    """Measure every network and write the tables."""
    parser = common.parser(__doc__.splitlines()[0], rounds=5)
    sides.add_against(parser)
    options = parser.parse_args()
    variants = peers(sides.named(options.against), options.threads)
    record: dict[str, Any] = {"cases": [], "tables": {}}
    rows = []
    with threadpool_limits(options.threads):
        for case in [case for cases in TABLES.values() for case in cases]:
            times, memory = measured(case, variants, options)
            record["cases"].append({**asdict(case), "ms": times, "peak_mib": memory})
            for what, values, unit in (("step", times["step"], "ms"), ("evaluation", times["evaluation"], "ms")):
                rows.append(line(f"{case}: {what}", values, unit))
            if None not in memory.values():
                rows.append(line(f"{case}: peak memory", memory, "MiB"))
        record["machine"] = common.machine(options.threads, sides.kernels(options.against))
    for number, cases in TABLES.items():
        ours, theirs = (hours(record, number, cases, side) for side in ("meganet", PEER))
        record["tables"][number] = {"meganet_hours": ours, "peer_hours": theirs}
        rows.append(line(f"**table {number}, 20 trials**", {"meganet": ours, PEER: theirs}, "h"))
    text = common.table(["32 images a step, 10,000 an evaluation", "meganet", PEER, f"{PEER} / meganet"], rows)
    common.write("table", "What a table costs", text, record, options.isa)


def measured(
    case: Case, variants: Mapping[str, Variant], options: Any
) -> tuple[dict[str, dict[str, float]], dict[str, float | None]]:
    """Return milliseconds of step and evaluation and the peak memory, ours and the best of the peers'."""
    both = sides.made(case, variants, EXAMPLES)
    found = {name: side.evaluate() for name, side in both.items()}
    for name, other in found.items():
        difference = max(abs(a - b) / abs(b) for a, b in zip(other, found["meganet"], strict=True))
        if difference > 1e-3:
            raise SystemExit(f"{case}: evaluations differ by {difference:.1e} from {name}")
    steps = common.medians({n: s.step for n, s in both.items()}, 2 * options.rounds, within=sides.OURS)
    calls = {n: s.evaluate for n, s in both.items()}
    evaluations = common.medians(calls, options.rounds, calls=1, warm_up=1, within=sides.OURS)
    libraries = {"meganet": None} | {name: variant.library for name, variant in variants.items()}
    memory = {
        name: peak_of_training(name, case, options.threads, library=library, examples=EXAMPLES)
        for name, library in libraries.items()
    }
    return {"step": best(steps, variants), "evaluation": best(evaluations, variants)}, best(memory, variants)


def best(values: Mapping[str, Any], variants: Mapping[str, Variant]) -> dict[str, Any]:
    """Return ours and the smallest of the peers' values."""
    theirs = [values[name] for name in variants]
    return {"meganet": values["meganet"], PEER: None if None in theirs else min(theirs)}


def hours(record: dict[str, Any], number: str, cases: tuple[Case, ...], side: str) -> float:
    """Return how long a table takes."""
    thesis, (table,) = Setup(), tables_of(number)
    coarse, fine = (next(c["ms"] for c in record["cases"] if Case(**key(c)) == case) for case in cases)
    total = 0.0
    for stage in planned(table.stages(), 2):
        ms, epochs, examples = coarse if stage.grid == 0 else fine, stage.length(thesis), stage.examples(thesis)
        evaluated = (epochs + 1) * (examples + thesis.data.validation_examples) / EXAMPLES
        steps = epochs * (examples // thesis.descent.batch_size)
        total += steps * ms["step"][side] + evaluated * ms["evaluation"][side]
    return thesis.run.trials * total / 3.6e6


def key(case: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a `Case`."""
    return {name: value for name, value in case.items() if name in Case.__dataclass_fields__}


def line(name: str, values: dict[str, Any], unit: str) -> list[str]:
    """Return a row of the table."""
    ours, theirs = values["meganet"], values[PEER]
    return [name, f"{ours:.1f} {unit}", f"{theirs:.1f} {unit}", f"{theirs / ours:.2f}"]


if __name__ == "__main__":
    common.run(main)
