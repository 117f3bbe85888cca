/** The site as it stands: its plan and its zones, asked for when the service is there; in a simulation the truth too. */

import { computed, effect, signal } from "@preact/signals";
import { askQuietly } from "./api";
import { loadBase } from "./base_map";
import { type Enu, type Place, placeOf } from "./ground";
import { recall, remember } from "./preferences";
import type { PlacedSensor, Plan, Zone } from "./schema";
import { type ListedTrack, tracks } from "./state";
import { inWorld } from "./world";

/** Something that really flies, as only a simulation knows. */
export interface Truth {
  readonly name: string;
  readonly class: string;
  readonly enu: Enu;
}

export interface ZoneArea {
  readonly id: string;
  readonly name: string;
  readonly exclusion: boolean;
  readonly corners: readonly Place[];
}

/** A world track: it has a place, however uncertain. */
export interface LocatedTrack extends ListedTrack {
  readonly enu: readonly [number, number, number];
}

const refreshMs = 10_000;
const truthMs = 500;

export const plan = signal<Plan | undefined>(undefined);
const zones = signal<readonly Zone[]>([]);
export const truth = signal<readonly Truth[]>([]);
export const showTruth = signal(true);

/** Whether there is a map to show: some sensor has a place. Until that is known it is as it was last time, so that the
 * page does not come up as another one. */
export const located = computed(() => (plan.value ? hasMap(plan.value) : recall("map", ["no"]) === undefined));
const hasMap = ({ origin, sensors }: Plan): boolean => Boolean(origin && sensors.length);
effect(() => {
  if (plan.value) remember("map", hasMap(plan.value) ? "yes" : "no");
});

export const placed = computed<ReadonlyMap<string, PlacedSensor>>(
  () => new Map((plan.value?.sensors ?? []).map((sensor) => [sensor.id, sensor])),
);

export const areas = computed<readonly ZoneArea[]>(() => {
  const origin = plan.value?.origin;
  if (!origin) return [];
  return zones.value.map(({ id, name, kind, polygon }) => ({
    id,
    name,
    exclusion: kind === "exclusion",
    corners: polygon.map(([latitude, longitude]) => placeOf(latitude, longitude, origin)),
  }));
});

export const zoneNames = computed<ReadonlyMap<string, string>>(() => new Map(zones.value.map(({ id, name }) => [id, name])));

const isLocated = (track: ListedTrack): track is LocatedTrack => track.space === "world" && track.enu?.length === 3;

/** Living and just lost tracks with a place. */
export const worldTracks = computed<readonly LocatedTrack[]>(() => tracks.value.filter(isLocated));

/** Tracks of the site may be this much older than pictures: the fusion waits for slow sensors. Then it is said. */
const lagAllowedMs = 4000;

/** How far the tracks of the site are behind its cameras, milliseconds; 0 while they keep up. */
export const behind = computed<number>(() => {
  const newest = (times: readonly string[]): number => times.reduce((last, time) => Math.max(last, Date.parse(time)), 0);
  const world = newest(worldTracks.value.filter(({ endedAt }) => endedAt === undefined).map(({ time }) => time));
  const pictures = newest(tracks.value.filter(({ space }) => space === "image").map(({ time }) => time));
  const lag = pictures - world;
  return world > 0 && lag > lagAllowedMs ? lag : 0;
});

export async function loadSite(): Promise<void> {
  const [newPlan, newZones] = await Promise.all([
    askQuietly<Plan>(inWorld("/api/v1/site")),
    askQuietly<{ zones: readonly Zone[] }>(inWorld("/api/v1/zones")),
  ]);
  if (newPlan && JSON.stringify(newPlan) !== JSON.stringify(plan.peek())) plan.value = newPlan;
  if (newZones && JSON.stringify(newZones.zones) !== JSON.stringify(zones.peek())) zones.value = newZones.zones;
}

/** Follow the truth while there is one, as it was when the tracks were so; a real site has none and is asked but once. */
async function followTruth(): Promise<void> {
  const time = worldTracks.peek().reduce((newest, track) => (track.time > newest ? track.time : newest), "");
  const answer = await askQuietly<{ truth: readonly Truth[] }>(inWorld(`/api/v1/truth${time && `?time=${time}`}`));
  if (!answer) return;
  truth.value = answer.truth;
  setTimeout(() => void followTruth(), truthMs);
}

/** Called whenever the link to the service opens. */
let refreshing: ReturnType<typeof setInterval> | undefined;
export function startSite(): void {
  void loadSite();
  void loadBase();
  refreshing ??= setInterval(() => void loadSite(), refreshMs);
  truth.value = [];
  void followTruth();
}
