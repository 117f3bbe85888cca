"""A report: one file, complete in itself, that says what was so and what nobody can say."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from service import cli
from service.call_error import CallError
from service.flight_logs.log import Alignment, LogError
from service.flight_report import html
from service.flight_report.command import gather, report
from service.flight_report.content import document
from service.flight_report.document import Document, Facts, Grid, Heading, Text
from service.track import Progress

import fusion_scene  # isort: skip
from flight_scene import START_NS, record_scene, scene_site  # isort: skip

SECONDS = 5.0


@pytest.fixture(scope="module")
def flight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record_scene(tmp_path_factory.mktemp("flight"), SECONDS)[0]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one of the scene's two drones logged."""
    path, frame, fly = tmp_path_factory.mktemp("log") / "mine.csv", scene_site().frame, fusion_scene.circle()
    with path.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(("time", "latitude", "longitude", "altitude"))
        for k in range(int(SECONDS * 5)):
            rows.writerow((f"{START_NS / 1e9 + k / 5:.3f}", *(float(v) for v in frame.to_geodetic(fly(k / 5)))))
    return path


@pytest.fixture(scope="module")
def judged(flight: Path, log: Path) -> Document:
    return document(gather(flight, log, Alignment(), True, Progress()))


def grid(whole: Document, first: str, second: str) -> Grid:
    """The table whose header begins so."""
    return next(b for b in whole.blocks if isinstance(b, Grid) and b.header[:2] == (first, second))


def words(whole: Document) -> str:
    return " ".join(block.text for block in whole.blocks if isinstance(block, Text))


def test_it_has_the_sections_of_the_test_method(judged: Document) -> None:
    assert [block.text for block in judged.blocks if isinstance(block, Heading)] == [
        "What was flown",
        "Detection, sensor by sensor",
        "Tracking, fused",
        "Identification and alerts",
        "What each sensor contributed",
        "How far this can be trusted",
    ]


def test_its_numbers_are_those_of_the_flight(judged: Document) -> None:
    flown = grid(judged, "drone", "in sight").rows
    assert [row[0] for row in flown] == ["mine"]
    assert float(flown[0][3].removesuffix(" m/s")) == pytest.approx(6.3, abs=1.5)  # the circle of the scene
    tracked = grid(judged, "drone", "first track after").rows[0]
    off = dict(zip(grid(judged, "drone", "first track after").header, tracked, strict=True))["off"]
    assert float(off.split()[0]) < 2.0
    sensors = {row[0]: row for row in grid(judged, "sensor", "looks").rows}
    assert sensors.keys() == {"east", "south", "west"}
    assert all(int(row[2]) > 0.8 * int(row[1]) for row in sensors.values())  # nearly each look reported the drone
    left = grid(judged, "", "GOSPA").rows
    assert [row[0] for row in left] == ["all sensors", "without east", "without south", "without west"]


def test_it_says_what_a_log_cannot_tell(judged: Document) -> None:
    assert "The log tells of one drone" in words(judged)
    assert "heights above the ellipsoid" in words(judged)
    assert "is short: rates" in words(judged)


def test_without_truth_it_tells_what_was_seen_and_what_nobody_can_say(flight: Path) -> None:
    whole = document(gather(flight, None, Alignment(), True, Progress()))
    assert "What really flew is not known" in words(whole)
    assert "Without the truth nobody can say" in words(whole)
    headers = [block.header for block in whole.blocks if isinstance(block, Grid)]
    assert ("sensor", "looks", "reports", "reports a look") in headers
    assert not any("miss" in header or "GOSPA" in header for header in headers)
    assert [row[0] for row in grid(whole, "", "tracks").rows][:2] == ["all sensors", "without east"]
    assert any(isinstance(block, Facts) and ("truth", "not known") in block.rows for block in whole.blocks)


def test_the_file_loads_nothing_and_its_drawings_are_whole(judged: Document) -> None:
    page = html.write(judged).decode()
    drawings = re.findall(r"<svg .*?</svg>", page, re.DOTALL)
    assert len(drawings) == 5
    ids: list[str] = []
    for drawing in drawings:
        tree = ElementTree.fromstring(drawing)
        ids += [element.attrib["id"] for element in tree.iter() if "id" in element.attrib]
        assert set(re.findall(r"url\(#([^)]+)\)", drawing)) <= set(ids)
    assert len(ids) == len(set(ids))  # of one drawing never another's
    assert not re.search(r"<(script|link|img|iframe)\b|@import|url\((?!#)", page)
    assert all(address.startswith("data:") for address in re.findall(r'(?:src|href)="([^#"][^"]*)"', page))


def test_names_from_outside_are_no_markup() -> None:
    whole = Document("<b>", "&", (Text("<script>"), Grid(("<i>", "x"), (("<u>", "1"),))))
    page = html.write(whole).decode()
    assert not re.search(r"<(b|script|i|u)>", page)


@pytest.mark.parametrize("ending", ["html", "pdf"])
def test_it_is_one_file(flight: Path, log: Path, tmp_path: Path, ending: str) -> None:
    output = tmp_path / f"report.{ending}"
    said = report(flight, output, log, leave_out=False)
    assert "judged by the truth" in said
    assert [path.name for path in tmp_path.iterdir()] == [output.name]
    whole = output.read_bytes()
    assert whole.startswith(b"<!doctype html>" if ending == "html" else b"%PDF-1.")
    if ending == "pdf":
        assert len(re.findall(rb"/Type /Page\b", whole)) >= 3
        assert whole.rstrip().endswith(b"%%EOF")


def test_a_log_of_another_day_leaves_no_file(flight: Path, log: Path, tmp_path: Path) -> None:
    with pytest.raises(LogError, match="no time in common"):
        report(flight, tmp_path / "report.html", log, Alignment(offset_s=86_400.0))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("none.mcap", "--output", "r.html"), "there is no file none.mcap"),
        ((__file__, "--output", "r.docx"), "written as html or pdf"),
        ((__file__, "--output", "r.html", "--truth", "none.gpx"), "there is no file none.gpx"),
        ((__file__, "--output", "r.html", "--truth-start", "now"), "--truth-start now"),
    ],
)
def test_a_wrong_call_is_answered_in_one_sentence(arguments: tuple[str, ...], sentence: str) -> None:
    done = CliRunner().invoke(cli.app, ["report", *arguments])
    assert isinstance(done.exception, CallError)
    assert sentence in str(done.exception)
