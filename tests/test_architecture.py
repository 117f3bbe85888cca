"""The rules of docs/architecture.md, read from the source itself: who imports whom, and what algorithms may not touch.

Each rule is a function from source to a list of broken places, so that the last test can show that it finds them.
"""

from __future__ import annotations

import ast
import graphlib
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("models", "tracking", "fusion", "simulation", "service")

#: What each part may import of the others. `models.types` is the vocabulary that all share.
MAY_IMPORT: Mapping[str, tuple[str, ...]] = {
    "models": (),
    "tracking": ("models.types",),
    "fusion": ("models.types", "tracking"),
    "simulation": ("models.types", "tracking", "fusion"),
    "service": ("models", "tracking", "fusion", "simulation"),
}

EMPTY_NAMES = {"utils", "util", "common", "core", "helpers", "helper", "misc"}

#: Modules through which an algorithm would see the world, or differ from run to run.
IMPURE_MODULES = {
    *("asyncio", "concurrent", "datetime", "multiprocessing", "os", "pathlib", "queue", "random", "secrets", "shutil"),
    *("signal", "socket", "sqlite3", "subprocess", "sys", "tempfile", "threading", "time", "urllib", "uuid"),
}
IMPURE_BUILTINS = {"open", "input", "print"}
CLOCKS = {
    *("time.time", "time.time_ns", "time.monotonic", "time.monotonic_ns", "time.perf_counter", "time.perf_counter_ns"),
    *("time.process_time", "time.process_time_ns", "time.localtime", "time.gmtime"),
    *("datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today"),
}
#: Random numbers come from one of these, made with a seed.
GENERATORS = {"random.Random", *(f"numpy.random.{n}" for n in ("default_rng", "Generator", "SeedSequence", "PCG64"))}
#: numpy's products and decompositions run in BLAS, whose rounding differs by processor.
BLAS_CALLS = {f"numpy.{name}" for name in ("dot", "vdot", "inner", "matmul", "einsum", "tensordot")}

Modules = Mapping[str, ast.Module]
Rule = Callable[[ast.AST], list[str]]
FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)


