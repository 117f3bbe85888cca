"""The judge over a recorded flight and over what is live: the same figures, by a log, without a sensor, in words."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import orjson
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from fusion.site import Site
from fusion.types import NS
from service.bus import Bus
from service.flight_file import Flight
from service.flight_logs.log import Alignment, Flown, LogError
from service.flight_logs.read import read_flown
from service.replay import ReplayError
from service.score import ScoreKeeper, router, scorer_of, tell
from service.score_flight import score_flight
from service.zones import by_id
from simulation.score_figures import figures
from simulation.truth import TrueObject, Truth

import fusion_scene  # isort: skip
from flight_scene import START_NS, record_scene, scene_site  # isort: skip

SECONDS = 6.0
PATHS = (fusion_scene.circle(), fusion_scene.circle(phase=math.pi, height_m=27.0))


@pytest.fixture(scope="module")
def flight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record_scene(tmp_path_factory.mktemp("flight"), SECONDS)[0]


def log(site: Site, folder: Path, path: fusion_scene.Path, start_ns: int = START_NS) -> Flown:
    """One drone's log of the scene, as a CSV."""
    where = folder / "drone.csv"
    with where.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(("time", "latitude", "longitude", "altitude"))
        for k in range(int(SECONDS * 5)):
            place = [float(v) for v in site.frame.to_geodetic(path(k / 5))]
            rows.writerow((f"{start_ns / NS + k / 5:.3f}", *place))
    return read_flown(where, site.frame, Alignment())


def truths() -> list[Truth]:
    """Both drones, ten times a second."""
    told = []
    for k in range(int(SECONDS * 10)):
        ends = [(path(k / 10), path(k / 10 + 1e-3)) for path in PATHS]
        objects = tuple(
            TrueObject(f"drone-{n}", "drone", tuple(a.tolist()), tuple(((b - a) / 1e-3).tolist()))
            for n, (a, b) in enumerate(ends)
        )
        told.append(Truth(START_NS + k * NS // 10, objects))
    return told


def test_a_flight_is_judged_by_the_log_of_its_drone(flight: Path, tmp_path: Path) -> None:
    scored = score_flight([flight], log(scene_site(), tmp_path, PATHS[0]))
    found = scored.figures
    drone = found["drones"][0]
    assert scored.sensors == ("east", "south", "west")
    assert found["truth"] == {"source": "drone", "complete": False}
    assert drone["name"] == "drone"
    assert drone["in_sight_of"].keys() == {"east", "south", "west"}
    assert drone["position_median_m"] < 2.0
    assert drone["located_share"] > 0.6  # of six seconds, of which the first go to finding it
    assert drone["id_switches"] == 0


def test_without_its_other_cameras_it_is_not_located(flight: Path, tmp_path: Path) -> None:
    truth = log(scene_site(), tmp_path, PATHS[0])
    alone = score_flight([flight], truth, without=("south", "west"))
    assert alone.sensors == ("east",)
    whole = score_flight([flight], truth).figures["figures"]["located_share"]
    assert (alone.figures["figures"]["located_share"] or 0.0) < whole


def test_a_log_of_another_hour_is_refused(flight: Path, tmp_path: Path) -> None:
    late = log(scene_site(), tmp_path, PATHS[0], START_NS + 3600 * NS)
    with pytest.raises(LogError, match="in common: if its clock was in another zone, give --truth-offset -3600"):
        score_flight([flight], late)


def test_a_flight_without_truth_says_what_to_give(flight: Path) -> None:
    with pytest.raises(ReplayError, match="holds no truth: give --truth"):
        score_flight([flight])


def test_live_and_over_the_file_the_judge_says_the_same(flight: Path) -> None:
    """A keeper that follows a bus, and a judge that is told by hand."""
    site = scene_site()
    judge, zones = scorer_of(site), by_id(site.file.zones)
    now = [0]
    bus = Bus(lambda: now[0])
    keeper = ScoreKeeper(site, bus, {})
    with keeper.following(), Flight(flight) as opened:
        waiting = truths()
        for envelope in opened.envelopes():
            now[0] = envelope.received_ns
            while waiting and waiting[0].time_ns <= envelope.received_ns:
                tell(judge, site.frame, waiting[0], now[0])
                bus.publish("truth", waiting.pop(0))
            tell(judge, site.frame, envelope.message, envelope.received_ns)
            bus.publish(envelope.subject, envelope.message)
    assert zones  # the flight has one, and tells of it
    ours, theirs = figures(judge), keeper.figures()
    assert theirs is not None
    assert theirs.pop("time").startswith("2026-05-01T")
    assert theirs == orjson.loads(orjson.dumps(ours)) | {"truth": theirs["truth"]}
    assert ours["figures"]["drones"] == 2
    assert ours["figures"]["position_median_m"] < 2.0
    assert sum(ours["alerts"]["enter"].values()) > 0


def test_the_interface_says_so_where_no_truth_is_known() -> None:
    app = FastAPI()
    app.include_router(router(ScoreKeeper(scene_site(), Bus(lambda: 0), {}), "live"))
    answer = TestClient(app).get("/api/v1/score")
    assert answer.status_code == 200
    assert answer.json() == {"world": "live", "truth": None}


def test_truth_that_begins_again_is_judged_anew() -> None:
    """A replay that was sent back."""
    bus = Bus(lambda: 0)
    keeper = ScoreKeeper(scene_site(), bus, {})
    told = truths()
    with keeper.following():
        for truth in (*told, told[0]):
            bus.publish("truth", truth)
    found = keeper.figures()
    assert found is not None
    assert found["time"] is None  # nothing was judged since
