/** What was: tracks as stretches of time, alerts, and which of it is recorded. For the timeline, live and in a replay. */

import { computed, effect, signal } from "@preact/signals";
import { askAll, askQuietly, send } from "./api";
import { now } from "./clock";
import { recall, remember } from "./preferences";
import { span, worldNow } from "./replay";
import type { Alert, FlightModel, Track } from "./schema";
import { located } from "./site";
import { tracks } from "./state";
import type { ClassName } from "./wire";
import { inWorld, isPane, isReplay } from "./world";

/** The life of one track. */
export interface Stretch {
  readonly id: string;
  readonly name: ClassName;
  /** Milliseconds UTC. */
  readonly from: number;
  readonly to: number;
}

const minute = 60_000;
/** How much a live timeline shows. */
export const widths = { "5 min": 5 * minute, "15 min": 15 * minute, "1 h": 60 * minute, "6 h": 360 * minute, "24 h": 1440 * minute } as const;
export type WidthName = keyof typeof widths;
export const widthNames = Object.keys(widths) as readonly WidthName[];
export const width = signal<WidthName>(recall("timeline", widthNames) ?? "15 min");

export function setWidth(name: WidthName): void {
  width.value = name;
  remember("timeline", name);
}

const refreshMs = 5000;
const overlapMs = 3000;
const flightsMs = 30_000;

const stretches = signal<ReadonlyMap<string, Stretch>>(new Map());
const found = signal<readonly Alert[]>([]);
export const flights = signal<readonly FlightModel[]>([]);

/** What the timeline shows, milliseconds UTC: the flight, or the time until now. Whole seconds, so that it does not creep. */
export const shownSpan = computed<readonly [number, number]>(() => {
  if (isReplay) return span.value ?? [now.value - minute, now.value];
  const to = Math.ceil(now.value / 1000) * 1000;
  return [to - widths[width.value], to];
});

const stretchOf = (track: Track): Stretch => ({
  id: track.id,
  name: track.class,
  from: Date.parse(track.first_seen),
  to: Date.parse(track.time),
});

const wanted = (track: Track): boolean => (track.space === "world") === located.peek() && track.state !== "tentative";

/** Tracks that lived in what is shown, those that live now as they stand. */
export const lives = computed<readonly Stretch[]>(() => {
  const [from, to] = shownSpan.value;
  const living = tracks.value.filter((track) => wanted(track) && track.endedAt === undefined).map(stretchOf);
  const all = new Map([...stretches.value, ...(isReplay ? [] : living.map((each) => [each.id, each] as const))]);
  return [...all.values()].filter((each) => each.to >= from && each.from <= to).sort((a, b) => a.from - b.from);
});

export const pastAlerts = computed<readonly Alert[]>(() => {
  const [from, to] = shownSpan.value;
  return found.value.filter(({ started, time }) => Date.parse(time) >= from && Date.parse(started) <= to);
});

const between = (from: number, to?: number): string => {
  const until = to === undefined ? "" : `&until=${new Date(to).toISOString()}`;
  return `since=${new Date(from).toISOString()}${until}&limit=500`;
};

/** Of the live store, which has what this service recorded; of the world's own where that has nothing. */
async function load(from: number, to: number | undefined, world: (path: string) => string): Promise<boolean> {
  const space = located.peek() ? "world" : "image";
  const [lived, told] = await Promise.all([
    askAll<Track>(world(`/api/v1/tracks?space=${space}&${between(from, to)}`), "tracks"),
    askAll<Alert>(world(`/api/v1/alerts?${between(from, to)}`), "alerts"),
  ]);
  const known = new Map(told.map((alert) => [alert.id, alert]));
  found.value = [...found.value.filter(({ id }) => !known.has(id)), ...told];
  stretches.value = new Map([...stretches.value, ...lived.filter(wanted).map((track) => [track.id, stretchOf(track)] as const)]);
  return lived.length > 0;
}

const itself = (path: string): string => path;

let askedFrom = Infinity;
let askedTo = 0;

/** The whole of what is shown at first and when more is asked for, then only what is new. */
async function follow(): Promise<void> {
  const [from, to] = shownSpan.peek();
  try {
    if (isReplay) {
      if (!(await load(from, to, itself))) await load(from, to, inWorld);
    } else {
      const since = from < askedFrom ? from : askedTo - overlapMs;
      const at = Date.now();
      await load(since, undefined, itself);
      [askedFrom, askedTo] = [Math.min(askedFrom, from), at];
      forget(from);
    }
  } catch {
    // Asked again before long; the link tells when the service is gone.
  }
}

function forget(before: number): void {
  const kept = [...stretches.value].filter(([, { to }]) => to >= before);
  if (kept.length < stretches.value.size) stretches.value = new Map(kept);
  if (found.value.some(({ time }) => Date.parse(time) < before)) {
    found.value = found.value.filter(({ time }) => Date.parse(time) >= before);
  }
  askedFrom = Math.max(askedFrom, before);
}

export async function loadFlights(): Promise<void> {
  const answer = await askQuietly<{ flights: readonly FlightModel[] }>("/api/v1/flights?limit=500");
  if (answer) flights.value = answer.flights;
}

/** The recording that holds an instant, milliseconds UTC; the last of a run that still grows reaches until now. */
export function flightAt(ms: number): FlightModel | undefined {
  return flights.peek().find(({ start, end, state }) => {
    const until = end !== null ? Date.parse(end) : state === "recording" ? Date.now() : -Infinity;
    return start !== null && Date.parse(start) <= ms && ms <= until;
  });
}

/** The flight that holds an instant, whole: what is being recorded is ended first, another begins by itself. */
export async function wholeFlightAt(ms: number): Promise<FlightModel | undefined> {
  await loadFlights();
  const held = flightAt(ms);
  if (held?.state !== "recording") return held;
  await endRecording();
  return flightAt(ms);
}

/** Until the file that grows is another one. */
async function endRecording(): Promise<void> {
  const { id } = await send<FlightModel>("POST", "/api/v1/flights");
  for (let tries = 0; tries < 20; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 250));
    await loadFlights();
    if (flights.peek().some((flight) => flight.id === id && flight.state === "whole")) return;
  }
}

export function startPast(): void {
  if (isPane) return;
  void loadFlights();
  setInterval(() => void loadFlights(), flightsMs);
  setInterval(() => document.hidden || void follow(), refreshMs);
  effect(() => {
    void [width.value, span.value?.[0], span.value?.[1], located.value];
    askedFrom = Infinity;
    void follow();
  });
}

/** The beginnings of alerts before and after where this world is, for jumping. */
export function alertBeside(direction: 1 | -1): number | undefined {
  const at = worldNow.peek();
  const starts = pastAlerts.peek().map(({ started }) => Date.parse(started));
  const beyond = starts.filter((start) => (direction > 0 ? start > at + 6000 : start < at - 6000));
  return beyond.length === 0 ? undefined : direction > 0 ? Math.min(...beyond) : Math.max(...beyond);
}
