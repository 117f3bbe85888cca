/** The page of statistics: who flies when and where, how often it called, and how soon things were seen. */

import { computed, signal } from "@preact/signals";
import { type ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Refusal, ask, askAll } from "./api";
import { Bars, Grid, type Series, saveCanvas, savePng } from "./bars";
import { placeOf } from "./ground";
import { Choice, Figures, keptChoice } from "./parts";
import { phrases } from "./phrases";
import { ScorePanel, measured } from "./score";
import type { Alert } from "./schema";
import { areas, plan } from "./site";
import { type Cell, SmallMap } from "./small_map";
import { language, words } from "./strings";
import { type ClassName, classNames } from "./wire";

const text = phrases(
  {
    period: "Period",
    periods: { hour: "Last hour", day: "Last day", week: "Last week", month: "Last month", all: "All that is kept" },
    byHour: "Tracks by hour of the day",
    byWeekday: "Tracks by weekday",
    byBoth: "Tracks by weekday and hour",
    heat: "Where they were",
    heatHint: (left: number) => `Time spent in each cell, seconds; the brightest is the most.${left ? ` ${left} cells are left out.` : ""}`,
    figures: "Figures",
    tracks: "Tracks",
    duration: "How long, median",
    alerts: "Alerts",
    perHour: "Alerts per hour",
    falsePerHour: "False alarms per hour, 95 %",
    marked: (count: number, hours: string) => `Rates are over the ${hours} h in which the service was up; false alarms are the ${count} whose track was marked as no drone.`,
    tooShort: "The service was up for less than a quarter of an hour: too short for a rate.",
    detect: "Time to detect, median",
    detect95: "Time to detect, 95 %",
    never: "Never seen by a sensor",
    csv: "CSV",
    png: "PNG",
    at: (day: string, hour: number, count: number) => `${day} ${hour}–${hour + 1} h: ${count}`,
    hourSays: (hour: number, parts: string) => `${hour}–${hour + 1} h: ${parts || "none"}`,
    loading: "Counting",
  },
  {
    period: "Période",
    periods: { hour: "Dernière heure", day: "Dernier jour", week: "Dernière semaine", month: "Dernier mois", all: "Tout ce qui est gardé" },
    byHour: "Pistes par heure du jour",
    byWeekday: "Pistes par jour de la semaine",
    byBoth: "Pistes par jour et heure",
    heat: "Où elles étaient",
    heatHint: (left) => `Temps passé dans chaque case, secondes ; la plus claire en a le plus.${left ? ` ${left} cases omises.` : ""}`,
    figures: "Chiffres",
    tracks: "Pistes",
    duration: "Durée médiane",
    alerts: "Alertes",
    perHour: "Alertes par heure",
    falsePerHour: "Fausses alertes par heure, 95 %",
    marked: (count, hours) => `Taux sur les ${hours} h de service ; les fausses alertes sont les ${count} dont la piste fut jugée « pas un drone ».`,
    tooShort: "Le service tourne depuis moins d’un quart d’heure : trop peu pour un taux.",
    detect: "Délai de détection, médiane",
    detect95: "Délai de détection, 95 %",
    never: "Jamais vues par un capteur",
    csv: "CSV",
    png: "PNG",
    at: (day, hour, count) => `${day} ${hour}–${hour + 1} h : ${count}`,
    hourSays: (hour, parts) => `${hour}–${hour + 1} h : ${parts || "aucune"}`,
    loading: "Comptage",
  },
);

interface Heat {
  readonly cell: { readonly latitude: number; readonly longitude: number };
  readonly cells: readonly { readonly latitude: number; readonly longitude: number; readonly seconds: number }[];
  readonly left_out: number;
}

interface Statistics {
  readonly since: string | null;
  readonly until: string | null;
  readonly up: { readonly hours: number };
  readonly tracks: {
    readonly count: number;
    readonly by_class: Readonly<Record<ClassName, number>>;
    readonly by_hour: Series;
    readonly by_weekday: Series;
    readonly by_hour_of_week: readonly (readonly number[])[];
    readonly duration: { readonly median: number | null };
  };
  readonly alerts: { readonly count: number; readonly per_hour: number | null };
  readonly time_to_detect: { readonly count: number; readonly never: number; readonly median: number | null; readonly p95: number | null };
  readonly heat: Heat;
}

