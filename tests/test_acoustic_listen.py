"""`deeplomatics listen`: its lines, every channel fault named, every bad file one sentence."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from test_acoustic_directions import AIR, drone, eight_microphones
from test_hearing_sources import TcpArray

from fusion.geometry import FloatArray, angles_to_direction
from models.acoustic_infer import Recogniser
from models.acoustic_network import SOUNDS, AcousticNetwork
from service import cli
from service.clock import SystemClock
from service.listen import listen, read_array
from service.listen_live import listen_live
from service.track import Progress
from simulation.sound_field import at_snr, field

RATE = 32_000
AZIMUTH_DEG, ELEVATION_DEG = 320.0, 25.0
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Call:
    """Runs the command in this process: status, standard output, standard error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["deeplomatics", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert isinstance(ended.value.code, int)
        told = capfd.readouterr()
        return ended.value.code, told.out, told.err

    return run


def untrained() -> Recogniser:
    torch.manual_seed(0)
    return Recogniser(AcousticNetwork(), {"name": "untrained", "sha256": "0"}, torch.device("cpu"))


@pytest.fixture(scope="module")
def samples() -> FloatArray:
    """1.2 s of a drone at eight microphones, at 10 dB."""
    generator = np.random.default_rng(4)
    truth = angles_to_direction(math.radians(AZIMUTH_DEG), math.radians(ELEVATION_DEG))
    sound = field([drone(truth, generator, 400.0)], eight_microphones(), np.arange(round(1.2 * RATE)) / RATE, AIR)
    noisy = at_snr(sound, generator.standard_normal(sound.shape), 10.0)
    return np.asarray(noisy * (0.2 / np.abs(noisy).max()))


@pytest.fixture
def array(tmp_path: Path) -> Path:
    path = tmp_path / "array.yaml"
    path.write_text(json.dumps({"microphones": eight_microphones().tolist(), "temperature": 15}))
    return path


def write(path: Path, samples: FloatArray, rate: int = RATE, subtype: str = "PCM_16") -> Path:
    soundfile.write(path, samples.T, rate, subtype=subtype)
    return path


def lines_of(audio: Path, array: Path | None) -> tuple[list[dict[str, Any]], list[str]]:
    """What is written, and what is warned of."""
    told: list[str] = []
    output = audio.with_suffix(".jsonl")
    listen(audio, read_array(array) if array else None, output, untrained, Progress(), told.append)
    return [json.loads(line) for line in output.read_text().splitlines()], told


@pytest.mark.parametrize("name", ["flight.wav", "flight.flac"])
def test_an_array_is_heard_ten_times_a_second(tmp_path: Path, samples: FloatArray, array: Path, name: str) -> None:
    (head, *rest), told = lines_of(write(tmp_path / name, samples), array)
    assert told == []
    assert (head["type"], head["sample_rate_hz"], head["channels"], head["t0"]) == ("header", RATE, 8, 0.0)
    assert [line["time"] for line in rest] == pytest.approx(0.1 * np.arange(12) + 0.05)
    for line in rest:
        assert line["type"] == "sound"
        assert list(line["scores"]) == list(SOUNDS)
        assert sum(line["scores"].values()) == pytest.approx(1.0, abs=2e-3)
        best = line["directions"][0]
        assert (best["azimuth"], best["elevation"]) == pytest.approx((AZIMUTH_DEG, ELEVATION_DEG), abs=6.0)
        assert 0.0 < best["sigma_azimuth"] < 5.0
        assert 0.0 < best["sigma_elevation"] < 5.0
        assert 0.0 < best["score"] <= 1.0


def test_faulty_channels_are_named_and_the_directions_stay_right(
    tmp_path: Path, samples: FloatArray, array: Path
) -> None:
    wrong = samples.copy()
    wrong[2] = 0.0
    wrong[5] *= -1.0
    (head, *rest), told = lines_of(write(tmp_path / "wrong.wav", wrong), array)
    assert [sentence.split(": ", 1)[1].split(":")[0] for sentence in told] == [
        "channel 3 is dead",
        "channel 6 is inverted",
    ]
    assert len(head["faults"]) == 2
    assert rest[6]["directions"][0]["azimuth"] == pytest.approx(AZIMUTH_DEG, abs=6.0)


def test_parts_of_a_long_recording_join_without_a_seam(tmp_path: Path) -> None:
    """One 10 s part and a bit: the estimates at the seam are those of the sound around them."""
    times = np.arange(round(10.45 * 8000)) / 8000
    audio = write(tmp_path / "long.wav", 0.1 * np.sin(2 * np.pi * 440.0 * times)[None], 8000)
    (_, *rest), _ = lines_of(audio, None)
    assert len(rest) == 104
    scores = np.array([list(line["scores"].values()) for line in rest])
    np.testing.assert_allclose(scores, np.tile(scores[50], (104, 1)), atol=0.02)
    assert all(line["directions"] == [] for line in rest)


def test_a_sound_shorter_than_a_second_is_heard(tmp_path: Path) -> None:
    noise = 0.1 * np.random.default_rng(1).standard_normal((2, 1000))
    (_, *rest), _ = lines_of(write(tmp_path / "short.wav", noise, 8000), None)
    assert len(rest) == 1


def test_bad_recordings_fail_with_one_sentence_and_leave_no_file(
    call: Call, tmp_path: Path, samples: FloatArray, array: Path
) -> None:
    with_nan = samples.copy()
    with_nan[4, 1000] = np.nan
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("no sound")
    (tmp_path / "cut.flac").write_bytes(write(tmp_path / "whole.flac", samples).read_bytes()[:60_000])
    fast = tmp_path / "fast.yaml"
    fast.write_text(json.dumps({"microphones": eight_microphones().tolist(), "sample_rate_hz": 44_100}))
    cases = [
        (write(tmp_path / "mono.wav", samples[:1]), array, "1 channel but the array has 8 microphones"),
        (write(tmp_path / "nan.wav", with_nan, subtype="FLOAT"), array, "no number, in channel 5 at 0.031 s"),
        (write(tmp_path / "none.wav", samples[:, :0]), array, "is empty"),
        (tmp_path / "empty.wav", array, "is empty"),
        (tmp_path / "text.wav", array, "no sound file"),
        (tmp_path / "cut.flac", array, "is damaged"),
        (write(tmp_path / "brief.wav", samples[:, :1000]), array, "too short for directions"),
        (write(tmp_path / "rate.wav", samples), fast, "32000 samples a second but the array says 44100"),
        (write(tmp_path / "quiet.wav", samples * (np.arange(8) < 3)[:, None]), array, "only 3 channels with sound"),
        (write(tmp_path / "slow.wav", samples[:, :400], 300), array, "too few frequencies"),
    ]
    output = tmp_path / "heard.jsonl"
    for audio, geometry, words in cases:
        status, _, error = call("listen", audio, "--array", geometry, "--output", output)
        (line,) = error.splitlines()
        assert (status, words in line) == (1, True), line
        assert not output.exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("microphones: [[0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 0]]", "one line"),
        ("microphones: [[0, 0, 0], [1, 0, 0]]", "at least four"),
        ("microphones: [[0, 0], [1, 0], [0, 1], [1, 1]]", "microphones.0"),
        ("microphones: [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]\nsample_rate: 44100", "sample_rate"),
        ("microphones: [", "no YAML"),
        ("- 1", "describes no array"),
        ("id: north", "microphones"),
    ],
)
def test_a_wrong_array_is_a_wrong_call(call: Call, tmp_path: Path, samples: FloatArray, text: str, words: str) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    status, _, error = call("listen", write(tmp_path / "flight.wav", samples), "--array", path)
    (line,) = error.splitlines()
    assert (status, words in line) == (2, True), line


