"""`deeplomatics fuse`: files around `fusion.fuse`."""

from __future__ import annotations

import sys
from pathlib import Path

from fusion.fuse import Refusals, bounded_lines, fuse
from fusion.site import Fault, Site, SiteError, parse_site
from service.partial import STANDARD_OUTPUT, written

_SHOWN_REFUSALS = 20


class FuseError(Exception):
    """No line of the measurements could be used."""


def placed_site(path: Path) -> Site:
    """The site of a file; unlike for serving, its cameras need no source.

    Raises:
        SiteError: all that is wrong with it.
        OSError: it cannot be read.
    """
    try:
        return parse_site(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise SiteError([Fault(1, "", "the file is not UTF-8 text; a site is written in YAML")]) from None


def fuse_file(measurements: Path, site: Site, output: Path | None) -> Refusals:
    """Write the tracks of a file of measurements to `output`, or to standard output.

    Raises:
        FuseError: there were lines and none could be used; nothing is written then.
        OSError: a file cannot be read or written.
    """
    refusals = Refusals()
    with measurements.open("rb") as lines, written(output or STANDARD_OUTPUT) as tracks:
        tracks.writelines(fuse(bounded_lines(lines), site, refusals))
        if refusals.first and not refusals.taken:
            number, reason = min(refusals.first)
            raise FuseError(f"{measurements} holds no measurement that can be used: line {number}: {reason}")
    return refusals


def say_refusals(refusals: Refusals) -> None:
    """The first refused lines with their reasons, and how many there were, on standard error."""
    for number, reason in refusals.first[:_SHOWN_REFUSALS]:
        print(f"line {number}: {reason}", file=sys.stderr)
    if refusals.counts:
        print(f"{refusals.counts.total()} lines refused, {refusals.taken} taken", file=sys.stderr)
