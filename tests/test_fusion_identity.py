"""Who says who it is, against liars, honest errors and confusion: what the tracks say of it, and why."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from fusion_scene import Path, circle, encode, pixels, site, site_text

from fusion import identity
from fusion.engine import FusionEngine
from fusion.fuse import Refusals, fuse, ordered
from fusion.geometry import FloatArray
from fusion.sequencer import DEFAULT_LAG_NS
from fusion.site import Site, parse_site
from fusion.types import NS, Identity, Measurement, Space

Line = dict[str, Any]
RID = "  - {id: rid, kind: remote_id}\n  - {id: ads, kind: remote_id}\n"
SITE = site(more=RID)
SECONDS = 12.0


def claims(
    path: Path, name: str = "DRONE-1", *, seconds: float = SECONDS, off_m: tuple[float, float, float] = (0.0, 0.0, 0.0),
    late_s: float = 0.0, receiver: str = "rid", begin: float = 0.505,
) -> list[Line]:  # fmt: skip
    """One report a second, σ 3 m stated, with half a metre of quick error."""
    rng = np.random.default_rng(5)
    return [
        {"time": 100.0 + t, "sensor_id": receiver, "kind": "position", "id": name, "sigma_horizontal": 3.0,
         "sigma_vertical": 3.0, "enu": (path(t - late_s) + np.array(off_m) + 0.5 * rng.normal(size=3)).tolist()}
        for t in np.arange(begin, seconds, 1.0)
    ]  # fmt: skip


def run(lines: list[Line], where: Site = SITE) -> list[Line]:
    lines = sorted(lines, key=lambda line: float(line["time"]))
    return [json.loads(line) for line in fuse(encode(lines), where, Refusals())]


def of(tracks: list[Line], name: str = "DRONE-1") -> list[Line]:
    return [t for t in tracks if t["claimed_id"] == name]


def seen(paths: list[Path], seconds: float = SECONDS) -> list[Line]:
    return pixels(SITE, paths, seconds, fps=8.0)


def far(path: Path, off_m: tuple[float, float, float]) -> Path:
    return lambda t: path(t) + np.array(off_m)


@pytest.mark.parametrize(
    ("honest", "speed_mps"),
    [({"off_m": (0.0, 0.0, 8.0)}, 5.0), ({"late_s": 2.0}, 12.0), ({"off_m": (2.0, -2.0, -8.0), "late_s": 1.0}, 8.0)],
    ids=["8 m too high", "2 s late", "late, low and aside"],
)
def test_an_honest_drone_with_honest_errors_cooperates(honest: Any, speed_mps: float) -> None:
    path = circle(radius_m=30.0, speed_mps=speed_mps)
    tracks = run(seen([path]) + claims(path, **honest))
    assert all(t["identity"] != "conflicting" for t in tracks)
    last = of(tracks)[-1]
    assert (last["identity"], last["claim_only"], last["id"]) == ("cooperative", False, "T1")
    assert last["identity_score"] > 0.9
    assert "DRONE-1 claims to be where it is seen" in last["evidence"][0]


def test_a_liar_300_m_away_moves_as_the_body_that_is_seen() -> None:
    """No sensor looks there, but nobody else turns where this drone turns."""
    path = circle(radius_m=20.0, speed_mps=9.0)
    tracks = run(seen([path], 18.0) + claims(path, off_m=(300.0, 0.0, 0.0), seconds=18.0))
    liar = of(tracks)[-1]
    assert (liar["identity"], liar["claim_only"]) == ("conflicting", True)
    assert "300 m away" in liar["evidence"][0]
    assert liar["identity_score"] < 0.5
    assert of(tracks)[3]["identity"] == "unknown"
    assert all(t["identity"] == "unknown" for t in tracks if t["claimed_id"] is None)


def test_a_liar_where_cameras_look_is_found_out() -> None:
    path = circle(radius_m=6.0, speed_mps=3.0)
    tracks = run(seen([path]) + claims(circle(radius_m=3.0, speed_mps=2.0), off_m=(0.0, 35.0, 0.0)))
    liar = of(tracks)[-1]
    assert (liar["identity"], liar["claim_only"]) == ("conflicting", True)
    assert "saw nothing" in liar["evidence"][0]


def test_a_replayed_claim_is_not_the_body_that_flies_there_now() -> None:
    """Yesterday's flight, sent again while another drone flies in the same place."""
    now, yesterday = circle(radius_m=18.0, speed_mps=7.0), circle(radius_m=18.0, speed_mps=-7.0, height_m=30.0)
    tracks = run(seen([now], 16.0) + claims(yesterday, seconds=16.0))
    said = {t["identity"] for t in of(tracks)}
    assert "conflicting" in said
    assert "cooperative" not in said


