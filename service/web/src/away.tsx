/** What happened while the operator was away: alerts and tracks since he last moved here, or since the page was hidden. */

import { signal } from "@preact/signals";
import { alertText } from "./alert_words";
import { askAll } from "./api";
import { duration, timeOfDay } from "./clock";
import { ClassMark } from "./marks";
import { pageAddress } from "./pages";
import { wholeFlightAt } from "./past";
import { phrases } from "./phrases";
import { keep, kept } from "./preferences";
import { showReplay } from "./replay";
import type { Alert, Track } from "./schema";
import { located } from "./site";
import { words } from "./strings";
import { type ClassName, classNames } from "./wire";
import { isPane, isReplay } from "./world";

const text = phrases(
  {
    away: (age: string, from: string, to: string) => `You were away for ${age} (${from}–${to})`,
    alerts: (count: number, open: number) => `${count} ${count === 1 ? "alert" : "alerts"}, ${open} not acknowledged`,
    nothing: "no alerts",
    replay: "See it again",
    all: "All alerts",
    seen: "I have seen it",
  },
  {
    away: (age, from, to) => `Vous étiez absent ${age} (${from}–${to})`,
    alerts: (count, open) => `${count} ${count > 1 ? "alertes" : "alerte"}, ${open} non acquittées`,
    nothing: "aucune alerte",
    replay: "Revoir",
    all: "Toutes les alertes",
    seen: "J’ai vu",
  },
);

/** Who has not moved here for so long is away. */
const awayMs = 120_000;
const keepEveryMs = 5000;
const leadMs = 5000;
const mostShown = 4;

interface Digest {
  readonly from: number;
  readonly to: number;
  readonly alerts: readonly Alert[];
  readonly counts: Readonly<Record<ClassName, number>>;
}

const digest = signal<Digest | undefined>(undefined);
let seen = Number(kept("seen") ?? Date.now());

async function tell(from: number, to: number): Promise<void> {
  const since = `since=${new Date(from).toISOString()}&limit=500`;
  const space = located.peek() ? "world" : "image";
  try {
    const [alerts, tracks] = await Promise.all([
      askAll<Alert>(`/api/v1/alerts?${since}`, "alerts"),
      askAll<Track>(`/api/v1/tracks?space=${space}&${since}`, "tracks"),
    ]);
    const counts = { drone: 0, bird: 0, airplane: 0, helicopter: 0 };
    for (const track of tracks) counts[track.class] += 1;
    if (alerts.length + tracks.length > 0) digest.value = { from, to, alerts, counts };
  } catch {
    // The link tells when the service is gone.
  }
}

/** Somebody is here: what he missed is told once, and stands until he says that he has seen it. */
function here(): void {
  const at = Date.now();
  if (at - seen > awayMs) void tell(digest.peek()?.from ?? seen, at);
  if (at - seen > keepEveryMs) {
    seen = at;
    keep("seen", String(at));
  }
}

export function startAway(): void {
  if (isPane || isReplay) return;
  for (const kind of ["pointermove", "pointerdown", "keydown"]) addEventListener(kind, here, { passive: true });
  keep("seen", String(seen));
}

async function replayOf(alert: Alert): Promise<void> {
  const at = Date.parse(alert.started);
  const flight = await wholeFlightAt(at).catch(() => undefined);
  if (flight) await showReplay(flight.id, at - leadMs).catch(() => undefined);
}

/** The critical first, then the newest. */
const byWeight = (a: Alert, b: Alert): number =>
  Number(b.severity === "critical") - Number(a.severity === "critical") || b.started.localeCompare(a.started);

export function Away() {
  const t = text.value;
  const told = digest.value;
  if (!told) return null;
  const open = told.alerts.filter(({ acknowledged }) => !acknowledged).length;
  return (
    <section class="away panel" role="status" aria-live="polite">
      <strong>{t.away(duration(told.to - told.from), timeOfDay(told.from), timeOfDay(told.to))}</strong>
      <span class="away-counts">
        {told.alerts.length > 0 ? t.alerts(told.alerts.length, open) : t.nothing}
        {classNames
          .filter((name) => told.counts[name] > 0)
          .map((name) => (
            <span key={name}>
              <ClassMark name={name} /> {told.counts[name]} <small>{words.value.classes[name]}</small>
            </span>
          ))}
      </span>
      <ul>
        {[...told.alerts].sort(byWeight).slice(0, mostShown).map((alert) => (
          <li key={alert.id}>
            {timeOfDay(Date.parse(alert.started))} {alert.track} {alertText(alert)}
            <button type="button" class="act" aria-label={`${t.replay}: ${alert.track}`} onClick={() => void replayOf(alert)}>
              {t.replay}
            </button>
          </li>
        ))}
      </ul>
      <span class="spring" />
      <a class="act" href={pageAddress("alerts")}>
        {t.all}
      </a>
      <button type="button" class="act" onClick={() => (digest.value = undefined)}>
        {t.seen}
      </button>
    </section>
  );
}
