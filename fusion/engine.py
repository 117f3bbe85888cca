"""From scans in order of time to tracks of the site: a pure fold. Read this file first.

One step: carry every row to the scan's time; predict what the sensor should report; give each report to at most one
target (best total likelihood); update; learn the camera's noise; weigh existence by what was seen and what was not;
start targets from what is left; link rays that cross; merge doubles; hear claims; end the lost. Reads no clock and
draws no random number; the same scans give the same bits.
"""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from fusion import beginnings, identity, life, observation, refinement, snapshots
from fusion.identity import Claim, Sighting, Verdict
from fusion.life import Target
from fusion.population import Population
from fusion.settings import FusionSettings
from fusion.types import Heartbeat, Identity, Scan, Track, TrackUpdate
from models.types import CLASSES
from tracking.types import Status

_DEFAULTS = FusionSettings()
_CLAIMED = 0.97  # probability of the class that a claim names
_UNCLAIMED = Verdict(Identity.UNKNOWN, 0.5, ())
_BIRD = CLASSES.index("bird")
_MOST_CLAIMS = 1_000
_LINKED_NS = 2_000_000_000


class FusionEngine:
    """Tracks of one site.

    Args:
        first_id: number of the first track; numbers are never used again.
        prefix: what stands before the number in a track's id.

    `counts` says what was refused or dropped, by reason.
    """

    def __init__(self, settings: FusionSettings = _DEFAULTS, *, first_id: int = 1, prefix: str = "T") -> None:
        self.settings = settings
        self.prefix = prefix
        self.time_ns: int | None = None
        self.next_number = first_id
        self.population = Population(settings)
        self.claims: dict[str, Claim] = {}
        self.counts: Counter[str] = Counter()

    # --- the fold ----------------------------------------------------------------------------------------------------

    def step(self, message: Scan | Heartbeat) -> TrackUpdate:
        """Everything one message changes. Messages must not go back in time; a `Sequencer` sees to that.

        Raises:
            ValueError: the message is older than the state.
        """
        touched, ended = self.fold(message)
        changed = self.tracks() if isinstance(message, Heartbeat) else self.tracks(touched)
        return TrackUpdate(message.time_ns, changed + ended)

    def fold(self, message: Scan | Heartbeat) -> tuple[list[int], tuple[Track, ...]]:
        """`step` for those who show tracks now and then: numbers of what changed, and the tracks that ended.

        Raises:
            ValueError: the message is older than the state.
        """
        if self.time_ns is not None and message.time_ns < self.time_ns:
            raise ValueError(f"message at {message.time_ns} ns is older than the state at {self.time_ns} ns")
        self._advance(message.time_ns)
        touched = self._observe(message) if isinstance(message, Scan) else []
        return touched, self._end_the_lost(message.time_ns)

    def tracks(self, numbers: list[int] | None = None) -> tuple[Track, ...]:
        """The tracks as they stand: all, or those with these numbers."""
        wanted = None if numbers is None else frozenset(numbers)
        chosen = [t for t, v in enumerate(self.population.targets) if wanted is None or v.number in wanted]
        seen = self._tracks(chosen)
        alone = [c for c in self.claims.values() if self._stands_alone(c) and (numbers is None or c.number in numbers)]
        return tuple(seen + [self._claim_track(c) for c in alone])

    def snapshot(self) -> bytes:
        """The whole state, for `restore`: the rest of the log then gives the same bits as the whole log."""
        return snapshots.write(self)

    def restore(self, data: bytes) -> None:
        """Take over a state that `snapshot` wrote under the same settings.

        Raises:
            snapshots.SnapshotError: the bytes are no snapshot of this version and these settings.
        """
        snapshots.read(self, data)

    def _advance(self, time_ns: int) -> None:
        dt_s = 0.0 if self.time_ns is None else (time_ns - self.time_ns) * 1e-9
        self.time_ns = time_ns
        if dt_s > 0.0 and len(self.population):
            self.population.carry(dt_s, time_ns)
            for target in self.population.targets:
                life.age(target, dt_s, self.settings.mean_life_s)

    # --- one scan ----------------------------------------------------------------------------------------------------

    def _observe(self, scan: Scan) -> list[int]:
        """Numbers of the tracks this scan changed, in order."""
        if any(report.claimed_id for report in scan.measurements):
            return self._hear_claims(scan)
        if scan.camera is not None:
            scan = refinement.refined(scan, self.population.refinement(scan.sensor_id))
        self.population.note(scan)
        touched, owners = self._associate(scan)
        touched |= beginnings.link(self.population, scan)
        beginnings.narrow_banks(self.population)
        beginnings.merge(self.population, scan.time_ns)
        self._look_for_claimed(scan, owners)
        return sorted(touched)

    def _associate(self, scan: Scan) -> tuple[set[int], dict[int, int]]:
        """Update the targets this scan saw, and start new ones from what is left.

        Numbers of all those, and of those that were there already by the report they got.
        """
        left, touched, owners = list(range(len(scan.measurements))), set[int](), dict[int, int]()
        if len(self.population):
            look = observation.look_at(self.population, scan)
            taken = observation.associate(self.population, look)
            for t, m in taken:
                self._credit(look, t, m)
            observation.update(self.population, look, taken)
            observation.learn(self.population, look, taken)
            observation.blame(self.population, look, {t for t, _ in taken})
            owners = {m: self.population.targets[t].number for t, m in taken}
            touched = set(owners.values())
            left = beginnings.strays(self.population, look, taken, self.counts)
            beginnings.explain(self.population, look, taken)
            self.population.refresh(scan.sensor_id)
        left = beginnings.reseat(self.population, scan, left, touched)
        born = beginnings.start(self.population, scan, left, self.next_number, self.counts)
        self.next_number += len(born)
        self.population.add(born)
        self.population.learn_clutter(scan, self._false(owners, len(born)))
        return touched | {piece[0].number for piece in born}, owners

    def _false(self, owners: dict[int, int], born: int) -> float:
        """How many reports of a look are probably of nothing."""
        mine = frozenset(owners.values())
        doubts = [1.0 - target.existence for target in self.population.targets if target.number in mine]
        return math.fsum(doubts) + born * (1.0 - beginnings.START_EXISTENCE)

    def _credit(self, look: observation.Look, t: int, m: int) -> None:
        observation.credit(self.population, look, t, m)
        target = self.population.targets[t]
        source_track = look.scan.measurements[m].source_track
        if source_track is not None:
            target.source_tracks[look.scan.sensor_id] = source_track
        if look.scan.space in observation.DIRECTIONS:
            target.eye = (look.scan.sensor_id, look.scan.pose.position_m)
        if target.ray is not None and target.ray.sensor_id == look.scan.sensor_id:
            target.ray = beginnings.ray_of(self.population, look.scan, look.scan.measurements[m]) or target.ray

    # --- claims ------------------------------------------------------------------------------------------------------

    def _hear_claims(self, scan: Scan) -> list[int]:
        heard: list[Claim] = []
        for report in scan.measurements:
            claim = self.claims.get(report.claimed_id or "")
            if claim is None:
                if len(self.claims) >= _MOST_CLAIMS:
                    self.counts["claim limit reached"] += 1
                    continue
                claim = identity.first_claim(report, self.next_number, scan.sensor_id, scan.time_ns, self._sightings())
                self.claims[claim.claimed_id] = claim
                self.next_number += 1
            else:
                identity.hear(claim, report, scan.sensor_id, scan.time_ns, self._sightings())
            heard.append(claim)
        self._pair_claims()
        return sorted({c.number if c.attached is None else c.attached for c in heard})

    def _pair_claims(self) -> None:
        present = [t.number for t in self.population.targets if t.status is not Status.TENTATIVE]
        identity.pair(self.claims.values(), present)

    def _look_for_claimed(self, scan: Scan, owners: dict[int, int]) -> None:
        """Whether this sensor sees something where each claim says it is, as far as that is open."""
        for claim in self.claims.values():
            identity.carry(claim, scan.time_ns)
            if identity.is_worth_a_look(claim, scan.time_ns):
                inside = observation.covers(scan, identity.around(claim))
                identity.look(claim, scan, inside, identity.is_seen(claim, scan, owners))

    def _sightings(self) -> list[Sighting]:
        """What a claim may be of."""
        targets = enumerate(self.population.targets)
        return [self._sighting(t) for t, target in targets if target.status is not Status.TENTATIVE]

    def _sighting(self, t: int) -> Sighting:
        target, (x, p, log_weight) = self.population.targets[t], self.population.mixture(t)
        bird = life.class_probabilities(target)[_BIRD]
        return Sighting(target.number, x[:, :6], p[:, :6, :6], np.exp(log_weight), bird)

    # --- life and output ---------------------------------------------------------------------------------------------

    def _end_the_lost(self, now_ns: int) -> tuple[Track, ...]:
        """Move every target along its life; take out the ended and report those that were ever confirmed."""
        ended, gone = list[int](), set[int]()
        for t, target in enumerate(self.population.targets):
            was = target.status
            target.status = life.next_status(target, now_ns, self.settings)
            if target.status is Status.DELETED:
                gone.add(t)
                if was is not Status.TENTATIVE:
                    ended.append(t)
        last = self._tracks(ended)
        self.population.without(gone)
        if gone and self.claims:
            self._pair_claims()
        silent = [name for name, claim in self.claims.items() if identity.is_silent(claim, now_ns)]
        for name in silent:
            del self.claims[name]
        return tuple(last)

    def _tracks(self, chosen: list[int]) -> list[Track]:
        """What others see of the targets at these places."""
        if not chosen:
            return []
        mean, cov = self.population.all_collapsed()
        means, covs = mean.tolist(), cov.reshape(-1, 36).tolist()
        return [self._track(t, tuple(means[t]), tuple(covs[t])) for t in chosen]

    def _track(self, t: int, mean: tuple[float, ...], cov: tuple[float, ...]) -> Track:
        assert self.time_ns is not None
        target = self.population.targets[t]
        claim, verdict = self._claim_of(target, t)
        return Track(
            self._id(target.number),
            self.time_ns,
            target.status,
            mean,
            cov,
            target.existence,
            life.class_probabilities(target),
            identity=verdict.identity,
            claimed_id=claim.claimed_id if claim else None,
            identity_score=verdict.score,
            evidence=verdict.evidence,
            contributors=tuple(sorted(target.seen.items())),
            source_tracks=self._source_tracks(target),
        )

    def _source_tracks(self, target: Target) -> tuple[str, ...]:
        """Of sensors that saw it lately."""
        oldest_ns = (self.time_ns or 0) - _LINKED_NS
        if not target.source_tracks:
            return ()
        lately = [name for name, when in target.seen.items() if when >= oldest_ns]
        return tuple(target.source_tracks[name] for name in sorted(lately) if name in target.source_tracks)

    def _claim_of(self, target: Target, t: int) -> tuple[Claim | None, Verdict]:
        """The best agreeing claim attached to a target, and what is to be said of it."""
        assert self.time_ns is not None
        if not self.claims:
            return None, _UNCLAIMED
        mine = [c for c in self.claims.values() if c.attached == target.number]
        if not mine:
            return None, _UNCLAIMED
        best = min(mine, key=lambda c: (c.likeness[target.number].distance2, c.claimed_id))
        sharing = [c for c in mine if c is not best]
        sighting = self._sighting(t)
        return best, identity.judge(best, sighting, self.time_ns, self.settings.claim_s, sharing)

    def _stands_alone(self, claim: Claim) -> bool:
        """A claim is shown by itself until it attaches, and again when what it attached to is seen elsewhere."""
        return claim.attached is None or claim.apart_since_ns is not None

    def _claim_track(self, claim: Claim) -> Track:
        assert self.time_ns is not None
        identity.carry(claim, self.time_ns)
        sighting = next((s for s in self._sightings() if s.number == claim.attached), None)
        verdict = identity.judge(claim, sighting, self.time_ns, self.settings.claim_s)
        old = (self.time_ns - claim.updated_ns) * 1e-9 > 2.0 * self.settings.coast_s
        return Track(
            self._id(claim.number),
            self.time_ns,
            Status.COASTING if old else Status.CONFIRMED,
            tuple(claim.mean.tolist()),
            tuple(claim.covariance.ravel().tolist()),
            0.5 if verdict.identity is Identity.UNKNOWN else verdict.score,
            _claimed_classes(claim.label or "drone"),
            identity=verdict.identity,
            claimed_id=claim.claimed_id,
            identity_score=verdict.score,
            evidence=verdict.evidence,
            claim_only=True,
            contributors=((claim.sensor_id, claim.updated_ns),),
        )

    def _id(self, number: int) -> str:
        return f"{self.prefix}{number}"


def _claimed_classes(label: str) -> tuple[float, ...]:
    return tuple(_CLAIMED if name == label else (1.0 - _CLAIMED) / (len(CLASSES) - 1) for name in CLASSES)
