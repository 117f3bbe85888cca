/** Drawing what lies below the map, once for each view of it: tiles first, the plan on them, the shapes on top. */

import { type Base, type Sheet, type Shape, tileAt, wantTiles } from "./base_map";
import { type ChartView, eastOf, northOf, xOf, yOf } from "./view";
import { type Place, geodeticOf, placeOf } from "./ground";
import type { Look } from "./paint";

const [tilePx, mostTiles] = [256, 300];
const aroundEarthM = 40_075_016.686;

/** What each canvas had below it last, and of which view. */
const painted = new WeakMap<CanvasRenderingContext2D, { readonly key: string; readonly canvas: HTMLCanvasElement }>();

export function paintBase(context: CanvasRenderingContext2D, base: Base, count: number, view: ChartView, look: Look): void {
  const key = [...view.centre, view.scale, view.width, view.height, count, look.chart.ground, base.origin.latitude, base.origin.longitude].join();
  const before = painted.get(context);
  const canvas = before?.canvas ?? document.createElement("canvas");
  if (before?.key !== key) {
    [canvas.width, canvas.height] = [view.width, view.height];
    const below = canvas.getContext("2d", { alpha: false });
    if (!below) return;
    paintAll(below, base, view, look);
    painted.set(context, { key, canvas });
  }
  context.drawImage(canvas, 0, 0);
}

function paintAll(context: CanvasRenderingContext2D, base: Base, view: ChartView, look: Look): void {
  context.fillStyle = look.chart.ground;
  context.fillRect(0, 0, view.width, view.height);
  context.globalAlpha = Number(look.chart.plan);
  context.imageSmoothingQuality = "high";
  paintTiles(context, base, view);
  if (base.sheet) paintSheet(context, base.sheet, view);
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.globalAlpha = 1;
  if (look.chart.tint) {
    wash(context, "saturation", "#808080", view); // so that colours on it are those of tracks alone
    wash(context, "multiply", look.chart.tint, view);
  }
  for (const shape of base.shapes) paintShape(context, shape, view, look);
}

function wash(context: CanvasRenderingContext2D, how: GlobalCompositeOperation, colour: string, view: ChartView): void {
  context.globalCompositeOperation = how;
  context.fillStyle = colour;
  context.fillRect(0, 0, view.width, view.height);
  context.globalCompositeOperation = "source-over";
}

/** A part of a picture, told in pixels, laid over the parallelogram of three places; a little over, against seams. */
function lay(context: CanvasRenderingContext2D, { picture, upperLeft, upperRight, lowerLeft }: Sheet, view: ChartView, part: readonly [number, number, number]): void {
  const [left, top, size] = part;
  const [width, height] = [size * picture.naturalWidth, size * picture.naturalHeight];
  const [x, y] = [xOf(view, upperLeft[0]), yOf(view, upperLeft[1])];
  const right = [xOf(view, upperRight[0]) - x, yOf(view, upperRight[1]) - y] as const;
  const down = [xOf(view, lowerLeft[0]) - x, yOf(view, lowerLeft[1]) - y] as const;
  context.setTransform(right[0] / width, right[1] / width, down[0] / height, down[1] / height, x, y);
  const seam = [(0.5 * width) / Math.hypot(...right), (0.5 * height) / Math.hypot(...down)] as const;
  context.drawImage(picture, left * picture.naturalWidth, top * picture.naturalHeight, width, height, 0, 0, width + seam[0], height + seam[1]);
}

const paintSheet = (context: CanvasRenderingContext2D, sheet: Sheet, view: ChartView): void => lay(context, sheet, view, [0, 0, 1]);

// ── Tiles (Web Mercator) ─────────────────────────────────────────────────────────────────────────────────────────────

const columnOf = (longitude: number, count: number): number => ((longitude + 180) / 360) * count;
const rowOf = (latitude: number, count: number): number =>
  ((1 - Math.asinh(Math.tan((latitude * Math.PI) / 180)) / Math.PI) / 2) * count;
const longitudeOf = (column: number, count: number): number => (column / count) * 360 - 180;
const latitudeOf = (row: number, count: number): number => (Math.atan(Math.sinh(Math.PI * (1 - (2 * row) / count))) * 180) / Math.PI;

