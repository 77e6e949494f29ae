"""Write the reckoned part of docs/scale.md, between its markers, from the result file of benchmarks.cluster.

Example: python -m benchmarks.scale
"""

import math
import re
from dataclasses import dataclass
from typing import Any

from benchmarks.machine import ROOT
from benchmarks.readme import MARKER, result

PLAN = ROOT / "docs" / "scale.md"
NAME = "plan"
USED_OF_A_COMMAND = 0.7
"""How much of what one command can read and commit is planned with."""


@dataclass(frozen=True)
class Machine:
    """A kind of machine at its list price, on demand."""

    name: str
    processors: int
    memory_gib: int
    dollars_an_hour: float


CLOUD = Machine(name="c6a.4xlarge", processors=16, memory_gib=32, dollars_an_hour=0.612)
"""AWS, us-east-1, Linux: docs/scale.md names the page. Its processors are of the generation that was measured (EPYC, Zen 3)."""


@dataclass(frozen=True)
class Size:
    """How many sentences, and how many machines are to score them."""

    sentences: int
    machines: int


SIZES = (Size(50_000_000, 4), Size(5_000_000_000, 64))


def main() -> None:
    """Rewrite the plan in place."""
    text = PLAN.read_text(encoding="utf-8")
    marker, end = MARKER.format(name=NAME), MARKER.format(name=f"end of {NAME}")
    block = f"{marker}\n{section(result('cluster'))}\n{end}"
    PLAN.write_text(re.sub(rf"{re.escape(marker)}.*?{re.escape(end)}", lambda _: block, text, flags=re.DOTALL), encoding="utf-8")


def section(found: dict[str, Any]) -> str:
    """Return the measured rates and what follows from them."""
    plans = [reckon(found, size) for size in SIZES]
    lines = [
        f"| | {' | '.join(f'{size.sentences:,} sentences' for size in SIZES)} |",
        f"|---|{'---|' * len(SIZES)}",
        *(f"| {name} | {' | '.join(plan[name] for plan in plans)} |" for name in plans[0]),
    ]
    rows = found["bytes_a_row"]
    return "\n".join(
        [
            f"Measured: an actor of one processor scores {found['texts_a_second_an_actor']:.0f} texts a second and takes"
            f" {found['actor_memory_mb']} MB; {found['actors']} actors on {found['actors']} processors reach"
            f" {found['ray_against_local']:.0%} of the local engine; one command reads and commits"
            f" {found['command_rows_a_second']:,} rows a second at most; a row takes {rows['input, CSV']} bytes of CSV,"
            f" {rows['to an actor']} to an actor, {rows['from an actor']} back, {rows['output, Parquet']} of Parquet."
            f" (`python -m benchmarks.cluster`; {found['machine']}, {found['date']}, commit {found['commit']}.)",
            "",
            *lines,
        ]
    )


def reckon(found: dict[str, Any], size: Size) -> dict[str, str]:
    """Return what a size takes, as the lines of a column."""
    an_hour = found["texts_a_second_an_actor"] * CLOUD.processors * 3600
    machine_hours = size.sentences / an_hour
    rate = found["texts_a_second_an_actor"] * CLOUD.processors * size.machines
    commands = math.ceil(rate / (USED_OF_A_COMMAND * found["command_rows_a_second"]))
    rows = found["bytes_a_row"]
    dollars = machine_hours * CLOUD.dollars_an_hour
    return {
        f"machines ({CLOUD.name})": f"{size.machines}",
        "commands at once, each with a share of the files": f"{commands}",
        "hours": f"{machine_hours / size.machines:,.1f}",
        "machine-hours": f"{machine_hours:,.0f}",
        "input, CSV": amount(size.sentences * rows["input, CSV"]),
        "output, Parquet": amount(size.sentences * rows["output, Parquet"]),
        "over the network": amount(size.sentences * (rows["to an actor"] + rows["from an actor"])),
        f"price at ${CLOUD.dollars_an_hour} an hour": f"${dollars:,.0f}",
        "price a million": f"${dollars / size.sentences * 1e6:.3f}",
    }


def amount(size: float) -> str:
    """Return a number of bytes in GB or TB."""
    return f"{size / 1e12:,.2f} TB" if size >= 1e12 else f"{size / 1e9:,.1f} GB"


if __name__ == "__main__":
    main()
