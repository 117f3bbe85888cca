/** Where the time of all tracks was spent: cells of the map, the fuller the brighter, on the plan of the site. */

import { effect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { type Chart, type ChartView, paintChart, xOf, yOf } from "./chart";
import { type Place, placeOf } from "./ground";
import { drawnPixel, look } from "./look";
import type { Look } from "./paint";
import { areas, plan } from "./site";

export interface Heat {
  readonly cell: { readonly latitude: number; readonly longitude: number };
  readonly cells: readonly { readonly latitude: number; readonly longitude: number; readonly seconds: number }[];
  readonly left_out: number;
}

const farthestM = 5000;

interface Cell {
  readonly low: Place;
  readonly high: Place;
  readonly share: number;
}

function cellsOf({ cell, cells }: Heat): readonly Cell[] {
  const origin = plan.peek()?.origin;
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

function viewOf(cells: readonly Cell[], width: number, height: number): ChartView {
  const corners = [...cells.flatMap(({ low, high }) => [low, high]), ...areas.peek().flatMap(({ corners }) => corners), [0, 0] as const];
  const [xs, ys] = [corners.map(([x]) => x), corners.map(([, y]) => y)];
  const [left, right, low, high] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const scale = Math.min(width / Math.max(40, right - left), height / Math.max(40, high - low)) * 0.88;
  return { centre: [(left + right) / 2, (low + high) / 2], scale, width, height, dpr: drawnPixel() };
}

function paint(context: CanvasRenderingContext2D, heat: Heat, look: Look): void {
  const cells = cellsOf(heat);
  const view = viewOf(cells, context.canvas.width, context.canvas.height);
  const sensors = plan.peek()?.sensors ?? [];
  const empty: Chart = { sensors, silent: new Set(), zones: areas.peek(), truth: [], tracks: [], selected: undefined, camera: undefined };
  paintChart(context, empty, view, look);
  context.fillStyle = look.chart.ink;
  for (const { low, high, share } of cells) {
    context.globalAlpha = 0.08 + 0.72 * share;
    const [x, y] = [xOf(view, low[0]), yOf(view, high[1])];
    context.fillRect(x + 0.5, y + 0.5, xOf(view, high[0]) - x - 1, yOf(view, low[1]) - y - 1);
  }
  context.globalAlpha = 1;
}

export function HeatMap({ heat, title }: { heat: Heat; title: string }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const element = canvas.current;
    const context = element?.getContext("2d", { alpha: false });
    if (!element || !context) return;
    const draw = (): void => {
      const dpr = window.devicePixelRatio || 1;
      [element.width, element.height] = [Math.max(1, element.clientWidth * dpr), Math.max(1, element.clientHeight * dpr)];
      paint(context, heat, look.peek());
    };
    const sizes = new ResizeObserver(draw);
    sizes.observe(element);
    const end = effect(() => {
      void [look.value, areas.value, plan.value];
      draw();
    });
    return () => {
      sizes.disconnect();
      end();
    };
  }, [heat]);
  return <canvas ref={canvas} class="heat" role="img" aria-label={title} />;
}
