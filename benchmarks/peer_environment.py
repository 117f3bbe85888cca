"""Environments of their own for what is compared with us: nothing of a peer is ever a dependency."""

from __future__ import annotations

import os
import subprocess
import venv
from collections.abc import Callable, Sequence
from pathlib import Path


def made(
    name: str, requirements: Sequence[Sequence[str]], mend: Callable[[Path], None] = lambda packages: None
) -> Path:
    """Python of the environment of that name; it is made when it is not there.

    Args:
        requirements: arguments of one call of pip after the other.
        mend: then called with the folder of the installed packages.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    folder = cache / "deeplomatics" / name
    python, done = folder / "bin" / "python", folder / "complete"
    if not done.exists():
        venv.create(folder, clear=True, with_pip=True)
        for each in requirements:
            subprocess.run([python, "-m", "pip", "install", "--quiet", *each], check=True)
        if mend is not None:
            mend(next((folder / "lib").glob("python3*")) / "site-packages")
        done.touch()
    return python
