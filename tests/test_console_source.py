"""The console's source, read without a browser: no import circles, reasons in French, types as the service has."""

from __future__ import annotations

import ast
import graphlib
import json
import re
from pathlib import Path

from console_site import WEB, load

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((WEB / "src").glob("*.ts*"))
_IMPORT = re.compile(r'^import (?!type\b)[^;]*?from "\./(\w+)";', re.MULTILINE)


def test_no_module_of_the_console_imports_itself_by_way_of_others() -> None:
    graph = {path.stem: set(_IMPORT.findall(path.read_text(encoding="utf-8"))) for path in SOURCES}
    assert graph["app"] >= {"map", "timeline"}  # the pattern does find imports
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError and names the circle


def test_the_console_reads_what_the_service_writes() -> None:
    types = load("generate_types")
    sentence = "run `.venv/bin/python service/web/generate_types.py`: the schemas have changed"
    assert types.OUTPUT.read_text(encoding="utf-8") == types.generate(), sentence


def sentences() -> list[str]:
    """All that fusion says of an identity, with a 7 for every value."""
    tree = ast.parse((ROOT / "fusion" / "identity.py").read_text(encoding="utf-8"))
    found = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    return [
        "".join(str(part.value) if isinstance(part, ast.Constant) else "7" for part in each.values) for each in found
    ]


def test_every_reason_for_an_identity_has_its_french() -> None:
    patterns = json.loads((WEB / "src" / "evidence.fr.json").read_text(encoding="utf-8"))
    told = [each for each in sentences() if " " in each]
    assert len(told) > 10
    told = [each.replace(" 7 where", " looks where") for each in told]  # the verb that follows the number of sensors
    assert [each for each in told if not any(re.match(english, each) for english, _ in patterns)] == []