const hourMs = 3_600_000;
const periods = { hour: hourMs, day: 24 * hourMs, week: 168 * hourMs, month: 720 * hourMs, all: Infinity } as const;
type Period = keyof typeof periods;
const periodNames = Object.keys(periods) as readonly Period[];

const period = keptChoice<Period>("statistics-period", periodNames, "day");
const statistics = signal<Statistics | undefined>(undefined);
const trouble = signal("");
/** Alerts whose track somebody called something else than a drone. */
const falseAlarms = signal(0);

const since = (): string => {
  const back = periods[period.value];
  return Number.isFinite(back) ? `&since=${new Date(Date.now() - back).toISOString()}` : "";
};
const question = (): string =>
  `/api/v1/statistics?timezone=${encodeURIComponent(Intl.DateTimeFormat().resolvedOptions().timeZone)}&cell=25${since()}`;

interface Mark {
  readonly track: string;
  readonly verdict: string;
}

async function load(): Promise<void> {
  try {
    statistics.value = await ask<Statistics>(question());
    trouble.value = "";
    const [marks, alerts] = await Promise.all([
      askAll<Mark>("/api/v1/marks?limit=500", "marks"),
      askAll<Alert>(`/api/v1/alerts?limit=500${since()}`, "alerts", 20),
    ]);
    const newest = new Map([...marks].reverse().map(({ track, verdict }) => [track, verdict]));
    falseAlarms.value = alerts.filter(({ track }) => !["drone", "unclear", undefined].includes(newest.get(track ?? ""))).length;
  } catch (error) {
    if (error instanceof Refusal) trouble.value = error.message;
  }
}

/** Rate of a Poisson count with its 95 % interval (Garwood's, by Wilson and Hilferty's cube roots). */
export function rateText(count: number, hours: number): string {
  const cube = (n: number, sign: number): number => n * (1 - 1 / (9 * n) + (sign * 1.96) / (3 * Math.sqrt(n))) ** 3;
  const [low, high] = [count > 0 ? cube(count, -1) : 0, cube(count + 1, 1)];
  const said = (value: number): string => (value / hours).toFixed(value / hours < 10 ? 2 : 0);
  return `${said(count)} (${said(low)}–${said(high)})`;
}

/** An airliner at the horizon does not decide what the map shows. */
const farthestM = 5000;

function cellsOf({ cell, cells }: Heat): readonly Cell[] {
  const origin = plan.value?.origin;
  if (!origin) return [];
  const most = Math.max(1e-9, ...cells.map(({ seconds }) => seconds));
  return cells
    .map(({ latitude, longitude, seconds }) => ({
      low: placeOf(latitude - cell.latitude / 2, longitude - cell.longitude / 2, origin),
      high: placeOf(latitude + cell.latitude / 2, longitude + cell.longitude / 2, origin),
      share: Math.sqrt(seconds / most),
    }))
    .filter(({ low: [east, north] }) => Math.hypot(east, north) < farthestM);
}

function HeatMap({ heat, title }: { heat: Heat; title: string }) {
  const cells = cellsOf(heat);
  const places = [[0, 0] as const, ...cells.flatMap(({ low, high }) => [low, high]), ...areas.value.flatMap(({ corners }) => corners)];
  return <SmallMap title={title} sensors={plan.value?.sensors ?? []} cells={cells} places={places} />;
}

const hours = Array.from({ length: 24 }, (_, hour) => hour);

/** Monday first, in the operator's language. */
const days = computed(() =>
  [1, 2, 3, 4, 5, 6, 7].map((day) => new Intl.DateTimeFormat(language.value, { weekday: "short", timeZone: "UTC" }).format(Date.UTC(2024, 0, day))),
);

