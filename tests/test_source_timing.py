"""The capture time of live frames, in literal nanoseconds: what the sender says, what arrival tells, what to doubt."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from fusion.sensors.camera.timing import LiveTime, RecordedTime, Stamp

MS = 1_000_000
SECOND = 1000 * MS
PERIOD = 40 * MS
NOON = 1_800_000_000 * SECOND
LATENCY = 100 * MS


def live_time() -> LiveTime:
    return LiveTime(LATENCY, 50 * MS, 5 * SECOND)


def run(times: LiveTime, delays_ms: list[int], *, sender_error_ms: int | None = None, first: int = 0) -> list[Stamp]:
    """Frames taken every 40 ms from noon on, each arriving after its delay."""
    stamps = []
    for index, delay_ms in enumerate(delays_ms, first):
        taken = NOON + index * PERIOD
        arrival = taken + delay_ms * MS
        sender = None if sender_error_ms is None else taken + sender_error_ms * MS
        times.observe(index * PERIOD, arrival, sender)
        stamps.append(times.stamp(index * PERIOD, arrival))
    return stamps


def errors_ms(stamps: list[Stamp], first: int = 0) -> list[float]:
    return [(stamp.time_ns - NOON - index * PERIOD) / MS for index, stamp in enumerate(stamps, first)]


def test_the_senders_own_time_is_taken_whatever_the_network_does() -> None:
    stamps = run(live_time(), [90, 400, 95, 900, 91], sender_error_ms=2)
    assert errors_ms(stamps) == [-10, 2, 2, 2, 2]  # FFmpeg's first report is wrong by one frame and is left out
    assert [stamp.source for stamp in stamps] == ["arrival", "rtcp", "rtcp", "rtcp", "rtcp"]


def test_without_it_the_least_delayed_packet_sets_the_zero() -> None:
    stamps = run(live_time(), [100, 130, 160, 105, 300, 140])
    assert errors_ms(stamps) == [0, 0, 0, 0, 0, 0]
    assert {(stamp.source, stamp.sigma_ns) for stamp in stamps} == {("arrival", 50 * MS)}


def test_a_camera_clock_that_drifts_is_followed() -> None:
    times = live_time()
    for index in range(25 * 120):  # two minutes of a stream whose clock is 0.1 % slow
        arrival = NOON + index * PERIOD
        times.observe(index * PERIOD * 999 // 1000, arrival, None)
        last = times.stamp(index * PERIOD * 999 // 1000, arrival)
    assert abs(last.time_ns + LATENCY - arrival) < 25 * MS  # the drift of one window, not of two minutes


def test_the_zero_is_learned_once_and_kept_when_reports_pause() -> None:
    times = live_time()
    run(times, [90] * 5, sender_error_ms=0)
    later = run(times, [90] * 5, first=5)
    assert errors_ms(later, 5) == [0] * 5
    assert {stamp.source for stamp in later} == {"rtcp"}


def test_a_sender_an_hour_off_is_not_believed_and_its_error_is_told() -> None:
    times = live_time()
    stamps = run(times, [100] * 3, sender_error_ms=3_600_000)
    assert errors_ms(stamps) == [0, 0, 0]
    assert {stamp.source for stamp in stamps} == {"arrival"}
    assert times.clock_error_ns == 3600 * SECOND
    run(times, [100], sender_error_ms=0, first=3)
    assert times.clock_error_ns is None


def test_a_correction_backwards_is_approached_at_half_pace() -> None:
    times = live_time()
    run(times, [150] * 10)  # 50 ms later than the configured latency: times are 50 ms late
    stamps = run(times, [150] * 5, sender_error_ms=0, first=10)
    assert errors_ms(stamps, 10) == [50, 30, 10, 0, 0]
    assert [stamp.sigma_ns for stamp in stamps] == [50 * MS, 30 * MS, 10 * MS, 5 * MS, 5 * MS]


def test_a_stream_that_begins_anew_gets_a_new_zero() -> None:
    times = live_time()
    run(times, [100] * 50, sender_error_ms=0)
    arrival = NOON + 50 * PERIOD + LATENCY
    times.observe(900 * SECOND, arrival, None)  # its clock jumped a quarter of an hour; the report is not here yet
    assert times.stamp(900 * SECOND, arrival) == Stamp(NOON + 50 * PERIOD, "arrival", 50 * MS)


@given(
    st.lists(
        st.tuples(
            st.none() | st.integers(0, 10 * SECOND),
            st.integers(0, 3 * SECOND),
            st.none() | st.integers(-8000, 8000),
        ),
        max_size=30,
    )
)
def test_times_rise_whatever_the_stream_says(packets: list[tuple[int | None, int, int | None]]) -> None:
    times, arrival, stamps = live_time(), NOON, []
    for shown, later, sender_ms in packets:
        arrival += later
        if shown is not None:
            times.observe(shown, arrival, None if sender_ms is None else arrival + sender_ms * MS)
        stamps.append(times.stamp(shown, arrival))
    assert all(after.time_ns > before.time_ns for before, after in pairwise(stamps))


@given(st.lists(st.none() | st.integers(-(10**15), 10**15), max_size=30))
def test_times_of_a_recording_rise_whatever_the_file_says(presentation: list[int | None]) -> None:
    times = RecordedTime(NOON, PERIOD)
    stamps = [times.stamp(shown) for shown in presentation]
    assert all(after.time_ns > before.time_ns for before, after in pairwise(stamps))
    assert not stamps or stamps[0].time_ns == NOON
