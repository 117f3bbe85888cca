"""An array at work: its surroundings, fixed emitters, wind, faults; bearings to the fusion; one gives a wedge, two a
place."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import pytest
import soundfile
from fusion_scene import ORIGIN
from live_site import local_client
from test_acoustic_directions import AIR, drone, eight_microphones

from fusion.engine import FusionEngine
from fusion.geometry import FloatArray, angles_to_direction, wrap_angle
from fusion.sensors.microphone_array.ambience import NoiseFloor, Surroundings
from fusion.sensors.microphone_array.config import ArrayConfig
from fusion.sensors.microphone_array.fixed import BANDS, SURE_S, FixedEmitters, tones_from
from fusion.sensors.microphone_array.simulate import heard as simulated
from fusion.sensors.microphone_array.source import Block
from fusion.sensors.microphone_array.survey import Survey, survey
from fusion.sequencer import Sequencer
from fusion.site import Site, SiteError, parse_site
from fusion.types import Scan, Space, Track
from models.acoustic_infer import Recogniser
from models.acoustic_network import SOUNDS, Architecture
from service import schemas
from service.api import create_app
from service.bus import Bus, Full
from service.clock import SystemClock
from service.ear import STEP_S, Ear, Heard
from service.hearing import Hearings, Listener
from service.pipeline import Pipeline
from service.settings import Settings
from service.site import arrays_of, read_site
from service.sound_capture import SoundTiming
from service.types import SensorHealth, SensorState
from simulation.sound_field import Rotor, at_snr, emission_times, field, straight, wind_noise
from tracking.types import Status

RATE = 16_000
PLACES = eight_microphones()
CONFIG = ArrayConfig.model_validate({"id": "north", "microphones": PLACES.tolist(), "temperature": AIR.temperature_c})
LOUD = 0.05  # of full scale


def blocks_of(samples: FloatArray, start_ns: int = 0, first: int = 0) -> Iterator[Block]:
    """In parts of 50 ms."""
    step = RATE // 20
    for start in range(0, samples.shape[1], step):
        time_ns = start_ns + start * 1_000_000_000 // RATE
        part = samples[:, start : start + step].astype(np.float32)
        yield Block("north", first + start, time_ns, RATE, part)


def looks_at(samples: FloatArray, ear: Ear | None = None) -> list[Heard]:
    ear = ear or Ear(CONFIG, RATE, None)
    looks = [heard for block in blocks_of(samples) for heard in ear.step(block)]
    ear.close()
    return looks


def rotor_at(azimuth_deg: float, elevation_deg: float, seed: int = 4, distance_m: float = 300.0) -> Rotor:
    towards = angles_to_direction(math.radians(azimuth_deg), math.radians(elevation_deg))
    return drone(towards, np.random.default_rng(seed), distance_m)


def sound_of(rotor: Rotor, seconds: float, snr_db: float = 10.0, wind: float = 0.0) -> FloatArray:
    """A drone over white noise, and wind `wind` times as strong as that noise; loud enough for 16 bits."""
    generator = np.random.default_rng(8)
    sound = field([rotor], PLACES, np.arange(round(seconds * RATE)) / RATE, AIR)
    noisy = at_snr(sound, generator.standard_normal(sound.shape), snr_db)
    if wind:
        noisy += wind * np.std(noisy) * wind_noise(generator, len(PLACES), sound.shape[1], RATE)
    return np.asarray(noisy * (LOUD / np.std(noisy)))


# -- surroundings ------------------------------------------------------------------------------------------------------


def floors(levels: Sequence[float], bins: int, learn: bool = True, seed: int = 1) -> FloatArray:
    """dB of the floor after each second of noise at these levels, dB, ten looks a second."""
    generator = np.random.default_rng(seed)
    floor = NoiseFloor([bins], 0.1)
    after = []
    for level in levels:
        for _ in range(10):
            power = 10.0 ** (level / 10.0) * generator.chisquare(2 * bins / 1.5) / (2 * bins / 1.5)
            value = floor.step(np.array([power]), learn)
        after.append(10.0 * math.log10(value[0]))
    return np.array(after)


@pytest.mark.parametrize("bins", [1, 4, 40])
def test_the_noise_floor_is_that_of_the_noise_however_long_it_listened(bins: int) -> None:
    settled = np.array([floors([-50.0] * 130, bins, seed=seed) for seed in range(4)])
    assert abs(settled[:, 2:].mean() + 50.0) < 0.5
    assert abs(settled - -50.0)[:, 2:].max() < 2.5


def test_the_noise_floor_follows_the_day_and_not_a_drone() -> None:
    after = floors([-50.0] * 70 + [-30.0] * 20 + [-50.0] * 70 + [-42.0] * 70, 8)
    assert abs(after[89] + 50.0) < 1.5  # a drone passed for twenty seconds
    assert abs(after[-1] + 42.0) < 1.5  # the noise of the place rose by 8 dB


def ambiences(samples: FloatArray, window: int = 2048) -> list[tuple[float, bool]]:
    surroundings = Surroundings(RATE, window, STEP_S)
    step = round(STEP_S * RATE)
    starts = range(0, samples.shape[1] - window, step)
    looks = [surroundings.step(samples[:, s : s + window].astype(np.float32)) for s in starts]
    return [(look.level_db, look.windy) for look in looks]


def test_wind_is_told_from_noise_and_from_a_drone() -> None:
    generator = np.random.default_rng(5)
    count = 6 * RATE
    still = 0.01 * generator.standard_normal((8, count))
    wind = LOUD * wind_noise(generator, 8, count, RATE)
    assert ambiences(wind + 0.001 * still)[-1][1]
    assert not any(windy for _, windy in ambiences(still))
    assert not any(windy for _, windy in ambiences(1e-3 * wind))  # as soft as the microphones' own noise
    assert not any(windy for _, windy in ambiences(sound_of(rotor_at(40.0, 20.0), 3.0)))
    level, _ = ambiences(still)[-1]
    assert level == pytest.approx(-40.0, abs=0.3)


def test_in_wind_an_array_is_masked_and_with_a_drone_in_it_is_not() -> None:
    generator = np.random.default_rng(6)
    alone = LOUD * wind_noise(generator, 8, 4 * RATE, RATE)
    assert looks_at(alone + 1e-4 * generator.standard_normal(alone.shape))[-1].masked
    assert not looks_at(sound_of(rotor_at(40.0, 20.0), 3.0, wind=1.0))[-1].masked


# -- fixed emitters ----------------------------------------------------------------------------------------------------


def towards(azimuth_deg: float) -> FloatArray:
    return angles_to_direction(math.radians(azimuth_deg), 0.1)


def tones(*bands: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    made = np.zeros(BANDS, bool)
    made[list(bands)] = True
    return made


def test_what_hums_for_minutes_is_fixed_and_a_drone_before_it_is_not() -> None:
    generator = np.random.default_rng(7)
    fixed = FixedEmitters(0.1)
    hum = tones(10, 22, 29)
    for _ in range(round(1.1 * SURE_S / 0.1)):
        at = towards(30.0 + generator.normal() * 0.5)
        fixed.step([(at, hum)] if generator.random() < 0.8 else [], False)
    (emitter,) = fixed.emitters
    assert float((emitter.direction * towards(30.0)).sum()) > math.cos(math.radians(0.5))
    beside = tones(10, 23, 29)  # its rpm varies
    heard = [(towards(31.0), beside), (towards(31.0), tones(5, 17, 35)), (towards(50.0), hum)]
    assert fixed.step(heard, True) == (True, False, False)


def test_what_moves_or_is_recognised_as_flying_is_never_fixed() -> None:
    moving, flying = FixedEmitters(0.1), FixedEmitters(0.1)
    for look in range(2 * round(SURE_S / 0.1)):
        moving.step([(towards(0.1 * look), tones(10))], False)
        flying.step([(towards(30.0), tones(10))], True)
    assert moving.emitters == flying.emitters == ()


def test_tones_are_those_from_the_direction_asked_for() -> None:
    """Two rotors at once: each direction has the harmonics of its own."""
    window = 2048
    frequency: FloatArray = np.arange(window // 2 + 1, dtype=np.float64) * (RATE / window)
    rotors = {20.0: rotor_at(20.0, 10.0, 1), 140.0: rotor_at(140.0, 10.0, 2)}
    sound = field(list(rotors.values()), PLACES, np.arange(window) / RATE, AIR)
    spectra = np.fft.rfft(sound * np.hanning(window))
    for azimuth, rotor in rotors.items():
        there = angles_to_direction(math.radians(azimuth), math.radians(10.0))
        found = np.flatnonzero(tones_from(spectra, frequency, PLACES / AIR.speed_mps, there))
        own = {bands_of(float(rotor.frequency_hz(np.zeros(1))[0]) * order) for order in range(1, 17)}
        high = found[found > bands_of(600.0)]  # shorter than the array is wide
        assert len(high) > 4
        assert np.mean([band in own for band in high]) > 0.7


def bands_of(hz: float) -> int:
    return math.floor(12 * math.log2(hz / 100.0))


# -- the ear -----------------------------------------------------------------------------------------------------------


def test_a_drone_is_heard_ten_times_a_second_where_it_is() -> None:
    looks = looks_at(sound_of(rotor_at(320.0, 25.0), 1.5))
    assert len(looks) == 14
    np.testing.assert_allclose(np.diff([look.time_ns for look in looks]), 1e8, atol=1e5)
    off = [math.degrees(float(wrap_angle(look.directions[0].azimuth_rad - math.radians(320.0)))) for look in looks]
    assert np.abs(off).max() < 6.0  # it flies on
    assert looks[-1].faults == ()
    assert looks[-1].ambience.level_db == pytest.approx(20.0 * math.log10(LOUD), abs=1.0)


def test_a_gap_begins_anew_and_times_stay_right() -> None:
    samples = sound_of(rotor_at(320.0, 25.0), 1.0)
    ear = Ear(CONFIG, RATE, None)
    before, after = list(blocks_of(samples)), list(blocks_of(samples, 5_000_000_000, 5 * RATE))
    looks = [heard for block in before + after for heard in ear.step(block)]
    ear.close()
    window = 2048
    again = [look for look in looks if look.time_ns > 2_000_000_000]
    assert again[0].time_ns == 5_000_000_000 + window // 2 * 1_000_000_000 // RATE
    assert len(looks) == 2 * len(again)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("dead", "channel 3 is dead"),
        ("clipped", "channel 3 is clipped"),
        ("inverted", "channel 3 is inverted"),
        ("swapped", "channels 2 and 7 are swapped"),
        ("nan", "channel 3 sends samples that are no numbers"),
    ],
)
def test_faulty_channels_are_named_while_listening(wrong: str, words: str) -> None:
    samples = sound_of(rotor_at(320.0, 25.0), 1.8)
    match wrong:
        case "dead":
            samples[2] = 0.0
        case "clipped":
            samples[2] = np.clip(samples[2], -0.5 * LOUD, 0.5 * LOUD)
        case "inverted":
            samples[2] *= -1.0
        case "swapped":
            samples[[1, 6]] = samples[[6, 1]]
        case "nan":
            samples[2, 9000] = np.nan
    last = looks_at(samples)[-1]
    assert [fault.split(":")[0] for fault in last.faults] == [words]
    off = float(wrap_angle(last.directions[0].azimuth_rad - math.radians(320.0)))
    assert abs(math.degrees(off)) < 6.0


def test_three_channels_give_no_direction_and_say_so() -> None:
    samples = sound_of(rotor_at(320.0, 25.0), 0.3)
    samples[3:] = 0.0
    last = looks_at(samples)[-1]
    assert last.directions == ()
    assert last.faults == ("north has only 3 channels with sound: directions need four",)


@pytest.mark.parametrize(
    ("places", "rate", "words"),
    [
        (PLACES, RATE, ""),
        (10.0 * PLACES, RATE, "sound seems to pass at"),
        (0.5 * PLACES, RATE, "sound seems to pass at"),
        (PLACES, 2 * RATE, "sound seems to pass at"),
        (PLACES[[3, 1, 5, 0, 2, 7, 6, 4]], RATE, "fits none of their places"),
    ],
)
def test_a_geometry_that_cannot_be_is_told(places: FloatArray, rate: int, words: str) -> None:
    samples = sound_of(rotor_at(60.0, 30.0), 0.8).astype(np.float32)
    windows = [samples[:, start : start + 2048] for start in range(0, samples.shape[1] - 2048, 1200)]
    found = survey(windows, places, rate)
    assert words in found.fault
    assert found.swapped is None
    assert bool(words) == bool(found.fault)


def test_two_drones_noise_and_silence_say_nothing_of_the_geometry() -> None:
    generator = np.random.default_rng(3)
    times = np.arange(RATE // 2) / RATE
    two = field([rotor_at(20.0, 30.0, 1), rotor_at(150.0, 10.0, 2)], PLACES, times, AIR)
    for samples in (at_snr(two, generator.standard_normal(two.shape), 10.0), generator.standard_normal((8, RATE // 2))):
        windows = [samples[:, s : s + 2048].astype(np.float32) for s in range(0, RATE // 2 - 2048, 1000)]
        assert survey(windows, PLACES, RATE) == Survey()
    assert survey([np.zeros((8, 2048), np.float32)] * 6, PLACES, RATE) == Survey()


# -- to the fusion -----------------------------------------------------------------------------------------------------

STANDS = {"north": (0.0, 75.0, 1.5), "south": (0.0, -75.0, 1.5), "west": (-130.0, 0.0, 1.5)}
START_M, VELOCITY_MPS = np.array([-40.0, -30.0, 60.0]), np.array([12.0, 9.0, 0.0])


def acoustic_site() -> Site:
    lat, lon, alt = ORIGIN
    text = f"site: {{origin: {{latitude: {lat}, longitude: {lon}, altitude: {alt}}}}}\nsensors:\n"
    for name, place in STANDS.items():
        text += f"  - {{id: {name}, kind: microphone_array, position: {{enu: {list(place)}}}}}\n"
    return parse_site(text)


class Script:
    """A feed that plays a list of blocks."""

    timing = SoundTiming(drift_ppm=52.0, gaps=2, lost=RATE // 10)

    def __init__(self, blocks: Sequence[Block]) -> None:
        self._blocks = list(blocks)

    @property
    def ended(self) -> bool:
        return not self._blocks

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def next(self, timeout_s: float) -> Block | None:
        return self._blocks.pop(0) if self._blocks else None

    def health(self) -> SensorHealth:
        return SensorHealth("north", SensorState.ONLINE)


def heard_by(names: Sequence[str], seconds: float) -> list[Scan]:
    """What arrays' listeners put on the bus of one drone's flight, in order of time."""
    clock = SystemClock()
    bus, hearings, site = Bus(clock.now_ns), Hearings(), acoustic_site()
    scans = bus.subscribe("test", capacity=10_000, full=Full.REFUSE_NEWEST, prefixes=("scan.",))
    generator = np.random.default_rng(2)
    rotor = replace(rotor_at(0.0, 0.0), path=straight(START_M, VELOCITY_MPS))
    times = np.arange(round(seconds * RATE)) / RATE
    for name in names:
        sound = field([rotor], PLACES + STANDS[name], times, AIR)
        samples = at_snr(sound, generator.standard_normal(sound.shape), 5.0)
        config = CONFIG.model_copy(update={"id": name})
        blocks = [replace(block, sensor_id=name) for block in blocks_of(samples * LOUD / np.std(samples))]
        pose = site.sensors[name].pose
        listener = Listener(config, Script(blocks), lambda: None, pose=pose, coverage=None,
                            hearings=hearings, bus=bus, clock=clock)  # fmt: skip
        listener.start()
        assert listener.join(60.0)
    found = [envelope.message for envelope in scans.take(0.0)]
    return sorted((scan for scan in found if isinstance(scan, Scan)), key=lambda scan: scan.time_ns)


def fused(scans: Sequence[Scan]) -> list[Track]:
    """Tracks after each scan."""
    engine, sequencer = FusionEngine(), Sequencer(heartbeats=False)
    ordered = [message for scan in scans for message in sequencer.push(scan)] + sequencer.flush()
    return [track for message in ordered for track in engine.step(message).tracks]


@pytest.fixture(scope="module")
def three() -> list[Scan]:
    return heard_by(tuple(STANDS), 3.0)


def truth(time_ns: int) -> FloatArray:
    place: FloatArray = START_M + VELOCITY_MPS * (time_ns * 1e-9)
    return place


def test_bearings_are_of_where_the_drone_was_when_its_sound_left(three: list[Scan]) -> None:
    assert {scan.space for scan in three} == {Space.BEARING}
    rotor = replace(rotor_at(0.0, 0.0), path=straight(START_M, VELOCITY_MPS))
    off = []
    for scan in three:
        place = np.array(scan.pose.position_m)
        left = rotor.path(emission_times(rotor.path, place, np.array([scan.time_ns * 1e-9]), AIR.speed_mps))[0] - place
        azimuth, elevation = scan.measurements[0].z
        unit = angles_to_direction(azimuth, elevation)
        off.append(math.degrees(math.acos(min(1.0, float((unit * left).sum() / np.linalg.norm(left))))))
        assert scan.measurements[0].propagation_mps == pytest.approx(AIR.speed_mps, rel=2e-3)
    assert np.median(off) < 1.5


def test_arrays_together_give_a_place(three: list[Scan]) -> None:
    tracks = fused(three)
    last = [track for track in tracks if track.status is Status.CONFIRMED][-1]
    spread_m = np.sqrt(np.linalg.eigvalsh(np.array(last.covariance).reshape(6, 6)[:3, :3]))
    assert np.linalg.norm(np.array(last.mean[:3]) - truth(last.time_ns)) < 8.0
    assert spread_m.max() < 15.0


def test_one_array_alone_gives_a_wedge(three: list[Scan]) -> None:
    """Its direction is known at once, its distance never; the further it is, the older is what is heard of it."""
    alone = fused([scan for scan in three if scan.sensor_id == "north"])
    for track in (alone[5], alone[-1]):
        spread_m = np.sqrt(np.linalg.eigvalsh(np.array(track.covariance).reshape(6, 6)[:3, :3]))
        assert spread_m[1] < 0.25 * spread_m[2]
        assert spread_m[2] > 50.0


def test_retarded_time_is_worth_having(three: list[Scan]) -> None:
    """The same bearings taken for light's lag behind by what the drone flew while its sound was on the way."""

    def error_m(scans: list[Scan]) -> float:
        shown = [track for track in fused(scans) if track.status is Status.CONFIRMED]
        return float(np.median([np.linalg.norm(np.array(t.mean[:3]) - truth(t.time_ns)) for t in shown[-10:]]))

    as_light = [
        replace(scan, measurements=tuple(replace(m, propagation_mps=None) for m in scan.measurements)) for scan in three
    ]
    with_delay, without = error_m(three), error_m(as_light)
    print(f"\nerror of place: {with_delay:.1f} m with retarded time, {without:.1f} m without")
    assert with_delay < without


