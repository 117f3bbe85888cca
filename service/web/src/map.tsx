/** The map: a canvas that needs no tiles, no network and no graphics card. Wheel, drag, pinch, buttons and keys move it. */

import { computed, effect, signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { arrived, attribution, baseAt, hasBase, showBase, toggleBase } from "./base_map";
import { type Ahead, type Chart, areaOf, paintChart, pickTrack } from "./chart";
import { forecasts } from "./forecast";
import type { Enu } from "./ground";
import { drawnPixel, look } from "./look";
import { type Ranked, rankedShown } from "./ranking";
import { areas, behind, plan, showTruth, truth } from "./site";
import { duration } from "./clock";
import { camera, select, selected, sensors } from "./state";
import { type Strings, words } from "./strings";
import { trailOf } from "./trails";
import { type ChartView, eastOf, northOf } from "./view";

/** Metres in the middle, and drawn pixels a metre; undefined: what fits the site. */
const moved = signal<{ readonly east: number; readonly north: number; readonly scale: number } | undefined>(undefined);
const [leastScale, mostScale] = [0.002, 60];
/** Sensors, their fields and zones further out than this do not decide what is shown at first. */
const fitFarthestM = 3000;
/** Of a camera's range: what it sees at the end of it is seldom. */
const fitReach = 0.8;
/** Of a site that is smaller the air around it is shown too: what comes, comes from there. */
const [fitWideM, fitHighM] = [240, 160];
const crowdedAt = 14;
/** Kept free for the scale and the buttons, CSS pixels. */
const footPx = 44;

/** A name, and the height of what has a place; a bird in a crowd gets not even a name. */
function labelOf({ track, threat }: Ranked, crowded: boolean, t: Strings): string {
  if (crowded && threat.level === "low" && track.id !== selected.value) return "";
  if (track.claim_only) return track.claimed_id ?? track.id;
  const area = areaOf(track, plan.value?.sensors ?? []);
  return `${track.id}  ${area && "apex" in area ? t.onlyDirection : `↑${Math.round(track.enu[2])} m`}`;
}

const warningOf = ({ track }: Ranked, t: Strings): string => {
  if (track.identity === "conflicting") return t.identity.conflicting;
  return track.claim_only ? t.identity.claim : "";
};

/** What to say of each zone that lies ahead. */
const aheads = computed<ReadonlyMap<string, Ahead>>(() => {
  const t = words.value;
  const zones = new Map(areas.value.map((zone) => [zone.id, zone]));
  return new Map(
    [...forecasts.value].map(([id, forecast]) => {
      const entries = forecast.entries.map(({ zone, after, sigma }) => ({
        after,
        label: t.timeTo(zones.get(zone)?.name ?? zone, after, sigma),
        exclusion: zones.get(zone)?.exclusion ?? false,
      }));
      return [id, { forecast, entries }];
    }),
  );
});

const chart = computed<Chart>(() => {
  const t = words.value;
  const online = new Map(sensors.value.map(({ id, state }) => [id, state === "online"]));
  const shown = rankedShown.value;
  return {
    base: baseAt(plan.value?.origin),
    arrived: arrived.value,
    ahead: aheads.value,
    sensors: plan.value?.sensors ?? [],
    silent: new Set([...online].filter(([, isOnline]) => !isOnline).map(([id]) => id)),
    zones: areas.value,
    truth: showTruth.value ? truth.value : [],
    tracks: shown.map((each) => ({
      track: each.track,
      level: each.threat.level,
      label: labelOf(each, shown.length > crowdedAt, t),
      warning: warningOf(each, t),
      trail: trailOf(each.track.id),
    })),
    selected: selected.value,
    camera: camera.value,
  };
});

function* cornersOf(): Generator<readonly [number, number]> {
  yield [0, 0];
  for (const { enu, azimuth, range } of chart.peek().sensors) {
    yield [enu[0], enu[1]];
    if (azimuth === null || range === null || range > fitFarthestM) continue;
    const ahead = (azimuth * Math.PI) / 180;
    yield [enu[0] + fitReach * range * Math.sin(ahead), enu[1] + fitReach * range * Math.cos(ahead)];
  }
  for (const { corners } of areas.peek()) yield* corners.filter(([e, n]) => Math.hypot(e, n) < fitFarthestM);
}

/** Everything of the site in sight, with air around it. */
function fitted(width: number, height: number, dpr: number): ChartView {
  const corners = [...cornersOf()];
  const [xs, ys] = [corners.map(([x]) => x), corners.map(([, y]) => y)];
  const [left, right, low, high] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const foot = footPx * dpr;
  const scale = Math.min(width / Math.max(right - left, fitWideM), Math.max(height - foot, height / 2) / Math.max(high - low, fitHighM)) * 0.86;
  return { centre: [(left + right) / 2, (low + high) / 2 - foot / 2 / scale], scale, width, height, dpr };
}

/** Keeps the canvas sharp and fresh, drawn once per screen frame at most. */
class ChartPainter {
  private requested = 0;
  private readonly context: CanvasRenderingContext2D | null;
  private readonly ends: (() => void)[];

  constructor(private readonly canvas: HTMLCanvasElement) {
    this.context = canvas.getContext("2d", { alpha: false });
    const sizes = new ResizeObserver(() => this.resize());
    sizes.observe(canvas);
    this.ends = [
      () => sizes.disconnect(),
      effect(() => {
        void [chart.value, look.value, moved.value];
        this.request();
      }),
    ];
  }

  stop(): void {
    cancelAnimationFrame(this.requested);
    for (const end of this.ends) end();
  }

  view(): ChartView {
    const { width, height } = this.canvas;
    const dpr = drawnPixel();
    const at = moved.peek();
    if (!at) return fitted(width, height, dpr);
    return { centre: [at.east, at.north], scale: at.scale * dpr, width, height, dpr };
  }

  /** Canvas pixels of a pointer. */
  at({ clientX, clientY }: MouseEvent): readonly [number, number] {
    const { left, top } = this.canvas.getBoundingClientRect();
    const dpr = window.devicePixelRatio || 1;
    return [(clientX - left) * dpr, (clientY - top) * dpr];
  }

  pick(event: MouseEvent): void {
    if (this.context) select(pickTrack(this.context, chart.peek(), this.view(), ...this.at(event)) ?? selected.peek());
  }

  private resize(): void {
    const dpr = window.devicePixelRatio || 1;
    this.canvas.width = Math.max(1, Math.round(this.canvas.clientWidth * dpr));
    this.canvas.height = Math.max(1, Math.round(this.canvas.clientHeight * dpr));
    this.draw();
  }

  private request(): void {
    this.requested ||= requestAnimationFrame(() => {
      this.requested = 0;
      this.draw();
    });
  }

  private draw(): void {
    const hidden = this.canvas.clientHeight === 0; // as on a phone that shows another tab
    if (this.context && !hidden) paintChart(this.context, chart.peek(), this.view(), look.peek());
  }
}

let painter: ChartPainter | undefined;

/** Zoom about a canvas point: what is there stays there. */
function zoomAbout(factor: number, x: number, y: number): void {
  const view = painter?.view();
  if (!view) return;
  const scale = Math.min(mostScale, Math.max(leastScale, (view.scale / view.dpr) * factor));
  const real = scale / (view.scale / view.dpr);
  const [east, north] = [eastOf(view, x), northOf(view, y)];
  moved.value = {
    east: east + (view.centre[0] - east) / real,
    north: north + (view.centre[1] - north) / real,
    scale,
  };
}

function drag(dx: number, dy: number): void {
  const view = painter?.view();
  if (!view) return;
  const metre = view.scale / (window.devicePixelRatio || 1);
  moved.value = { east: view.centre[0] - dx / metre, north: view.centre[1] + dy / metre, scale: view.scale / view.dpr };
}

export function zoomMap(factor: number): void {
  const view = painter?.view();
  if (view) zoomAbout(factor, view.width / 2, view.height / 2);
}

export const fitMap = (): void => {
  moved.value = undefined;
};

/** Put a place in the middle, as near as it is now. */
export function centreMap([east, north]: Enu): void {
  const view = painter?.view();
  if (view) moved.value = { east, north, scale: view.scale / view.dpr };
}

/** Pointers that are down, for dragging with one and pinching with two. */
function useGestures(canvas: { current: HTMLCanvasElement | null }): void {
  useEffect(() => {
    const element = canvas.current;
    if (!element) return;
    const down = new Map<number, PointerEvent>();
    let travelled = 0;
    const press = (event: PointerEvent): void => {
      element.setPointerCapture(event.pointerId);
      down.set(event.pointerId, event);
      if (down.size === 1) travelled = 0;
    };
    const move = (event: PointerEvent): void => {
      const before = down.get(event.pointerId);
      if (!before) return;
      const other = [...down.values()].find(({ pointerId }) => pointerId !== event.pointerId);
      down.set(event.pointerId, event);
      travelled += Math.hypot(event.clientX - before.clientX, event.clientY - before.clientY);
      if (travelled > 4 && !other) drag(event.clientX - before.clientX, event.clientY - before.clientY);
      if (other && painter) zoomAbout(apart(event, other) / apart(before, other), ...painter.at(other));
    };
    const release = (event: PointerEvent): void => {
      if (down.delete(event.pointerId) && event.type === "pointerup" && travelled <= 4) painter?.pick(event);
    };
    const wheel = (event: WheelEvent): void => {
      event.preventDefault();
      if (painter) zoomAbout(Math.exp(-event.deltaY * 0.0015), ...painter.at(event));
    };
    element.addEventListener("pointerdown", press);
    element.addEventListener("pointermove", move);
    element.addEventListener("pointerup", release);
    element.addEventListener("pointercancel", release);
    element.addEventListener("wheel", wheel, { passive: false });
    return () => element.removeEventListener("wheel", wheel);
  }, []);
}

const apart = (a: PointerEvent, b: PointerEvent): number => Math.max(1, Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY));

