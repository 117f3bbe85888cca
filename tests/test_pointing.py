"""Where a camera should look: the direction of what it does not see, how well that is known, and how far to turn."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from service import pointing
from service.board import Board
from service.pointing import LEAD_S, Pointing, router
from service.types import WorldTrack, WorldUpdate

from camera_updates import START_NS  # isort: skip
from fusion_scene import site  # isort: skip
from world_updates import world_track  # isort: skip

SITE = site()
EAST = SITE.sensors["east"]  # 60 m east, 2 m up; looks west and 20° up


def at(
    place_m: tuple[float, float, float],
    velocity_mps: tuple[float, float, float] = (0.0, 0.0, 0.0),
    sigmas_m: tuple[float, float, float] = (1.0, 1.0, 1.0),
    number: int = 1,
    sensors: tuple[str, ...] = ("mic",),
) -> WorldTrack:
    shown = world_track(number, START_NS, sensors=sensors)
    covariance = np.diag([*np.square(sigmas_m), 0.0, 0.0, 0.0])
    track = replace(shown.track, mean=(*place_m, *velocity_mps), covariance=tuple(covariance.ravel().tolist()))
    return replace(shown, track=track)


def test_the_direction_is_that_of_where_it_will_be() -> None:
    found = pointing.target(EAST, at((-40.0, 0.0, 2.0), (0.0, 20.0, 0.0)), START_NS)
    assert found is not None
    ahead = math.degrees(math.atan2(20.0 * LEAD_S, 100.0))
    assert found["azimuth"] == pytest.approx(270.0 + ahead, abs=0.01)
    assert found["elevation"] == pytest.approx(0.0, abs=0.01)
    assert found["distance"] == pytest.approx(math.hypot(100.0, 20.0 * LEAD_S), abs=0.1)
    assert found["turn"] == pytest.approx(
        math.degrees(math.acos(math.cos(math.radians(20.0)) * math.cos(math.radians(ahead)))), abs=0.01
    )
    assert found["in_picture"]


def test_what_the_picture_does_not_hold_is_said() -> None:
    behind = pointing.target(EAST, at((160.0, 0.0, 2.0)), START_NS)
    above = pointing.target(EAST, at((-40.0, 0.0, 302.0)), START_NS)
    assert behind is not None
    assert above is not None
    assert (behind["in_picture"], above["in_picture"]) == (False, False)
    assert behind["turn"] == pytest.approx(160.0, abs=0.01)


def test_only_what_is_across_the_line_of_sight_spreads_the_search() -> None:
    """A wedge is long: along it the camera need not search, from the side it must."""
    along = pointing.target(EAST, at((-140.0, 0.0, 2.0), sigmas_m=(100.0, 2.0, 2.0)), START_NS)
    aside = pointing.target(SITE.sensors["south"], at((0.0, 140.0, 2.0), sigmas_m=(100.0, 2.0, 2.0)), START_NS)
    assert along is not None
    assert aside is not None
    assert along["sigma"] == pytest.approx(math.degrees(2.0 / 200.0), abs=0.01)
    assert aside["sigma"] == pytest.approx(math.degrees(math.atan(100.0 / 200.0)), abs=0.01)


def test_a_camera_is_told_first_what_it_does_not_see() -> None:
    board = Board()
    app = FastAPI()
    app.include_router(router(SITE, board))
    with TestClient(app) as client:
        empty = Pointing.model_validate(client.get("/api/v1/sensors/east/pointing").json())
        assert (empty.time, empty.targets) == (None, [])
        tracks = (
            at((50.0, 0.0, 2.0), number=1, sensors=("east", "mic")),
            at((-100.0, 0.0, 2.0), number=2),
            at((0.0, 0.0, 2.0), number=3),
        )
        board.accept(WorldUpdate(START_NS, tracks, (), 4))
        told = Pointing.model_validate(client.get("/api/v1/sensors/east/pointing").json())
        assert [(each.track, each.seen) for each in told.targets] == [("T3", False), ("T2", False), ("T1", True)]
        answer = client.get("/api/v1/sensors/mic/pointing")
        assert answer.status_code == 404
        assert "no camera 'mic'" in answer.text
