"""The command line: statuses, one sentence for what went wrong, and nothing loaded that is not needed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from bright_spot import write_video

from service import cli
from service.site import read_site

Call = Callable[..., tuple[int, str, str]]
PASSWORD = "hunter2:secret"


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    """Runs the command in this process: status, standard output, standard error."""
    monkeypatch.setenv("DEEPLOMATICS_DATA_FOLDER", str(tmp_path / "data"))

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["deeplomatics", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert isinstance(ended.value.code, int)
        told = capfd.readouterr()
        return ended.value.code, told.out, told.err

    return run


def one_sentence(error: str) -> str:
    """What stands on stderr, which is one line and no traceback."""
    (line,) = error.splitlines()
    assert line.startswith("deeplomatics: ")
    return line


@pytest.mark.parametrize("command", ["", "demo", "serve", "track", "train", "evaluate", "train detector"])
def test_every_command_says_what_it_does(call: Call, command: str) -> None:
    status, out, _ = call(*command.split(), "--help")
    assert status == 0
    assert out.startswith("Usage: deeplomatics")
    if command in ("demo", "serve", "track", "train detector"):
        assert "Example: deeplomatics" in out


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from service import cli; sys.argv = ['deeplomatics', '--help']\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'av', 'cv2', 'pydantic', 'fastapi', 'rich'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("serve", "--source"),
        ("serve --source 0 --sensor radar", "radar"),
        ("serve --source 0 --host 0.0.0.0", "no authentication"),
        ("serve --source 0 --port 70000", "--port"),
        ("serve --source nothing-here.mp4", "nothing-here.mp4"),
        ("serve --source ftp://host/stream", "rtsp://"),
        ("serve --source 0 --sensor visible --sensor infrared", "once for each"),
        ("track nothing-here.mp4", "nothing-here.mp4"),
        ("track", "source"),
        ("fly", "fly"),
    ],
)
def test_a_wrong_call_is_one_sentence_and_status_2(call: Call, arguments: str, words: str) -> None:
    status, out, err = call(*arguments.split())
    assert (status, out) == (2, "")
    assert words in one_sentence(err)


def test_a_wrong_setting_of_the_environment_is_named(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPLOMATICS_DETECTOR__THREADS", "many")
    status, _, err = call("serve", "--source", "0")
    assert status == 2
    assert "DEEPLOMATICS_DETECTOR__THREADS" in one_sentence(err)


def test_a_port_in_use_is_told_before_anything_is_loaded(call: Call) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, _, err = call("serve", "--source", "0", "--port", str(port))
    assert status == 1
    assert f"port {port}" in one_sentence(err)
    assert "--port" in err


def test_a_store_that_cannot_be_written_is_named(call: Call, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("a file where a folder is wanted")
    status, _, err = call("serve", "--source", "0", "--port", "0", "--data", str(blocked / "data"))
    assert status == 1
    assert str(blocked) in one_sentence(err)


@pytest.mark.parametrize("content", [b"", b"this is no video", b"\x00\x00\x00\x18ftypmp42" + bytes(500)])
def test_what_is_no_video_fails_with_its_name_and_leaves_no_file(call: Call, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "flight.mp4"
    path.write_bytes(content)
    status, out, err = call("track", str(path), "--output", str(tmp_path / "flight.jsonl"))
    assert (status, out) == (1, "")
    assert str(path) in one_sentence(err)
    assert sorted(each.name for each in tmp_path.glob("flight*")) == ["flight.mp4"]


def test_a_url_that_refuses_fails_without_showing_its_password(call: Call, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    status, out, err = call("track", f"rtsp://admin:{PASSWORD}@127.0.0.1:{port}/live", "--output", str(tmp_path / "a"))
    assert status == 1
    assert f"127.0.0.1:{port}" in one_sentence(err)
    assert "hunter2" not in out + err


def test_weights_with_another_hash_are_refused(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = tmp_path / "visible.safetensors"
    weights.write_bytes(b"changed")
    weights.with_suffix(".json").write_text(json.dumps({"sha256": "0" * 64}))
    monkeypatch.setenv("DEEPLOMATICS_DETECTOR__WEIGHTS", json.dumps({"visible": str(weights)}))
    status, _, err = call("track", str(write_video(tmp_path / "a.mp4")), "--output", str(tmp_path / "a.jsonl"))
    assert status == 1
    assert str(weights) in one_sentence(err)
    assert not list(tmp_path.glob("a.jsonl*"))


def test_an_output_where_nothing_may_be_written_is_named(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "missing" / "a.jsonl"
    status, _, err = call("track", str(write_video(tmp_path / "a.mp4")), "--output", str(path))
    assert status == 1
    assert str(path) in one_sentence(err)


def test_detections_of_others_are_tracked_to_standard_output_without_loading_a_detector(tmp_path: Path) -> None:
    det = tmp_path / "det.txt"
    det.write_text("".join(f"{n},-1,{10 + n},20,8,8,0.9\n" for n in range(1, 11)))
    done = run_command("track", str(det), "--fps", "30")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["type"] for line in lines] == ["header"] + ["frame"] * 10
    assert done.stderr == ""


def run_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from service.cli import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=True, env=dict(os.environ))


SITE = """
site: {name: field, origin: {latitude: 48.1, longitude: 11.6, altitude: 560}}
sensors:
  - id: cam-east
    kind: camera
    spectrum: infrared
    source: east.mp4
    capture: {loop: true}
  - {id: mic-north, kind: external}
"""


def test_a_site_file_gives_its_cameras_with_files_as_seen_from_it(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(SITE)
    site, (camera,) = read_site(path)
    assert site.file.site.name == "field"
    assert (camera.id, camera.spectrum, camera.loop) == ("cam-east", "infrared", True)
    assert camera.source.reveal() == str(tmp_path / "east.mp4")


def test_check_says_all_that_is_wrong_with_its_lines(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(SITE)
    assert call("check", str(path))[:2] == (0, f"{path} is right: 1 cameras\n")
    path.write_text(SITE.replace("loop: true", "loop: maybe, fsp: 3"))
    status, _, err = call("check", str(path))
    assert status == 1
    assert [line.split(":")[0] for line in err.splitlines()] == [f"{path}, line 4"] * 2
    assert "capture.loop" in err
    assert "capture.fsp" in err
    status, _, err = call("serve", "--config", str(path))
    assert status == 2
    assert "1 more" in one_sentence(err)
