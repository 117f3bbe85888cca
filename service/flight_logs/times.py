"""Instants as texts."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_s(text: str) -> float:
    """Seconds UTC of an ISO 8601 instant; one without a zone is taken as UTC.

    Raises:
        ValueError: it is none.
    """
    instant = datetime.fromisoformat(text.strip())
    return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()


def epoch_s(text: str) -> float:
    """Seconds UTC of an instant as text, or of a count of seconds, ms, µs or ns since 1970, told apart by its size.

    Raises:
        ValueError: it is neither.
    """
    try:
        number = float(text)
    except ValueError:
        return utc_s(text)
    for most, scale in ((1e11, 1.0), (1e14, 1e3), (1e17, 1e6)):
        if abs(number) < most:
            return number / scale
    return number / 1e9
