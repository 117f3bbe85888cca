"""Alerts: told once and at the right time, ended when it is over, and never about what nobody can know."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest

from fusion.alerts import Alert, AlertFold, AlertKind, Sighted, Trouble, ZoneArea, contains
from fusion.types import NS, Identity, Track
from models.types import CLASSES
from tracking.types import Status

SQUARE = ((0.0, 0.0), (100.0, 0.0), (100.0, 100.0), (0.0, 100.0))
ZONE = ZoneArea("pad", "Pad", SQUARE, floor_m=400.0, ceiling_m=500.0, critical=True)


def seen(
    east: float,
    north: float = 50.0,
    *,
    velocity: tuple[float, float, float] = (0.0, 0.0, 0.0),
    sigma_m: float = 1.0,
    altitude: float = 450.0,
    name: str = "drone",
) -> Sighted:
    cov = [0.0] * 36
    for k in range(6):
        cov[7 * k] = sigma_m**2 if k < 3 else 0.25
    classes = tuple(0.97 if each == name else 0.01 for each in CLASSES)
    mean = (east, north, altitude - 400.0, *velocity)
    return Sighted(Track("T1", 0, Status.CONFIRMED, mean, tuple(cov), 1.0, classes), altitude)


def fold() -> AlertFold:
    watching = AlertFold()
    watching.put_zone(ZONE)
    return watching


def told(watching: AlertFold, looks: list[list[Sighted]], step_s: float = 0.1) -> list[tuple[int, Alert]]:
    """(look, alert) of all that was told."""
    return [(k, each) for k, look in enumerate(looks) for each in watching.step(round(k * step_s * NS), look)]


def kinds(alerts: list[tuple[int, Alert]], active: bool = True) -> list[AlertKind]:
    return [each.kind for _, each in alerts if each.active is active]


def test_an_entry_is_told_at_once_and_ends_some_time_after_it_left() -> None:
    looks = [[seen(-20.0)]] * 5 + [[seen(20.0)]] * 5 + [[seen(-20.0)]] * 40
    (begun, entry), (ended, over) = told(fold(), looks)
    assert (begun, entry.kind, entry.zone_id, entry.track_id, entry.critical) == (5, AlertKind.ENTER, "pad", "T1", True)
    assert 9 + 20 <= ended <= 9 + 21
    assert (over.number, over.active) == (entry.number, False)


def test_a_track_that_trembles_on_the_border_gives_one_alert() -> None:
    looks = [[seen(4.0 * math.sin(1.7 * k))] for k in range(600)]
    alerts = told(fold(), looks)
    assert len({each.number for _, each in alerts}) == 1
    assert kinds(alerts, active=False) == []


def test_what_may_be_anywhere_is_nowhere_inside() -> None:
    assert told(fold(), [[seen(50.0, sigma_m=400.0)]] * 20) == []
    assert kinds(told(fold(), [[seen(50.0, sigma_m=4.0)]] * 3)) == [AlertKind.ENTER]


def test_above_and_below_is_not_inside_and_birds_may_fly() -> None:
    for other in (seen(50.0, altitude=520.0), seen(50.0, altitude=380.0), seen(50.0, name="bird")):
        assert told(fold(), [[other]] * 20) == []


def test_an_approach_tells_when_it_will_be_in_and_becomes_an_entry() -> None:
    looks = [[seen(-120.0 + 1.0 * k, velocity=(10.0, 0.0, 0.0))] for k in range(160)]
    alerts = told(fold(), looks)
    begun, first = alerts[0]
    assert (begun, first.kind, first.time_to_entry_s) == (5, AlertKind.APPROACH, 11.5)
    running = [each for _, each in alerts if each.kind is AlertKind.APPROACH and each.active]
    assert all(
        a.time_to_entry_s > b.time_to_entry_s for a, b in pairwise(running) if a.time_to_entry_s and b.time_to_entry_s
    )
    entered = next(k for k, each in alerts if each.kind is AlertKind.ENTER)
    assert 120 <= entered <= 123
    assert {each.kind for _, each in alerts if not each.active} == {AlertKind.APPROACH}


@pytest.mark.parametrize(
    "passing",
    [
        seen(-120.0, velocity=(-10.0, 0.0, 0.0)),  # away
        seen(-120.0, velocity=(0.5, 0.0, 0.0)),  # no direction to speak of
        seen(-120.0, velocity=(10.0, 0.0, 10.0)),  # has climbed over it by then
        seen(-120.0, north=200.0, velocity=(10.0, 0.0, 0.0)),  # past it
        seen(-900.0, velocity=(10.0, 0.0, 0.0)),  # far off yet
    ],
)
def test_who_will_not_be_in_soon_is_not_told_of(passing: Sighted) -> None:
    assert told(fold(), [[passing]] * 20) == []


def test_descending_into_a_zone_is_an_approach() -> None:
    above = seen(50.0, altitude=520.0, velocity=(2.0, 0.0, -4.0))
    assert told(fold(), [[above]] * 10)[0][1].time_to_entry_s == 5.0


def test_a_conflict_of_claim_and_sight_is_told_and_ends_with_its_track() -> None:
    honest = seen(-500.0)
    liar = Sighted(replace(honest.track, identity=Identity.CONFLICTING, evidence=("X lies",)), honest.altitude_m)
    alerts = told(fold(), [[honest]] * 3 + [[liar]] * 10 + [[]])
    assert [(k, each.active) for k, each in alerts] == [(8, True), (13, False)]
    assert alerts[0][1].text == "T1: X lies"


def test_where_a_known_lie_says_it_is_there_is_nothing() -> None:
    claim = seen(50.0)
    said = Sighted(replace(claim.track, claim_only=True), claim.altitude_m)
    lie = Sighted(replace(said.track, identity=Identity.CONFLICTING), said.altitude_m)
    alerts = told(fold(), [[said]] * 3 + [[lie]] * 10)
    assert [(each.kind, each.active) for _, each in alerts] == [
        (AlertKind.ENTER, True),
        (AlertKind.ENTER, False),
        (AlertKind.CLAIM_CONFLICT, True),
    ]


def test_without_its_zone_an_alert_ends() -> None:
    watching = fold()
    assert kinds(told(watching, [[seen(50.0)]])) == [AlertKind.ENTER]
    watching.remove_zone("pad")
    assert [each.active for each in watching.step(NS, [seen(50.0)])] == [False]


def test_inside_is_by_the_even_odd_rule() -> None:
    notch = ((0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (5.0, 2.0), (0.0, 10.0))
    assert contains(notch, 5.0, 1.0)
    assert not contains(notch, 5.0, 5.0)
    assert not contains(notch, -1.0, 5.0)


def test_a_trouble_of_the_service_is_one_alert_among_the_others() -> None:
    watching = fold()
    full, away = (Trouble(AlertKind.RECORDING, time, True, text) for time, text in ((5, "full"), (9, "away")))
    over = Trouble(AlertKind.RECORDING, 12, False, "")
    begun, other = watching.tell(full), watching.tell(away)
    assert begun is not None
    assert (begun.number, begun.track_id, begun.zone_id, begun.active, begun.text) == (1, None, None, True, "full")
    assert other == replace(begun, time_ns=9, text="away")
    assert watching.step(10, []) == ()  # no track: no end of it
    assert watching.tell(over) == replace(begun, time_ns=12, text="away", active=False)
    assert watching.tell(over) is None
    again = watching.tell(full)
    assert again is not None
    assert again.number == 2
