/** Alerts that run or that nobody has taken note of: what a person must not miss, above everything else. */

import { signal } from "@preact/signals";
import { duration } from "./clock";
import { keep, kept } from "./preferences";
import type { Alert } from "./schema";
import { alerts, putAlert, select } from "./state";
import { worldNow } from "./replay";
import { words } from "./strings";
import { isReplay } from "./world";

/** Who acknowledges; told to the service with each. */
const operator = signal(kept("operator") ?? "");
const failed = signal<string | undefined>(undefined);

/** What needs a person first: the unacknowledged before the known, what is so now before what is over, the critical. */
const urgency = (alert: Alert): number =>
  (alert.acknowledged ? 0 : 4) + (alert.active ? 2 : 0) + (alert.severity === "critical" ? 1 : 0);

const sorted = (): readonly Alert[] => [...alerts.value].sort((a, b) => urgency(b) - urgency(a));

export async function acknowledge(alert: Alert): Promise<void> {
  const who = operator.value.trim() || words.peek().operator;
  try {
    const answer = await fetch(`/api/v1/alerts/${encodeURIComponent(alert.id)}/acknowledge`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ who, note: "" }),
    });
    failed.value = answer.ok ? undefined : alert.id;
    if (answer.ok) putAlert((await answer.json()) as Alert);
  } catch {
    failed.value = alert.id;
  }
}

/** The first that nobody has acknowledged; nothing when there is none. */
export function acknowledgeFirst(): void {
  const first = sorted().find(({ acknowledged }) => !acknowledged);
  if (first) void acknowledge(first);
}

/** An octagon: critical. A triangle: a warning. Hollow when it is over. */
function AlertMark({ alert }: { alert: Alert }) {
  const path =
    alert.severity === "critical" ? "M5.2 1.5H10.8L14.5 5.2V10.8L10.8 14.5H5.2L1.5 10.8V5.2Z" : "M8 1.8 15 14H1Z";
  return (
    <svg class={`mark alert-mark ${alert.active ? "is-active" : ""}`} viewBox="0 0 16 16" aria-hidden="true">
      <path d={path} />
      <path class="alert-stroke" d={alert.severity === "critical" ? "M8 4.6V8.8M8 11V11.4" : "M8 6.4V9.8M8 11.8V12.1"} />
    </svg>
  );
}

function AlertRow({ alert }: { alert: Alert }) {
  const t = words.value;
  return (
    <li class={`alert ${alert.severity} ${alert.acknowledged ? "is-known" : ""}`} data-alert={alert.id}>
      <button type="button" class="alert-text" onClick={() => select(alert.track)}>
        <AlertMark alert={alert} />
        <span>
          {alert.text}
          <small>
            {t.severities[alert.severity]} · {alert.active ? t.alertFor(duration(worldNow.value - Date.parse(alert.started))) : t.alertOver}
            {alert.acknowledged && ` · ${t.knownTo(alert.acknowledged_by ?? "")}`}
            {failed.value === alert.id && ` · ${t.notAcknowledged}`}
          </small>
        </span>
      </button>
      {!alert.acknowledged && !isReplay && (
        <button type="button" class="acknowledge" onClick={() => void acknowledge(alert)}>
          {t.acknowledge}
        </button>
      )}
    </li>
  );
}

export function AlertPanel() {
  const t = words.value;
  const all = sorted();
  const open = all.filter(({ acknowledged }) => !acknowledged).length;
  return (
    <section class={`panel alerts ${open ? "has-open" : ""}`} aria-label={t.alerts}>
      <header class="panel-head">
        <h2>{t.alerts}</h2>
        <span class="count">{open ? t.alertsOpen(open) : t.alertsNone}</span>
        <input
          type="text"
          maxLength={40}
          aria-label={t.operatorName}
          placeholder={t.operatorName}
          value={operator.value}
          onInput={(event) => {
            operator.value = event.currentTarget.value;
            keep("operator", operator.value);
          }}
        />
      </header>
      {all.length > 0 && (
        <ul class="alert-rows" aria-live="polite">
          {all.map((alert) => (
            <AlertRow key={alert.id} alert={alert} />
          ))}
        </ul>
      )}
    </section>
  );
}
