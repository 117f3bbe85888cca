"""The truth's word on all that was said: a verdict on every report, track and alert, and what follows in figures.

A fold, as everything that must come out the same live and in a replay: it is told what passes the bus, truth with it,
and says at any time how it stands (`simulation.score_figures`). Its memory does not grow with time.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from fusion.alerts import Alert, ZoneArea
from fusion.geometry import LocalFrame
from fusion.types import NS, Heartbeat, Scan, Track
from simulation.followed import Followed, Sights
from simulation.judged_alerts import JudgedAlerts
from simulation.spread import Spread
from simulation.truth import PictureTruth, TrueObject, Truth
from simulation.verdicts import MEMORY_NS, PLACES, Memory, Verdict, distance_m, judged, range_bin

_SIGHT_NS = 2 * NS  # so long before and after a look that could see a thing it counts as in sight of the sensor
_LOOK_NS = NS // 2  # so far apart are the looks that are remembered for it
_LOOKS = 60
_STEP_NS = NS // 10
_GAP_NS = NS // 2  # a site that shows tracks shows them more often than this
_SETTLE_NS = 5 * NS  # so long what a site shows may take to come, after its time


@dataclass(frozen=True, slots=True)
class ScoreSettings:
    """Attributes:
    cutoff_m: of GOSPA, and how near a track locates.
    lag_ns: a report that came later than this after its time was of no use.
    late_s: an alert that came later than this after it could have been is late, and so is a first track.
    """

    cutoff_m: float = 20.0
    lag_ns: int = 3 * NS
    late_s: float = 5.0


@dataclass(slots=True)
class JudgedSensor:
    """What one sensor reported.

    Attributes:
        kind: `detections` of a camera, `cues` of anything else.
        drones, found: drones in its view, look by look, and those of them that it reported, whatever it called them.
        off: how far hits were off by `range_bin`: radians, of claims metres.
        seen_ns: looks of late that could see a thing, by its name.
    """

    kind: str
    position_m: tuple[float, float, float] | None
    looks: int = 0
    drones: int = 0
    found: int = 0
    counts: Counter[Verdict] = field(default_factory=Counter)
    off: dict[int, Spread] = field(default_factory=dict)
    seen_ns: dict[str, deque[int]] = field(default_factory=dict)

    def note(self, names: Sequence[str], time_ns: int) -> None:
        """It looked at these."""
        for name in names:
            looks = self.seen_ns.setdefault(name, deque(maxlen=_LOOKS))
            if not looks or abs(time_ns - looks[-1]) >= _LOOK_NS:
                looks.append(time_ns)

    def sees(self, name: str, time_ns: int) -> bool:
        """Whether it could see it at about that time."""
        return any(abs(time_ns - look_ns) <= _SIGHT_NS for look_ns in reversed(self.seen_ns.get(name, ())))


class Scorer:
    """Told of what passes the bus, in its order.

    Args:
        complete: the truth names all that flies; a drone's own log names that drone alone.
        source: where the truth is from, for people.
    """

    def __init__(
        self, frame: LocalFrame, settings: ScoreSettings | None = None, *, complete: bool = True, source: str = ""
    ) -> None:
        self.settings = settings or ScoreSettings()
        self.complete = complete
        self.source = source
        self.sensors: dict[str, JudgedSensor] = {}
        self.followed = Followed(self.settings.cutoff_m, complete)
        self.alerts = JudgedAlerts(frame, self.settings.late_s)
        self._memory = Memory()
        self._pictures: dict[str, PictureTruth] = {}
        self._claims: dict[str, str | None] = {}  # of each track now
        self._beat_ns: int | None = None  # how far the site should have come
        self._judged_ns: int | None = None

    @property
    def knows(self) -> bool:
        """Whether any truth was told."""
        return self._memory.newest_ns is not None

    def truth(self, truth: Truth) -> None:
        self._memory.add(truth)
        self.alerts.fly(truth)

    def picture(self, picture: PictureTruth) -> None:
        self._pictures[picture.sensor_id] = picture

    def put_zone(self, zone: ZoneArea) -> None:
        self.alerts.zones[zone.zone_id] = zone

    def remove_zone(self, zone_id: str) -> None:
        self.alerts.zones.pop(zone_id, None)

    def scan(self, scan: Scan, received_ns: int) -> None:
        """A sensor's look; `received_ns`: when it came."""
        picture = self._pictures.get(scan.sensor_id)
        picture = picture if picture is not None and picture.sequence == scan.sequence else None
        late = received_ns - scan.time_ns > self.settings.lag_ns
        look = judged(scan, self._memory, picture, late)
        if look is None:
            return
        place = None if scan.space in PLACES else scan.pose.position_m
        kind = "detections" if scan.camera is not None else "cues"
        sensor = self.sensors.setdefault(scan.sensor_id, JudgedSensor(kind, place))
        sensor.looks += 1
        sensor.counts.update(look.verdicts)
        sensor.drones += look.drones[0]
        sensor.found += look.drones[1]
        for off, range_m in look.missed_by:
            sensor.off.setdefault(range_bin(range_m), Spread()).add(off)
        sensor.note(look.in_sight, scan.time_ns)

    def heartbeat(self, heartbeat: Heartbeat) -> None:
        """Time goes on. A site without a track says nothing, so that silence is judged too, once it is sure."""
        self._beat_ns = heartbeat.time_ns - self.settings.lag_ns
        if self._judged_ns is None:
            self._judged_ns = self._beat_ns
        self._judge_silence(self._beat_ns - _SETTLE_NS)

    def finish(self) -> None:
        """Nothing more will come."""
        if self._beat_ns is not None:
            self._judge_silence(self._beat_ns)

    def tracks(self, time_ns: int, tracks: Sequence[Track], ended: Sequence[str] = ()) -> None:
        """All tracks of the site at a time."""
        self._judge_silence(time_ns - _STEP_NS)
        self._judge(time_ns, tracks)
        self._claims = {track.track_id: track.claimed_id for track in tracks}
        self.followed.end(ended)

    def _judge_silence(self, until_ns: int) -> None:
        """From what was judged last until then the site showed nothing, unless that is too short to tell."""
        if self._judged_ns is None or until_ns - self._judged_ns < _GAP_NS:
            return
        begin_ns = max(self._judged_ns, until_ns - MEMORY_NS)
        for time_ns in range(begin_ns + _STEP_NS, until_ns + 1, _STEP_NS):
            self._judge(time_ns, ())

    def _judge(self, time_ns: int, tracks: Sequence[Track]) -> None:
        if self._judged_ns is not None and time_ns < self._judged_ns:
            return
        self._judged_ns = time_ns
        objects = self._memory.at(time_ns)
        if objects is not None:
            self.followed.step(time_ns, objects, tracks, self._sights(objects, time_ns))

    def alert(self, alert: Alert) -> None:
        if alert.track_id is None:
            return  # of the service itself: no truth says whether it is so
        objects = self._memory.at(alert.time_ns) or ()
        of = next((each.truth for each in self.followed.now if each.track_id == alert.track_id), None)
        claimed = self._claims.get(alert.track_id)
        self.alerts.judge(
            alert,
            next((each for each in objects if each.name == of), None),
            next((each for each in objects if claimed and each.claimed_id == claimed), None),
        )

    def _sights(self, objects: Sequence[TrueObject], time_ns: int) -> Sights:
        """By what each thing is in sight, and how far the nearest of those sensors is."""
        sights = {}
        for each in objects:
            by = [
                (sensor_id, sensor.position_m)
                for sensor_id, sensor in self.sensors.items()
                if sensor.sees(each.name, time_ns)
            ]
            away = [distance_m(each, place) for _, place in by if place is not None]
            range_m = min(away, default=distance_m(each, (0.0, 0.0, 0.0)))
            sights[each.name] = (tuple(sensor_id for sensor_id, _ in by), range_m)
        return sights
