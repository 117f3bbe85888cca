"""The command of `deeplomatics` that makes flights of scenarios."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.call_error import CallError

if TYPE_CHECKING:
    from simulation.scenario import ScenarioFile

app = typer.Typer()


class Frames(StrEnum):
    NONE = "none"
    DETECTIONS = "detections"
    ALL = "all"


@app.command()
def simulate(
    scenario: Annotated[str, typer.Argument(metavar="SCENARIO", help="Scenario file, or the name of a kept one.")],
    output: Annotated[Path, typer.Option("--output", help="Flight to write (.mcap).")],
    seconds: Annotated[float, typer.Option("--seconds", min=0.1, max=86_400.0, help="How long.")] = 60.0,
    seed: Annotated[int | None, typer.Option("--seed", min=0, max=2**31, help="Another one than the file's.")] = None,
    frames: Annotated[Frames, typer.Option("--frames", help="Which pictures go into the flight.")] = Frames.NONE,
) -> None:
    """A scenario's flight, with the truth in it, as if its site had recorded it; as fast as the machine can.

    Example: deeplomatics simulate liar --output liar.mcap --seconds 120
    """
    file = read_scenario(scenario)
    if seed is not None:
        file = file.model_copy(update={"seed": seed})
    if not output.parent.is_dir():
        raise CallError(f"there is no folder {output.parent}: make it, or give another name")
    from service.clock import SystemClock
    from service.progress import shown
    from service.simulate import simulate as run

    with shown() as progress:
        done = run(file, output, seconds, SystemClock(), frames=frames.value, progress=progress)
    typer.echo(done.sentence(), err=True)


def read_scenario(name: str) -> ScenarioFile:
    """By its name or from a file; with all that is wrong with it."""
    from fusion.site import SiteError
    from service.demo import ScenarioMissing, find_scenario

    try:
        return find_scenario(name)
    except ScenarioMissing as error:
        raise CallError(str(error)) from None
    except SiteError as error:
        raise CallError("\n".join(f"{name}, {fault}" for fault in error.faults)) from None
