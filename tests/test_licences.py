"""No copyleft reaches a user unannounced: what is installed for run time, read from the packages themselves."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
COPYLEFT = re.compile(r"\b(A|L)?GPL|General Public License", re.IGNORECASE)
#: Encoder libraries under the GPL, and the one package that NOTICE names for them.
GPL_LIBRARIES = re.compile(r"lib(x264|x265|xvid|postproc)\b")
EXCEPTION = "av"


def runtime_packages() -> dict[str, metadata.Distribution]:
    """Everything that `make setup` installs, found by following the requirements."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    waiting = [Requirement(line) for line in project["dependencies"] + project["optional-dependencies"]["openvino"]]
    found: dict[str, metadata.Distribution] = {}
    seen: set[str] = set()
    while waiting:
        requirement = waiting.pop()
        if str(requirement) in seen:
            continue
        seen.add(str(requirement))
        package = found[requirement.name.lower()] = metadata.distribution(requirement.name)
        extras = ("", *requirement.extras)
        waiting += [r for r in map(Requirement, package.requires or []) if applies(r, extras)]
    return found


def applies(requirement: Requirement, extras: tuple[str, ...]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in extras)


def declared_licence(package: metadata.Distribution) -> str:
    """The licence expression; else the classifiers; else the first line of the licence field."""
    fields = package.metadata.json
    classifiers = [line for line in fields.get("classifier", []) if line.startswith("License ::")]
    return str(
        fields.get("license_expression") or "; ".join(classifiers) or str(fields.get("license", "")).split("\n")[0]
    )


@pytest.fixture(scope="module")
def packages() -> dict[str, metadata.Distribution]:
    found = runtime_packages()
    assert {"torch", "av", "numpy", "openvino", "starlette"} <= found.keys()  # the walk does reach far
    return found


def test_every_package_says_its_licence_and_none_is_copyleft(packages: dict[str, metadata.Distribution]) -> None:
    licences = {name: declared_licence(package) for name, package in packages.items()}
    assert [name for name, licence in licences.items() if not licence] == []
    assert {name: licence for name, licence in licences.items() if COPYLEFT.search(licence)} == {}


def test_gpl_codecs_come_with_the_one_package_that_notice_names(packages: dict[str, metadata.Distribution]) -> None:
    files = {name: [str(file) for file in package.files or []] for name, package in packages.items()}
    holders = {name for name, listed in files.items() if any(GPL_LIBRARIES.search(file) for file in listed)}
    assert holders <= {EXCEPTION}
    assert "package `av`" in (ROOT / "NOTICE").read_text(encoding="utf-8")


def test_copyleft_would_be_found() -> None:
    for licence in ("AGPL-3.0-or-later", "GPL-2.0", "License :: OSI Approved :: GNU General Public License v3 (GPLv3)"):
        assert COPYLEFT.search(licence)
    assert GPL_LIBRARIES.search("av.libs/libx264-d6533a8d.so.165")