function paintTiles(context: CanvasRenderingContext2D, base: Base, view: ChartView): void {
  if (!base.tiles) return;
  const across = aroundEarthM * Math.cos((base.origin.latitude * Math.PI) / 180);
  const fitting = Math.round(Math.log2((across * view.scale) / (tilePx * view.dpr)));
  const z = Math.min(fitting, base.tiles.max_zoom);
  if (z < base.tiles.min_zoom) return;
  const count = 2 ** z;
  const corners = [0, view.width].flatMap((x) => [0, view.height].map((y) => geodeticOf([eastOf(view, x), northOf(view, y)], base.origin)));
  const [columns, rows] = [corners.map(([, longitude]) => columnOf(longitude, count)), corners.map(([latitude]) => rowOf(latitude, count))];
  const [left, right] = [Math.floor(Math.min(...columns)), Math.floor(Math.max(...columns))];
  const [top, bottom] = [Math.max(0, Math.floor(Math.min(...rows))), Math.min(count - 1, Math.floor(Math.max(...rows)))];
  if ((right - left + 1) * (bottom - top + 1) > mostTiles) return;
  const names: string[] = [];
  for (let row = top; row <= bottom; row++) {
    for (let column = left; column <= right; column++) {
      names.push(`${z}/${column}/${row}`);
      paintTile(context, base, view, z, column, row);
    }
  }
  wantTiles(names);
}

/** The tile, or as long as it has not come the part of a coarser one that covers it. */
function paintTile(context: CanvasRenderingContext2D, { origin, tiles }: Base, view: ChartView, z: number, column: number, row: number): void {
  for (let up = 0; up <= 5 && z - up >= (tiles?.min_zoom ?? 0); up++) {
    const picture = tileAt(z - up, column >> up, row >> up);
    if (!picture) continue;
    const [count, size] = [2 ** z, 1 / 2 ** up];
    const place = (c: number, r: number): Place => placeOf(latitudeOf(r, count), longitudeOf(c, count), origin);
    const sheet = { picture, upperLeft: place(column, row), upperRight: place(column + 1, row), lowerLeft: place(column, row + 1) };
    const part = [(column % 2 ** up) * size, (row % 2 ** up) * size, size] as const;
    return lay(context, sheet, view, part);
  }
}

// ── Shapes ───────────────────────────────────────────────────────────────────────────────────────────────────────────

function paintShape(context: CanvasRenderingContext2D, { name, kind, parts }: Shape, view: ChartView, look: Look): void {
  const path = new Path2D();
  for (const part of parts) {
    for (const [index, [east, north]] of part.entries()) {
      const [x, y] = [xOf(view, east), yOf(view, north)];
      if (kind === "point") path.rect(x - 1.5 * view.dpr, y - 1.5 * view.dpr, 3 * view.dpr, 3 * view.dpr);
      else if (index === 0) path.moveTo(x, y);
      else path.lineTo(x, y);
    }
    if (kind === "ring") path.closePath();
  }
  context.strokeStyle = context.fillStyle = look.chart.shape;
  context.lineWidth = 1.2 * view.dpr;
  context.lineJoin = "round";
  if (kind !== "line") {
    context.globalAlpha = kind === "ring" ? 0.3 : 1;
    context.fill(path, "evenodd");
    context.globalAlpha = 1;
  }
  if (kind !== "point") context.stroke(path);
  if (name) nameShape(context, name, kind, parts, view, look);
}

/** In the middle of the first part, where that is large enough for its name. */
function nameShape(context: CanvasRenderingContext2D, name: string, kind: Shape["kind"], [part = []]: Shape["parts"], view: ChartView, look: Look): void {
  const [xs, ys] = [part.map(([east]) => xOf(view, east)), part.map(([, north]) => yOf(view, north))];
  context.font = `400 ${10.5 * view.dpr}px ${look.font}`;
  const long = Math.hypot(Math.max(...xs) - Math.min(...xs), Math.max(...ys) - Math.min(...ys));
  if (kind !== "point" && long < context.measureText(name).width) return;
  const middle = (all: readonly number[]): number => (Math.max(...all) + Math.min(...all)) / 2;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillStyle = look.chart.text;
  context.fillText(name, middle(xs), middle(ys) + (kind === "point" ? 9 * view.dpr : 0));
}
