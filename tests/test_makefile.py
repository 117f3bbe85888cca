"""What `make` says on a machine that lacks something, with stand-ins for its Python."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ("make", "sh", "find", "grep")


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A checkout on a machine with no Python; programs can be put into its `bin`."""
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool) or pytest.fail(f"no {tool}"))
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "service" / "web").mkdir(parents=True)
    (tmp_path / "benchmarks").mkdir()
    return tmp_path


def make(machine: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(machine / "bin")}
    return subprocess.run(
        ["make", *arguments], cwd=machine, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def stand_in(machine: Path, name: str, script: str) -> None:
    path = machine / "bin" / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_no_python(machine: Path) -> None:
    done = make(machine, "setup")
    assert done.returncode != 0
    assert "no Python 3.11 or newer found" in done.stderr


def test_python_too_old(machine: Path) -> None:
    stand_in(machine, "python3", 'case "$2" in *version_info*) exit 1;; esac')
    assert "no Python 3.11 or newer found" in make(machine, "setup").stderr


def test_python_without_its_venv_module(machine: Path) -> None:
    stand_in(machine, "python3", 'case "$2" in *ensurepip*) exit 1;; esac')
    done = make(machine, "setup")
    assert done.returncode != 0
    assert "apt-get install python3-venv" in done.stderr


def test_a_newer_python_is_found_behind_an_old_one(machine: Path) -> None:
    stand_in(machine, "python3", 'case "$2" in *version_info*) exit 1;; esac')
    stand_in(machine, "python3.12", 'echo "called: $*"')
    assert "called: -m venv --clear .venv" in make(machine, ".venv/bin/python").stdout


def test_a_failed_step_is_done_again(machine: Path) -> None:
    """An interrupted installation leaves no mark that it was finished."""
    python = machine / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    assert make(machine, "setup").returncode != 0
    assert not (machine / ".venv" / ".installed").exists()
