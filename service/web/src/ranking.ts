/** What the list shows, in its order. A site whose sensors have places lists its tracks by threat; others image tracks. */

import { computed } from "@preact/signals";
import type { Alert } from "./schema";
import { type LocatedTrack, located, placed, worldTracks } from "./site";
import { type ListedTrack, alerts, byText, filter, passes, select, selected, tracks, visibleTracks } from "./state";
import { type Threat, threatOf } from "./threat";

export interface Ranked {
  readonly track: LocatedTrack;
  readonly threat: Threat;
}

const activeByTrack = computed<ReadonlyMap<string, readonly Alert[]>>(() => {
  const found = new Map<string, Alert[]>();
  for (const alert of alerts.value) {
    if (alert.active && alert.track !== null) found.set(alert.track, [...(found.get(alert.track) ?? []), alert]);
  }
  return found;
});

const none: readonly Alert[] = [];

/** All tracks with a place, the most threatening first; equals keep their places by their ids. */
export const ranked = computed<readonly Ranked[]>(() =>
  worldTracks.value
    .map((track) => ({ track, threat: threatOf(track, activeByTrack.value.get(track.id) ?? none) }))
    .sort((a, b) => b.threat.points - a.threat.points || byText(a.track.id, b.track.id)),
);

export const rankedShown = computed(() => ranked.value.filter(({ track }) => passes(track, filter.value)));

/** What cameras without a place follow: in no other list. */
export const unplacedTracks = computed<readonly ListedTrack[]>(() =>
  visibleTracks.value.filter(({ sensor }) => sensor !== null && !placed.value.has(sensor)),
);

/** Of a track's row in the page. */
export const rowId = (id: string): string => `track-${id}`;

/** The rows of the list, whichever it is. */
export const rows = computed<readonly ListedTrack[]>(() =>
  located.value ? [...rankedShown.value.map(({ track }) => track), ...unplacedTracks.value] : visibleTracks.value,
);

/** How many rows there would be without a filter, of tracks that live. */
export const countAll = computed(() => {
  const counted = located.value
    ? tracks.value.filter(({ space, sensor }) => space === "world" || !placed.value.has(sensor ?? ""))
    : tracks.value;
  return counted.filter((track) => track.endedAt === undefined).length;
});

/** Select the neighbour in the list; from nothing, its first row. `Infinity` goes to the ends. */
export function step(by: number): void {
  const shown = rows.value;
  if (shown.length === 0) return;
  const at = shown.findIndex((track) => track.id === selected.value);
  const start = at < 0 && by > 0 ? -1 : at;
  select(shown[Math.min(shown.length - 1, Math.max(0, start + by))]?.id);
}
