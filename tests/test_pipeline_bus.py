"""The bus: one order for all readers, bounds that count what they cost, and nobody waits for anybody."""

from __future__ import annotations

import threading

import pytest

from service.bus import Bus, Full
from service.types import SensorHealth, SensorState


def health(sensor_id: str = "a") -> SensorHealth:
    return SensorHealth(sensor_id, SensorState.ONLINE)


def test_every_reader_sees_the_one_order_although_many_publish() -> None:
    bus = Bus(lambda: 0)
    readers = [bus.subscribe(name, capacity=4000, full=Full.DROP_OLDEST) for name in ("one", "two")]
    publishers = [
        threading.Thread(target=lambda: [bus.publish("sensor.a", health()) for _ in range(500)]) for _ in range(4)
    ]
    for thread in publishers:
        thread.start()
    for thread in publishers:
        thread.join()
    for reader in readers:
        assert [envelope.seq for envelope in reader.take(0)] == list(range(1, 2001))
        assert reader.missed == 0


@pytest.mark.parametrize(("full", "kept"), [(Full.DROP_OLDEST, [3, 4, 5]), (Full.REFUSE_NEWEST, [1, 2, 3])])
def test_a_full_subscription_keeps_what_its_policy_says_and_counts_the_rest(full: Full, kept: list[int]) -> None:
    bus = Bus(lambda: 0)
    slow = bus.subscribe("slow", capacity=3, full=full)
    for _ in range(5):
        bus.publish("sensor.a", health())
    assert [envelope.seq for envelope in slow.take(0)] == kept
    assert slow.missed == 2


def test_a_reader_gets_only_the_subjects_it_asked_for() -> None:
    bus = Bus(lambda: 0)
    cameras = bus.subscribe("cameras", capacity=9, full=Full.DROP_OLDEST, prefixes=("camera.",))
    bus.publish("sensor.a", health())
    bus.publish("camera.a", health())
    assert [(each.seq, each.subject) for each in cameras.take(0)] == [(2, "camera.a")]


def test_closing_lets_a_waiting_reader_go_and_keeps_what_is_queued() -> None:
    bus = Bus(lambda: 0)
    reader = bus.subscribe("store", capacity=9, full=Full.REFUSE_NEWEST)
    taken: list[int] = []

    def read_to_the_end() -> None:
        while batch := reader.take():
            taken.extend(envelope.seq for envelope in batch)

    thread = threading.Thread(target=read_to_the_end)
    thread.start()
    for _ in range(5):
        bus.publish("sensor.a", health())
    bus.close()
    thread.join(10)
    assert not thread.is_alive()
    assert taken == [1, 2, 3, 4, 5]
    bus.publish("sensor.a", health())
    assert reader.take(0) == []


def test_the_reader_is_woken_when_its_queue_stops_being_empty_and_on_close() -> None:
    bus = Bus(lambda: 0)
    wakes: list[str] = []
    reader = bus.subscribe("hub", capacity=2, full=Full.DROP_OLDEST, wake=lambda: wakes.append("woken"))
    for _ in range(5):
        bus.publish("sensor.a", health())
    assert wakes == ["woken"]
    reader.take(0)
    bus.publish("sensor.a", health())
    assert len(wakes) == 2
    bus.unsubscribe(reader)
    assert len(wakes) == 3
