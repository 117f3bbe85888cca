/** Drawing a picture and what was found in it. Pure: all that is drawn comes in as arguments. */

import type { Shown } from "./feed";
import { letterHeight, signs } from "./signs";
import type { Box, ClassName, PictureTrack } from "./wire";

/** Canvas pixel = offset + scale · image pixel. `dpr` is canvas pixels per CSS pixel. */
export interface View {
  readonly x: number;
  readonly y: number;
  readonly scale: number;
  readonly dpr: number;
}

/** The colours of the theme, as CSS colours. */
export interface Look {
  readonly classes: Readonly<Record<ClassName, string>>;
  readonly selected: string;
  readonly halo: string;
  readonly label: string;
  readonly ink: string;
  readonly backdrop: string;
  readonly font: string;
}

export interface Options {
  readonly selected: string | undefined;
  readonly detections: boolean;
  readonly labels: boolean;
  readonly className: (name: ClassName) => string;
}

interface Rectangle {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

const paths = Object.fromEntries(
  Object.entries(signs).map(([name, sign]) => [name, new Path2D(sign.path)]),
) as Record<ClassName, Path2D>;

/** The whole picture in the middle of the canvas. */
export function fit(canvas: HTMLCanvasElement, width: number, height: number, dpr: number): View {
  const scale = Math.min(canvas.width / width, canvas.height / height);
  return { x: (canvas.width - width * scale) / 2, y: (canvas.height - height * scale) / 2, scale, dpr };
}

/** A part of the picture around a box, `zoom` times as near as fits it comfortably. */
export function around(canvas: HTMLCanvasElement, box: Box, zoom: number, dpr: number): View {
  const [x, y, width, height] = box;
  const field = Math.max(width, height, 8) * 4;
  const scale = (Math.min(canvas.width, canvas.height * 1.4) / field) * zoom;
  return { x: canvas.width / 2 - (x + width / 2) * scale, y: canvas.height / 2 - (y + height / 2) * scale, scale, dpr };
}

/** Small targets get air around them, so that the frame never covers what it frames. */
function framed(box: Box, view: View): Rectangle {
  const least = 18 * view.dpr;
  const air = 3 * view.dpr;
  const width = Math.max(box[2] * view.scale + 2 * air, least);
  const height = Math.max(box[3] * view.scale + 2 * air, least);
  const x = view.x + (box[0] + box[2] / 2) * view.scale - width / 2;
  const y = view.y + (box[1] + box[3] / 2) * view.scale - height / 2;
  return { x, y, width, height };
}

/** The track whose frame is at a canvas point, the nearest of several. */
export function trackAt(tracks: readonly PictureTrack[], view: View, x: number, y: number): PictureTrack | undefined {
  const reach = 8 * view.dpr;
  let best: PictureTrack | undefined;
  let bestDistance = Infinity;
  for (const track of tracks) {
    const frame = framed(track.box, view);
    const dx = x - frame.x - frame.width / 2;
    const dy = y - frame.y - frame.height / 2;
    const inside = Math.abs(dx) <= frame.width / 2 + reach && Math.abs(dy) <= frame.height / 2 + reach;
    if (inside && Math.hypot(dx, dy) < bestDistance) [best, bestDistance] = [track, Math.hypot(dx, dy)];
  }
  return best;
}

export function paint(
  context: CanvasRenderingContext2D,
  shown: Shown,
  view: View,
  look: Look,
  options: Options,
): void {
  const { header, bitmap } = shown;
  const { canvas } = context;
  context.fillStyle = look.backdrop;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingEnabled = view.scale < 6 * view.dpr;
  context.imageSmoothingQuality = "low";
  context.drawImage(bitmap, view.x, view.y, header.width * view.scale, header.height * view.scale);
  if (options.detections) {
    for (const { box, class: name } of header.detections) paintDetection(context, box, view, look.classes[name]);
  }
  const chosen = (track: PictureTrack): number => Number(track.id === options.selected);
  const tracks = [...header.tracks].sort((a, b) => chosen(a) - chosen(b)); // the chosen one on top
  for (const track of tracks) paintTrail(context, track, view, colourOf(track, look, options));
  const taken = tracks.map((track) => framed(track.box, view));
  for (const track of tracks) paintFrame(context, track, view, look, options);
  if (options.labels) for (const track of tracks.reverse()) paintLabel(context, track, view, look, options, taken);
}

const colourOf = (track: PictureTrack, look: Look, options: Options): string =>
  track.id === options.selected ? look.selected : look.classes[track.class];

function paintDetection(context: CanvasRenderingContext2D, box: Box, view: View, colour: string): void {
  context.globalAlpha = 0.6;
  context.lineWidth = view.dpr;
  context.strokeStyle = colour;
  context.setLineDash([]);
  context.strokeRect(view.x + box[0] * view.scale, view.y + box[1] * view.scale, box[2] * view.scale, box[3] * view.scale);
  context.globalAlpha = 1;
}

/** A trail fades towards its beginning. */
function paintTrail(context: CanvasRenderingContext2D, { trail }: PictureTrack, view: View, colour: string): void {
  context.strokeStyle = colour;
  context.lineWidth = 1.5 * view.dpr;
  context.lineCap = "round";
  context.setLineDash([]);
  for (let index = 1; index < trail.length; index++) {
    const [from, to] = [trail[index - 1], trail[index]];
    if (!from || !to) continue;
    context.globalAlpha = (0.8 * index) / trail.length;
    context.beginPath();
    context.moveTo(view.x + from[0] * view.scale, view.y + from[1] * view.scale);
    context.lineTo(view.x + to[0] * view.scale, view.y + to[1] * view.scale);
    context.stroke();
  }
  context.globalAlpha = 1;
}

/** Solid corners: confirmed. Dotted: tentative. A dashed outline: coasting, not seen in this picture. */
function paintFrame(context: CanvasRenderingContext2D, track: PictureTrack, view: View, look: Look, options: Options): void {
  const frame = framed(track.box, view);
  const chosen = track.id === options.selected;
  const outline = track.state === "confirmed" ? corners(frame) : whole(frame);
  context.setLineDash(dashes(track, view.dpr));
  context.lineCap = track.state === "tentative" ? "round" : "butt";
  context.strokeStyle = look.halo;
  context.lineWidth = (chosen ? 5 : 3.5) * view.dpr;
  context.stroke(outline);
  context.strokeStyle = colourOf(track, look, options);
  context.lineWidth = (chosen ? 2.5 : 1.6) * view.dpr;
  context.stroke(outline);
  context.setLineDash([]);
}

function dashes(track: PictureTrack, dpr: number): number[] {
  if (track.state === "tentative") return [0.1, 4 * dpr];
  return track.state === "coasting" ? [5 * dpr, 4 * dpr] : [];
}

function whole({ x, y, width, height }: Rectangle): Path2D {
  const path = new Path2D();
  path.rect(x, y, width, height);
  return path;
}

function corners({ x, y, width, height }: Rectangle): Path2D {
  const path = new Path2D();
  const arm = Math.min(width, height) * 0.3;
  for (const [cornerX, cornerY, towardsX, towardsY] of [
    [x, y, 1, 1],
    [x + width, y, -1, 1],
    [x + width, y + height, -1, -1],
    [x, y + height, 1, -1],
  ] as const) {
    path.moveTo(cornerX + towardsX * arm, cornerY);
    path.lineTo(cornerX, cornerY);
    path.lineTo(cornerX, cornerY + towardsY * arm);
  }
  return path;
}

const overlaps = (a: Rectangle, b: Rectangle): boolean =>
  a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;

/** The first free place around the frame: above, below, right, left; above when nothing is free. */
function placeLabel(
  frame: Rectangle,
  width: number,
  height: number,
  canvas: HTMLCanvasElement,
  gap: number,
  taken: readonly Rectangle[],
): Rectangle {
  const places = [
    { x: frame.x, y: frame.y - height - gap },
    { x: frame.x, y: frame.y + frame.height + gap },
    { x: frame.x + frame.width + gap, y: frame.y },
    { x: frame.x - width - gap, y: frame.y },
  ].map(({ x, y }) => ({ x: Math.max(0, Math.min(x, canvas.width - width)), y, width, height }));
  const inside = places.filter((place) => place.y >= 0 && place.y + height <= canvas.height);
  const free = inside.find((place) => !taken.some((other) => overlaps(place, other)));
  return free ?? inside[0] ?? { x: frame.x, y: frame.y, width, height };
}

function paintLabel(
  context: CanvasRenderingContext2D,
  track: PictureTrack,
  view: View,
  look: Look,
  options: Options,
  taken: Rectangle[],
): void {
  const { dpr } = view;
  const sign = 14 * dpr;
  const pad = 4 * dpr;
  const text = labelText(track, options);
  context.font = `500 ${12 * dpr}px ${look.font}`;
  const width = sign + context.measureText(text).width + 3 * pad;
  const place = placeLabel(framed(track.box, view), width, 19 * dpr, context.canvas, 3 * dpr, taken);
  taken.push(place);
  const chosen = track.id === options.selected;
  context.fillStyle = chosen ? look.selected : look.label;
  context.beginPath();
  context.roundRect(place.x, place.y, place.width, place.height, 3 * dpr);
  context.fill();
  const [colour, ink] = chosen ? [look.ink, look.selected] : [look.classes[track.class], look.ink];
  paintSign(context, track.class, place.x + pad, place.y + (place.height - sign) / 2, sign, colour, ink, look.font);
  context.font = `500 ${12 * dpr}px ${look.font}`;
  context.fillStyle = colour;
  context.textAlign = "left";
  context.textBaseline = "middle";
  context.fillText(text, place.x + sign + 2 * pad, place.y + place.height / 2 + 0.5 * dpr);
}

/** Tentative tracks say only their number: most of them never become anything. */
function labelText(track: PictureTrack, options: Options): string {
  const number = track.id.slice(track.id.lastIndexOf("-") + 1);
  if (track.state === "tentative" && track.id !== options.selected) return number;
  return `${options.className(track.class)} ${number}  ${Math.round(track.score * 100)} %`;
}

function paintSign(
  context: CanvasRenderingContext2D,
  name: ClassName,
  x: number,
  y: number,
  size: number,
  colour: string,
  ink: string,
  font: string,
): void {
  context.save();
  context.translate(x, y);
  context.scale(size / 16, size / 16);
  context.fillStyle = colour;
  context.fill(paths[name]);
  context.fillStyle = ink;
  context.font = `500 9.4px ${font}`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(signs[name].letter, 8, letterHeight(name) + 0.4);
  context.restore();
}
