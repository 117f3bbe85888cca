"""Live state to any number of WebSocket clients: one snapshot, then what changed.

    bus ──▶ Board (what is true now) ──▶ Hub ──one Batch of frames──▶ every client that asked for the topic

Messages are made from the newest state when they are sent, not queued as they come: between two sendings a track that
moved twice is sent once, and one that came and went is not sent at all. A sending follows the news at once when there
are few clients; the pause after it grows with their number (`pause_s`), so that a thousand get some twenty a second.

Each client has a bound. One that has not taken `backlog_bytes` gets nothing more until it has read, then is told
`{"type": "lagged", "missed": N}` (N messages of its topics) and gets a fresh snapshot. One that does not read for
`stall_s` is cut off with close code 1013 (try again later). Nobody else notices either.

`seq` counts the messages of the hub; a client that did not ask for every topic sees gaps, and learns of loss only and
always by `lagged`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import orjson
from starlette.websockets import WebSocket

from fusion.alerts import Alert
from service.board import Board, detections_json
from service.bus import Bus, Full, Subscription
from service.schemas import Json, rfc3339
from service.sockets import Batch, Channel, open_channel
from service.types import Acknowledgement, CameraUpdate, Message, SensorHealth, TracksEnded, WorldUpdate

Topic = Literal["tracks", "detections", "alerts", "sensors"]
TOPICS: tuple[Topic, ...] = ("tracks", "detections", "alerts", "sensors")

SUBJECTS = ("camera.", "sensor.", "world", "alert.", "acknowledge.")  # what clients are told of
SUBSCRIPTION_CAPACITY = 4096  # messages; a minute of two cameras, should the event loop ever stand still


@dataclass(frozen=True, slots=True)
class HubSettings:
    """Bounds of the hub.

    Attributes:
        max_clients: beyond it a client is answered with status 503 in place of the upgrade.
        backlog_bytes: what one client may leave unread before it counts as lagging.
        stall_s: how long a lagging client may read nothing before it is cut off.
        pause_s: shortest time between two sendings.
        pause_per_client_s: added for each client; a write costs some 10 µs, so that sending takes a third of a core at
            the most.
    """

    max_clients: int = 2048
    backlog_bytes: int = 512 << 10
    stall_s: float = 30.0
    pause_s: float = 0.005
    pause_per_client_s: float = 30e-6


@dataclass(eq=False, slots=True)
class Client:
    """One connection, what it asked for, and how many messages it was not given since it began to lag."""

    channel: Channel
    topics: frozenset[Topic]
    missed: int = 0
    lagging: bool = False
    stall: asyncio.TimerHandle | None = None

    def recover(self) -> int:
        """It has read what it had: end the lag; how many messages it missed."""
        missed, self.missed, self.lagging = self.missed, 0, False
        self.forgive()
        return missed

    def forgive(self) -> None:
        if self.stall is not None:
            self.stall.cancel()
            self.stall = None


@dataclass(slots=True)
class News:
    """What changed since the last sending; of each thing only that it did."""

    cameras: dict[str, None] = field(default_factory=dict)
    detections: dict[str, None] = field(default_factory=dict)
    sensors: dict[str, SensorHealth] = field(default_factory=dict)
    world: bool = False
    alerts: dict[int, None] = field(default_factory=dict)

    def accept(self, message: Message) -> None:
        match message:
            case CameraUpdate():
                self.cameras[message.sensor_id] = self.detections[message.sensor_id] = None
            case TracksEnded():
                self.cameras[message.sensor_id] = None
            case SensorHealth():
                self.sensors[message.sensor_id] = message
            case WorldUpdate():
                self.world = True
            case Alert():
                self.alerts[message.number] = None
            case Acknowledgement():
                self.alerts[message.alert] = None


class Hub:
    """Sends what changes on the board to all clients. Used by the event loop's thread alone.

    Args:
        board: made here, read by the REST interface too.
        describe: a sensor as `schemas.Sensor`, for its health.
        sensors: all sensors, for the snapshot.
    """

    def __init__(
        self,
        board: Board,
        describe: Callable[[SensorHealth], Json],
        sensors: Callable[[], list[Json]],
        settings: HubSettings = HubSettings(),
    ) -> None:
        self.settings = settings
        self.clients: set[Client] = set()
        self.lagged = 0  # how often a client fell behind
        self.cut = 0  # how many were cut off
        self._board = board
        self._describe = describe
        self._sensors = sensors
        self._news = News()
        self._seq = 0
        self._sent: dict[str, tuple[int, ...]] = {}  # numbers of the tracks clients know, by camera
        self._sent_world: tuple[str, ...] = ()  # ids of the world tracks clients know
        self._snapshots: dict[frozenset[Topic], Batch] = {}

    @property
    def full(self) -> bool:
        return len(self.clients) >= self.settings.max_clients

    async def serve(self, websocket: WebSocket, topics: frozenset[Topic]) -> None:
        """Send to one accepted client until it goes."""
        client = Client(open_channel(websocket), topics)
        client.channel.write(self._snapshot(topics))
        self.clients.add(client)
        try:
            await client.channel.closed()
        finally:
            self.clients.discard(client)
            client.forgive()

    async def run(self, bus: Bus, listeners: Sequence[Callable[[Message], None]] = ()) -> None:
        """Follow the bus until it closes; each message goes to the listeners too, before it is sent."""
        wake = asyncio.Event()
        loop = asyncio.get_running_loop()
        subscription = bus.subscribe(
            "hub",
            capacity=SUBSCRIPTION_CAPACITY,
            full=Full.DROP_OLDEST,
            prefixes=SUBJECTS,
            wake=lambda: _call(loop, wake.set),
        )
        try:
            while not subscription.closed:
                await self._wait(wake)
                self._take(subscription, listeners)
                self.send()
                await asyncio.sleep(self.pause_s)
        finally:
            bus.unsubscribe(subscription)

    @property
    def pause_s(self) -> float:
        return self.settings.pause_s + self.settings.pause_per_client_s * len(self.clients)

    def accept(self, message: Message) -> None:
        """Take note of a message; `send` tells the clients."""
        self._board.accept(message)
        self._news.accept(message)
        self._snapshots.clear()

    def send(self) -> None:
        """Tell every client what it asked for and does not know yet."""
        batches = self._batches()
        for client in tuple(self.clients):
            self._send_to(client, batches)

    async def _wait(self, wake: asyncio.Event) -> None:
        """For news, or for a lagging client to be looked at again."""
        lagging = any(client.lagging for client in self.clients)
        try:
            await asyncio.wait_for(wake.wait(), 0.1 if lagging else None)
        except TimeoutError:
            return
        wake.clear()

    def _take(self, subscription: Subscription, listeners: Sequence[Callable[[Message], None]]) -> None:
        for envelope in subscription.take(timeout_s=0.0):
            self.accept(envelope.message)
            for listen in listeners:
                listen(envelope.message)

    def _send_to(self, client: Client, batches: dict[frozenset[Topic], Batch]) -> None:
        batch = batches[client.topics]
        if client.lagging:
            client.missed += len(batch)
            if client.channel.backlog() <= self.settings.backlog_bytes // 8:
                client.channel.write(_lagged(client.recover()))
                client.channel.write(self._snapshot(client.topics))
        elif len(batch):
            client.channel.write(batch)
            if client.channel.backlog() > self.settings.backlog_bytes:
                self._mark_lagging(client)

    def _mark_lagging(self, client: Client) -> None:
        self.lagged += 1
        client.lagging = True
        client.stall = asyncio.get_running_loop().call_later(self.settings.stall_s, self._cut, client)

    def _cut(self, client: Client) -> None:
        self.cut += 1
        self.clients.discard(client)
        client.channel.cut(1013)

    # ── Messages ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _batches(self) -> dict[frozenset[Topic], Batch]:
        """For each combination of topics that some client has, what is new in them."""
        news, self._news = self._news, News()
        combinations = {client.topics for client in self.clients}
        wanted = frozenset[Topic]().union(*combinations)
        moved = [self._track_messages(sensor_id, "tracks" in wanted) for sensor_id in news.cameras]
        moved += [self._world_messages("tracks" in wanted)] if news.world else []
        made: dict[Topic, list[bytes]] = {
            "tracks": [message for messages in moved for message in messages],
            "detections": [self._detections_message(each) for each in news.detections if "detections" in wanted],
            "alerts": [each for number in news.alerts if "alerts" in wanted for each in self._alert_messages(number)],
            "sensors": [self._sensor_message(health) for health in news.sensors.values() if "sensors" in wanted],
        }
        return {
            topics: Batch([each for topic, messages in made.items() if topic in topics for each in messages])
            for topics in combinations
        }

    def _track_messages(self, sensor_id: str, wanted: bool) -> list[bytes]:
        camera = self._board.cameras.get(sensor_id)
        if camera is None:
            return []
        gone = sorted(set(self._sent.get(sensor_id, ())) - set(camera.numbers))
        self._sent[sensor_id] = camera.numbers
        if not wanted:
            return []
        time = rfc3339(camera.time_ns)
        deletes = [orjson.dumps({"id": f"{sensor_id}-{number}", "sensor": sensor_id}) for number in gone]
        return [
            *(self._message("delete", "tracks", time, data) for data in deletes),
            *(self._message("update", "tracks", time, track.json) for track in camera.encoded),
        ]

    def _world_messages(self, wanted: bool) -> list[bytes]:
        world = self._board.world
        gone = [each for each in self._sent_world if each not in world.ids]
        self._sent_world = world.ids
        if not wanted:
            return []
        time = rfc3339(world.time_ns)
        deletes = [orjson.dumps({"id": each, "sensor": None}) for each in gone]
        return [
            *(self._message("delete", "tracks", time, data) for data in deletes),
            *(self._message("update", "tracks", time, track.json) for track in world.encoded),
        ]

    def _detections_message(self, sensor_id: str) -> bytes:
        data = detections_json(self._board.detections[sensor_id])
        return self._message("update", "detections", data["time"], orjson.dumps(data))

    def _alert_messages(self, number: int) -> list[bytes]:
        alert = self._board.alerts.encoded(number)
        return [] if alert is None else [self._message("alert", "alerts", alert["time"], orjson.dumps(alert))]

    def _sensor_message(self, health: SensorHealth) -> bytes:
        data = self._describe(health)
        return self._message("sensor", "sensors", data["last_frame"], orjson.dumps(data))

    def _message(self, kind: str, topic: Topic, time: str | None, data: bytes) -> bytes:
        self._seq += 1
        return b'{"type":"%b","topic":"%b","seq":%d,"time":%b,"data":%b}' % (
            kind.encode(),
            topic.encode(),
            self._seq,
            orjson.dumps(time),
            data,
        )

    def _snapshot(self, topics: frozenset[Topic]) -> Batch:
        """All that is true now; the messages that follow have a larger `seq`."""
        if topics not in self._snapshots:
            self._snapshots[topics] = Batch([self._encode_snapshot(topics)])
        return self._snapshots[topics]

    def _encode_snapshot(self, topics: frozenset[Topic]) -> bytes:
        snapshot: Json = {"type": "snapshot", "seq": self._seq}
        if "tracks" in topics:
            snapshot["tracks"] = [orjson.Fragment(track.json) for track in self._board.tracks()]
        if "detections" in topics:
            snapshot["detections"] = [detections_json(found) for found in self._board.detections.values()]
        if "alerts" in topics:
            snapshot["alerts"] = self._board.alerts.all()
        if "sensors" in topics:
            snapshot["sensors"] = self._sensors()
        return orjson.dumps(snapshot)


def _lagged(missed: int) -> Batch:
    return Batch([b'{"type":"lagged","missed":%d}' % missed])


def _call(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    """From any thread; a loop that is closed has nobody left to tell."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(callback)