const partsOf = (series: Series, index: number): string =>
  classNames
    .filter((name) => (series[name][index] ?? 0) > 0)
    .map((name) => `${words.value.classes[name]} ${series[name][index]}`)
    .join(", ");

/** A chart with its title, and a way to keep it. */
function Figure({ title, name, hint, children }: { title: string; name: string; hint?: string; children: ComponentChildren }) {
  const body = useRef<HTMLDivElement>(null);
  const save = (): void => {
    const chart = body.current?.querySelector("svg, canvas");
    if (chart instanceof SVGSVGElement) void savePng(chart, `${name}.png`);
    if (chart instanceof HTMLCanvasElement) saveCanvas(chart, `${name}.png`);
  };
  return (
    <section class="panel figure-panel" aria-label={title}>
      <header class="panel-head">
        <h2>{title}</h2>
        <span class="spring" />
        <button type="button" class="act" aria-label={`${text.value.png}: ${title}`} onClick={save}>
          {text.value.png}
        </button>
      </header>
      <div ref={body} class="figure-body">
        {children}
      </div>
      {hint && <small>{hint}</small>}
    </section>
  );
}

function Summary({ of }: { of: Statistics }) {
  const t = text.value;
  const { hours } = of.up;
  const known = of.alerts.per_hour !== null; // up for long enough that a rate means something
  const rows: readonly (readonly [string, string])[] = [
    [t.tracks, String(of.tracks.count)],
    ...classNames.map((name) => [words.value.classes[name], String(of.tracks.by_class[name])] as const),
    [t.duration, measured(of.tracks.duration.median, "s")],
    [t.alerts, String(of.alerts.count)],
    [t.perHour, known ? rateText(Math.round((of.alerts.per_hour ?? 0) * hours), hours) : "–"],
    [t.falsePerHour, known ? rateText(falseAlarms.value, hours) : "–"],
    [t.detect, measured(of.time_to_detect.median, "s")],
    [t.detect95, measured(of.time_to_detect.p95, "s")],
    [t.never, String(of.time_to_detect.never)],
  ];
  return (
    <section class="panel" aria-label={t.figures}>
      <header class="panel-head">
        <h2>{t.figures}</h2>
        <span class="count" />
        <Choice label={t.period} of={period} say={t.periods} />
        <a class="act" href={`${question()}&format=csv`} download="tracks.csv">
          {t.csv}
        </a>
      </header>
      <Figures rows={rows} />
      <small class="figures-hint">{known ? t.marked(falseAlarms.value, hours.toFixed(hours < 10 ? 1 : 0)) : t.tooShort}</small>
    </section>
  );
}

export function StatisticsPage() {
  const t = text.value;
  useEffect(() => void load(), [period.value]);
  const of = statistics.value;
  if (!of) return <main class="page"><p class="empty">{trouble.value || t.loading}</p></main>;
  const { by_hour, by_weekday, by_hour_of_week } = of.tracks;
  return (
    <main class="page statistics">
      <Summary of={of} />
      <ScorePanel />
      <Figure title={t.byHour} name="tracks-by-hour">
        <Bars series={by_hour} labels={hours.map(String)} title={t.byHour} say={(hour) => t.hourSays(hour, partsOf(by_hour, hour))} />
      </Figure>
      <Figure title={t.byWeekday} name="tracks-by-weekday">
        <Bars series={by_weekday} labels={days.value} title={t.byWeekday} say={(day) => `${days.value[day]}: ${partsOf(by_weekday, day)}`} />
      </Figure>
      <Figure title={t.byBoth} name="tracks-by-weekday-and-hour">
        <Grid
          rows={by_hour_of_week}
          days={days.value}
          title={t.byBoth}
          say={(day, hour) => t.at(days.value[day] ?? "", hour, by_hour_of_week[day]?.[hour] ?? 0)}
        />
      </Figure>
      <Figure title={t.heat} name="heat" hint={t.heatHint(of.heat.left_out)}>
        <HeatMap heat={of.heat} title={t.heat} />
      </Figure>
    </main>
  );
}
