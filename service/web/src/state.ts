/** All that the service told, as signals: tracks, alerts, sensors; what is selected, how the list is filtered, sorted. */

import { batch, computed, effect, signal } from "@preact/signals";
import { now } from "./clock";
import { keep, kept } from "./preferences";
import type { Alert, ClassName, Message, Sensor, Track } from "./wire";

export type ShownState = "tentative" | "confirmed" | "coasting" | "lost";

/** A track as the list shows it; it stays a while after its end, so that a loss is seen and not only missed. */
export interface ListedTrack extends Track {
  /** The number after the sensor's name: `cam-east-12` is 12. */
  readonly number: string;
  /** Seconds from birth to the newest word of it. */
  readonly age: number;
  /** Milliseconds UTC of this console when the service ended it; undefined while it lives. */
  readonly endedAt?: number;
}

export const keepLostMs = 8000;
const flushMs = 100;

const table = new Map<string, ListedTrack>();
let flush: ReturnType<typeof setTimeout> | undefined;
let flushedAt = 0;

export const tracks = signal<readonly ListedTrack[]>([]);
export const sensors = signal<readonly Sensor[]>([]);
/** Those that run or that nobody has acknowledged. */
export const alerts = signal<readonly Alert[]>([]);
/** The service has told its sensors at least once. */
export const introduced = signal(false);
export const missed = signal(0);

/** The short name of a track: `cam-east-12` of `cam-east` is 12; a track of the site keeps its name, T7. */
export const numberOf = ({ id, sensor }: Pick<Track, "id" | "sensor">): string =>
  sensor !== null && id.startsWith(`${sensor}-`) ? id.slice(sensor.length + 1) : id;

const listed = (track: Track): ListedTrack => ({
  ...track,
  number: numberOf(track),
  age: (Date.parse(track.time) - Date.parse(track.first_seen)) / 1000,
});

/** Tracks change with every frame; the list follows ten times a second, and at once where nothing changed for long. */
function flushSoon(): void {
  flush ??= setTimeout(() => {
    [flush, flushedAt] = [undefined, performance.now()];
    tracks.value = [...table.values()];
  }, Math.max(0, flushedAt + flushMs - performance.now()));
}

function endTrack(id: string, at: number): void {
  const track = table.get(id);
  if (track && track.endedAt === undefined) table.set(id, { ...track, endedAt: at });
}

/** Sensors stay in the order the service named them. */
function putSensor(sensor: Sensor): void {
  const known = sensors.value.some(({ id }) => id === sensor.id);
  sensors.value = known
    ? sensors.value.map((other) => (other.id === sensor.id ? sensor : other))
    : [...sensors.value, sensor];
}

const isOpen = (alert: Alert): boolean => alert.active || !alert.acknowledged;

/** Newest first. An alert that is over and acknowledged is history. */
export function putAlert(alert: Alert): void {
  const others = alerts.value.filter(({ id }) => id !== alert.id);
  alerts.value = (isOpen(alert) ? [alert, ...others] : others).sort((a, b) => byText(b.started, a.started));
}

/** The world anew: what the snapshot does not hold has ended. */
function replaceAll(newTracks: readonly Track[], newSensors: readonly Sensor[], newAlerts: readonly Alert[]): void {
  const at = Date.now();
  const alive = new Set(newTracks.map((track) => track.id));
  for (const id of table.keys()) if (!alive.has(id)) endTrack(id, at);
  for (const track of newTracks) table.set(track.id, listed(track));
  batch(() => {
    sensors.value = newSensors;
    alerts.value = newAlerts.filter(isOpen).sort((a, b) => byText(b.started, a.started));
    introduced.value = true;
  });
}

export function applyMessage(message: Message): void {
  switch (message.type) {
    case "snapshot":
      replaceAll(message.tracks, message.sensors, message.alerts);
      return flushSoon();
    case "update":
      table.set(message.data.id, listed(message.data));
      return flushSoon();
    case "delete":
      endTrack(message.data.id, Date.now());
      return flushSoon();
    case "alert":
      return putAlert(message.data);
    case "sensor":
      return putSensor(message.data);
    case "lagged":
      missed.value += message.missed;
  }
}

/** Forget tracks that ended long enough ago; called by the clock. */
function forgetOld(at: number): void {
  for (const [id, track] of table) {
    if (track.endedAt !== undefined && at - track.endedAt > keepLostMs && id !== selected.peek()) {
      table.delete(id);
      flushSoon();
    }
  }
}