function Button({ name, keys, path, onClick, pressed }: {
  readonly name: string;
  readonly keys: string;
  readonly path: string;
  readonly onClick: () => void;
  readonly pressed?: boolean;
}) {
  return (
    <button type="button" class="quiet" aria-label={name} title={`${name} (${keys})`} aria-pressed={pressed} onClick={onClick}>
      <svg viewBox="0 0 16 16" aria-hidden="true">
        <path d={path} />
      </svg>
    </button>
  );
}

export function SiteMap() {
  const t = words.value;
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    if (!canvas.current) return;
    const made = new ChartPainter(canvas.current);
    painter = made;
    return () => {
      made.stop();
      painter = undefined;
    };
  }, []);
  useGestures(canvas);
  const count = rankedShown.value.filter(({ track }) => track.endedAt === undefined).length;
  return (
    <section class="map panel" aria-label={t.map}>
      <canvas ref={canvas} class="chart" role="img" aria-label={t.mapLabel(plan.value?.name ?? "", count)} />
      <h2 class="map-name">{plan.value?.name}</h2>
      {behind.value > 0 && (
        <p class="map-behind" role="status">
          {t.tracksBehind(duration(behind.value))}
        </p>
      )}
      {attribution() && showBase.value && <small class="map-credit">{attribution()}</small>}
      <div class="map-tools">
        <Button name={t.zoomIn} keys="]" path="M4 8H12M8 4V12" onClick={() => zoomMap(1.5)} />
        <Button name={t.zoomOut} keys="[" path="M4 8H12" onClick={() => zoomMap(1 / 1.5)} />
        <Button name={t.mapFit} keys="m" path="M2.5 6V2.5H6M10 2.5H13.5V6M13.5 10V13.5H10M6 13.5H2.5V10" onClick={fitMap} />
        {hasBase() && (
          <Button name={t.mapBase} keys="g" path="M2.5 4.5 6 3 10 4.5 13.5 3V11.5L10 13 6 11.5 2.5 13ZM6 3V11.5M10 4.5V13" pressed={showBase.value} onClick={toggleBase} />
        )}
        {truth.value.length > 0 && (
          <Button
            name={t.mapTruth}
            keys="x"
            path="M8 2V6M8 10V14M2 8H6M10 8H14"
            pressed={showTruth.value}
            onClick={() => (showTruth.value = !showTruth.value)}
          />
        )}
      </div>
    </section>
  );
}
