"""A fusion that cannot keep up is told fewer looks: bounded delay, evenly, counted, and told to who asks."""

from __future__ import annotations

from collections import Counter, deque
from pathlib import Path

import pytest
from test_world import served_site

from fusion.types import NS, Heartbeat, Scan, SensorPose, Space
from service.bus import Bus, Full
from service.simulate import SteppedClock
from service.thinning import CAUGHT_UP_NS, REASON, Thinning

CAMERAS = ("north", "east", "south", "west")


class Site:
    """Four cameras of 20 frames a second and a heartbeat, before a fusion that takes `cost_ns` for a scan."""

    def __init__(self) -> None:
        self.clock = SteppedClock(NS)
        self.bus = Bus(self.clock.now_ns)
        self.thinning = Thinning(self.bus, self.clock)
        self.heard: Counter[str] = Counter()
        self.delays_ns: list[int] = []
        self._said = self.bus.subscribe("world", capacity=10_000, full=Full.REFUSE_NEWEST)
        self._waiting: deque[tuple[int, str]] = deque()
        self._free_ns = NS
        self._time_ns = NS

    def run(self, seconds: float, cost_ns: int) -> None:
        for k in range(round(seconds * 80)):
            self._time_ns += NS // 80
            self._fuse(cost_ns)
            self.clock.time_ns = self._time_ns
            name = CAMERAS[k % 4]
            pose = SensorPose(name, 0, (0.0, 0.0, 0.0))
            self.thinning.publish(f"scan.{name}", Scan(name, self._time_ns, k, Space.BEARING, pose, ()))
            if k % 8 == 0:
                self.thinning.publish("clock", Heartbeat(self._time_ns))
            self._waiting.extend((each.received_ns, each.subject) for each in self._said.take(0.0))

    def _fuse(self, cost_ns: int) -> None:
        """What the fusion gets done until now."""
        while self._waiting and self._free_ns <= self._time_ns:
            received_ns, subject = self._waiting.popleft()
            spent_ns = cost_ns if subject != "clock" else 0
            self._free_ns = max(self._free_ns, received_ns) + spent_ns
            self.heard[subject] += 1
            self.clock.time_ns = self._free_ns
            self.delays_ns.append(self._free_ns - received_ns)
            self.thinning.told(int(subject != "clock"), spent_ns, self._free_ns - received_ns)


@pytest.mark.parametrize("overload", [1.5, 3.0, 6.0])
def test_an_overloaded_fusion_stays_near_and_hears_every_sensor_alike(overload: float) -> None:
    site = Site()
    site.run(60.0, round(overload * NS / 80))
    assert max(site.delays_ns) < max(2.0, overload) * NS, (
        "it acts within a second; what came in that second has to be done"
    )
    settled = site.delays_ns[len(site.delays_ns) // 2 :]
    assert sum(settled) / len(settled) < 1.0 * NS
    heard = [site.heard[f"scan.{name}"] for name in CAMERAS]
    assert min(heard) > 0.8 * max(heard)
    assert sum(heard) > 0.5 * 60 * 80 / overload, "more is left out than need be"
    assert site.heard["clock"] >= 600 - 40, "a heartbeat is never left out"
    skipped = site.thinning.skipped
    assert set(skipped) == set(CAMERAS)
    waiting = sum(subject != "clock" for _, subject in site._waiting)
    assert sum(skipped.values()) + sum(heard) + waiting == 60 * 80
    assert site.thinning.dropped("north") == {REASON: skipped["north"]}


def test_what_was_left_out_comes_back() -> None:
    site = Site()
    site.run(10.0, round(3.0 * NS / 80))
    assert site.thinning.stride > 1
    site.run(40.0, NS // 1000)
    assert (site.thinning.stride, site.thinning.reason) == (1, "")
    before = sum(site.thinning.skipped.values())
    site.run(5.0, NS // 1000)
    assert sum(site.thinning.skipped.values()) == before


def test_a_fusion_that_keeps_up_hears_everything() -> None:
    site = Site()
    site.run(10.0, CAUGHT_UP_NS // 20)
    assert not site.thinning.skipped


def test_who_asks_is_told(tmp_path: Path) -> None:
    with served_site(tmp_path) as (pipeline, client):
        world = pipeline.world
        assert world is not None
        assert client.get("/readyz").json()["fusion"] == {"state": "ok", "reason": ""}
        with pytest.MonkeyPatch.context() as slow:
            slow.setattr(world.thinning, "told", lambda *told: None)
            world.thinning.behind_ns, world.thinning.stride = 3 * NS, 4
            told = client.get("/readyz").json()
            assert (told["status"], told["fusion"]["state"]) == ("degraded", "behind")
            assert "3.0 s behind" in told["fusion"]["reason"]
            assert "one of 4" in told["fusion"]["reason"]
            metrics = client.get("/metrics").text
            assert "deeplomatics_fusion_behind_seconds 3.0" in metrics
            assert "deeplomatics_fusion_stride 4.0" in metrics
