"""Played sources against a clock of our own, and the state of live ones as literals of time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from fusion.sensors.address import SourceAddress
from fusion.sensors.camera.config import CameraConfig
from models.types import Frame
from service.capture import Capture
from service.capture_live import LiveFeed
from service.handoff import Handoff
from service.types import SensorState
from service.watchdog import Arrival, Backoff, LiveStatus, Stillness, Tally

SECOND = 1_000_000_000
NOON = 1_800_000_000 * SECOND
PERIOD = SECOND // 25


class PatientClock:
    """Time passes only while somebody waits, and then at once."""

    def __init__(self) -> None:
        self.elapsed_ns = 0

    def now_ns(self) -> int:
        return NOON + self.elapsed_ns

    def monotonic_ns(self) -> int:
        return 7 * SECOND + self.elapsed_ns

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        self.elapsed_ns += round(timeout_s * SECOND)
        return event.is_set()


def scene(count: int) -> Callable[[int | None], Iterator[Frame]]:
    def frames(start_ns: int | None) -> Iterator[Frame]:
        for index in range(count):
            pixels = np.full((2, 2, 1), index, np.uint8)
            yield Frame("cam", (start_ns or 0) + index * PERIOD, index, "infrared", pixels, "simulated")

    return frames


def config(**settings: object) -> CameraConfig:
    return CameraConfig.model_validate({"id": "cam", "source": "scene", "spectrum": "infrared", **settings})


def take_all(capture: Capture) -> list[Frame]:
    frames = []
    while not capture.ended:
        frame = capture.next(1.0)
        if frame is not None:
            frames.append(frame)
    return frames


def test_unpaced_every_frame_comes_with_the_recordings_own_time() -> None:
    capture = Capture(config(loop=True), PatientClock(), paced=False, open_frames=scene(100))
    capture.start()
    frames = take_all(capture)
    assert [frame.time_ns for frame in frames] == [index * PERIOD for index in range(100)]
    assert [frame.sequence for frame in frames] == list(range(100))
    health = capture.health()
    assert (health.state, health.frames_in, health.dropped) == (SensorState.ENDED, 100, {})
    capture.stop()


def test_paced_a_frame_comes_when_it_is_due_and_its_time_is_now() -> None:
    clock = PatientClock()
    released: list[tuple[int, int]] = []

    def watched(start_ns: int | None) -> Iterator[Frame]:
        for frame in scene(4)(start_ns):
            yield frame
            released.append((frame.time_ns, clock.now_ns()))  # asked for the next: this one has been handed over

    capture = Capture(config(), clock, open_frames=watched)
    capture.start()
    frames = take_all(capture)
    capture.stop()
    assert released == [(NOON + index * PERIOD, NOON + index * PERIOD) for index in range(4)]
    assert all(frame.received_ns == frame.time_ns for frame in frames)
    assert clock.elapsed_ns == 4 * PERIOD  # the last picture is shown for as long as the others


def test_paced_the_newest_wins_and_the_rest_is_counted() -> None:
    capture = Capture(config(), PatientClock(), open_frames=scene(50))
    capture.start()
    frames = take_all(capture)
    health = capture.health()
    assert frames[-1].sequence == 49
    assert health.frames_in == 50
    assert len(frames) + health.dropped.get("overtaken", 0) == 50
    capture.stop()


def test_a_recording_that_the_machine_cannot_play_at_its_pace_is_played_slower_and_not_shown_as_the_past() -> None:
    clock = PatientClock()

    def slow(start_ns: int | None) -> Iterator[Frame]:
        for frame in scene(200)(start_ns):
            clock.elapsed_ns += 2 * PERIOD  # what it takes to decode
            yield frame

    capture = Capture(config(), clock, open_frames=slow)
    capture.start()
    frames = take_all(capture)
    capture.stop()
    assert frames[-1].received_ns > NOON + 390 * PERIOD
    assert all(0 <= frame.received_ns - frame.time_ns <= 2 * SECOND + PERIOD for frame in frames)
    assert all(after.time_ns > before.time_ns for before, after in pairwise(frames))


@pytest.mark.parametrize("count", [1, 3])
def test_a_loop_goes_on_with_rising_times_and_numbers(count: int) -> None:
    capture = Capture(config(loop=True), PatientClock(), open_frames=scene(count))
    capture.start()
    frames: list[Frame] = []
    while len(frames) < 10:
        frame = capture.next(5.0)
        assert frame is not None
        frames.append(frame)
    capture.stop()
    assert all(after.sequence > before.sequence for before, after in pairwise(frames))
    assert all(after.time_ns - before.time_ns >= SECOND // 30 for before, after in pairwise(frames))


@pytest.mark.parametrize("paced", [True, False])
def test_a_recording_that_cannot_be_read_fails_with_its_reason(tmp_path: Path, paced: bool) -> None:
    (tmp_path / "text.mp4").write_text("not a video")
    capture = Capture(config(source=str(tmp_path / "text.mp4")), PatientClock(), paced=paced)
    capture.start()
    assert take_all(capture) == []
    health = capture.health()
    assert health.state is SensorState.FAILED
    assert "text.mp4 cannot be read as a video" in health.reason
    capture.stop()


def test_stop_ends_a_reader_nobody_takes_from() -> None:
    capture = Capture(config(), PatientClock(), paced=False, open_frames=scene(10_000))
    capture.start()
    assert capture.next(5.0) is not None
    capture.stop()
    assert "capture-cam" not in {thread.name for thread in threading.enumerate()}


def test_handoff_gives_back_what_a_newer_one_replaced() -> None:
    handoff: Handoff[int] = Handoff()
    assert [handoff.put(item) for item in (1, 2, 3)] == [None, 1, 2]
    handoff.close()
    assert handoff.put(4) == 4
    assert not handoff.finished
    assert handoff.take(0.0) == 3
    assert handoff.take(0.0) is None
    assert handoff.finished


# Live sources: state as a function of what came when.


def status() -> LiveStatus:
    live = LiveStatus("cam", 5 * SECOND, 0)
    live.connect(0)
    return live


def deliver(live: LiveStatus, first_ns: int, last_ns: int, *, frozen: bool = False, period_ns: int = PERIOD) -> None:
    for now_ns in range(first_ns, last_ns + 1, period_ns):
        live.frame(Arrival(NOON + now_ns, "rtcp", 1 if frozen else now_ns + 1), now_ns)


def state_at(live: LiveStatus, now_s: float) -> SensorState:
    return live.health(round(now_s * SECOND)).state


def test_silence_makes_a_source_stale_then_down() -> None:
    live = status()
    assert state_at(live, 1) is SensorState.STARTING
    deliver(live, SECOND, 2 * SECOND)
    assert state_at(live, 2.9) is SensorState.ONLINE
    assert state_at(live, 3.1) is SensorState.STALE
    assert state_at(live, 11.9) is SensorState.STALE
    assert state_at(live, 12.1) is SensorState.DOWN
    assert live.health(13 * SECOND).reason == "no picture for 11 s"


def test_a_connection_without_pictures_is_given_up() -> None:
    live = status()
    assert not live.stalled(29 * SECOND)
    assert live.stalled(31 * SECOND)  # the process did not even start
    live.connect(31 * SECOND)
    live.open(35 * SECOND)
    assert not live.stalled(46 * SECOND)
    assert live.stalled(48 * SECOND) == "no picture in time"  # 5 s to open and 7 for a key frame are over
    live.connect(50 * SECOND)
    deliver(live, 51 * SECOND, 52 * SECOND)
    assert not live.stalled(56 * SECOND)
    assert live.stalled(58 * SECOND) == "no picture for 6 s"


def test_a_slow_camera_is_given_the_time_it_takes() -> None:
    live = status()
    deliver(live, 0, 120 * SECOND, period_ns=2 * SECOND)  # one picture in two seconds
    assert state_at(live, 123) is SensorState.ONLINE
    assert not live.stalled(127 * SECOND)
    assert state_at(live, 127) is SensorState.STALE


def test_a_lost_connection_is_down_until_a_picture_comes() -> None:
    live = status()
    deliver(live, 0, SECOND)
    live.lose("the host refuses the connection")
    live.connect(2 * SECOND)
    health = live.health(2 * SECOND)
    assert (health.state, health.reconnects) == (SensorState.DOWN, 1)
    assert health.reason == "the host refuses the connection; trying again"
    deliver(live, 3 * SECOND, 3 * SECOND)
    assert live.health(3 * SECOND).reason == ""
    assert state_at(live, 3) is SensorState.ONLINE


def test_the_same_picture_for_five_seconds_is_frozen_and_a_new_one_is_not() -> None:
    live = status()
    deliver(live, 0, 4 * SECOND, frozen=True)
    assert state_at(live, 4) is SensorState.ONLINE
    deliver(live, 4 * SECOND + PERIOD, 6 * SECOND, frozen=True)
    assert state_at(live, 6) is SensorState.FROZEN
    deliver(live, 6 * SECOND + PERIOD, 6 * SECOND + PERIOD)
    assert state_at(live, 6.1) is SensorState.ONLINE


def seen(pictures: str, period_ns: int) -> str:
    """For each picture, named by a letter, what `Stillness` makes of it: `.` new, r repeated, f frozen."""
    stillness = Stillness()
    said = (
        stillness.see(np.full((80, 64, 1), ord(picture), np.uint8), step * period_ns)
        for step, picture in enumerate(pictures)
    )
    return "".join(reason[:1] or "." for reason in said)


def test_a_picture_that_comes_again_is_no_news_and_after_a_quarter_of_a_second_frozen() -> None:
    assert seen("abcdef", PERIOD) == "......"
    assert seen("aabbcc", PERIOD) == ".r.r.r"
    assert seen("a" * 12 + "bcd", PERIOD) == "." + "r" * 6 + "f" * 7 + "."  # 40 ms each
    assert seen("a" * 12 + "b" * 12 + "cde", PERIOD).endswith("f" * 12 + "ff.")  # drawn anew by an encoder
    assert seen("aaaabbbbcccc", SECOND) == ".rrf" + "f" * 8


def test_a_thermal_core_of_nine_pictures_a_second_is_not_frozen_but_its_shutter_is() -> None:
    for times in (3, 6):
        live = "".join(letter * times for letter in "abcdefgh")
        as_said = "." + "r" * (times - 1)
        assert seen(live, SECOND // (9 * times)) == as_said * 8
        shut = live + "h" * 5 * times + "".join(letter * times for letter in "ijklmn")
        said = seen(shut, SECOND // (9 * times))
        assert "f" in said
        assert said.endswith(as_said * 3)


def test_one_pixel_that_changed_makes_a_picture_new() -> None:
    stillness, pixels = Stillness(), np.zeros((100, 100, 3), np.uint8)
    assert stillness.see(pixels, 0) == ""
    changed = pixels.copy()
    changed[33, 7, 1] = 1  # in none of the rows that are looked at first
    assert stillness.see(changed, PERIOD) == ""
    assert stillness.see(changed.copy(), 2 * PERIOD) == "repeated"


def test_a_clock_that_is_not_believed_is_told() -> None:
    live = status()
    deliver(live, 0, SECOND)
    live.clock_error_ns = -7200 * SECOND
    assert live.health(SECOND).reason == "its clock is 7200 s behind of ours, so frames are timed by arrival"


def test_a_rate_is_of_the_last_two_seconds() -> None:
    tally = Tally("cam")
    for now_ns in range(0, 4 * SECOND, PERIOD):
        tally.frame(Arrival(now_ns, "pts"), now_ns)
    assert tally.fps(4 * SECOND) == pytest.approx(25, rel=0.05)
    assert tally.fps(5 * SECOND) == pytest.approx(12.5, rel=0.1)
    assert tally.fps(7 * SECOND) == 0.0


def test_tries_are_further_and_further_apart_but_not_in_step() -> None:
    first, second = Backoff("east"), Backoff("west")
    waits = [first.next_s() for _ in range(9)]
    for wait_s, base_s in zip(waits, (0.5, 1, 2, 4, 8, 16, 30, 30, 30), strict=True):
        assert 0.8 * base_s <= wait_s <= 1.2 * base_s
    assert waits != [second.next_s() for _ in range(9)]
    again = Backoff("east")
    assert waits == [again.next_s() for _ in range(9)]
    first.reset()
    assert first.next_s() <= 0.6


def test_a_live_source_is_not_opened_before_start() -> None:
    feed = LiveFeed(CameraConfig(id="cam", source=SourceAddress("rtsp://127.0.0.1:9/x")), PatientClock())
    assert feed.health().state is SensorState.STARTING
    assert not feed.ended
    feed.stop()
    assert feed.ended
