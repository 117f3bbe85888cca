"""What the truth says of every kept scenario: simulated, tracked, fused, judged. Writes the table in the README.

    python -m benchmarks.scenarios [--seconds 30] [--flights FOLDER]

Flights that are in FOLDER already are judged as they are; drawing the pictures takes most of the time.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.machine import describe, keep
from service.clock import SystemClock
from service.evaluate_fusion import evaluate, markdown, scenario_cases, show
from service.progress import shown
from simulation.scenario import scenario_names

README = Path(__file__).resolve().parents[1] / "README.md"
BEGIN, END = "<!-- scenarios: python -m benchmarks.scenarios -->\n", "<!-- end of scenarios -->"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=30.0, help="of each scenario")
    parser.add_argument("--flights", type=Path, help="folder that keeps the flights")
    parser.add_argument("--only", nargs="+", default=list(scenario_names()), metavar="SCENARIO")
    given = parser.parse_args()
    machine = describe()
    with tempfile.TemporaryDirectory(prefix="scenarios-") as folder, shown() as progress:
        kept = given.flights or Path(folder)
        cases = scenario_cases(given.only, given.seconds, SystemClock(), kept, progress)
        found = evaluate(cases, leave_out=False, progress=progress)
    for case in found["scenarios"].values():
        del case["now"]
    show(found)
    keep("scenarios", {"machine": machine, "seconds": given.seconds} | found)
    write_table(README, found)


def write_table(page: Path, found: dict[str, Any]) -> None:
    """Put the table between its two marks."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    if not after:
        raise SystemExit(f"{page} has not the marks {BEGIN.strip()} and {END}")
    page.write_text(f"{before}{BEGIN}{markdown(found)}{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