def test_an_honest_drone_that_nobody_sees_is_a_claim_only() -> None:
    path, away = circle(), circle(radius_m=40.0, speed_mps=11.0)
    tracks = run(seen([path]) + claims(far(away, (900.0, 400.0, 50.0))))
    assert {(t["identity"], t["claim_only"], t["identity_score"]) for t in of(tracks)} == {("unknown", True, 0.5)}
    assert "no sensor looks there" in of(tracks)[-1]["evidence"][0]


def test_ids_swapped_between_two_drones_in_flight_are_told() -> None:
    """At six seconds each drone begins to send the other's id."""
    one, two = circle(radius_m=8.0), far(circle(radius_m=8.0, phase=2.0), (0.0, 250.0, 0.0))
    more = seen([one], 20.0)
    sent = [*claims(one, "A", seconds=6.0), *claims(two, "B", seconds=6.0)]
    sent += [*claims(two, "A", seconds=20.0, begin=6.505), *claims(one, "B", seconds=20.0, begin=6.505)]
    tracks = run(more + sent)
    before = [t for t in of(tracks, "A") if t["time"] < 106.0][-1]
    assert (before["identity"], before["claim_only"]) == ("cooperative", False)
    middle = [t for t in of(tracks, "A") if 110.0 < t["time"] < 118.0]
    assert {t["identity"] for t in middle} == {"conflicting"}
    assert any("at once" in t["evidence"][0] for t in middle)
    assert {(t["claim_only"], t["identity"]) for t in of(tracks, "B") if 110.0 < t["time"] < 118.0} == {
        (False, "conflicting")
    }


def test_one_id_on_two_bodies_is_heard_from_two_places() -> None:
    one, two = circle(), far(circle(phase=1.0), (0.0, 400.0, 0.0))
    tracks = run(seen([one]) + claims(one) + claims(two, begin=1.005))
    last = of(tracks)[-1]
    assert last["identity"] == "conflicting"
    assert "two places" in last["evidence"][0]


@pytest.mark.parametrize(("receiver", "identity"), [("rid", "conflicting"), ("ads", "cooperative")])
def test_two_ids_on_one_body(receiver: str, identity: str) -> None:
    """Two ids of one kind are one too many; a second kind of transmitter may have its own name for the drone."""
    path = circle()
    tracks = run(seen([path]) + claims(path, "A") + claims(path, "B", receiver=receiver, begin=0.755))
    last = [t for t in tracks if t["id"] == "T1"][-1]
    assert last["identity"] == identity
    assert "A" in " ".join(last["evidence"])
    assert "B" in " ".join(last["evidence"])
    assert not any(t["claim_only"] for t in tracks if t["time"] > 105.0)


def test_two_honest_drones_side_by_side_keep_their_names() -> None:
    one, two = circle(), circle(height_m=30.0)
    high: Any = {"seconds": 10.0, "off_m": (0.0, 0.0, 5.0)}
    paths = {"A": one, "B": two}
    tracks = run(seen([one, two], 10.0) + claims(one, "A", **high) + claims(two, "B", **high))
    for name, path in paths.items():
        mine = [t for t in of(tracks, name) if t["time"] > 105.0]
        assert {t["identity"] for t in mine} == {"cooperative"}
        assert max(np.linalg.norm(np.array(t["enu"]) - path(t["time"] - 100.0)) for t in mine) < 3.0


def test_one_wild_report_and_a_hidden_stretch_are_forgiven() -> None:
    """A fix 400 m away, then five seconds in which the cameras see nothing of a drone that was seen before."""
    path = circle()
    sent = claims(path, seconds=30.0)
    sent[5]["enu"] = (np.array(sent[5]["enu"]) + 400.0).tolist()
    other = circle(radius_m=3.0, height_m=36.0, speed_mps=1.0)  # so that the cameras look all the time
    looks = [line for line in seen([path], 30.0) if not 108.0 < line["time"] < 123.0] + seen([other], 30.0)
    tracks = run(looks + sent)
    assert all(t["identity"] != "conflicting" for t in of(tracks))
    assert of(tracks)[-1]["identity"] == "cooperative"


def test_a_claim_survives_a_snapshot_in_the_middle_of_a_conflict() -> None:
    one, two = circle(), far(circle(phase=1.0), (0.0, 400.0, 0.0))
    lines = seen([one], 6.0) + claims(one, seconds=6.0) + claims(two, begin=1.005, seconds=6.0)
    lines.sort(key=lambda line: float(line["time"]))
    scans = list(ordered(encode(lines), SITE, Refusals(), DEFAULT_LAG_NS))
    whole, second = FusionEngine(), FusionEngine()
    half = len(scans) // 2
    for scan in scans[:half]:
        whole.step(scan)
    second.restore(whole.snapshot())
    assert [second.step(scan) for scan in scans[half:]] == [whole.step(scan) for scan in scans[half:]]