def test_the_short_cut_says_what_the_field_says() -> None:
    site = acoustic_site()
    pose = site.sensors["north"].pose
    assert pose is not None
    state = np.concatenate([START_M, VELOCITY_MPS])
    exact = simulated(state, pose, 1e-9, AIR.speed_mps, np.random.default_rng(0))
    path = straight(START_M, VELOCITY_MPS)
    place = np.array(pose.position_m)
    left = path(emission_times(path, place, np.array([0.0]), AIR.speed_mps))[0] - place
    np.testing.assert_allclose(
        exact.z, [math.atan2(left[0], left[1]), math.asin(left[2] / np.linalg.norm(left))], atol=1e-6
    )


class Says:
    """A recogniser that has made up its mind."""

    architecture = Architecture()

    def __init__(self, name: str, score: float) -> None:
        rest = (1.0 - score) / (len(SOUNDS) - 1)
        self._row = np.array([[score if each == name else rest for each in SOUNDS]])

    def resampled(self, samples: FloatArray, rate_hz: int) -> FloatArray:
        return samples

    def scores(self, windows: FloatArray) -> FloatArray:
        return self._row


@pytest.mark.parametrize(("name", "score", "label"), [("drone", 0.9, "drone"), ("background", 0.9, None)])
def test_only_what_flies_is_reported_and_by_its_name(name: str, score: float, label: str | None) -> None:
    clock = SystemClock()
    bus = Bus(clock.now_ns)
    scans = bus.subscribe("test", capacity=1000, full=Full.REFUSE_NEWEST, prefixes=("scan.",))
    blocks = list(blocks_of(sound_of(rotor_at(320.0, 25.0), 1.4)))
    listener = Listener(CONFIG, Script(blocks), lambda: cast(Recogniser, Says(name, score)),
                        pose=acoustic_site().sensors["north"].pose, coverage=None, hearings=Hearings(), bus=bus,
                        clock=clock)  # fmt: skip
    listener.start()
    assert listener.join(60.0)
    told = [envelope.message for envelope in scans.take(0.0)]
    assert bool(told) == (label is not None)
    for scan in told:
        assert isinstance(scan, Scan)
        assert {(m.label, round(m.score, 3)) for m in scan.measurements} == {(label, score)}


