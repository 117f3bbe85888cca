/** Alerts that run or that nobody has taken note of: what a person must not miss, above everything else. One row for all
 * that one track did, and one for several tracks that did the same within a minute, so that eight night hours are rows
 * and not hundreds of them. Nothing is hidden: such a row says how many, and opens. */

import { computed, signal } from "@preact/signals";
import { alertText } from "./alert_words";
import { duration, timeOfDay } from "./clock";
import { acknowledge, nameOperator, operator, trouble } from "./operator";
import { pageAddress } from "./pages";
import { phrases } from "./phrases";
import { worldNow } from "./replay";
import type { Alert } from "./schema";
import { blocked, sound, toggleSound } from "./sound";
import { alerts, byText, select, selected } from "./state";
import { words } from "./strings";
import { Verdicts } from "./verdict";
import { isReplay } from "./world";

const text = phrases(
  {
    open: (count: number) => (count === 0 ? "None to acknowledge" : `${count} to acknowledge`),
    over: "over",
    since: (age: string) => `for ${age}`,
    count: (count: number) => `${count} alerts`,
    tracks: (count: number) => `${count} tracks`,
    each: (count: number) => `Show the ${count} tracks`,
    known: (who: string) => `acknowledged by ${who}`,
    acknowledge: "Acknowledge",
    overToo: (count: number) => `Acknowledge ${count} that are over`,
    more: "Note and verdict",
    note: "Note",
    severities: { warning: "Warning", critical: "Critical" },
    operator: "Your name",
    all: "All alerts",
    sound: { on: "Sound on", off: "Sound off" },
    blocked: "Sound starts with your first click or key",
  },
  {
    open: (count) => (count === 0 ? "Rien à acquitter" : `${count} à acquitter`),
    over: "terminée",
    since: (age) => `depuis ${age}`,
    count: (count) => `${count} alertes`,
    tracks: (count) => `${count} pistes`,
    each: (count) => `Montrer les ${count} pistes`,
    known: (who) => `acquittée par ${who}`,
    acknowledge: "Acquitter",
    overToo: (count) => `Acquitter ${count} terminées`,
    more: "Note et verdict",
    note: "Note",
    severities: { warning: "Avertissement", critical: "Critique" },
    operator: "Votre nom",
    all: "Toutes les alertes",
    sound: { on: "Son activé", off: "Son coupé" },
    blocked: "Le son vient avec votre premier clic ou touche",
  },
);

/** All open alerts of one track, the most urgent first; with an empty `track` those of the service itself. */
interface Group {
  readonly track: string;
  readonly alerts: readonly Alert[];
}

/** What needs a person first: the unacknowledged before the known, what is so now before what is over, the critical. */
const urgency = (alert: Alert): number =>
  (alert.acknowledged ? 0 : 4) + (alert.active ? 2 : 0) + (alert.severity === "critical" ? 1 : 0);

const first = ({ alerts: [alert] }: Group): Alert => alert as Alert; // a group has one at least

const groups = computed<readonly Group[]>(() => {
  const byTrack = new Map<string, Alert[]>();
  for (const alert of alerts.value) byTrack.set(alert.track ?? "", [...(byTrack.get(alert.track ?? "") ?? []), alert]);
  return [...byTrack]
    .map(([track, found]) => ({ track, alerts: found.sort((a, b) => urgency(b) - urgency(a)) }))
    .sort((a, b) => urgency(first(b)) - urgency(first(a)) || byText(b.track, a.track));
});

const isOpen = (group: Group): boolean => group.alerts.some(({ acknowledged }) => !acknowledged);

/** Tracks of which the same is to be said, about the same time; mostly one. */
type Row = readonly Group[];

const togetherMs = 60_000;
const leastTogether = 3;

const startOf = (group: Group): number => Date.parse(first(group).started);

/** What two groups share that are told together. */
const likeness = (group: Group): string => {
  const { kind, zone, severity, active, acknowledged } = first(group);
  return `${kind} ${zone} ${severity} ${active} ${acknowledged}`;
};

/** Of groups that are alike: those that follow each other within a minute go together, if they are many. */
function* together(alike: readonly Group[]): Generator<Row> {
  const byStart = [...alike].sort((a, b) => startOf(b) - startOf(a));
  for (let from = 0, to = 1; from < byStart.length; from = to++) {
    while (to < byStart.length && startOf(byStart[to - 1] as Group) - startOf(byStart[to] as Group) <= togetherMs) to++;
    const run = byStart.slice(from, to);
    if (run.length >= leastTogether) yield run;
    else yield* run.map((group) => [group]);
  }
}

