/** One timeline for live and replay: who flew when, alerts, what is recorded; in a replay it scrubs. */

import { effect, signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { Refusal } from "./api";
import { duration, timeOfDay } from "./clock";
import { drawnPixel, look } from "./look";
import type { Look } from "./paint";
import { type Stretch, alertBeside, flights, lives, pastAlerts, setWidth, shownSpan, wholeFlightAt, width, widthNames } from "./past";
import { phrases } from "./phrases";
import { paused, replay, seek, seekBy, setSpeed, showReplay, stepOn, togglePaused, worldNow } from "./replay";
import type { Alert } from "./schema";
import { select, selected } from "./state";
import { isReplay } from "./world";

const text = phrases(
  {
    timeline: "Timeline",
    liveLabel: (span: string, alerts: number) => `The last ${span}: ${alerts} alerts`,
    play: "Play",
    pause: "Pause",
    step: "Step",
    alertBefore: "Alert before",
    alertAfter: "Next alert",
    back: "5 s back",
    speed: "Speed",
    replayFrom: (time: string) => `Replay from ${time}`,
    notRecorded: (time: string) => `${time} is not recorded`,
    opening: "Opening the recording",
    shows: "Shows the last",
  },
  {
    timeline: "Chronologie",
    liveLabel: (span, alerts) => `Les dernières ${span} : ${alerts} alertes`,
    play: "Lecture",
    pause: "Pause",
    step: "Pas à pas",
    alertBefore: "Alerte précédente",
    alertAfter: "Alerte suivante",
    back: "Reculer de 5 s",
    speed: "Vitesse",
    replayFrom: (time) => `Revoir depuis ${time}`,
    notRecorded: (time) => `${time} n’est pas enregistré`,
    opening: "Ouverture de l’enregistrement",
    shows: "Montre les dernières",
  },
);

const speeds = [0.25, 1, 2, 4, 8, 16];
/** Messages that a step plays: about what a tenth of a second brings. */
const stepMessages = 10;
/** Before an alert, so that one sees it come. */
const leadMs = 5000;

/** Where the pointer is, and what was clicked, milliseconds UTC. */
const hovered = signal<number | undefined>(undefined);
const picked = signal<number | undefined>(undefined);
const trouble = signal("");

// ── Drawing ──────────────────────────────────────────────────────────────────────────────────────────────────────────

interface Scene {
  readonly span: readonly [number, number];
  readonly lives: readonly Stretch[];
  readonly alerts: readonly Alert[];
  readonly recorded: readonly (readonly [number, number])[];
  readonly at: number | undefined;
  readonly hovered: number | undefined;
  readonly selected: string | undefined;
}

const ticks = [10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14_400].map((s) => s * 1000);

function scene(): Scene {
  const recorded = flights.value.flatMap(({ start, end }) =>
    start === null ? [] : [[Date.parse(start), end === null ? Date.now() : Date.parse(end)] as const],
  );
  return {
    span: shownSpan.value,
    lives: lives.value,
    alerts: pastAlerts.value,
    recorded,
    at: isReplay ? worldNow.value : undefined,
    hovered: hovered.value ?? picked.value,
    selected: selected.value,
  };
}

/** Stretches in as few lanes as they need; those that find none in `most` share the last. */
function lanesOf(stretches: readonly Stretch[], most: number, gapMs: number): readonly (readonly [Stretch, number])[] {
  const ends: number[] = [];
  return stretches.map((each) => {
    const free = ends.findIndex((end) => end + gapMs < each.from);
    const lane = free >= 0 ? free : Math.min(ends.length, most - 1);
    ends[lane] = Math.max(ends[lane] ?? 0, each.to);
    return [each, lane] as const;
  });
}

function paintTimeline(context: CanvasRenderingContext2D, drawn: Scene, look: Look, dpr: number): void {
  const { width: wide, height: high } = context.canvas;
  const [from, to] = drawn.span;
  const x = (ms: number): number => ((ms - from) / (to - from)) * wide;
  const [alertsY, top, bottom] = [9 * dpr, 19 * dpr, high - 17 * dpr];
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.fillStyle = look.chart.ground;
  context.fillRect(0, 0, wide, high);
  paintTicks(context, drawn.span, x, look, dpr);
  context.fillStyle = look.chart.field;
  for (const [start, end] of drawn.recorded) context.fillRect(x(start), high - 2 * dpr, x(end) - x(start), 2 * dpr);
  const birds = drawn.lives.filter(({ name }) => name === "bird");
  context.fillStyle = look.chart.classes.bird;
  context.globalAlpha = 0.22;
  for (const { from: start, to: end } of birds) context.fillRect(x(start), bottom - 3 * dpr, Math.max(dpr, x(end) - x(start)), 3 * dpr);
  context.globalAlpha = 1;
  const most = Math.max(1, Math.floor((bottom - 5 * dpr - top) / (5 * dpr)));
  const others = drawn.lives.filter(({ name }) => name !== "bird");
  for (const [each, lane] of lanesOf(others, most, (to - from) / 300)) {
    const chosen = each.id === drawn.selected;
    context.fillStyle = chosen ? look.chart.chosen : look.chart.classes[each.name];
    context.globalAlpha = chosen ? 1 : 0.8;
    context.fillRect(x(each.from), top + lane * 5 * dpr, Math.max(2 * dpr, x(each.to) - x(each.from)), 3 * dpr);
  }
  context.globalAlpha = 1;
  for (const alert of drawn.alerts) paintAlert(context, alert, x(Date.parse(alert.started)), alertsY, look, dpr);
  if (drawn.hovered !== undefined) paintHand(context, x(drawn.hovered), look.chart.text, dpr, timeOfDay(drawn.hovered), look);
  if (drawn.at !== undefined) paintHand(context, x(drawn.at), look.chart.chosen, 2 * dpr, "", look);
}

function paintTicks(
  context: CanvasRenderingContext2D,
  [from, to]: readonly [number, number],
  x: (ms: number) => number,
  look: Look,
  dpr: number,
): void {
  const { width: wide, height: high } = context.canvas;
  const step = ticks.find((each) => (each / (to - from)) * wide > 84 * dpr) ?? 14_400_000;
  context.font = `400 ${10.5 * dpr}px ${look.font}`;
  context.textBaseline = "bottom";
  context.textAlign = "center";
  context.lineWidth = dpr;
  context.strokeStyle = look.chart.ring;
  context.fillStyle = look.chart.text;
  const zoneMs = new Date(from).getTimezoneOffset() * 60_000;
  for (let at = Math.ceil((from - zoneMs) / step) * step + zoneMs; at < to; at += step) {
    context.beginPath();
    context.moveTo(Math.round(x(at)) + 0.5, 0);
    context.lineTo(Math.round(x(at)) + 0.5, high - 15 * dpr);
    context.stroke();
    if (x(at) > 30 * dpr && x(at) < wide - 30 * dpr) context.fillText(step < 60_000 ? timeOfDay(at) : timeOfDay(at).slice(0, 5), x(at), high - 2 * dpr);
  }
}

/** An octagon: critical. A triangle: a warning. Hollow once somebody took note. */
function paintAlert(context: CanvasRenderingContext2D, alert: Alert, x: number, y: number, look: Look, dpr: number): void {
  const [corners, size] = alert.severity === "critical" ? [8, 5.4 * dpr] : [3, 5.6 * dpr];
  context.beginPath();
  for (let k = 0; k < corners; k++) {
    const turn = (2 * Math.PI * (k + (corners === 8 ? 0.5 : 0))) / corners - Math.PI / 2;
    context.lineTo(x + size * Math.cos(turn), y + size * Math.sin(turn) + (corners === 3 ? 1.5 * dpr : 0));
  }
  context.closePath();
  context.strokeStyle = context.fillStyle = alert.severity === "critical" ? look.chart.exclusion : look.chart.alert;
  context.lineWidth = 1.4 * dpr;
  if (alert.acknowledged) context.stroke();
  else context.fill();
}

function paintHand(context: CanvasRenderingContext2D, x: number, colour: string, wide: number, label: string, look: Look): void {
  const { width: most, height: high } = context.canvas;
  context.fillStyle = colour;
  context.fillRect(x - wide / 2, 0, wide, high);
  if (!label) return;
  const dpr = drawnPixel();
  context.font = `500 ${11 * dpr}px ${look.font}`;
  const room = context.measureText(label).width + 8 * dpr;
  const left = Math.min(Math.max(0, x - room / 2), most - room);
  context.fillStyle = look.chart.label;
  context.fillRect(left, 0, room, 17 * dpr);
  context.fillStyle = look.chart.ink;
  context.textAlign = "left";
  context.textBaseline = "top";
  context.fillText(label, left + 4 * dpr, 3 * dpr);
}

// ── The strip ────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Keeps the canvas sharp and fresh; gives back what ends that. */
function keepPainted(canvas: HTMLCanvasElement): () => void {
  const context = canvas.getContext("2d", { alpha: false });
  let requested = 0;
  const draw = (): void => {
    requested = 0;
    if (context && canvas.clientHeight > 0) paintTimeline(context, scene(), look.peek(), drawnPixel());
  };
  const request = (): void => void (requested ||= requestAnimationFrame(draw));
  const sizes = new ResizeObserver(() => {
    const dpr = window.devicePixelRatio || 1;
    canvas.width = Math.max(1, Math.round(canvas.clientWidth * dpr));
    canvas.height = Math.max(1, Math.round(canvas.clientHeight * dpr));
    draw();
  });
  sizes.observe(canvas);
  const end = effect(() => {
    void [scene(), look.value];
    request();
  });
  return () => {
    sizes.disconnect();
    cancelAnimationFrame(requested);
    end();
  };
}

const timeAt = (event: PointerEvent | MouseEvent): number => {
  const { left, width: wide } = (event.currentTarget as HTMLElement).getBoundingClientRect();
  const [from, to] = shownSpan.peek();
  return from + ((event.clientX - left) / wide) * (to - from);
};

/** The alert whose mark is at the pointer. */
function alertAt(event: MouseEvent): Alert | undefined {
  const { top, width: wide } = (event.currentTarget as HTMLElement).getBoundingClientRect();
  const [from, to] = shownSpan.peek();
  const [at, reach] = [timeAt(event), (7 / wide) * (to - from)];
  if (event.clientY - top > 18) return undefined;
  return pastAlerts.peek().find(({ started }) => Math.abs(Date.parse(started) - at) < reach);
}

function pick(event: PointerEvent): void {
  const alert = alertAt(event);
  if (alert?.track) select(alert.track);
  const at = alert ? Date.parse(alert.started) - leadMs : timeAt(event);
  if (isReplay) void seek(at);
  else [picked.value, trouble.value] = [at, ""];
}

function move(event: PointerEvent): void {
  hovered.value = timeAt(event);
  if (isReplay && event.buttons === 1) void seek(hovered.value);
}

async function replayFrom(at: number): Promise<void> {
  trouble.value = text.peek().opening;
  try {
    const flight = await wholeFlightAt(at);
    if (flight) await showReplay(flight.id, at);
    else trouble.value = text.peek().notRecorded(timeOfDay(at));
  } catch (error) {
    trouble.value = error instanceof Refusal ? error.message : String(error);
  }
}

export function jumpToAlert(direction: 1 | -1): void {
  const at = alertBeside(direction);
  if (at !== undefined) void seek(at - leadMs);
}

function Button({ name, keys, path, onClick }: { name: string; keys: string; path: string; onClick: () => void }) {
  return (
    <button type="button" class="quiet" aria-label={name} title={`${name} (${keys})`} onClick={onClick}>
      <svg viewBox="0 0 16 16" aria-hidden="true">
        <path d={path} />
      </svg>
    </button>
  );
}

function Transport() {
  const t = text.value;
  const speed = replay.value?.speed ?? 1;
  return (
    <div class="transport" role="group" aria-label={t.timeline}>
      <Button name={t.alertBefore} keys="b" path="M3 3V13M13 3 5.5 8 13 13Z" onClick={() => jumpToAlert(-1)} />
      <Button name={t.back} keys="←" path="M8 3 2 8 8 13ZM14 3 8 8 14 13Z" onClick={() => void seekBy(-5000)} />
      {paused.value ? (
        <Button name={t.play} keys="p" path="M4 2.5 13 8 4 13.5Z" onClick={() => void togglePaused()} />
      ) : (
        <Button name={t.pause} keys="p" path="M5 3V13M11 3V13" onClick={() => void togglePaused()} />
      )}
      <Button name={t.step} keys="." path="M4 3 10 8 4 13ZM12.5 3V13" onClick={() => void stepOn(stepMessages)} />
      <Button name={t.alertAfter} keys="n" path="M3 3 10.5 8 3 13ZM13 3V13" onClick={() => jumpToAlert(1)} />
      <select aria-label={t.speed} value={speed} onChange={(event) => void setSpeed(Number(event.currentTarget.value))}>
        {speeds.map((each) => (
          <option key={each} value={each}>
            {each}×
          </option>
        ))}
      </select>
    </div>
  );
}

/** How much is shown; and once a time is picked, the way to it. */
function LiveTools() {
  const t = text.value;
  const at = picked.value;
  return (
    <div class="transport">
      <select aria-label={t.shows} value={width.value} onChange={(event) => setWidth(event.currentTarget.value as typeof width.value)}>
        {widthNames.map((name) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
      {at !== undefined && (
        <button type="button" class="act" onClick={() => void replayFrom(at)}>
          {t.replayFrom(timeOfDay(at))}
        </button>
      )}
      {trouble.value && <small role="status">{trouble.value}</small>}
    </div>
  );
}

/** Keys of the strip itself: a slider in a replay. */
function onStripKey(event: KeyboardEvent): void {
  const by = { ArrowLeft: -5000, ArrowRight: 5000, PageDown: -60_000, PageUp: 60_000 }[event.key];
  if (!isReplay || by === undefined) return;
  event.preventDefault();
  event.stopPropagation();
  void seekBy(by);
}

export function Timeline() {
  const t = text.value;
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => (canvas.current ? keepPainted(canvas.current) : undefined), []);
  const [from, to] = shownSpan.value;
  const slider = isReplay
    ? {
        role: "slider" as const,
        tabIndex: 0,
        "aria-valuemin": 0,
        "aria-valuemax": Math.round((to - from) / 1000),
        "aria-valuenow": Math.round((worldNow.value - from) / 1000),
        "aria-valuetext": timeOfDay(worldNow.value),
        "aria-label": t.timeline,
      }
    : { role: "img" as const, "aria-label": t.liveLabel(duration(to - from), pastAlerts.value.length) };
  return (
    <section class="timeline panel" aria-label={t.timeline}>
      {isReplay ? <Transport /> : <LiveTools />}
      <canvas
        ref={canvas}
        {...slider}
        onPointerDown={pick}
        onPointerMove={move}
        onPointerLeave={() => (hovered.value = undefined)}
        onKeyDown={onStripKey}
      />
    </section>
  );
}