# -- health ------------------------------------------------------------------------------------------------------------


def test_health_says_gaps_drift_wind_and_faults() -> None:
    generator = np.random.default_rng(6)
    samples = LOUD * wind_noise(generator, 8, 4 * RATE, RATE) + 1e-4 * generator.standard_normal((8, 4 * RATE))
    samples[2] = 0.0
    clock = SystemClock()
    bus = Bus(clock.now_ns)
    told = bus.subscribe("test", capacity=1000, full=Full.REFUSE_NEWEST, prefixes=("sensor.",))
    listener = Listener(CONFIG, Script(list(blocks_of(samples))), lambda: None, pose=None, coverage=None,
                        hearings=Hearings(), bus=bus, clock=clock)  # fmt: skip
    listener.start()
    assert listener.join(60.0)
    health = told.take(0.0)[-1].message
    assert isinstance(health, SensorHealth)
    assert health.reason == (
        "masked by wind: what flies is not heard; channel 3 is dead: look at its plug; sound was lost 2 times, 0.10 s "
        "in all: look at its network; its clock runs 50 ppm fast, which is allowed for"
    )


# -- as a service ------------------------------------------------------------------------------------------------------


def test_a_service_with_an_array_says_what_it_hears(tmp_path: Path) -> None:
    """A site file with an array on a recording: sensors, spectrogram, and the WebSocket's topic `sensors`."""
    path = tmp_path / "hum.wav"
    soundfile.write(path, sound_of(rotor_at(320.0, 25.0), 1.5).T, RATE, subtype="PCM_16")
    lat, lon, alt = ORIGIN
    places = json.dumps(PLACES.tolist())
    (tmp_path / "site.yaml").write_text(
        f"site: {{origin: {{latitude: {lat}, longitude: {lon}, altitude: {alt}}}}}\nsensors:\n  - {{id: north, "
        f"kind: microphone_array, source: hum.wav, position: {{enu: [0, 75, 1]}}, microphones: {places}, "
        "capture: {loop: true, temperature: 15}}\n"
    )
    site, _ = read_site(tmp_path / "site.yaml")
    settings = Settings(data_folder=tmp_path / "data", arrays=arrays_of(site, tmp_path / "site.yaml"))
    with Pipeline(settings, site=site) as pipeline, local_client(create_app(pipeline)) as client:
        for _ in range(600):
            sensor = client.get("/api/v1/sensors/north").json()
            if sensor["sound"] and sensor["sound"]["scores"]:
                break
            time.sleep(0.1)
        schemas.Sensor.model_validate(sensor)
        assert (sensor["kind"], sensor["state"], sensor["source"]) == ("microphone_array", "online", str(path))
        sound = sensor["sound"]
        assert abs(sound["directions"][0]["azimuth"] - 320.0) < 6.0
        assert sound["level_db"] == pytest.approx(20.0 * math.log10(LOUD), abs=1.0)
        assert sum(sound["scores"].values()) == pytest.approx(1.0, abs=1e-3)
        answer = client.get(sound["spectrogram"])
        picture = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_GRAYSCALE)
        assert picture is not None
        assert picture.shape == (192, 600)
        assert picture[:, -3:].max() > 100
        assert picture[:, :300].max() < 10  # half a minute ago it was not there
        with client.websocket_connect("/api/v1/ws?topics=sensors") as websocket:
            assert websocket.receive_json()["sensors"][0]["sound"]["state"] == "listening"
            times = {websocket.receive_json()["data"]["sound"]["time"] for _ in range(3)}
            assert len(times) > 1
        assert client.get("/api/v1/sensors/south/spectrogram.png").status_code == 404
        assert client.get("/readyz").json()["sensors"]["north"]["state"] == "online"


def test_a_site_file_says_what_is_wrong_with_an_array(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(
        "site: {origin: {latitude: 47, longitude: 8}}\nsensors:\n"
        "  - {id: north, kind: microphone_array, source: 'tcp://127.0.0.1:5000', "
        f"microphones: {json.dumps(PLACES.tolist())}}}\n"
        "  - {id: south, kind: microphone_array, source: 0}\n"
    )
    site, _ = read_site(path)
    with pytest.raises(SiteError) as told:
        arrays_of(site, path)
    first, second = map(str, told.value.faults)
    assert first.startswith("line 3: sensors[0].source: tcp://127.0.0.1:5000/… does not say what its samples are")
    assert second.startswith("line 4: sensors[1].microphones: an array needs at least four microphones")
