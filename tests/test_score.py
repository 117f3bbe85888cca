"""The judge: GOSPA against Stone Soup's, exact intervals, and each verdict where one can say by hand what is right."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

import numpy as np
import pytest
from scipy.stats import chi2

from fusion.alerts import Alert, AlertKind, ZoneArea
from fusion.geometry import FloatArray, Geodetic, LocalFrame
from fusion.types import NS, Coverage, Heartbeat, Identity, Measurement, Scan, SensorPose, Space, Track
from models.types import CLASSES
from simulation.gospa import gospa
from simulation.score import Scorer, ScoreSettings
from simulation.score_figures import figures
from simulation.spread import Spread, poisson_rate
from simulation.truth import TrueObject, Truth
from simulation.verdicts import Verdict
from tracking.types import Status

FRAME = LocalFrame(Geodetic(47.4, 8.5, 500.0))
START = 1_780_000_000 * NS
STEP = NS // 10
NAN = math.nan


# -- GOSPA and rates ---------------------------------------------------------------------------------------------------


def stone_soup_gospa(truths: FloatArray, tracks: FloatArray, cutoff: float) -> dict[str, float]:
    """Stone Soup's answer for one moment."""
    pytest.importorskip("stonesoup", reason="Stone Soup judges: pip install --no-deps stonesoup")
    from stonesoup.measures import Euclidean
    from stonesoup.metricgenerator.ospametric import GOSPAMetric
    from stonesoup.types.state import State

    when = datetime(2026, 1, 1) + timedelta(0)
    metric = GOSPAMetric(c=cutoff, p=2, measure=Euclidean((0, 1, 2)))
    states = [[State(row, when) for row in rows] for rows in (tracks, truths)]
    value, _ = metric.compute_gospa_metric(*states)
    return dict(value.value) if hasattr(value, "value") else dict(value)


@pytest.mark.parametrize("seed", range(12))
def test_gospa_is_stone_soups(seed: int) -> None:
    chance = np.random.default_rng(seed)
    truths = chance.uniform(-60.0, 60.0, (int(chance.integers(0, 6)), 3))
    near = truths + chance.normal(0.0, 6.0, truths.shape)
    tracks = np.concatenate(
        [near[: int(chance.integers(0, len(near) + 1))], chance.uniform(-60.0, 60.0, (seed % 4, 3))]
    )
    if not len(truths) or not len(tracks):
        tracks, truths = chance.uniform(0.0, 30.0, (2, 3)), chance.uniform(0.0, 30.0, (3, 3))
    apart = np.sqrt(np.square(truths[:, None] - tracks[None]).sum(axis=2))
    ours, theirs = gospa(apart, 20.0), stone_soup_gospa(truths, tracks, 20.0)
    assert ours.distance_m == pytest.approx(theirs["distance"], rel=1e-9)
    assert ours.localisation == pytest.approx(theirs["localisation"], rel=1e-9)
    assert 200.0 * ours.missed == pytest.approx(theirs["missed"])
    assert 200.0 * ours.false == pytest.approx(theirs["false"])


def test_gospa_of_nothing() -> None:
    assert gospa(np.zeros((0, 0))) == (0.0, 0.0, 0, 0)
    assert gospa(np.zeros((2, 0)), 20.0).distance_m == pytest.approx(20.0)  # (2 · 20²/2)^½
    assert gospa(np.zeros((0, 1)), 20.0).false == 1


@pytest.mark.parametrize("count", [0, 1, 7, 400])
def test_the_interval_of_a_rate_is_garwoods(count: int) -> None:
    rate = poisson_rate(count, 2.5)
    assert rate is not None
    assert rate.per_hour == pytest.approx(count / 2.5)
    assert rate.low == pytest.approx(float(chi2.ppf(0.025, 2 * count)) / 2 / 2.5 if count else 0.0)
    assert rate.high == pytest.approx(float(chi2.ppf(0.975, 2 * count + 2)) / 2 / 2.5)


def test_no_time_has_no_rate() -> None:
    assert poisson_rate(0, 0.0) is None


