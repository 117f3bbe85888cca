/** What a page that plays a flight says above everything else, so that nobody takes it for what is live. */

import { signal } from "@preact/signals";
import { askQuietly } from "./api";
import { dateOf, timeOfDay } from "./clock";
import { phrases } from "./phrases";
import { backToLive, gone, replay, worldNow } from "./replay";
import type { Alert } from "./schema";
import { isPane, isReplay, worldPage } from "./world";

const text = phrases(
  {
    replay: "REPLAY",
    notLive: "Nothing on this page is live.",
    gone: "This replay has been ended. What you see is only what was left of it.",
    ended: "The recording is over.",
    back: "Back to live",
    from: {
      raw: "seen and tracked anew",
      detections: "tracked anew",
      measurements: "fused anew",
      tracks: "as it was shown",
    },
    liveAlerts: (count: number) => `${count} live ${count === 1 ? "alert needs" : "alerts need"} you`,
  },
  {
    replay: "REDIFFUSION",
    notLive: "Rien sur cette page n’est en direct.",
    gone: "Cette rediffusion est terminée. Ce que vous voyez n’en est que le reste.",
    ended: "L’enregistrement est terminé.",
    back: "Retour au direct",
    from: {
      raw: "revu et resuivi",
      detections: "resuivi",
      measurements: "refusionné",
      tracks: "comme il fut montré",
    },
    liveAlerts: (count) => `${count} ${count > 1 ? "alertes en direct vous attendent" : "alerte en direct vous attend"}`,
  },
);

const watchMs = 2000;

/** Alerts of the live world that run and that nobody has acknowledged, while this page shows another. */
export const liveAlerts = signal<readonly Alert[]>([]);

async function watch(): Promise<void> {
  const answer = await askQuietly<{ alerts: readonly Alert[] }>("/api/v1/alerts?active=true&acknowledged=false&limit=100");
  if (answer) liveAlerts.value = answer.alerts;
  setTimeout(() => void watch(), watchMs);
}

/** Someone who looks at the past must not miss the present. */
export function startLiveWatch(): void {
  if (isReplay && !isPane) void watch();
}

function Sentence() {
  const t = text.value;
  const playing = replay.value;
  if (gone.value) return <span>{t.gone}</span>;
  return (
    <span>
      {playing?.flight}
      {playing && ` · ${t.from[playing.from]}`}
      {" · "}
      {playing?.state === "ended" ? t.ended : playing?.state === "failed" ? playing.reason : t.notLive}
    </span>
  );
}

export function ReplayBar() {
  const t = text.value;
  if (!isReplay) return null;
  const urgent = liveAlerts.value.length;
  return (
    <div class="replay-bar" role="status" aria-live="off">
      <strong>{t.replay}</strong>
      <time>
        {dateOf(worldNow.value)} {timeOfDay(worldNow.value)}
      </time>
      <Sentence />
      <span class="spring" />
      {urgent > 0 && (
        <span role="alert">
          <a class="live-alerts" href={worldPage("")} target="_blank" rel="noopener">
            {t.liveAlerts(urgent)}
          </a>
        </span>
      )}
      {!isPane && (
        <button type="button" class="act" onClick={backToLive}>
          {t.back}
        </button>
      )}
    </div>
  );
}
