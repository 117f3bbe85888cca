/** The flight that this page plays, when it shows one: how far it is, and what moves it. Undefined on a live page. */

import { computed, signal } from "@preact/signals";
import { Refusal, ask, send } from "./api";
import { now } from "./clock";
import type { ReplayModel, Stage } from "./schema";
import { isReplay, replayId, worldPage } from "./world";

const pollMs = 500;

interface Seen {
  readonly replay: ReplayModel;
  /** Milliseconds UTC of this console. */
  readonly at: number;
}

const seen = signal<Seen | undefined>(undefined);
/** The world is no more: it was ended, or the service started anew. */
export const gone = signal(false);
export const replay = computed(() => seen.value?.replay);

const instant = (time: string | null | undefined): number | undefined => (time ? Date.parse(time) : undefined);

export const span = computed<readonly [number, number] | undefined>(() => {
  const [from, to] = [instant(replay.value?.start), instant(replay.value?.end)];
  return from !== undefined && to !== undefined ? [from, to] : undefined;
});

/** The time in this page's world, milliseconds UTC: the clock's, or how far the flight is, carried on between answers. */
export const worldNow = computed<number>(() => {
  if (!isReplay) return now.value;
  const position = instant(seen.value?.replay.time) ?? span.value?.[0] ?? now.value;
  if (!seen.value || seen.value.replay.state !== "playing") return position;
  const ahead = Math.min(2 * pollMs, now.value - seen.value.at) * (seen.value.replay.speed ?? 1);
  return Math.min(position + Math.max(0, ahead), span.value?.[1] ?? Infinity);
});

const put = (replay: ReplayModel): void => {
  seen.value = { replay, at: Date.now() };
};

async function poll(): Promise<void> {
  try {
    put(await ask<ReplayModel>(`/api/v1/replays/${replayId}`));
  } catch (error) {
    if (error instanceof Refusal && error.status === 404) gone.value = true;
  }
  if (!gone.value) setTimeout(() => void poll(), pollMs);
}

export function startReplay(): void {
  if (isReplay) void poll();
}

interface Change {
  readonly paused?: boolean;
  readonly speed?: number;
  readonly seek?: string;
  readonly step?: number;
}

/** Tell a replay to go on differently; raises Refusal. */
export const changeReplay = (id: string, change: Change): Promise<ReplayModel> =>
  send<ReplayModel>("PATCH", `/api/v1/replays/${encodeURIComponent(id)}`, change);

async function change(wanted: Change): Promise<void> {
  if (!isReplay) return;
  try {
    put(await changeReplay(replayId, wanted));
  } catch {
    // The poll finds out why.
  }
}

export const paused = computed(() => replay.value?.state === "paused");
export const togglePaused = (): Promise<void> => change({ paused: !paused.peek() });
/** One message at a time says too little: a step is as many as a tenth of a second brings. */
export const stepOn = (messages: number): Promise<void> => change({ paused: true, step: messages });
export const setSpeed = (speed: number): Promise<void> => change({ speed });

export function seek(ms: number): Promise<void> {
  const [from, to] = span.peek() ?? [ms, ms];
  return change({ seek: new Date(Math.min(to, Math.max(from, ms))).toISOString() });
}

export const seekBy = (ms: number): Promise<void> => seek(worldNow.peek() + ms);

/** Begin to play a flight in a world of its own. Raises Refusal. */
export const openReplay = (flight: string, from: Stage = "tracks"): Promise<ReplayModel> =>
  send<ReplayModel>("POST", `/api/v1/flights/${encodeURIComponent(flight)}/replay`, { from });

/** Play a flight on this page, from some instant on. Raises Refusal. */
export async function showReplay(flight: string, at?: number, from: Stage = "tracks"): Promise<void> {
  const { id } = await openReplay(flight, from);
  if (at !== undefined) await changeReplay(id, { seek: new Date(at).toISOString() });
  location.assign(worldPage(id));
}

/** End this page's replay, and show what is live. */
export function backToLive(): void {
  void send("DELETE", `/api/v1/replays/${replayId}`).catch(() => undefined);
  location.assign(worldPage(""));
}