def test_quantiles_are_right_to_two_percent() -> None:
    values = np.random.default_rng(4).lognormal(1.0, 1.5, 4000)
    spread = Spread()
    for value in values.tolist():
        spread.add(value)
    for share in (0.1, 0.5, 0.9):
        assert spread.quantile(share) == pytest.approx(float(np.quantile(values, share)), rel=0.025)
    assert Spread().quantile(0.5) is None


# -- a small world -----------------------------------------------------------------------------------------------------


def thing(
    name: str, place: tuple[float, float, float], label: str = "drone", claimed: str | None = None, lies: bool = False
) -> TrueObject:
    return TrueObject(name, label, place, (0.0, 0.0, 0.0), claimed, lies)


def track(
    track_id: str,
    place: tuple[float, float, float],
    label: str = "drone",
    sigma_m: float = 1.0,
    identity: Identity = Identity.UNKNOWN,
    claimed: str | None = None,
    claim_only: bool = False,
) -> Track:
    covariance = np.diag([sigma_m**2] * 3 + [1.0] * 3).ravel().tolist()
    names = tuple(0.9 if name == label else 0.1 / 3 for name in CLASSES)
    return Track(
        *(track_id, 0, Status.CONFIRMED, (*place, 0.0, 0.0, 0.0), tuple(covariance), 0.9, names),
        identity=identity,
        claimed_id=claimed,
        claim_only=claim_only,
    )


def bearing(place: tuple[float, float, float], label: str | None = "drone", off_deg: float = 0.0) -> Measurement:
    east, north, up = place
    azimuth = math.atan2(east, north) + math.radians(off_deg)
    return Measurement(Space.BEARING, (azimuth, math.atan2(up, math.hypot(east, north))), (1e-6, 0.0, 0.0, 1e-6), label)


def look(time_ns: int, *reports: Measurement, sensor: str = "ear", range_m: float = 500.0) -> Scan:
    pose = SensorPose(sensor, time_ns, (0.0, 0.0, 0.0))
    return Scan(sensor, time_ns, 0, Space.BEARING, pose, reports, coverage=Coverage(range_m, 0.9, 0.1))


class Play:
    """Steps of 0.1 s: the truth, looks of two sensors with all drones in sight, tracks."""

    def __init__(self, settings: ScoreSettings | None = None, complete: bool = True) -> None:
        self.scorer = Scorer(FRAME, settings or ScoreSettings(), complete=complete)
        self.time_ns = START

    def step(self, things: list[TrueObject], tracks: list[Track], ended: tuple[str, ...] = ()) -> None:
        self.scorer.truth(Truth(self.time_ns, tuple(things)))
        for sensor in ("ear", "eye"):
            self.scorer.scan(look(self.time_ns, sensor=sensor), self.time_ns)
        self.scorer.tracks(self.time_ns, tracks, ended)
        self.scorer.heartbeat(Heartbeat(self.time_ns))
        self.time_ns += STEP

    @property
    def whole(self) -> dict[str, float]:
        found: dict[str, float] = figures(self.scorer)["figures"]
        return found


A, B = (100.0, 0.0, 30.0), (0.0, 100.0, 30.0)
FAR = (400.0, 200.0, 50.0)


def test_a_drone_that_is_followed_all_the_time() -> None:
    play = Play()
    for _ in range(11):
        play.step([thing("a", A)], [track("W1", (103.0, 4.0, 30.0))])
    found = play.whole
    assert found["gospa_m"] == pytest.approx(5.0)
    assert found["position_median_m"] == pytest.approx(5.0, rel=0.02)
    assert found["one_id_share"] == found["located_share"] == found["tracked_share"] == 1.0
    assert (found["id_switches"], found["first_track_median_s"], found["false_tracks"]) == (0, 0.0, 0)


def test_what_is_missed_counts_with_the_cutoff() -> None:
    play = Play()
    for k in range(21):
        play.step([thing("a", A)], [track("W1", A)] if k > 10 else [])
    found = play.whole
    assert found["gospa_m"] == pytest.approx(11 / 21 * 20.0 / math.sqrt(2.0), abs=1e-3)
    assert found["gospa_missed"] == pytest.approx(11 / 21, abs=1e-3)
    assert found["first_track_median_s"] == pytest.approx(1.1)
    assert figures(play.scorer)["tracks"]["updates"] == {
        "hit": 10,
        "miss": 11,
        "false": 0,
        "wrong_target": 0,
        "late": 0,
    }


