"""The kinds of sensor there are: one folder each, found by itself."""

import pkgutil
from functools import cache


@cache
def sensor_kinds() -> tuple[str, ...]:
    """Names of the kinds, in order."""
    return tuple(sorted(found.name for found in pkgutil.iter_modules(__path__) if found.ispkg))