def test_a_hover_far_off_is_no_mirror_image() -> None:
    """Two drones that both stand still move alike, and mean nothing by it."""
    still: Path = lambda t: np.array([0.1 * math.sin(t), 0.0, 22.0])  # noqa: E731
    tracks = run(seen([still], 16.0) + claims(far(still, (300.0, 0.0, 0.0)), seconds=16.0))
    assert {t["identity"] for t in of(tracks)} == {"unknown"}


# --- one claim beside one track ---------------------------------------------------------------------------------------


def beside(
    track: Path, claimed: Path, spread: FloatArray, *, bird: float = 0.0, seconds: int = 10,
    ghost: Path | None = None, ghost_from: int = 0,
) -> identity.Claim:  # fmt: skip
    """A claim after a report a second (σ 1 m) beside a track whose place has this covariance [3, 3], and a ghost on one
    camera's ray to the north."""
    covariance = np.eye(6)[None]
    covariance[0, :3, :3] = spread
    vague = np.diag([1.0, 30.0**2, 1.0, 1.0, 30.0, 1.0])[None]
    claim = None
    for second in range(seconds + 1):
        moved = [(path(second + 0.01) - path(second - 0.01)) / 0.02 for path in (track, claimed)]
        z = (*claimed(second).tolist(), *moved[1].tolist())
        report = Measurement(Space.POSITION_VELOCITY, z, tuple(np.eye(6).ravel().tolist()), claimed_id="A")
        row = np.concatenate([track(second), moved[0]])[None]
        seen = [identity.Sighting(1, row, covariance, np.ones(1), bird)]
        if ghost is not None and second >= ghost_from:
            seen.append(
                identity.Sighting(3, np.concatenate([ghost(second), np.zeros(3)])[None], vague, np.ones(1), 0.0)
            )
        if claim is None:
            claim = identity.first_claim(report, 2, "rid", second * NS)
        else:
            identity.hear(claim, report, "rid", second * NS, seen)
        identity.pair([claim], [1, 3])
    assert claim is not None
    return claim


@pytest.mark.parametrize("sigma_m", [20.0, 60.0, 250.0])
def test_a_track_of_vague_place_vouches_for_nothing(sigma_m: float) -> None:
    """Also where it lies right on the claim; and it does not speak against one beside it either."""
    hover: Path = lambda t: np.array([0.0, 0.0, 20.0 + 0.0 * t])  # noqa: E731
    for off_m in (0.0, 0.5 * sigma_m):
        claim = beside(hover, far(hover, (off_m, 0.0, 0.0)), sigma_m**2 * np.eye(3))
        assert claim.attached is None
        assert claim.agreed_ns is None
        assert abs(claim.likeness[1].evidence) < 1.7
    assert beside(hover, hover, np.eye(3)).attached == 1


def test_a_direction_alone_vouches_across_it() -> None:
    """One camera sees it where it says it is, from 50 m to 150 m away: a lie would not have to lie on that ray."""
    hover: Path = lambda t: np.array([0.0, 100.0, 20.0 + 0.0 * t])  # noqa: E731
    ray = np.diag([1.0, 30.0**2, 1.0])
    assert beside(hover, hover, ray).attached == 1
    assert beside(hover, far(hover, (20.0, 0.0, 0.0)), ray).attached is None


def test_a_bird_says_nothing_of_itself() -> None:
    hover: Path = lambda t: np.array([0.0, 0.0, 20.0 + 0.0 * t])  # noqa: E731
    assert beside(hover, hover, np.eye(3), bird=0.02).attached == 1
    assert beside(hover, hover, np.eye(3), bird=0.99).attached is None


def test_a_lie_of_24_m_is_told_by_its_turns_within_ten_seconds() -> None:
    path = circle(radius_m=5.0, speed_mps=4.0)
    liar, honest = (beside(path, far(path, (0.0, off_m, 0.0)), np.eye(3)) for off_m in (24.0, 2.0))
    verdict = identity.judge(liar, None, 10 * NS, 2.0)
    assert (liar.attached, verdict.identity) == (None, Identity.CONFLICTING)
    assert "24 m away" in verdict.evidence[0]
    assert honest.attached == 1


