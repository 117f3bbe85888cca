/** Where each track of the site has been during the last minute. */

import { effect } from "@preact/signals";
import type { Place } from "./ground";
import { worldTracks } from "./site";

const keepMs = 60_000;
const stepMs = 250;

interface Footprint {
  readonly at: number;
  readonly place: Place;
}

const footprints = new Map<string, Footprint[]>();

export const trailOf = (id: string): readonly Footprint[] => footprints.get(id) ?? [];

function extend(id: string, at: number, place: Place): void {
  const trail = footprints.get(id) ?? [];
  const last = trail.at(-1);
  if (last && at >= last.at && at - last.at < stepMs) return;
  const before = trail.filter((print) => print.at < at && at - print.at < keepMs); // a replay may go back in time
  footprints.set(id, [...before, { at, place }]);
}

/** Follow the tracks; those that are gone leave no trail. */
export function startTrails(): void {
  effect(() => {
    const alive = new Set(worldTracks.value.map(({ id }) => id));
    for (const id of footprints.keys()) if (!alive.has(id)) footprints.delete(id);
    for (const { id, enu, time } of worldTracks.value) extend(id, Date.parse(time), [enu[0], enu[1]]);
  });
}
