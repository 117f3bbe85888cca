/** The only reader of the clock, and how times and durations are written. */

import { signal } from "@preact/signals";
import { recall, remember } from "./preferences";

export const zone = signal<"local" | "utc">(recall("clock", ["local", "utc"]) ?? "local");

export function toggleZone(): void {
  zone.value = zone.value === "local" ? "utc" : "local";
  remember("clock", zone.value);
}

/** Wall clock, milliseconds UTC, four times a second: enough for ages and for finding silence. */
export const now = signal(Date.now());

export function startClock(): void {
  setInterval(() => {
    now.value = Date.now();
  }, 250);
}

const two = (value: number): string => String(value).padStart(2, "0");

/** hh:mm:ss in the operator's zone, with a Z when it is UTC. */
export function timeOfDay(ms: number): string {
  const date = new Date(ms);
  return zone.value === "utc"
    ? `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())}Z`
    : `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** yyyy-mm-dd in the operator's zone: read the same everywhere. */
export function dateOf(ms: number): string {
  const date = new Date(ms);
  return zone.value === "utc"
    ? `${date.getUTCFullYear()}-${two(date.getUTCMonth() + 1)}-${two(date.getUTCDate())}`
    : `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/** hh:mm:ss.t for a picture, where a tenth of a second matters. */
export function timeOfFrame(ms: number): string {
  const tenth = Math.floor((((ms % 1000) + 1000) % 1000) / 100);
  return `${timeOfDay(ms).replace("Z", "")}.${tenth}${zone.value === "utc" ? "Z" : ""}`;
}

/** 4.2 s, 37 s, 5:07, 2:15:09 */
export function duration(ms: number): string {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}:${two(Math.floor(seconds % 60))}`;
  return `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(Math.floor(seconds % 60))}`;
}
