/** The drawing board: sensors are dragged, cameras aimed by their handle, zones drawn corner by corner. */

import { effect, signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { arrived, baseAt } from "./base_map";
import { emptyChart, paintChart } from "./chart";
import { aimSensor, chosen, closeZone, corners, draft, draftSensors, draftZones, moveCorner, moveSensor, placeOfSensor } from "./draft";
import type { Place } from "./ground";
import { drawnPixel, look } from "./look";
import type { Look } from "./paint";
import { type ChartView, eastOf, northOf, xOf, yOf } from "./view";

interface Shown {
  readonly centre: Place;
  /** Drawn pixels a metre. */
  readonly scale: number;
}

const shown = signal<Shown>({ centre: [0, 0], scale: 2 });
const aimPx = 70;
const reachPx = 13;

const viewOf = (canvas: HTMLCanvasElement): ChartView => ({
  centre: shown.peek().centre,
  scale: shown.peek().scale * drawnPixel(),
  width: canvas.width,
  height: canvas.height,
  dpr: drawnPixel(),
});

/** The middle of what the board shows: where a new sensor is put. */
export const boardCentre = (): Place => shown.peek().centre;

/** Something that can be dragged, and what dragging it does. */
interface Handle {
  readonly x: number;
  readonly y: number;
  readonly pick: () => void;
  readonly drag: (to: Place) => void;
}

/** Those of what is chosen come first, for they lie on top. */
function* handles(view: ChartView): Generator<Handle> {
  const now = draft.peek();
  const which = chosen.peek();
  if (!now) return;
  const zone = which?.kind === "zone" ? draftZones.peek()[which.index] : undefined;
  for (const [k, [east, north]] of (zone?.corners ?? []).entries()) {
    yield { x: xOf(view, east), y: yOf(view, north), pick: () => {}, drag: (to) => moveCorner(which?.index ?? 0, k, to) };
  }
  for (const [index, sensor] of now.sensors.entries()) {
    const place = placeOfSensor(sensor, now.site.origin);
    if (!place) continue;
    const pick = (): void => void (chosen.value = { kind: "sensor", index });
    const [x, y] = [xOf(view, place[0]), yOf(view, place[1])];
    if (sensor.orientation) {
      const turn = (sensor.orientation.azimuth * Math.PI) / 180;
      const away = aimPx * view.dpr;
      yield { x: x + away * Math.sin(turn), y: y - away * Math.cos(turn), pick, drag: (to) => aimSensor(index, to) };
    }
    yield { x, y, pick, drag: (to) => moveSensor(index, to) };
  }
}

function paint(canvas: HTMLCanvasElement, context: CanvasRenderingContext2D, look: Look): void {
  const view = viewOf(canvas);
  const which = chosen.peek();
  const camera = which?.kind === "sensor" ? draft.peek()?.sensors[which.index]?.id : undefined;
  const base = { base: baseAt(draft.peek()?.site.origin), arrived: arrived.peek() };
  paintChart(context, { ...emptyChart, ...base, sensors: draftSensors.peek(), zones: draftZones.peek(), camera }, view, look);
  paintCorners(context, view, look);
  context.strokeStyle = look.chart.chosen;
  context.fillStyle = look.chart.ground;
  context.lineWidth = 1.6 * view.dpr;
  for (const { x, y } of handles(view)) {
    context.beginPath();
    context.arc(x, y, 4.5 * view.dpr, 0, 2 * Math.PI);
    context.fill();
    context.stroke();
  }
}

/** The zone that is being drawn. */
function paintCorners(context: CanvasRenderingContext2D, view: ChartView, look: Look): void {
  const drawn = corners.peek();
  if (!drawn) return;
  context.strokeStyle = look.chart.chosen;
  context.lineWidth = 2 * view.dpr;
  context.setLineDash([6 * view.dpr, 4 * view.dpr]);
  context.beginPath();
  for (const [east, north] of drawn) context.lineTo(xOf(view, east), yOf(view, north));
  context.stroke();
  context.setLineDash([]);
}

/** Everything that hangs on one canvas; gives back what ends it. */
function keepBoard(canvas: HTMLCanvasElement): () => void {
  const context = canvas.getContext("2d", { alpha: false });
  const draw = (): void => void (context && paint(canvas, context, look.peek()));
  const sizes = new ResizeObserver(() => {
    const dpr = window.devicePixelRatio || 1;
    [canvas.width, canvas.height] = [Math.max(1, canvas.clientWidth * dpr), Math.max(1, canvas.clientHeight * dpr)];
    draw();
  });
  sizes.observe(canvas);
  let held: Handle | undefined;
  let panning = false;
  const at = (event: MouseEvent): readonly [number, number] => {
    const { left, top } = canvas.getBoundingClientRect();
    const dpr = window.devicePixelRatio || 1;
    return [(event.clientX - left) * dpr, (event.clientY - top) * dpr];
  };
  const groundAt = (event: MouseEvent): Place => {
    const [view, [x, y]] = [viewOf(canvas), at(event)];
    return [eastOf(view, x), northOf(view, y)];
  };
  const press = (event: PointerEvent): void => {
    canvas.setPointerCapture(event.pointerId);
    if (corners.peek()) return void (corners.value = [...(corners.peek() ?? []), groundAt(event)]);
    const [view, [x, y]] = [viewOf(canvas), at(event)];
    held = [...handles(view)].find((each) => Math.hypot(each.x - x, each.y - y) < reachPx * view.dpr);
    if (held) held.pick();
    else pickZone(groundAt(event));
    panning = !held;
  };
  const move = (event: PointerEvent): void => {
    if (event.buttons !== 1 || corners.peek()) return;
    if (held) return held.drag(groundAt(event));
    if (!panning) return;
    const metre = shown.peek().scale * (drawnPixel() / (window.devicePixelRatio || 1));
    const [east, north] = shown.peek().centre;
    shown.value = { ...shown.peek(), centre: [east - event.movementX / metre, north + event.movementY / metre] };
  };
  const wheel = (event: WheelEvent): void => {
    event.preventDefault();
    const [east, north] = groundAt(event);
    const factor = Math.exp(-event.deltaY * 0.0015);
    const [x, y] = shown.peek().centre;
    shown.value = { centre: [east + (x - east) / factor, north + (y - north) / factor], scale: shown.peek().scale * factor };
  };
  canvas.addEventListener("pointerdown", press);
  canvas.addEventListener("pointermove", move);
  canvas.addEventListener("dblclick", closeZone);
  canvas.addEventListener("wheel", wheel, { passive: false });
  const end = effect(() => {
    void [draft.value, chosen.value, corners.value, shown.value, look.value, arrived.value];
    draw();
  });
  return () => {
    sizes.disconnect();
    end();
  };
}

/** The zone around a place, if any, is the chosen one then. */
function pickZone([east, north]: Place): void {
  const inside = draftZones.peek().findIndex(({ corners: all }) => {
    let odd = false;
    for (const [k, [e, n]] of all.entries()) {
      const [e0, n0] = all[(k + all.length - 1) % all.length] ?? [e, n];
      if (n > north !== n0 > north && east < e + ((north - n) / (n0 - n)) * (e0 - e)) odd = !odd;
    }
    return odd;
  });
  chosen.value = inside < 0 ? undefined : { kind: "zone", index: inside };
}

/** All of the draft in sight. */
export function fitBoard(canvas: HTMLCanvasElement | null): void {
  const places = [...draftSensors.peek().map(({ enu }) => enu), ...draftZones.peek().flatMap(({ corners: all }) => all), [0, 0] as const];
  const [xs, ys] = [places.map(([x]) => x), places.map(([, y]) => y)];
  const [left, right, low, high] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const dpr = drawnPixel();
  const [wide, tall] = [(canvas?.width ?? 800) / dpr, (canvas?.height ?? 600) / dpr];
  const scale = 0.7 * Math.min(wide / Math.max(60, right - left), tall / Math.max(60, high - low));
  shown.value = { centre: [(left + right) / 2, (low + high) / 2], scale };
}

export function SetupMap({ title }: { title: string }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const known = draft.value !== undefined;
  useEffect(() => (canvas.current ? keepBoard(canvas.current) : undefined), []);
  useEffect(() => fitBoard(canvas.current), [known]);
  return <canvas ref={canvas} class="board" role="img" aria-label={title} />;
}
