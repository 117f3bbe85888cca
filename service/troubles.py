"""What the service itself fails at, as alerts among the others: seen, heard and acknowledged like any."""

from __future__ import annotations

from fusion.alerts import AlertFold, AlertKind, Trouble
from service.bus import Bus
from service.clock import Clock
from service.journal import JournalState


class Troubles:
    """Publishes each trouble. The world makes an alert of it, in the one order of all alerts; where there is no world,
    this does.

    Args:
        alerts: None where there is a world.
    """

    def __init__(self, bus: Bus, clock: Clock, alerts: AlertFold | None) -> None:
        self._bus = bus
        self._clock = clock
        self._alerts = alerts

    def recording(self, state: JournalState) -> None:
        """The journal stopped, or records again."""
        kind, stopped = AlertKind.RECORDING, state.state == "stopped"
        trouble = Trouble(kind, self._clock.now_ns(), stopped, state.reason)
        self._bus.publish(f"trouble.{kind.value}", trouble)
        alert = self._alerts.tell(trouble) if self._alerts is not None else None
        if alert is not None:
            self._bus.publish(f"alert.{alert.number}", alert)