export const stateOf = (track: Track & { endedAt?: number }): ShownState =>
  track.endedAt !== undefined || track.state === "deleted" ? "lost" : track.state;

// What the operator has chosen.

export const selected = signal<string | undefined>(undefined);
export const selectedTrack = computed(() => tracks.value.find((track) => track.id === selected.value));

/** The camera the number keys point at, and whether it fills the wall. */
export const camera = signal<string | undefined>(undefined);
export const full = signal(false);
export const showDetections = signal(false);
export const targetZoom = signal(1);

export function select(id: string | undefined): void {
  selected.value = id;
}

export function toggleFull(): void {
  const target = selectedTrack.value?.sensor;
  camera.value ??= target ?? sensors.value[0]?.id;
  full.value = !full.value && camera.value !== undefined;
}

// Filter and order of the list.

export type Column = "class" | "id" | "sensor" | "state" | "score" | "age";

export interface Filter {
  readonly hiddenClasses: ReadonlySet<ClassName>;
  readonly hiddenStates: ReadonlySet<ShownState>;
  readonly sensor: string | undefined;
  readonly olderThanS: number;
}

export const noFilter: Filter = {
  hiddenClasses: new Set(),
  hiddenStates: new Set(),
  sensor: undefined,
  olderThanS: 0,
};

export interface Order {
  readonly column: Column;
  readonly falling: boolean;
}

/** What was filtered when this console was closed; a filter that cannot be read is none. */
function keptFilter(): Filter {
  try {
    const { classes, states, sensor, age } = JSON.parse(kept("filter") ?? "{}") as Partial<Record<string, unknown>>;
    return {
      hiddenClasses: new Set(Array.isArray(classes) ? (classes as ClassName[]) : []),
      hiddenStates: new Set(Array.isArray(states) ? (states as ShownState[]) : []),
      sensor: typeof sensor === "string" ? sensor : undefined,
      olderThanS: typeof age === "number" ? age : 0,
    };
  } catch {
    return noFilter;
  }
}

export const filter = signal<Filter>(keptFilter());
effect(() => {
  const { hiddenClasses, hiddenStates, sensor, olderThanS } = filter.value;
  keep("filter", JSON.stringify({ classes: [...hiddenClasses], states: [...hiddenStates], sensor, age: olderThanS }));
});
/** By class first: a drone above a bird; within it what is surest to be there. */
export const order = signal<Order>({ column: "class", falling: false });

const classRank: Readonly<Record<ClassName, number>> = { drone: 0, helicopter: 1, airplane: 2, bird: 3 };
const stateRank: Readonly<Record<ShownState, number>> = { confirmed: 0, coasting: 1, tentative: 2, lost: 3 };

/** T9 before T10. One collator for all: `localeCompare` makes one for each call, and hundreds of tracks are sorted often. */
export const byText = new Intl.Collator(undefined, { numeric: true }).compare;

const comparators: Readonly<Record<Column, (a: ListedTrack, b: ListedTrack) => number>> = {
  class: (a, b) =>
    Number(stateOf(a) === "lost") - Number(stateOf(b) === "lost") ||
    classRank[a.class] - classRank[b.class] ||
    Number(a.state === "tentative") - Number(b.state === "tentative"),
  id: (a, b) => byText(a.id, b.id),
  sensor: (a, b) => byText(a.sensor ?? "", b.sensor ?? ""),
  state: (a, b) => stateRank[stateOf(a)] - stateRank[stateOf(b)],
  score: (a, b) => Math.round(b.score * 20) - Math.round(a.score * 20), // steps of 5 %, so that rows do not dance
  age: (a, b) => b.age - a.age,
};

export function sortBy(column: Column): void {
  const { column: before, falling } = order.value;
  order.value = { column, falling: column === before ? !falling : false };
}

export function passes(track: ListedTrack, { hiddenClasses, hiddenStates, sensor, olderThanS }: Filter): boolean {
  return (
    !hiddenClasses.has(track.class) &&
    !hiddenStates.has(stateOf(track)) &&
    (sensor === undefined || track.sensors.includes(sensor)) &&
    track.age >= olderThanS
  );
}

/** The list as shown. Ties are broken by id, so that equal rows keep their places. */
export const visibleTracks = computed<readonly ListedTrack[]>(() => {
  const { column, falling } = order.value;
  const sign = falling ? -1 : 1;
  return tracks.value
    .filter((track) => passes(track, filter.value))
    .sort((a, b) => sign * comparators[column](a, b) || byText(a.id, b.id));
});

export function startForgetting(): void {
  now.subscribe(forgetOld);
}
