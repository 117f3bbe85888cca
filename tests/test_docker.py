"""docker/ without an engine: the files are linted, and what the image would run is run from the wheel."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("fusion", "models", "service", "simulation", "tracking")
VENV_BIN = Path(sys.executable).parent


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile as (instruction, rest), comments left out and continued lines joined."""
    text = (ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines()) if word]


def last(instruction: str) -> str:
    return [rest for word, rest in instructions() if word == instruction][-1]


def compose() -> dict[str, object]:
    document = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text(encoding="utf-8"))
    service = document["services"]["deeplomatics"]
    assert isinstance(service, dict)
    return service


def test_hadolint_finds_nothing() -> None:
    done = subprocess.run(
        [VENV_BIN / "hadolint", ROOT / "docker" / "Dockerfile"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_image_takes_the_pinned_torch() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pinned = next(name for name in project["dependencies"] if name.startswith("torch=="))
    assert ("ARG", f"TORCH_VERSION={pinned.removeprefix('torch==')}") in instructions()


def test_container_has_no_more_rights_than_it_needs() -> None:
    uid, gid = last("USER").split(":")
    assert int(uid) > 0
    assert int(gid) > 0
    service = compose()
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["network_mode"] == "host"
    assert "ports" not in service  # a published port leads nowhere while the service is on loopback only
    assert f"data:{environment()['DEEPLOMATICS_DATA_FOLDER']}" in str(service["volumes"])


def environment() -> dict[str, str]:
    """What the last stage sets with ENV."""
    return dict(re.findall(r"(\w+)=(\S+)", last("ENV")))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as in the image: from what .dockerignore lets in, and the console."""
    context = tmp_path_factory.mktemp("context")
    allowed = [
        line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] == "!"
    ]
    for name in (entry.removesuffix("/**") for entry in allowed):
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, context / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules", "*.egg-info")
            )
        else:
            shutil.copy(ROOT / name, context / name)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        "out",
        ".",
    ]
    subprocess.run(command, cwd=context, check=True, timeout=300)
    (built,) = (context / "out").glob("*.whl")
    return built


def test_wheel_holds_code_console_weights_and_licences(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    sources = {str(path.relative_to(ROOT)) for part in PARTS for path in (ROOT / part).rglob("*.py")}
    sources = {name for name in sources if "node_modules" not in name and not name.startswith("service/web/")}
    assert sources <= names
    assert "service/web/dist/index.html" in names
    for band in ("infrared", "visible"):
        assert any(re.match(rf"models/weights/.*{band}.*\.safetensors", name) for name in names), f"no {band} weights"
    assert {"LICENSE", "NOTICE"} <= {Path(name).name for name in names}
    assert not [name for name in names if "node_modules" in name or name.startswith(("tests/", "benchmarks/"))]


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel unpacked as pip unpacks it; what it depends on comes from the developers' environment."""
    site = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run(command, check=True, timeout=300)
    return site


@pytest.mark.timeout(300)  # the start loads torch and compiles two networks: seconds, minutes on a crowded machine
def test_image_starts_answers_its_health_check_and_stops(installed: Path, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = environment() | {"DEEPLOMATICS_DATA_FOLDER": str(tmp_path / "data"), "DEEPLOMATICS_PORT": str(port)}
    settings |= {"PATH": f"{installed / 'bin'}:{VENV_BIN}:/usr/bin:/bin", "PYTHONPATH": str(installed)}
    settings |= {"HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    start = [*json.loads(last("ENTRYPOINT")), *json.loads(last("CMD"))]
    check = json.loads(last("HEALTHCHECK").partition("CMD")[2])

    with subprocess.Popen(
        [shutil.which(start[0], path=settings["PATH"]) or start[0], *start[1:]], env=settings
    ) as service:
        try:
            assert not healthy(check, settings), "healthy before it can be: the check asks somebody else"
            deadline = time.monotonic() + 240
            while not healthy(check, settings):
                assert service.poll() is None, "the service ended by itself"
                assert time.monotonic() < deadline, "never healthy"
                time.sleep(1.0)
            service.terminate()
            assert service.wait(timeout=30) == 0
        finally:
            service.kill()


def healthy(check: list[str], settings: dict[str, str]) -> bool:
    return (
        subprocess.run(check, env=os.environ | settings, capture_output=True, timeout=30, check=False).returncode == 0
    )


def test_the_installed_code_is_the_wheels(installed: Path) -> None:
    command = [sys.executable, "-c", "import service; print(service.__file__)"]
    done = subprocess.run(
        command,
        env=os.environ | {"PYTHONPATH": str(installed)},
        cwd=installed,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(str(installed))