def test_time_without_any_track_is_judged_by_the_heartbeats() -> None:
    """The site says nothing at all while it has no track."""
    play = Play(ScoreSettings(lag_ns=0))
    for _ in range(101):
        play.scorer.truth(Truth(play.time_ns, (thing("a", A),)))
        play.scorer.scan(look(play.time_ns), play.time_ns)
        play.scorer.heartbeat(Heartbeat(play.time_ns))
        play.time_ns += STEP
    assert figures(play.scorer)["duration_s"] == pytest.approx(4.9)  # it may still say something of the last seconds
    play.scorer.finish()
    assert figures(play.scorer)["duration_s"] == pytest.approx(9.9)
    assert play.whole["gospa_missed"] == pytest.approx(1.0)


def test_tracks_that_come_late_are_judged_as_of_their_time() -> None:
    """The fusion may be a second behind the bus."""
    play = Play(ScoreSettings(lag_ns=0))
    for k in range(30):
        play.scorer.truth(Truth(play.time_ns, (thing("a", A),)))
        play.scorer.scan(look(play.time_ns), play.time_ns)
        play.scorer.heartbeat(Heartbeat(play.time_ns))
        if k >= 10:
            play.scorer.tracks(play.time_ns - NS, [track("W1", A)])
        play.time_ns += STEP
    assert play.whole["gospa_missed"] == 0.0
    assert play.whole["located_share"] == 1.0


def test_exchanged_ids_are_switches() -> None:
    play = Play()
    for k in range(20):
        first, second = ("W1", "W2") if k < 15 else ("W2", "W1")
        play.step([thing("a", A), thing("b", B)], [track(first, A), track(second, B)])
    assert play.whole["id_switches"] == 2
    assert play.whole["one_id_share"] == pytest.approx(14 / 19, abs=0.01)


def test_a_track_of_nothing_and_one_of_a_bird() -> None:
    play = Play()
    for _ in range(10):
        things = [thing("a", A), thing("gull", B, "bird")]
        play.step(things, [track("W1", A), track("W2", B), track("W3", FAR), track("W4", FAR, "bird")])
    found = figures(play.scorer)
    assert [(each["id"], each["verdict"], each["truth"]) for each in found["now"]] == [
        ("W1", "hit", "a"),
        ("W2", "wrong_target", "gull"),
        ("W3", "false", None),
        ("W4", "false", None),
    ]
    assert found["figures"]["false_tracks"] == 1  # called drone, and nothing there
    assert found["figures"]["gospa_false"] == pytest.approx(2.0)
    play.step([thing("a", A)], [track("W1", A)], ended=("W2", "W3", "W4"))
    assert figures(play.scorer)["tracks"]["tracks"] == {"hit": 1, "miss": 0, "false": 2, "wrong_target": 1, "late": 0}


def test_a_bird_that_is_called_a_bird_is_right() -> None:
    play = Play()
    play.step([thing("gull", B, "bird")], [track("W1", B, "bird")])
    assert play.scorer.followed.now[0].verdict is Verdict.HIT
    assert play.whole["drones"] == 0


def test_of_a_drones_own_log_only_that_drone_is_judged() -> None:
    play = Play(complete=False)
    play.step([thing("a", A)], [track("W1", A), track("W2", B, "bird"), track("W3", B)])
    assert [each.verdict for each in play.scorer.followed.now] == [Verdict.HIT, None, Verdict.FALSE]


def test_a_direction_without_range_is_of_what_lies_in_it() -> None:
    """Its own ellipsoid reaches there, though its middle is far off: it is of the drone and does not locate it."""
    play = Play()
    for _ in range(11):
        play.step([thing("a", A)], [track("W1", (160.0, 0.0, 30.0), sigma_m=40.0)])
    assert play.scorer.followed.now[0].verdict is Verdict.HIT
    assert (play.whole["tracked_share"], play.whole["located_share"]) == (1.0, 0.0)


