/** What the service foresees of the chosen track and of those that fly towards a zone, asked for once a second. */

import { effect, signal } from "@preact/signals";
import { askQuietly } from "./api";
import { link } from "./link";
import type { Forecast, TrackForecast } from "./schema";
import { located } from "./site";
import { selected } from "./state";
import { inWorld } from "./world";

const everyMs = 1000;

export const forecasts = signal<ReadonlyMap<string, TrackForecast>>(new Map());

let asking = false;

async function follow(): Promise<void> {
  if (asking || !located.peek() || link.peek().state !== "live" || document.hidden) return;
  asking = true;
  const chosen = selected.peek();
  const asked = chosen === undefined ? "" : `?track=${encodeURIComponent(chosen)}`;
  const answer = await askQuietly<Forecast>(inWorld(`/api/v1/forecast${asked}`));
  asking = false;
  forecasts.value = new Map((answer?.forecasts ?? []).map((each) => [each.track, each]));
}

export function startForecast(): void {
  setInterval(() => void follow(), everyMs);
  effect(() => {
    void selected.value;
    void follow();
  });
}