def python_files(*folders: str) -> list[Path]:
    """Source files under these folders, in a fixed order."""
    found = (path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return sorted(path for path in found if "node_modules" not in path.parts)


def dotted(path: Path) -> str:
    """`fusion/sensors/__init__.py` is `fusion.sensors`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.fixture(scope="module")
def modules() -> Modules:
    return {dotted(path): ast.parse(path.read_text(encoding="utf-8")) for path in python_files(*PARTS)}


# -- reading source ----------------------------------------------------------------------------------------------------


def imports(tree: ast.AST) -> Iterator[str]:
    """Every module named by an import, wherever it stands; `from a import b` gives `a.b`, which may be a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def bound_names(tree: ast.AST) -> dict[str, str]:
    """What the imported names stand for: `import numpy as np` gives {"np": "numpy"}."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def full_name(node: ast.expr, names: Mapping[str, str]) -> str:
    """`np.random.rand` is `numpy.random.rand`, a bare `open` is `open`; what no import explains is ''."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if not isinstance(node, ast.Attribute):
        return ""
    owner = names.get(node.value.id, "") if isinstance(node.value, ast.Name) else full_name(node.value, names)
    return f"{owner}.{node.attr}" if owner else ""


def references(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and full name of every name used, called or passed on."""
    names = bound_names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Load):
            yield node.lineno, full_name(node, names)


# -- the rules ---------------------------------------------------------------------------------------------------------


def forbidden_imports(modules: Modules) -> list[str]:
    """Imports against `MAY_IMPORT`; tests and benchmarks are never imported."""
    broken = []
    for module, tree in modules.items():
        part = module.split(".")[0]
        strangers = [other for other in (*PARTS, "tests", "benchmarks") if other != part]
        for name in imports(tree):
            foreign = any(within(name, other) for other in strangers)
            if foreign and not any(within(name, allowed) for allowed in MAY_IMPORT[part]):
                broken.append(f"{module} imports {name}")
    return broken


def sensor_kinds_mixed(modules: Modules) -> list[str]:
    """Imports from one kind of sensor (a folder of `fusion/sensors`) into another."""
    kinds = {".".join(module.split(".")[:3]) for module in modules if module.startswith("fusion.sensors.")}
    folders = {kind for kind in kinds if any(module.startswith(kind + ".") for module in modules)}
    return [
        f"{module} imports {name}"
        for own in sorted(folders)
        for module, tree in modules.items()
        for name in imports(tree)
        if within(module, own) and any(within(name, other) for other in folders - {own})
    ]


def torch_outside_models(modules: Modules) -> list[str]:
    outside = ((module, tree) for module, tree in modules.items() if not within(module, "models"))
    return [f"{module} imports {name}" for module, tree in outside for name in imports(tree) if within(name, "torch")]


def import_cycle(modules: Modules) -> list[str]:
    """The first cycle among the project's own modules, or nothing."""
    graph = {module: _own_modules(imports(tree), modules) - {module} for module, tree in modules.items()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def _own_modules(names: Iterable[str], modules: Modules) -> set[str]:
    """`a.b.name` is the module `a.b` unless `a.b.name` is one itself."""
    candidates = ((name, name.rpartition(".")[0]) for name in names)
    found = (next((name for name in pair if name in modules), None) for pair in candidates)
    return {name for name in found if name}


def impure(tree: ast.AST) -> list[str]:
    """Clock, file, socket, environment, thread, process, or a random number that no seed fixes."""
    broken = [f"imports {name}" for name in imports(tree) if name.split(".")[0] in IMPURE_MODULES]
    broken += [f"line {line}: {name}" for line, name in references(tree) if name in IMPURE_BUILTINS]
    return broken + unseeded(tree)


def unseeded(tree: ast.AST) -> list[str]:
    """Random numbers of the whole process, or of a generator without a seed."""
    names = bound_names(tree)
    drawn = (pair for pair in references(tree) if pair[1].startswith(("random.", "numpy.random.")))
    broken = [f"line {line}: {name}" for line, name in drawn if name not in GENERATORS]
    bare = (n for n in ast.walk(tree) if isinstance(n, ast.Call) and not (n.args or n.keywords))
    return broken + [f"line {n.lineno}: no seed" for n in bare if full_name(n.func, names) in GENERATORS]


def clock_reads(tree: ast.AST) -> list[str]:
    return [f"line {line}: {name}" for line, name in references(tree) if name in CLOCKS]


def blas(tree: ast.AST) -> list[str]:
    """Products that BLAS computes: their last bits differ from processor to processor."""
    broken = [
        f"line {n.lineno}: @" for n in ast.walk(tree) if isinstance(n, ast.BinOp) and isinstance(n.op, ast.MatMult)
    ]
    named = ((line, name) for line, name in references(tree) if name in BLAS_CALLS or within(name, "numpy.linalg"))
    return broken + [f"line {line}: {name}" for line, name in named]


def set_iterations(tree: ast.AST) -> list[str]:
    """Loops over a set, whose order may change from run to run, as far as one function alone shows it."""
    functions = [node for node in ast.walk(tree) if isinstance(node, FUNCTION)]
    inside = {node for function in functions for node in ast.walk(function)}
    scopes = [[node for node in ast.walk(tree) if node not in inside], *(list(ast.walk(each)) for each in functions)]
    named = [(scope, {name for node in scope for name in _names_bound_to_sets(node)}) for scope in scopes]
    lines = {node.lineno for scope, sets in named for node in _looped_over(scope) if _is_set(node, sets)}
    return [f"line {line}: a loop over a set" for line in sorted(lines)]


def _looped_over(scope: list[ast.AST]) -> list[ast.expr]:
    """What `for`, comprehensions, and the functions that keep an order go through."""
    in_order = {"list", "tuple", "enumerate", "iter", "zip", "map", "filter"}
    calls = (n for n in scope if isinstance(n, ast.Call) and full_name(n.func, {}) in in_order)
    loops = [node.iter for node in scope if isinstance(node, ast.For | ast.comprehension)]
    return loops + [argument for call in calls for argument in call.args]


def _names_bound_to_sets(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Assign) and _is_set(node.value, set()):
        yield from (target.id for target in node.targets if isinstance(target, ast.Name))
    if isinstance(node, ast.AnnAssign | ast.arg) and node.annotation is not None:
        target = node.arg if isinstance(node, ast.arg) else getattr(node.target, "id", "")
        if ast.unparse(node.annotation).split("[")[0] in {"set", "frozenset", "Set", "AbstractSet"}:
            yield target


def _is_set(node: ast.expr, sets: set[str]) -> bool:
    if isinstance(node, ast.Set | ast.SetComp):
        return True
    if isinstance(node, ast.Call):
        return full_name(node.func, {}) in {"set", "frozenset"}
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr | ast.BitAnd | ast.Sub | ast.BitXor):
        return _is_set(node.left, sets) or _is_set(node.right, sets)
    return isinstance(node, ast.Name) and node.id in sets


# -- the source keeps them ---------------------------------------------------------------------------------------------


def is_algorithm(module: str) -> bool:
    """Pure folds: all of tracking and fusion. Of the sensors' folders only what turns evidence into measurements."""
    if within(module, "fusion.sensors"):
        return module.endswith((".measure", ".simulate"))
    return within(module, "tracking") or within(module, "fusion")


def broken_in(modules: Modules, rule: Rule, chosen: Iterable[str]) -> list[str]:
    return [f"{module} {place}" for module in chosen for place in rule(modules[module])]


def test_parts_import_only_what_lies_upstream(modules: Modules) -> None:
    assert forbidden_imports(modules) == []


def test_kinds_of_sensor_do_not_know_each_other(modules: Modules) -> None:
    assert sensor_kinds_mixed(modules) == []


def test_only_models_import_torch(modules: Modules) -> None:
    assert torch_outside_models(modules) == []


def test_no_import_cycle(modules: Modules) -> None:
    assert import_cycle(modules) == []


def test_algorithms_touch_nothing_of_the_world(modules: Modules) -> None:
    assert broken_in(modules, impure, filter(is_algorithm, modules)) == []


def test_algorithms_do_not_loop_over_sets(modules: Modules) -> None:
    assert broken_in(modules, set_iterations, filter(is_algorithm, modules)) == []


def test_simulation_is_seeded(modules: Modules) -> None:
    assert broken_in(modules, unseeded, [m for m in modules if within(m, "simulation")]) == []


def test_tracker_gives_the_same_bits_on_any_processor(modules: Modules) -> None:
    assert broken_in(modules, blas, [m for m in modules if within(m, "tracking")]) == []


def test_only_the_clock_reads_time(modules: Modules) -> None:
    chosen = [m for m in modules if not within(m, "models") and m != "service.clock"]
    assert broken_in(modules, clock_reads, chosen) == []


def test_every_module_is_named_for_what_it_holds() -> None:
    files = python_files(*PARTS, "benchmarks", "tests")
    assert [str(p) for p in files if EMPTY_NAMES & {p.stem, p.parent.name}] == []


def test_functions_and_files_stay_short(modules: Modules) -> None:
    """The 95th percentile of the codebases we learn from: functions of 33-50 lines, files of 500."""
    functions = [body_lines(f) for t in modules.values() for f in ast.walk(t) if isinstance(f, FUNCTION)]
    files = [len(path.read_text(encoding="utf-8").splitlines()) for path in python_files(*PARTS)]
    print(
        f"\nfunctions: median {statistics.median(functions)}, 95 % {percentile95(functions)}, longest {max(functions)}"
    )
    print(f"files: median {statistics.median(files)}, 95 % {percentile95(files)}, longest {max(files)}")
    assert percentile95(functions) <= 50
    assert percentile95(files) <= 500


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from the first statement to the last; the docstring may be as long as it needs to be."""
    statements = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (statements[-1].end_lineno or 0) - statements[0].lineno + 1 if statements else 0


def percentile95(lengths: list[int]) -> int:
    return sorted(lengths)[int(0.95 * (len(lengths) - 1))]


# -- the rules find what breaks them -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        (impure, "import time"),
        (impure, "from os import environ"),
        (impure, "def f():\n    return open('x')"),
        (impure, "import numpy as np\nx = np.random.rand(3)"),
        (impure, "from numpy.random import default_rng\nx = default_rng()"),
        (unseeded, "from random import random\nx = random()"),
        (unseeded, "import random\nx = random.Random()"),
        (clock_reads, "import time as t\nx = t.monotonic_ns()"),
        (clock_reads, "from datetime import datetime\nnow = datetime.now"),
        (blas, "y = a @ b"),
        (blas, "import numpy as np\ny = np.linalg.inv(a)"),
        (set_iterations, "for x in {1, 2}: pass"),
        (set_iterations, "def f(ids: set[int]): return [i for i in ids]"),
        (set_iterations, "seen = set()\nlist(seen | other)"),
    ],
)
def test_a_broken_rule_is_found(rule: Rule, source: str) -> None:
    assert rule(ast.parse(source)) != []


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        (impure, "import numpy as np\nrng = np.random.default_rng(7)\nx = rng.normal()"),
        (clock_reads, "def f(time): return time.time_ns"),
        (set_iterations, "def f(ids: set[int]): return sorted(ids), 3 in ids"),
        (set_iterations, "def f(ids: set[int]): ...\ndef g(ids: list[int]): return [i for i in ids]"),
    ],
)
def test_sound_source_is_left_alone(rule: Rule, source: str) -> None:
    assert rule(ast.parse(source)) == []


def test_broken_imports_are_found() -> None:
    sources = {
        "tracking.gate": "from fusion import engine\nimport torch",
        "fusion.engine": "import service.clock",
        "fusion.sensors.camera.measure": "from fusion.sensors.radar import config",
        "fusion.sensors.radar.config": "from fusion.sensors import address",
        "fusion.sensors.address": "",
        "service.clock": "import service.pipeline",
        "service.pipeline": "from service.clock import now",
    }
    modules = {name: ast.parse(source) for name, source in sources.items()}
    assert forbidden_imports(modules) == ["tracking.gate imports fusion.engine", "fusion.engine imports service.clock"]
    assert torch_outside_models(modules) == ["tracking.gate imports torch"]
    assert sensor_kinds_mixed(modules) == ["fusion.sensors.camera.measure imports fusion.sensors.radar.config"]
    assert set(import_cycle(modules)) == {"service.clock", "service.pipeline"}
