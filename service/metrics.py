"""What Prometheus reads at `/metrics`. Labels come from the configuration or from enums, so their number is bounded.

Where a frame's time goes is counted from its own `StageTimes`, as they pass on the bus; all else is read from its owner
at the moment of the scrape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from service.bus import Bus
from service.hub import Hub
from service.live import LiveState
from service.store import Store
from service.types import CameraUpdate, Message, SensorHealth, SensorState
from service.video import Video
from service.world import World

#: Seconds; 1/30 and 2/30 are the frame periods that the budget is told in.
BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 1 / 30, 0.05, 2 / 30, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})


class Metrics:
    """Counts frames and requests; renders everything for a scrape.

    Args:
        now_ns: UTC, to tell how long an update took from the bus to here.
    """

    def __init__(self, now_ns: Callable[[], int], owners: Collector) -> None:
        self._now_ns = now_ns
        self._registry = CollectorRegistry()
        self._registry.register(owners)
        ProcessCollector(registry=self._registry)
        self._stages = Histogram(
            "deeplomatics_stage_seconds",
            "Time of a frame in each stage: transport from exposure until it reached this machine, queue until a "
            "worker took it, detect, track, deliver from the bus to the sending loop; total from exposure to there",
            ("sensor", "stage"),
            buckets=BUCKETS,
            registry=self._registry,
        )
        self._stage_of = cache(self._stages.labels)  # a child is found by its labels at some cost, six times a frame
        self._requests = Counter(
            "deeplomatics_http_requests_total",
            "Requests answered",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._request_seconds = Histogram(
            "deeplomatics_http_request_seconds",
            "Time until the answer began",
            ("route",),
            buckets=BUCKETS,
            registry=self._registry,
        )

    def accept(self, message: Message) -> None:
        """A listener of the hub."""
        if isinstance(message, CameraUpdate):
            for stage, duration_ns in self._durations(message):
                self._stage_of(message.sensor_id, stage).observe(max(0, duration_ns) / 1e9)

    def _durations(self, update: CameraUpdate) -> Iterator[tuple[str, int]]:
        timing, now_ns = update.timing, self._now_ns()
        if timing.received_ns:
            yield "transport", timing.received_ns - timing.captured_ns
        yield "queue", timing.queued_ns
        yield "detect", timing.detect_ns
        yield "track", timing.track_ns
        yield "deliver", now_ns - timing.published_ns
        yield "total", now_ns - timing.captured_ns

    def count_request(self, method: str, route: str, status: int, duration_ns: int) -> None:
        """`route` is the template of the path, or empty for none of ours."""
        self._requests.labels(method if method in METHODS else "other", route or "none", str(status)).inc()
        self._request_seconds.labels(route or "none").observe(duration_ns / 1e9)

    def render(self) -> bytes:
        return generate_latest(self._registry)


class Owners(Collector):
    """Numbers that others keep, read when asked for."""

    def __init__(
        self, live: LiveState, bus: Bus, store: Store, hub: Hub, video: Video, world: World | None = None
    ) -> None:
        self._live = live
        self._bus = bus
        self._store = store
        self._hub = hub
        self._video = video
        self._world = world

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        health = [each for each in map(self._live.health, self._live.sensor_ids) if each is not None]
        yield from _frames(health)
        yield _states(health)
        yield from self._subscriptions()
        yield from self._clients()
        yield from self._fusion()
        store = GaugeMetricFamily("deeplomatics_store_ok", "1 while the store writes")
        store.add_metric((), float(self._store.state.state == "ok"))
        yield store

    def _subscriptions(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        waiting = GaugeMetricFamily("deeplomatics_bus_waiting", "Messages waiting for a reader", labels=("reader",))
        missed = CounterMetricFamily("deeplomatics_bus_missed", "Messages a reader had no room for", labels=("reader",))
        for subscription in self._bus.subscriptions:
            waiting.add_metric((subscription.name,), len(subscription))
            missed.add_metric((subscription.name,), subscription.missed)
        yield waiting
        yield missed

    def _fusion(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        if self._world is None:
            return
        running = GaugeMetricFamily("deeplomatics_fusion_ok", "1 while the world is followed")
        running.add_metric((), float(self._world.running))
        yield running
        behind = GaugeMetricFamily("deeplomatics_fusion_behind_seconds", "How long the newest message took to be fused")
        behind.add_metric((), self._world.thinning.behind_ns / 1e9)
        yield behind
        kept = GaugeMetricFamily("deeplomatics_fusion_stride", "Of so many looks of a sensor one is fused")
        kept.add_metric((), self._world.thinning.stride)
        yield kept
        refused = CounterMetricFamily("deeplomatics_fusion_refused", "Reports that were not used", labels=("reason",))
        for reason, count in sorted(self._world.stage.refused.items()):
            refused.add_metric((reason,), count)
        yield refused

    def _clients(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        clients = GaugeMetricFamily("deeplomatics_websocket_clients", "Connected clients", labels=("kind",))
        clients.add_metric(("updates",), len(self._hub.clients))
        clients.add_metric(("video",), self._video.watchers)
        yield clients
        lagged = CounterMetricFamily("deeplomatics_websocket_lagged", "Times a client fell behind its bound")
        lagged.add_metric((), self._hub.lagged)
        yield lagged
        cut = CounterMetricFamily("deeplomatics_websocket_cut", "Clients cut off because they did not read")
        cut.add_metric((), self._hub.cut)
        yield cut


def _frames(health: list[SensorHealth]) -> Iterator[CounterMetricFamily]:
    came = CounterMetricFamily("deeplomatics_frames_in", "Frames the source delivered", labels=("sensor",))
    processed = CounterMetricFamily("deeplomatics_frames_processed", "Frames through the tracker", labels=("sensor",))
    dropped = CounterMetricFamily("deeplomatics_frames_dropped", "Frames left out", labels=("sensor", "reason"))
    opened = CounterMetricFamily("deeplomatics_sensor_reconnects", "Times a source was reopened", labels=("sensor",))
    for each in health:
        came.add_metric((each.sensor_id,), each.frames_in)
        processed.add_metric((each.sensor_id,), each.processed)
        opened.add_metric((each.sensor_id,), each.reconnects)
        for reason, count in each.dropped.items():
            dropped.add_metric((each.sensor_id, reason), count)
    yield from (came, processed, dropped, opened)


def _states(health: list[SensorHealth]) -> GaugeMetricFamily:
    states = GaugeMetricFamily("deeplomatics_sensor_state", "1 for the state it is in", labels=("sensor", "state"))
    for each in health:
        for state in SensorState:
            states.add_metric((each.sensor_id, state.value), float(state is each.state))
    return states
