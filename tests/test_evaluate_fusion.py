"""`deeplomatics evaluate fusion`: flights, folders of measurements and tables; what cannot be judged is said."""

from __future__ import annotations

import csv
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from fusion.geometry import LocalFrame
from service.evaluate_fusion import COLUMNS, EvaluateError, cases_of, evaluate, markdown, read_enu, row_of
from service.flight_logs.log import Alignment, LogError

import fusion_scene  # isort: skip
from flight_scene import START_NS, record_scene, scene_site  # isort: skip

PATH = fusion_scene.circle()


def write_log(path: Path, frame: LocalFrame, start_s: float, seconds: float) -> Path:
    with path.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(("time", "latitude", "longitude", "altitude"))
        for k in range(int(seconds * 5)):
            rows.writerow((f"{start_s + k / 5:.3f}", *(float(v) for v in frame.to_geodetic(PATH(k / 5)))))
    return path


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the recordings beside the project have it: site, measurements, truth in ENU, what may be judged."""
    folder = tmp_path_factory.mktemp("sets") / "one"
    folder.mkdir()
    lines = fusion_scene.pixels(fusion_scene.site(), [PATH], 8.0)
    (folder / "site.yaml").write_text(fusion_scene.site_text())
    (folder / "measurements.jsonl").write_bytes(b"".join(fusion_scene.encode(lines)) + b"no measurement\n")
    rows = ["time,e,n,u"] + [",".join(map(str, (100 + k / 5, *PATH(k / 5)))) for k in range(40)]
    (folder / "truth.csv").write_text("\n".join(rows))
    (folder / "split.json").write_text(json.dumps({"calibrated_until": 102.0, "last": 107.5}))
    return folder


def test_measurements_are_fused_and_judged_where_the_split_says(measured: Path) -> None:
    found = evaluate(cases_of([measured.parent], None, Alignment()), leave_out=True)["scenarios"]["one"]
    assert found["duration_s"] == pytest.approx(5.5, abs=0.7)
    assert found["figures"]["position_median_m"] < 0.5
    assert found["figures"]["one_id_share"] == 1.0
    assert found["without"].keys() == {"east", "south", "west"}
    assert all(each["located_share"] > 0.9 for each in found["without"].values())  # two cameras are left


def test_a_flight_is_judged_by_a_log(tmp_path: Path) -> None:
    flight = record_scene(tmp_path, 6.0)[0]
    log = write_log(tmp_path / "drone.csv", scene_site().frame, START_NS / 1e9, 6.0)
    found = evaluate(cases_of([tmp_path], log, Alignment()), leave_out=False)["scenarios"][flight.stem]
    assert found["figures"]["drones"] == 1
    assert found["figures"]["position_median_m"] < 2.0


def test_fused_again_a_flight_of_this_build_is_judged_the_same(tmp_path: Path) -> None:
    record_scene(tmp_path, 4.0)
    log = write_log(tmp_path / "drone.csv", scene_site().frame, START_NS / 1e9, 4.0)
    flight = next(tmp_path.glob("*.mcap"))
    as_recorded, again = (
        evaluate(cases_of([flight], log, Alignment(), again=again), leave_out=False)["scenarios"][flight.stem]
        for again in (False, True)
    )
    assert as_recorded["figures"]["positions"] > 10
    assert as_recorded == again


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvaluateError, match="holds nothing to judge"):
        cases_of([tmp_path], None, Alignment())


def test_measurements_without_a_truth_are_refused(measured: Path, tmp_path: Path) -> None:
    for name in ("site.yaml", "measurements.jsonl"):
        (tmp_path / name).write_bytes((measured / name).read_bytes())
    with pytest.raises(EvaluateError, match="holds no truth"):
        cases_of([tmp_path], None, Alignment())


def test_a_truth_of_another_time_is_refused(measured: Path, tmp_path: Path) -> None:
    log = write_log(tmp_path / "drone.csv", fusion_scene.site().frame, START_NS / 1e9, 6.0)
    with pytest.raises(EvaluateError, match="no time in common"):
        evaluate(cases_of([measured], log, Alignment()), leave_out=False)


def test_a_damaged_truth_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "truth.csv"
    path.write_text("time,e,n,u\n1,2,three,4\n")
    with pytest.raises(LogError, match="not four numbers"):
        read_enu(path)


def test_the_table_says_what_it_is_not_sure_of(measured: Path) -> None:
    found = evaluate(cases_of([measured], None, Alignment()), leave_out=False)
    row = dict(zip(COLUMNS, row_of(found["scenarios"]["one"]), strict=True))
    low, high = row["false tracks /h"].partition("(")[2].rstrip(")").split("–")
    assert (low, row["liar flagged s"], row["honest flagged"]) == ("0", "–", "–")
    assert int(high) == pytest.approx(-math.log(0.025) * 3600 / 5.5, rel=0.15)  # none seen in so short a time
    page = markdown(found).splitlines()
    assert page[0].startswith("| scenario | seconds | drones | GOSPA m |")
    assert page[2].startswith(f"| one | {row['seconds']} | 1 |")
    assert row["seconds"] in ("5", "6")


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "service.cli", "evaluate", "fusion", *map(str, arguments)]
    code = "import sys; from service.cli import main; sys.argv[0] = 'deeplomatics'; main()"
    return subprocess.run([program[0], "-c", code, *program[3:]], capture_output=True, text=True, check=False)


def test_the_command_writes_table_and_json(measured: Path, tmp_path: Path) -> None:
    done = command("--data", measured, "--json", tmp_path / "f.json", "--markdown", tmp_path / "f.md")
    assert (done.returncode, done.stderr) == (0, "")
    assert "GOSPA" in done.stdout
    assert json.loads((tmp_path / "f.json").read_text())["scenarios"]["one"]["figures"]["drones"] == 1
    assert (tmp_path / "f.md").read_text().startswith("| scenario |")


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        ((), 2, "give --data, flights or folders of measurements, or --scenarios"),
        (("--data", "nowhere"), 2, "there is no file or folder nowhere"),
        (("--scenarios", "none-such"), 2, "there is no scenario 'none-such'"),
        (("--data", ".", "--split", "train"), 2, "there is only test"),
        (("--data", ".", "--truth", "none.gpx"), 2, "there is no file none.gpx"),
        (("--data", ".", "--truth-start", "noon"), 2, "--truth-start noon"),
        (("--data", "."), 1, "holds nothing to judge"),
    ],
)
def test_a_wrong_call_is_answered_in_one_sentence(arguments: tuple[str, ...], status: int, sentence: str) -> None:
    done = command(*arguments)
    assert done.returncode == status
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
