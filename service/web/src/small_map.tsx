/** A map that only shows: the plan of the site, or a part of it, with cells of a heat map on top. */

import { effect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { arrived, baseAt } from "./base_map";
import { emptyChart, paintChart } from "./chart";
import type { Place } from "./ground";
import { drawnPixel, look } from "./look";
import type { Look } from "./paint";
import type { PlacedSensor } from "./schema";
import { type ZoneArea, areas, plan } from "./site";
import { type ChartView, xOf, yOf } from "./view";

/** A field of the map, and how much of the most it has, 0 to 1. */
export interface Cell {
  readonly low: Place;
  readonly high: Place;
  readonly share: number;
}

export interface SmallMapProps {
  readonly title: string;
  readonly sensors: readonly PlacedSensor[];
  readonly cells: readonly Cell[];
  /** What must be in sight. */
  readonly places: readonly Place[];
}

const leastM = 40;

function viewOf(places: readonly Place[], width: number, height: number): ChartView {
  const [xs, ys] = [places.map(([x]) => x), places.map(([, y]) => y)];
  const [left, right, low, high] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const scale = Math.min(width / Math.max(leastM, right - left), height / Math.max(leastM, high - low)) * 0.86;
  return { centre: [(left + right) / 2, (low + high) / 2], scale, width, height, dpr: drawnPixel() };
}

function paint(context: CanvasRenderingContext2D, { sensors, cells, places }: SmallMapProps, zones: readonly ZoneArea[], look: Look): void {
  const view = viewOf(places, context.canvas.width, context.canvas.height);
  const base = { base: baseAt(plan.peek()?.origin), arrived: arrived.peek() };
  paintChart(context, { ...emptyChart, ...base, sensors, zones }, view, look);
  context.fillStyle = look.chart.ink;
  for (const { low, high, share } of cells) {
    context.globalAlpha = 0.08 + 0.72 * share;
    const [x, y] = [xOf(view, low[0]), yOf(view, high[1])];
    context.fillRect(x + 0.5, y + 0.5, xOf(view, high[0]) - x - 1, yOf(view, low[1]) - y - 1);
  }
  context.globalAlpha = 1;
}

export function SmallMap(props: SmallMapProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const latest = useRef(props);
  const redraw = useRef<(() => void) | undefined>(undefined);
  latest.current = props;
  useEffect(() => {
    const element = canvas.current;
    const context = element?.getContext("2d", { alpha: false });
    if (!element || !context) return;
    const draw = (): void => {
      const dpr = window.devicePixelRatio || 1;
      [element.width, element.height] = [Math.max(1, element.clientWidth * dpr), Math.max(1, element.clientHeight * dpr)];
      paint(context, latest.current, areas.peek(), look.peek());
    };
    redraw.current = draw;
    const sizes = new ResizeObserver(draw);
    sizes.observe(element);
    const end = effect(() => {
      void [look.value, areas.value, arrived.value];
      draw();
    });
    return () => {
      sizes.disconnect();
      end();
    };
  }, []);
  useEffect(() => redraw.current?.());
  return <canvas ref={canvas} class="small-map" role="img" aria-label={props.title} />;
}
