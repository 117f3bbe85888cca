/** From places to canvas pixels and back. North is up. */

import type { Place } from "./ground";

/** What the canvas shows: the place in its middle, and canvas pixels per metre. */
export interface ChartView {
  readonly centre: Place;
  readonly scale: number;
  readonly width: number;
  readonly height: number;
  /** Canvas pixels per drawn pixel (`look.drawnPixel`). */
  readonly dpr: number;
}

export const xOf = (view: ChartView, east: number): number => view.width / 2 + (east - view.centre[0]) * view.scale;
export const yOf = (view: ChartView, north: number): number => view.height / 2 - (north - view.centre[1]) * view.scale;
export const eastOf = (view: ChartView, x: number): number => view.centre[0] + (x - view.width / 2) / view.scale;
export const northOf = (view: ChartView, y: number): number => view.centre[1] - (y - view.height / 2) / view.scale;
