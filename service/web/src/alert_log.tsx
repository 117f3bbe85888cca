/** The page of all alerts: who took note and why, what the track really was, and the way to see it again. */

import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { alertText } from "./alert_words";
import { AlertMark } from "./alerts";
import { askAll, askQuietly } from "./api";
import { dateOf, duration, timeOfDay } from "./clock";
import { type Verdict, verdicts } from "./operator";
import { Choice, Table, keptChoice } from "./parts";
import { wholeFlightAt } from "./past";
import { phrases } from "./phrases";
import { showReplay } from "./replay";
import type { Alert } from "./schema";
import { Verdicts } from "./verdict";

const text = phrases(
  {
    alerts: "All alerts",
    last: { hour: "Last hour", day: "Last day", week: "Last week" },
    which: { all: "All", open: "Not acknowledged", noted: "Acknowledged", false: "False alarms" },
    severities: { warning: "Warning", critical: "Critical" },
    head: ["When", "Track", "What", "Lasted", "Acknowledged", "What it really is", "See it again"],
    none: "No alert",
    replay: "Replay",
    notRecorded: "not recorded",
    period: "Period",
    filter: "Filter",
  },
  {
    alerts: "Toutes les alertes",
    last: { hour: "Dernière heure", day: "Dernier jour", week: "Dernière semaine" },
    which: { all: "Toutes", open: "Non acquittées", noted: "Acquittées", false: "Fausses alertes" },
    severities: { warning: "Avertissement", critical: "Critique" },
    head: ["Quand", "Piste", "Quoi", "Durée", "Acquittée", "Ce que c’est vraiment", "Revoir"],
    none: "Aucune alerte",
    replay: "Revoir",
    notRecorded: "non enregistrée",
    period: "Période",
    filter: "Filtre",
  },
);

const periods = { hour: 3_600_000, day: 86_400_000, week: 604_800_000 } as const;
const whiches = ["all", "open", "noted", "false"] as const;
type Period = keyof typeof periods;
type Which = (typeof whiches)[number];

const period = keptChoice<Period>("alerts-period", ["hour", "day", "week"], "day");
const which = keptChoice<Which>("alerts-which", whiches, "all");
const found = signal<readonly Alert[]>([]);
const unrecorded = signal<ReadonlySet<string>>(new Set());
const leadMs = 5000;

interface Mark {
  readonly track: string;
  readonly verdict: Verdict;
}

async function load(): Promise<void> {
  const since = new Date(Date.now() - periods[period.peek()]).toISOString();
  const [alerts, marks] = await Promise.all([
    askAll<Alert>(`/api/v1/alerts?since=${since}&limit=500`, "alerts", 4).catch(() => []),
    askQuietly<{ marks: readonly Mark[] }>("/api/v1/marks?limit=500"),
  ]);
  found.value = alerts;
  if (!marks) return;
  const oldestFirst = [...marks.marks].reverse().map(({ track, verdict }) => [track, verdict] as const);
  verdicts.value = new Map([...oldestFirst, ...verdicts.peek()]);
}

const isFalse = ({ track }: Alert): boolean => !["drone", "unclear", undefined].includes(verdicts.value.get(track ?? ""));

const passes: Readonly<Record<Which, (alert: Alert) => boolean>> = {
  all: () => true,
  open: ({ acknowledged }) => !acknowledged,
  noted: ({ acknowledged }) => acknowledged,
  false: isFalse,
};

async function replayOf(alert: Alert): Promise<void> {
  const at = Date.parse(alert.started);
  const flight = await wholeFlightAt(at).catch(() => undefined);
  if (flight) await showReplay(flight.id, at - leadMs).catch(() => undefined);
  else unrecorded.value = new Set([...unrecorded.value, alert.id]);
}

function Row({ alert }: { alert: Alert }) {
  const t = text.value;
  const [from, to] = [Date.parse(alert.started), Date.parse(alert.time)];
  return (
    <tr class={alert.severity} data-alert={alert.id}>
      <td class="figure">
        {dateOf(from)} {timeOfDay(from)}
      </td>
      <th scope="row">{alert.track}</th>
      <td>
        <AlertMark alert={alert} /> {alertText(alert)} <small>{t.severities[alert.severity]}</small>
      </td>
      <td class="figure">{duration(to - from)}</td>
      <td>
        {alert.acknowledged_by} {alert.note && <small>{alert.note}</small>}
      </td>
      <td>
        {alert.track !== null && <Verdicts track={alert.track} />}
      </td>
      <td>
        {unrecorded.value.has(alert.id) ? (
          <small>{t.notRecorded}</small>
        ) : (
          <button type="button" class="act" onClick={() => void replayOf(alert)}>
            {t.replay}
          </button>
        )}
      </td>
    </tr>
  );
}

export function AlertsPage() {
  const t = text.value;
  useEffect(() => void load(), [period.value]);
  const shown = found.value.filter(passes[which.value]);
  return (
    <main class="page alert-log">
      <section class="panel" aria-label={t.alerts}>
        <header class="panel-head">
          <h2>{t.alerts}</h2>
          <span class="count">{shown.length}</span>
          <Choice label={t.filter} of={which} say={t.which} />
          <Choice label={t.period} of={period} say={t.last} />
        </header>
        {shown.length === 0 ? (
          <p class="empty">{t.none}</p>
        ) : (
          <Table title={t.alerts} head={t.head}>
            {shown.map((alert) => (
              <Row key={alert.id} alert={alert} />
            ))}
          </Table>
        )}
      </section>
    </main>
  );
}