def test_a_height_that_nobody_knows_is_not_judged() -> None:
    play = Play(complete=False)
    for _ in range(5):
        play.scorer.truth(Truth(play.time_ns, (thing("a", (100.0, 0.0, NAN)),)))
        play.scorer.tracks(play.time_ns, [track("W1", (103.0, 4.0, 300.0))])
        play.time_ns += STEP
    assert play.scorer.followed.now[0].error_m == pytest.approx(5.0)


def test_nothing_is_judged_where_the_truth_has_a_gap() -> None:
    play = Play()
    play.step([thing("a", A)], [track("W1", A)])
    play.scorer.tracks(play.time_ns + 5 * NS, [track("W1", FAR)])
    assert play.scorer.followed.steps == 6  # silence while the truth is carried on, half a second; and no more
    assert figures(play.scorer)["tracks"]["updates"]["false"] == 0


def test_a_drone_out_of_sight_costs_nothing() -> None:
    play = Play()
    for _ in range(5):
        play.step([thing("a", (5000.0, 0.0, 30.0))], [])
    assert play.whole["gospa_m"] == 0.0
    assert play.whole["drones"] == 0


# -- looks -------------------------------------------------------------------------------------------------------------


def verdicts(*reports: Measurement, things: list[TrueObject], received_ns: int = START) -> dict[str, int]:
    scorer = Scorer(FRAME)
    scorer.truth(Truth(START, tuple(things)))
    scorer.scan(look(START, *reports), received_ns)
    row = figures(scorer)["sensors"][0]
    return {str(verdict): row[str(verdict)] for verdict in Verdict if row[str(verdict)]}


@pytest.mark.parametrize(
    ("reports", "received_ns", "expected"),
    [
        ([bearing(A)], START, {"hit": 1}),
        ([bearing(A, off_deg=0.8)], START, {"hit": 1}),
        ([bearing(A, off_deg=3.0)], START, {"false": 1, "miss": 1}),
        ([bearing(A, None)], START, {"hit": 1}),
        ([bearing(A, "bird")], START, {"wrong_target": 1}),
        ([bearing(A)], START + 4 * NS, {"late": 1}),
        ([], START, {"miss": 1}),
        ([bearing(A), bearing(A, off_deg=0.2)], START, {"hit": 1, "false": 1}),
    ],
)
def test_each_report_gets_its_verdict(reports: list[Measurement], received_ns: int, expected: dict[str, int]) -> None:
    assert verdicts(*reports, things=[thing("a", A)], received_ns=received_ns) == expected


def test_a_drone_that_is_called_a_bird_was_found_all_the_same() -> None:
    scorer = Scorer(FRAME)
    scorer.truth(Truth(START, (thing("a", A), thing("b", B))))
    scorer.scan(look(START, bearing(A, "bird")), START)
    row = figures(scorer)["sensors"][0]
    assert (row["recall"], row["precision"]) == (0.5, 0.0)


def test_a_bird_that_nobody_reports_is_not_missed() -> None:
    assert verdicts(things=[thing("gull", A, "bird")]) == {}


def test_sound_is_judged_by_where_the_drone_was_when_it_left() -> None:
    scorer = Scorer(FRAME)
    speed, wave = 20.0, 340.0
    for k in range(60):
        place = (speed * k / 10.0, 340.0, 0.0)
        drone = TrueObject("a", "drone", place, (speed, 0.0, 0.0))
        scorer.truth(Truth(START + k * STEP, (drone,)))
    now_ns, then_m = START + 59 * STEP, speed * (5.9 - 1.03)  # it left about 1.03 s ago
    azimuth = math.atan2(then_m, 340.0)
    heard = Measurement(Space.BEARING, (azimuth, 0.0), (1e-8, 0.0, 0.0, 1e-8), "drone", propagation_mps=wave)
    scorer.scan(look(now_ns, heard), now_ns)
    row = figures(scorer)["sensors"][0]
    assert row["hit"] == 1
    assert row["error_median"] < 0.2  # degrees; by where it is now it were 3