def test_a_ghost_does_not_wash_a_liar_white() -> None:
    """Neither one that was there from the beginning, nor one that appears when the lie is known: it stays by itself."""
    path = circle(radius_m=5.0, speed_mps=4.0)
    lie = far(path, (0.0, 24.0, 0.0))
    liar = beside(path, lie, np.eye(3), seconds=14, ghost=lie)
    ghost = identity.Sighting(3, np.zeros((1, 6)), np.eye(6)[None], np.ones(1), 0.0)
    assert identity.judge(liar, ghost if liar.attached else None, 14 * NS, 2.0).identity is Identity.CONFLICTING
    late = beside(path, lie, np.eye(3), seconds=14, ghost=lie, ghost_from=10)
    assert late.attached is None
    assert identity.judge(late, None, 14 * NS, 2.0).identity is Identity.CONFLICTING


def test_an_honest_drone_in_formation_is_not_called_a_copy() -> None:
    path = circle(radius_m=5.0, speed_mps=4.0)
    honest = beside(path, path, np.eye(3), seconds=20, ghost=far(path, (0.0, 30.0, 0.0)))
    seen = identity.Sighting(1, np.zeros((1, 6)), np.eye(6)[None], np.ones(1), 0.0)
    assert (honest.attached, identity.judge(honest, seen, 20 * NS, 2.0).identity) == (1, Identity.COOPERATIVE)


def test_a_drone_whose_track_errs_copies_nobody() -> None:
    """All its cameras look a little aside: its track is wrong by eight of its own sigmas, and that is no lie."""
    path = circle(radius_m=5.0, speed_mps=4.0)
    astray = beside(far(path, (24.0, 0.0, 0.0)), path, 9.0 * np.eye(3), seconds=30)
    assert identity.judge(astray, None, 30 * NS, 2.0).identity is Identity.UNKNOWN
    assert astray.attached is None


def test_a_liar_that_was_honest_before_is_told_though_it_turns_alike() -> None:
    path = circle(radius_m=5.0, speed_mps=4.0)
    away: Path = lambda t: path(t) + np.array([0.0, 6.0 * min(max(t - 8.0, 0.0), 5.0), 0.0])  # noqa: E731
    claim = beside(path, away, np.eye(3), seconds=16)
    seen = identity.Sighting(1, np.zeros((1, 6)), np.eye(6)[None], np.ones(1), 0.0)
    assert claim.attached == 1
    verdict = identity.judge(claim, seen, 17 * NS, 2.0)
    assert verdict.identity is Identity.CONFLICTING
    assert "from where it is seen" in verdict.evidence[0]


def test_who_flies_another_way_copies_nobody() -> None:
    path, other = circle(radius_m=5.0, speed_mps=4.0), circle(radius_m=6.0, speed_mps=-3.0, phase=1.0)
    apart = beside(path, far(other, (0.0, 40.0, 0.0)), np.eye(3), seconds=30)
    assert identity.judge(apart, None, 30 * NS, 2.0).identity is Identity.UNKNOWN


def test_what_is_seen_in_front_of_a_claim_is_not_what_claims() -> None:
    """Two cameras beside each other: seen from both, a drone hovers near the direction of the claim and 40 m nearer."""
    lens = "width: 640, height: 800, fx: 1200, fy: 1200, cx: 320, cy: 400"
    cameras = "".join(
        f"  - {{id: {name}, kind: camera, position: {{enu: [{east}, 12, 4]}}, orientation: {{azimuth: {azimuth},"
        f" elevation: 12, roll: 0}}, intrinsics: {{{lens}}}}}\n"
        for name, east, azimuth in (("left", -14, 10), ("right", 14, 350))
    )
    where = parse_site(site_text(()) + cameras + RID)
    hover: Path = lambda t: np.array([0.2 * math.sin(t), 70.0, 17.0])  # noqa: E731
    behind: Path = lambda t: np.array([4.0, 110.0, 24.0 + 0.0 * t])  # noqa: E731
    tracks = run(pixels(where, [hover], SECONDS, fps=8.0) + claims(behind), where)
    assert [t["identity"] for t in of(tracks) if t["time"] > 110.0] == ["conflicting"] * 2
    assert "saw nothing" in of(tracks)[-1]["evidence"][0]


def test_a_claim_is_shown_as_what_it_says_it_is() -> None:
    airliner = [line | {"class": "airplane"} for line in claims(far(circle(), (900.0, 400.0, 50.0)))]
    assert {t["class"] for t in run(airliner)} == {"airplane"}
    assert {t["class"] for t in run(claims(circle()))} == {"drone"}


def test_the_claim_of_a_drone_that_is_seen_already_is_no_second_track() -> None:
    path = circle()
    tracks = run(seen([path], 5.0) + claims(path, begin=2.505, seconds=5.0))
    assert len(of(tracks)) > 0
    assert not any(t["claim_only"] for t in tracks)
