"""What every command raises when it was called wrongly."""

from __future__ import annotations


class CallError(Exception):
    """The call was wrong; one plain sentence with the mend."""