const rows = computed<readonly Row[]>(() => {
  const alike = new Map<string, Group[]>();
  for (const group of groups.value) alike.set(likeness(group), [...(alike.get(likeness(group)) ?? []), group]);
  const place = new Map(groups.value.map((group, index) => [group, index]));
  const rank = (row: Row): number => Math.min(...row.map((group) => place.get(group) ?? 0));
  return [...alike.values()].flatMap((each) => [...together(each)]).sort((a, b) => rank(a) - rank(b));
});

const alertsOf = (row: Row): readonly Alert[] => row.flatMap((group) => group.alerts);

/** The first row that nobody has acknowledged; nothing when there is none. */
export function acknowledgeFirst(): void {
  const row = rows.value.find((each) => each.some(isOpen));
  if (row && !isReplay) void acknowledge(alertsOf(row));
}

/** The row whose note is being written. */
const opened = signal<string | undefined>(undefined);
const note = signal("");

/** An octagon: critical. A triangle: a warning. Hollow when it is over. */
export function AlertMark({ alert }: { alert: Alert }) {
  const path =
    alert.severity === "critical" ? "M5.2 1.5H10.8L14.5 5.2V10.8L10.8 14.5H5.2L1.5 10.8V5.2Z" : "M8 1.8 15 14H1Z";
  return (
    <svg class={`mark alert-mark ${alert.active ? "is-active" : ""}`} viewBox="0 0 16 16" aria-hidden="true">
      <path d={path} />
      <path class="alert-stroke" d={alert.severity === "critical" ? "M8 4.6V8.8M8 11V11.4" : "M8 6.4V9.8M8 11.8V12.1"} />
    </svg>
  );
}

/** Each thing said once: what is so now, else what was. */
function sentenceOf({ alerts: all }: Group): string {
  const active = all.filter(({ active }) => active);
  return [...new Set((active.length > 0 ? active : all).map(alertText))].join(" · ");
}

function Details({ group }: { group: Group }) {
  const t = text.value;
  const say = (event: Event): void => {
    event.preventDefault();
    void acknowledge(group.alerts, note.value);
    [opened.value, note.value] = [undefined, ""];
  };
  return (
    <form class="alert-details" onSubmit={say}>
      <input
        type="text"
        maxLength={1000}
        aria-label={t.note}
        placeholder={t.note}
        value={note.value}
        onInput={(event) => (note.value = event.currentTarget.value)}
      />
      {group.track && <Verdicts track={group.track} />}
    </form>
  );
}

function GroupRow({ group }: { group: Group }) {
  const t = text.value;
  const alert = first(group);
  const isOpened = opened.value === group.track;
  return (
    <li
      class={`alert ${alert.severity} ${isOpen(group) ? "" : "is-known"} ${selected.value === group.track ? "is-chosen" : ""}`}
      data-alert={alert.id}
    >
      <button type="button" class="alert-text" onClick={() => group.track && select(group.track)}>
        <AlertMark alert={alert} />
        <span>
          <strong>{group.track}</strong> {sentenceOf(group)}
          <small>
            {t.severities[alert.severity]} · {alert.active ? t.since(duration(worldNow.value - Date.parse(alert.started))) : t.over}
            {group.alerts.length > 1 && ` · ${t.count(group.alerts.length)}`}
            {alert.acknowledged && ` · ${t.known(alert.acknowledged_by ?? "")}`}
            {alert.note && `: ${alert.note}`}
          </small>
        </span>
      </button>
      {!isReplay && (
        <button
          type="button"
          class="quiet"
          aria-expanded={isOpened}
          aria-label={`${t.more}: ${group.track}`}
          title={t.more}
          onClick={() => ([opened.value, note.value] = [isOpened ? undefined : group.track, ""])}
        >
          <svg viewBox="0 0 16 16" aria-hidden="true">
            <path d="M3 13 3.6 10.4 10.8 3.2 12.8 5.2 5.6 12.4ZM9.6 4.4 11.6 6.4" />
          </svg>
        </button>
      )}
      {isOpen(group) && !isReplay && (
        <button type="button" class="acknowledge" onClick={() => void acknowledge(group.alerts, isOpened ? note.value : "")}>
          {t.acknowledge}
        </button>
      )}
      {isOpened && <Details group={group} />}
    </li>
  );
}