def test_a_missing_file_is_a_wrong_call(call: Call, tmp_path: Path) -> None:
    status, _, error = call("listen", tmp_path / "nothing.wav")
    assert (status, "there is no file" in error) == (2, True)


# -- live --------------------------------------------------------------------------------------------------------------


class Enough(Progress):
    """Somebody presses Ctrl-C after five estimates."""

    def step(self) -> None:
        super().step()
        if self.frames == 5:
            raise KeyboardInterrupt


def test_a_live_array_is_heard_until_interrupted(tmp_path: Path, array: Path) -> None:
    output = tmp_path / "heard.jsonl"
    began_s = time.time()
    with closing(TcpArray()) as sender:
        listen_live(read_array(array, sender.url), output, untrained, Enough(), lambda _: None, SystemClock())
    head, *rest = [json.loads(line) for line in output.read_text().splitlines()]
    assert (head["type"], head["channels"], head["sample_rate_hz"]) == ("header", 8, 16_000)
    assert began_s < head["t0"] < time.time()
    assert [line["time"] for line in rest] == pytest.approx(0.1 * np.arange(5), abs=0.05)  # the clock is being learned


def test_a_live_source_that_cannot_be_heard_is_one_sentence(call: Call, tmp_path: Path, array: Path) -> None:
    cases = [
        ("tcp://127.0.0.1:1?rate=16000", array, 1, "the host refuses the connection"),
        ("tcp://127.0.0.1:1?rate=16000", None, 2, "a live source needs --array"),
        ("tcp://127.0.0.1:1", array, 2, "does not say what its samples are"),
        ("ftp://127.0.0.1/x", array, 2, "a stream is one of rtsp://"),
    ]
    for source, geometry, wanted, words in cases:
        status, _, error = call("listen", source, *(["--array", geometry] if geometry else []))
        (line,) = error.splitlines()
        assert (status, words in line) == (wanted, True), line
