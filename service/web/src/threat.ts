/** How much a track asks for attention, and why. Small numbers that a person can add up; the why is always shown. */

import type { Alert } from "./schema";
import type { LocatedTrack } from "./site";

export type Reason =
  | { readonly why: "zone"; readonly alert: Alert }
  | { readonly why: "conflict"; readonly text: string }
  | { readonly why: "nameless" | "named" | "claim" }
  | { readonly why: "nearer"; readonly metresPerSecond: number };

export type Level = "high" | "medium" | "low";

export interface Threat {
  readonly points: number;
  readonly level: Level;
  readonly reasons: readonly Reason[];
}

const classPoints = { drone: 30, helicopter: 12, airplane: 6, bird: 0 } as const;
const nearerMps = 2;

/** Speed towards the site's origin, m/s, in whole numbers so that rows do not dance. */
function closing({ enu, velocity }: LocatedTrack): number {
  const range = Math.hypot(enu[0], enu[1]);
  return range > 0 ? Math.round(-(enu[0] * (velocity[0] ?? 0) + enu[1] * (velocity[1] ?? 0)) / range) : 0;
}

function* reasonsOf(track: LocatedTrack, alerts: readonly Alert[]): Generator<readonly [number, Reason]> {
  for (const alert of alerts) {
    if (alert.kind !== "claim_conflict") yield [alert.severity === "critical" ? 50 : 25, { why: "zone", alert }];
  }
  if (track.identity === "conflicting") yield [45, { why: "conflict", text: track.evidence[0] ?? "" }];
  else if (track.claim_only) yield [0, { why: "claim" }];
  else if (track.identity === "cooperative") yield [-15, { why: "named" }];
  else if (track.class === "drone") yield [15, { why: "nameless" }];
  const metresPerSecond = closing(track);
  if (metresPerSecond >= nearerMps && track.class !== "bird") yield [5, { why: "nearer", metresPerSecond }];
}

export const levelOf = (points: number): Level => (points >= 70 ? "high" : points >= 30 ? "medium" : "low");

/** `alerts`: the active ones of this track. */
export function threatOf(track: LocatedTrack, alerts: readonly Alert[]): Threat {
  const found = [...reasonsOf(track, alerts)].sort(([a], [b]) => b - a);
  const sum = found.reduce<number>((total, [points]) => total + points, classPoints[track.class]);
  const points = track.endedAt === undefined ? Math.max(0, sum) : 0;
  return { points, level: levelOf(points), reasons: found.map(([, reason]) => reason) };
}