# -- claims and alerts -------------------------------------------------------------------------------------------------


def test_a_liar_is_flagged_and_an_honest_drone_is_not() -> None:
    play = Play()
    liar, honest = thing("liar", A, claimed="L", lies=True), thing("honest", B, claimed="H")
    for k in range(30):
        told = Identity.CONFLICTING if k >= 12 else Identity.UNKNOWN
        claim = track("W3", FAR, identity=told, claimed="L", claim_only=True)
        play.step([liar, honest], [track("W1", A), track("W2", B, claimed="H"), claim])
    found = play.whole
    assert (found["liars"], found["liars_flagged"], found["honest"], found["honest_flagged"]) == (1, 1, 1, 0)
    assert found["liar_flagged_after_s"] == pytest.approx(1.2)
    assert found["false_tracks"] == 0  # a claim that is told to be wrong is no false track


def test_an_honest_drone_that_is_flagged_is_told() -> None:
    play = Play()
    honest = thing("honest", B, claimed="H")
    play.step([honest], [track("W2", B)])
    play.step([honest], [track("W2", B, identity=Identity.CONFLICTING, claimed="H")])
    assert play.whole["honest_flagged"] == 1


def alert(play: Play, kind: AlertKind, track_id: str, number: int = 1, active: bool = True) -> Alert:
    zone = None if kind is AlertKind.CLAIM_CONFLICT else "yard"
    times = (play.time_ns - STEP, play.time_ns - STEP)
    return Alert(number, kind, track_id, zone, *times, active, False, 1.0, None, "")


YARD = ZoneArea("yard", "Yard", ((80.0, -20.0), (120.0, -20.0), (120.0, 20.0), (80.0, 20.0)), ceiling_m=600.0)


@pytest.mark.parametrize(
    ("object_", "label", "steps", "expected"),
    [
        (thing("a", A), "drone", 5, "hit"),
        (thing("a", A), "drone", 60, "late"),
        (thing("a", (140.0, 0.0, 30.0)), "drone", 5, "false"),
        (thing("a", (100.0, 0.0, 160.0)), "drone", 5, "false"),  # above the ceiling
        (thing("gull", A, "bird"), "drone", 5, "wrong_target"),
    ],
)
def test_an_entry_is_judged_by_who_is_in_the_zone(object_: TrueObject, label: str, steps: int, expected: str) -> None:
    play = Play()
    play.scorer.put_zone(YARD)
    for _ in range(steps):
        play.step([object_], [track("W1", object_.position_m, label)])
    play.scorer.alert(alert(play, AlertKind.ENTER, "W1"))
    play.scorer.alert(alert(play, AlertKind.ENTER, "W1"))  # told again: one alert, one verdict
    counts = figures(play.scorer)["alerts"]["enter"]
    assert {name: count for name, count in counts.items() if count} == {expected: 1}


def test_an_entry_that_nobody_tells_is_missed() -> None:
    play = Play()
    play.scorer.put_zone(YARD)
    for k in range(200):
        play.step([thing("a", A if k < 80 else FAR)], [])
    assert figures(play.scorer)["alerts"]["enter"]["miss"] == 1


@pytest.mark.parametrize(("lies", "expected"), [(True, "hit"), (False, "wrong_target")])
def test_a_conflict_is_judged_by_whether_the_claim_is_a_lie(lies: bool, expected: str) -> None:
    play = Play()
    play.step([thing("a", A, claimed="X", lies=lies)], [track("W1", A, claimed="X")])
    play.scorer.alert(alert(play, AlertKind.CLAIM_CONFLICT, "W1"))
    assert figures(play.scorer)["alerts"]["claim_conflict"][expected] == 1


# -- memory ------------------------------------------------------------------------------------------------------------


def test_memory_does_not_grow_with_the_tracks_that_were() -> None:
    play = Play()
    for k in range(300):
        play.step([thing("a", A)], [track(f"W{k}", FAR)], ended=(f"W{k - 1}",))
    assert len(play.scorer.followed._followed) == 1
    assert play.whole["false_tracks"] == 300
