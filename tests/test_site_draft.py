"""A site that is drawn: the file it begins with, and what the check says of it."""

from __future__ import annotations

import json

import pytest
from fastapi import HTTPException

from fusion.site import parse_site, site_of
from service.site_draft import draft_of, site_text, verdict
from simulation.scenario import kept_scenario

SITE = """
site: {name: Field, origin: {latitude: 47.4, longitude: 8.5, altitude: 400}}
sensors:
  - {id: cam, kind: camera, source: "rtsp://viewer:secret@camera.local/stream", width: 640, height: 480,
     horizontal_fov: 40, position: {enu: [0, 0, 4]}, orientation: {azimuth: 90}}
  - {id: radar, kind: external, position: {enu: [0, 0, 5]}}
zones:
  - {name: Hangar, polygon: [[47.4, 8.5], [47.401, 8.5], [47.401, 8.501]]}
"""


def test_a_draft_is_the_site_again_without_its_password() -> None:
    draft = draft_of("Field", parse_site(SITE))
    assert "secret" not in json.dumps(draft)
    assert draft["sensors"][0]["source"] == "rtsp://viewer:${PASSWORD}@camera.local/stream"
    draft["sensors"][0]["source"] = "rtsp://viewer:secret@camera.local/stream"
    assert parse_site(site_text(draft)).file == parse_site(SITE).file


def test_the_draft_of_a_simulated_site_can_be_saved() -> None:
    draft = draft_of("Demo", site_of(kept_scenario("airport-approach")))
    assert "aircraft" not in draft
    assert verdict(json.dumps(draft).encode())["faults"] == []


def test_what_is_wrong_is_told_with_the_line_of_the_text_that_is_answered() -> None:
    draft = draft_of("Field", parse_site(SITE))
    draft["sensors"][0]["source"] = "rtsp://camera.local/stream"
    assert verdict(json.dumps(draft).encode())["faults"] == []
    del draft["sensors"][0]["orientation"]
    answer = verdict(json.dumps(draft).encode())
    (fault,) = answer["faults"]
    assert "needs position, orientation" in fault["what"]
    assert "id: cam" in answer["text"].splitlines()[fault["line"] - 1]


def test_text_is_checked_as_it_is() -> None:
    assert verdict(b"site: 1")["text"] == "site: 1"
    assert verdict(b"site: 1")["faults"]
    assert verdict(b"")["faults"]


@pytest.mark.parametrize("body", [b"\xff\xfe", b"{not json"])
def test_what_is_neither_text_nor_json_is_refused_in_a_sentence(body: bytes) -> None:
    with pytest.raises(HTTPException, match=r"[Ss]end a site as"):
        verdict(body)


def test_a_service_without_places_begins_with_an_empty_site() -> None:
    assert draft_of("Gate", None)["sensors"] == []
