"""WebSockets: one snapshot and then what changed, the same bytes to all, and a slow client that harms only itself."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from camera_updates import frame_time, image_track, update
from hypothesis import given
from hypothesis import strategies as st
from live_site import LiveSite, local_client, served
from starlette.testclient import WebSocketDenialResponse
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame as WireFrame
from websockets.frames import Opcode
from websockets.streams import StreamReader
from websockets.sync.client import ClientConnection, connect

from service import schemas, video
from service.api import create_app
from service.board import Board
from service.hub import TOPICS, Client, Hub, HubSettings
from service.live import Latest
from service.sockets import Batch, text_frame
from service.types import SensorHealth, SensorState, TracksEnded
from service.video import Trails, VideoSettings
from tracking.types import Status

Json = dict[str, Any]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[LiveSite]:
    site = LiveSite(tmp_path)
    yield site
    site.close()


# ── What is sent ────────────────────────────────────────────────────────────────────────────────────────────────────


class Wire:
    """A channel that keeps what it is given; `unread` is what the test says the client has not taken."""

    def __init__(self) -> None:
        self.messages: list[Json] = []
        self.unread = 0
        self.cut_code: int | None = None

    def write(self, batch: Batch) -> None:
        self.messages += map(json.loads, batch.payloads)

    def backlog(self) -> int:
        return self.unread

    def cut(self, code: int) -> None:
        self.cut_code = code

    async def closed(self) -> None:
        raise NotImplementedError


def make_hub(**settings: float) -> Hub:
    return Hub(
        Board(),
        lambda health: {"id": health.sensor_id, "state": health.state.value, "last_frame": None},
        list,
        HubSettings(**settings),  # type: ignore[arg-type]
    )


def join(hub: Hub, *topics: str) -> Wire:
    wire = Wire()
    hub.clients.add(Client(wire, frozenset(topics)))  # type: ignore[arg-type]
    return wire


def tell(hub: Hub, *messages: Any) -> None:
    for message in messages:
        hub.accept(message)
    hub.send()


def kinds(wire: Wire) -> list[tuple[str, str]]:
    return [(message["type"], message["data"].get("id", "")) for message in wire.messages]


def test_what_moved_twice_is_sent_once_and_what_came_and_went_not_at_all() -> None:
    hub = make_hub()
    wire = join(hub, "tracks")
    tell(
        hub,
        update("cam", 0, [image_track(1), image_track(2)]),
        update("cam", 1, [image_track(1, x=11.0)], deleted=(2,)),
    )
    assert kinds(wire) == [("update", "cam-1")]
    assert wire.messages[0]["data"]["box"][0] == 11.0
    assert wire.messages[0]["time"] == schemas.rfc3339(frame_time(1))


def test_a_track_that_is_gone_is_deleted_even_if_its_ending_was_lost() -> None:
    hub = make_hub()
    wire = join(hub, "tracks")
    tell(hub, update("cam", 0, [image_track(1), image_track(2)]))
    tell(hub, update("cam", 9, [image_track(2)]))  # the frame that said so was dropped by a full queue
    tell(hub, TracksEnded("cam", frame_time(10), (2,)), TracksEnded("unknown", 0, (1,)))
    assert kinds(wire)[2:] == [("delete", "cam-1"), ("update", "cam-2"), ("delete", "cam-2")]


def test_each_client_gets_the_topics_it_asked_for_in_the_one_order() -> None:
    hub = make_hub()
    every, tracks, rest = join(hub, *TOPICS), join(hub, "tracks"), join(hub, "detections", "sensors")
    tell(
        hub,
        SensorHealth("cam", SensorState.ONLINE),
        update("cam", 0, [image_track(1, status=Status.TENTATIVE)], found=[("drone", 0.9)]),
    )
    assert [message["topic"] for message in every.messages] == ["tracks", "detections", "sensors"]
    assert [message["seq"] for message in every.messages] == [1, 2, 3]
    assert tracks.messages == every.messages[:1]
    assert rest.messages == every.messages[1:]


async def test_a_slow_client_misses_exactly_what_it_is_told_and_nobody_else_does() -> None:
    hub = make_hub(backlog_bytes=1000)
    slow, quick = join(hub, "tracks"), join(hub, "tracks")
    tell(hub, update("cam", 0, [image_track(1)]))
    slow.unread = 1001
    for n in range(1, 8):
        tell(hub, update("cam", n, [image_track(1), image_track(2)]))
    assert len(slow.messages) == 1 + 2  # what was sent before it counted as lagging
    slow.unread = 0
    tell(hub, update("cam", 8, [image_track(2)]))
    lagged, snapshot = slow.messages[-2:]
    assert lagged == {"type": "lagged", "missed": len(quick.messages) - 3}
    assert [track["id"] for track in snapshot["tracks"]] == ["cam-2"]
    assert snapshot["seq"] == quick.messages[-1]["seq"]
    tell(hub, update("cam", 9, [image_track(2)]))
    assert slow.messages[-1] == quick.messages[-1]
    assert (hub.lagged, hub.cut) == (1, 0)


async def test_a_client_that_never_reads_is_cut_off() -> None:
    hub = make_hub(backlog_bytes=1000, stall_s=0.01)
    dead, quick = join(hub, "tracks"), join(hub, "tracks")
    dead.unread = 1001
    tell(hub, update("cam", 0, [image_track(1)]))
    for _ in range(500):
        if dead.cut_code is not None:
            break
        await asyncio.sleep(0.01)
    assert (dead.cut_code, quick.cut_code, hub.cut, len(hub.clients)) == (1013, None, 1, 1)


# ── On the wire ─────────────────────────────────────────────────────────────────────────────────────────────────────


@given(st.one_of(st.binary(max_size=300), st.sampled_from([125, 126, 65535, 65536]).map(bytes)))
def test_a_frame_is_what_the_library_makes_of_it(payload: bytes) -> None:
    reader = StreamReader()
    reader.feed_data(text_frame(payload))
    parsing = WireFrame.parse(reader.read_exact, mask=False)
    with pytest.raises(StopIteration) as done:
        next(parsing)  # all bytes are there: it needs no second step
    assert (done.value.value.opcode, bytes(done.value.value.data)) == (Opcode.TEXT, payload)
    assert done.value.value.fin


@contextlib.contextmanager
def opened(port: int, query: str = "topics=tracks", max_queue: int = 16) -> Iterator[ClientConnection]:
    url = f"ws://127.0.0.1:{port}/api/v1/ws?{query}"
    with connect(url, ping_interval=None, max_queue=max_queue) as client:
        yield client


def received(client: ClientConnection, wanted: Callable[[Json], bool]) -> list[Json]:
    """All messages up to the one wanted."""
    messages: list[Json] = []
    while not (messages and wanted(messages[-1])):
        messages.append(json.loads(client.recv(timeout=30)))
    return messages


def test_real_clients_get_a_snapshot_and_then_the_same_messages(site: LiveSite) -> None:
    with served(create_app(site)) as port:
        site.play(update("cam", 0, [image_track(1)]))
        with opened(port) as one, opened(port, "topics=tracks,sensors") as two:
            first = [received(client, lambda m: m["type"] == "snapshot")[0] for client in (one, two)]
            for n in range(1, 30):
                site.play(update("cam", n, [image_track(1, age=n), image_track(n + 1)]))
                time.sleep(0.01)
            last = [received(client, lambda m: m.get("data", {}).get("id") == "cam-30") for client in (one, two)]
        assert first[0].keys() == {"type", "seq", "tracks"}
        assert [sensor["id"] for sensor in first[1]["sensors"]] == ["cam", "heat"]
        assert last[0] == last[1]
        schemas.Track.model_validate(last[0][-1]["data"])
        seqs = [message["seq"] for message in last[0]]
        assert seqs == sorted(set(seqs))
        assert seqs[0] > first[0]["seq"]


def test_the_application_says_the_same_through_plain_asgi(site: LiveSite) -> None:
    site.online("cam")
    with local_client(create_app(site)) as client, client.websocket_connect("/api/v1/ws") as socket_:
        assert socket_.receive_json().keys() == {"type", "seq", "tracks", "sensors", "alerts"}
        site.play(update("cam", 0, [image_track(1)]))
        assert socket_.receive_json()["data"]["id"] == "cam-1"


def test_one_that_stops_reading_delays_nobody_and_is_told_when_it_reads_again(site: LiveSite) -> None:
    app = create_app(site, hub_settings=HubSettings(backlog_bytes=64 << 10))
    with served(app) as port, opened(port) as quick, opened(port, max_queue=1) as slow:
        received(slow, lambda m: m["type"] == "snapshot")
        tracks = [image_track(number + 1) for number in range(400)]
        for n in range(200):  # 200 KB each; what the kernel holds for the one that does not read is some megabytes
            site.play(update("cam", n, tracks))
            newest = received(quick, lambda m: m.get("data", {}).get("id") == "cam-400")[-1]
            if app.state.hub.lagged:
                break
        assert app.state.hub.lagged == 1
        heard = received(slow, lambda m: m["type"] == "lagged")
        snapshot = received(slow, lambda m: m["type"] == "snapshot")[-1]
        assert snapshot["seq"] == newest["seq"]
        assert len(snapshot["tracks"]) == 400
        last_seq = heard[-2]["seq"] if len(heard) > 1 else 0
        assert newest["seq"] - last_seq == heard[-1]["missed"]  # nothing was lost unsaid


@pytest.mark.parametrize(
    ("path", "headers", "status", "says"),
    [
        ("/api/v1/ws?topics=trakcs", {}, 422, "the topics are tracks, detections, alerts, sensors"),
        ("/api/v1/ws?world=replay-1", {}, 404, "no world 'replay-1'"),
        ("/api/v1/ws", {"Origin": "https://elsewhere.example"}, 403, "not served from here"),
        ("/api/v1/ws/video?sensor=cam", {"Origin": "null"}, 403, "not served from here"),
        ("/api/v1/ws/video?sensor=west", {}, 404, "no sensor 'west'"),
    ],
)
def test_a_refused_upgrade_is_a_problem(site: LiveSite, path: str, headers: Json, status: int, says: str) -> None:
    with (
        local_client(create_app(site)) as client,
        pytest.raises(WebSocketDenialResponse) as refused,
        client.websocket_connect(path, headers=headers),
    ):
        pass
    assert (refused.value.status_code, refused.value.headers["content-type"]) == (status, "application/problem+json")
    assert says in refused.value.json()["detail"]


def test_clients_beyond_the_limit_are_turned_away_and_those_within_stay(site: LiveSite) -> None:
    app = create_app(site, hub_settings=HubSettings(max_clients=2))
    with served(app) as port, opened(port) as one, opened(port) as two:
        for client in (one, two):
            received(client, lambda m: m["type"] == "snapshot")
        with pytest.raises(InvalidStatus) as refused, opened(port):
            pass
        assert (refused.value.response.status_code, refused.value.response.headers["Retry-After"]) == (503, "10")
        site.play(update("cam", 0, [image_track(1)]))
        for client in (one, two):
            assert received(client, lambda m: m["type"] == "update")[-1]["data"]["id"] == "cam-1"


def test_the_server_stops_while_clients_are_connected(site: LiveSite) -> None:
    with contextlib.ExitStack() as clients:
        with served(create_app(site)) as port:
            one = clients.enter_context(opened(port))
            received(one, lambda m: m["type"] == "snapshot")
            clients.enter_context(connect(f"ws://127.0.0.1:{port}/api/v1/ws/video?sensor=cam"))
        with pytest.raises(ConnectionClosed):
            one.recv(timeout=10)


# ── Video ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def unpacked(message: bytes) -> tuple[Json, np.ndarray[Any, Any]]:
    (size,) = struct.unpack_from("<I", message)
    picture = cv2.imdecode(np.frombuffer(message[4 + size :], np.uint8), cv2.IMREAD_GRAYSCALE)
    return json.loads(message[4 : 4 + size]), np.asarray(picture)


def test_the_video_socket_sends_a_frame_with_what_was_found_in_that_very_frame(site: LiveSite) -> None:
    with local_client(create_app(site)) as client, client.websocket_connect("/api/v1/ws/video?sensor=cam") as watcher:
        for n in range(0, 40, 10):
            found = [("drone", 0.9), ("bird", 0.3)]
            site.play(update("cam", n, [image_track(1, age=n, x=10.0 + n)], found=found))
            header, picture = unpacked(watcher.receive_bytes())
            assert abs(int(picture[0, 0]) - n) <= 2
            assert header["tracks"][0]["box"] == [10.0 + n, 20.0, 8.0, 6.0]
            assert header["tracks"][0]["trail"][-1] == [14.0 + n, 23.0]
        assert header["detections"] == [{"class": "drone", "score": 0.9, "box": [10.0, 20.0, 8.0, 6.0]}]
        assert header["tracks"][0]["trail"] == [[14.0 + each, 23.0] for each in range(0, 40, 10)]
        assert (header["sensor"], header["sequence"], header["time"]) == ("cam", 30, schemas.rfc3339(frame_time(30)))
        assert (header["width"], header["height"]) == (64, 48)


def test_a_watcher_that_answers_is_never_sent_more_than_two_pictures_ahead(site: LiveSite) -> None:
    with local_client(create_app(site)) as client, client.websocket_connect("/api/v1/ws/video?sensor=cam") as watcher:

        def sequence_after(sequence: int) -> int:
            site.play(update("cam", sequence))
            return int(unpacked(watcher.receive_bytes())[0]["sequence"])

        assert [sequence_after(n) for n in range(0, 40, 10)] == [0, 10, 20, 30]  # one that does not is sent all
        for _ in range(4):
            watcher.send_text("came")
        assert [sequence_after(40), sequence_after(50)] == [40, 50]
        site.play(update("cam", 60))
        site.play(update("cam", 70))
        watcher.send_text("came")
        assert unpacked(watcher.receive_bytes())[0]["sequence"] == 70


def test_watchers_share_one_encoding_and_none_is_made_unwatched(
    site: LiveSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[int] = []
    original = video.encode_jpeg

    def counting(latest: Latest, settings: VideoSettings, shown: list[Json] | None) -> bytes:
        encoded.append(latest.frame.sequence)
        return original(latest, settings, shown)

    monkeypatch.setattr(video, "encode_jpeg", counting)
    app = create_app(site, video_settings=VideoSettings(max_watchers=2))
    with local_client(app) as client:
        site.play(update("cam", 1))
        address = "/api/v1/ws/video?sensor=cam"
        with client.websocket_connect(address) as one, client.websocket_connect(address) as two:
            assert one.receive_bytes() == two.receive_bytes()
            with pytest.raises(WebSocketDenialResponse), client.websocket_connect(address):
                pass
        wait_until(lambda: app.state.video.watchers == 0)
        site.play(update("cam", 2))
        site.play(update("cam", 3))
        with client.websocket_connect(address) as one:
            assert unpacked(one.receive_bytes())[0]["sequence"] == 3
    assert encoded == [1, 3]


def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    pytest.fail("it never became so")


def test_a_large_frame_is_made_smaller_and_its_boxes_stay_in_its_own_pixels(site: LiveSite) -> None:
    app = create_app(site, video_settings=VideoSettings(max_side=32))
    with local_client(app) as client, client.websocket_connect("/api/v1/ws/video?sensor=cam") as watcher:
        site.play(update("cam", 0, [image_track(1)]))
        header, picture = unpacked(watcher.receive_bytes())
    assert picture.shape == (24, 32)
    assert (header["width"], header["height"], header["tracks"][0]["box"][0]) == (64, 48, 10.0)


def test_a_trail_is_two_seconds_long_and_forgets_what_came_before_a_jump_back() -> None:
    trails = Trails()
    for n in range(200):
        trails.accept(update("cam", n, [image_track(1, x=float(n))]))
    trail = trails.of(image_track(1, x=199.0), frame_time(199))
    assert 30 <= len(trail) <= 41
    assert trail[0][0] >= 199 - 61 + 4
    assert trail == sorted(trail)
    trails.accept(update("cam", 0, [image_track(1, x=0.0)]))
    assert trails.of(image_track(1, x=0.0), frame_time(0)) == [[4.0, 23.0]]