/** Rows of several tracks that stand open, by their oldest track, which stays while others join. */
const spread = signal<ReadonlySet<string>>(new Set());
const keyOf = (row: Row): string => row.at(-1)?.track ?? "";

function BundleRow({ row }: { row: Row }) {
  const t = text.value;
  const [key, alert, all] = [keyOf(row), first(row[0] as Group), alertsOf(row)];
  const isSpread = spread.value.has(key);
  const toggle = (): void => {
    const next = new Set(spread.value);
    if (!next.delete(key)) next.add(key);
    spread.value = next;
  };
  return (
    <li
      class={`alert bundle ${alert.severity} ${row.some(isOpen) ? "" : "is-known"} ${row.some(({ track }) => track === selected.value) ? "is-chosen" : ""}`}
      data-bundle={row.length}
    >
      <button type="button" class="alert-text" aria-expanded={isSpread} title={t.each(row.length)} onClick={toggle}>
        <AlertMark alert={alert} />
        <span>
          <strong>{t.tracks(row.length)}</strong> {alertText({ ...alert, active: true, time_to_entry: null })}
          <small>
            {t.severities[alert.severity]} · {timeOfDay(startOf(row.at(-1) as Group))}–{timeOfDay(startOf(row[0] as Group))}
            {alert.active ? "" : ` · ${t.over}`} · {t.count(all.length)}
          </small>
        </span>
        <svg class={`arrow ${isSpread ? "up" : ""}`} viewBox="0 0 8 8" aria-hidden="true">
          <path d="M1 2.5 4 6 7 2.5" />
        </svg>
      </button>
      {row.some(isOpen) && !isReplay && (
        <button type="button" class="acknowledge" onClick={() => void acknowledge(all)}>
          {t.acknowledge}
        </button>
      )}
      {isSpread && (
        <ul>
          {row.map((group) => (
            <GroupRow key={group.track} group={group} />
          ))}
        </ul>
      )}
    </li>
  );
}

/** Heard or not: the sign says it, a stroke through it says no. */
function SoundButton() {
  const t = text.value;
  const on = sound.value === "on";
  const title = on && blocked.value ? t.blocked : `${t.sound[sound.value]} (s)`;
  return (
    <button type="button" class={`quiet ${on && blocked.value ? "is-blocked" : ""}`} aria-pressed={on} aria-label={t.sound[sound.value]} title={title} onClick={toggleSound}>
      <svg viewBox="0 0 16 16" aria-hidden="true">
        <path d={`M2.5 6H5L8.5 3V13L5 10H2.5Z${on ? "M10.8 5.6A3.4 3.4 0 0 1 10.8 10.4M12.6 3.8A6 6 0 0 1 12.6 12.2" : "M11 6 14.5 10M14.5 6 11 10"}`} />
      </svg>
    </button>
  );
}

export function AlertPanel() {
  const t = text.value;
  const all = groups.value;
  const open = all.filter(isOpen);
  const over = open.filter((group) => !first(group).active);
  return (
    <section class={`panel alerts ${open.length > 0 ? "has-open" : ""}`} aria-label={words.value.alerts}>
      <header class="panel-head">
        <h2>{words.value.alerts}</h2>
        <span class="count">{t.open(open.length)}</span>
        {!isReplay && (
          <>
            <input
              type="text"
              maxLength={40}
              aria-label={t.operator}
              placeholder={t.operator}
              value={operator.value}
              onInput={(event) => nameOperator(event.currentTarget.value)}
            />
            <SoundButton />
            <a class="all-alerts" href={pageAddress("alerts")}>
              {t.all}
            </a>
          </>
        )}
      </header>
      {trouble.value && <p class="alert-trouble" role="alert">{trouble.value}</p>}
      {all.length > 0 && (
        <ul class="alert-rows" aria-live="polite" tabIndex={0} aria-label={words.value.alerts}>
          {rows.value.map((row) =>
            row.length > 1 ? <BundleRow key={`${keyOf(row)} ${likeness(row[0] as Group)}`} row={row} /> : <GroupRow key={row[0]?.track} group={row[0] as Group} />,
          )}
        </ul>
      )}
      {over.length > 1 && !isReplay && (
        <button type="button" class="alerts-over" onClick={() => over.forEach((group) => void acknowledge(group.alerts))}>
          {t.overToo(over.length)}
        </button>
      )}
    </section>
  );
}
