/** Drawing a picture and what was found in it. Pure: all that is drawn comes in as arguments. */

import type { Shown } from "./feed";
import type { Joined } from "./joined";
import { type Rectangle, type Size, freePlace, leader } from "./places";
import { paintSign } from "./signs";
import type { Box, ClassName, PictureTrack } from "./wire";

/** Canvas pixel = offset + scale · image pixel. `dpr` is canvas pixels per drawn pixel (`look.drawnPixel`). */
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
  readonly chart: ChartLook;
}

/** The map's own colours; of `plan` how much of pictures below it is seen, of `tint` what they are multiplied by. */
export type ChartLook = { readonly classes: Readonly<Record<ClassName, string>> } & Readonly<
  Record<
    | "ground"
    | "ring"
    | "text"
    | "ink"
    | "label"
    | "field"
    | "sensor"
    | "alert"
    | "exclusion"
    | "truth"
    | "shape"
    | "plan"
    | "tint"
    | "chosen",
    string
  >
>;

export interface Options {
  readonly selected: string | undefined;
  readonly detections: boolean;
  readonly labels: boolean;
  /** Which of the boxes is which track of the site. */
  readonly joined: Joined;
  readonly className: (name: ClassName) => string;
}

/** The whole picture in the middle of the canvas. */
export function fit(canvas: HTMLCanvasElement, width: number, height: number, dpr: number): View {
  const scale = Math.min(canvas.width / width, canvas.height / height);
  return { x: (canvas.width - width * scale) / 2, y: (canvas.height - height * scale) / 2, scale, dpr };
}

/** A part of the picture around a box, `zoom` times as near as fits it comfortably; never beyond the picture's edge. */
export function around(canvas: HTMLCanvasElement, box: Box, { width, height }: Size, zoom: number, dpr: number): View {
  const [x, y, wide, tall] = box;
  const field = Math.max(wide, tall, 8) * 4;
  const scale = (Math.min(canvas.width, canvas.height * 1.4) / field) * zoom;
  const offset = (room: number, middle: number, size: number): number =>
    size * scale < room ? (room - size * scale) / 2 : Math.min(0, Math.max(room - size * scale, room / 2 - middle * scale));
  return { x: offset(canvas.width, x + wide / 2, width), y: offset(canvas.height, y + tall / 2, height), scale, dpr };
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
  const rank = (track: PictureTrack): number =>
    (isChosen(track, options) ? 4 : 0) + (classOf(track, options) === "bird" ? 0 : 2) + (track.state === "tentative" ? 0 : 1);
  const tracks = [...header.tracks].sort((a, b) => rank(a) - rank(b)); // what matters most on top, and labelled first
  for (const track of tracks) paintTrail(context, track, view, colourOf(track, look, options));
  const taken = tracks.map((track) => framed(track.box, view));
  taken.push({ x: 0, y: 0, width: canvas.width, height: headPx * view.dpr });
  for (const track of tracks) paintFrame(context, track, view, look, options);
  paintExpected(context, view, look, options);
  if (options.labels) for (const track of tracks.reverse()) paintLabel(context, track, view, look, options, taken);
}

/** By its own id, or by that of the site's track that it is. */
const isChosen = ({ id }: PictureTrack, { selected, joined }: Options): boolean =>
  selected !== undefined && (id === selected || joined.byBox.get(id)?.id === selected);

/** All sensors together know better what it is than this camera. */
const classOf = (track: PictureTrack, { joined }: Options): ClassName => joined.byBox.get(track.id)?.class ?? track.class;

const colourOf = (track: PictureTrack, look: Look, options: Options): string =>
  isChosen(track, options) ? look.selected : look.classes[classOf(track, options)];

/** A dotted ring where the chosen target must be, when this camera has not found it there. */
function paintExpected(context: CanvasRenderingContext2D, view: View, look: Look, { selected, joined }: Options): void {
  const pixel = selected === undefined ? undefined : joined.expected.get(selected);
  if (!pixel || [...joined.byBox.values()].some(({ id }) => id === selected)) return;
  context.strokeStyle = look.selected;
  context.lineWidth = 1.5 * view.dpr;
  context.setLineDash([2 * view.dpr, 4 * view.dpr]);
  context.beginPath();
  context.arc(view.x + pixel[0] * view.scale, view.y + pixel[1] * view.scale, 16 * view.dpr, 0, 2 * Math.PI);
  context.stroke();
  context.setLineDash([]);
}

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
  const chosen = isChosen(track, options);
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

/** In the first free place; a crowd leaves room for short labels only, and then for none but the chosen one's. */
function paintLabel(
  context: CanvasRenderingContext2D,
  track: PictureTrack,
  view: View,
  look: Look,
  options: Options,
  taken: Rectangle[],
): void {
  const { dpr } = view;
  const [sign, pad, height] = [14 * dpr, 4 * dpr, 19 * dpr];
  const chosen = isChosen(track, options);
  const named = framed(track.box, view);
  context.font = `500 ${12 * dpr}px ${look.font}`;
  const fitted = labelTexts(track, options, context.canvas.width / dpr < smallPx)
    .map((text) => ({ text, width: sign + context.measureText(text).width + 3 * pad }))
    .map(({ text, width }) => ({ text, place: freePlace(named, { width, height }, context.canvas, 3 * dpr, taken), width }));
  const fit = fitted.find(({ place }) => place) ?? (chosen ? fitted[0] : undefined);
  if (!fit) return;
  const place = fit.place ?? { x: named.x, y: named.y, width: fit.width, height };
  taken.push(place);
  const name = classOf(track, options);
  const [colour, ink] = chosen ? [look.ink, look.selected] : [look.classes[name], look.ink];
  paintLeader(context, named, place, chosen ? look.selected : colour, dpr);
  context.fillStyle = chosen ? look.selected : look.label;
  context.beginPath();
  context.roundRect(place.x, place.y, place.width, place.height, 3 * dpr);
  context.fill();
  paintSign(context, name, place.x + pad, place.y + (height - sign) / 2, sign, colour, ink, look.font);
  context.font = `500 ${12 * dpr}px ${look.font}`;
  context.fillStyle = colour;
  context.textAlign = "left";
  context.textBaseline = "middle";
  context.fillText(fit.text, place.x + sign + 2 * pad, place.y + height / 2 + 0.5 * dpr);
}

function paintLeader(context: CanvasRenderingContext2D, named: Rectangle, place: Rectangle, colour: string, dpr: number): void {
  const [fromX, fromY, toX, toY] = leader(named, place);
  if (Math.hypot(toX - fromX, toY - fromY) < 6 * dpr) return;
  context.strokeStyle = colour;
  context.lineWidth = dpr;
  context.beginPath();
  context.moveTo(fromX, fromY);
  context.lineTo(toX, toY);
  context.stroke();
}

/** At the head of a camera's picture stands its name: labels keep off. */
const headPx = 26;

/** A picture narrower than this, in CSS pixels, has room for short labels only. */
const smallPx = 430;

/** The longest first. Tentative tracks say only their number: most of them never become anything. */
function labelTexts(track: PictureTrack, options: Options, small: boolean): readonly string[] {
  const joined = options.joined.byBox.get(track.id);
  const number = joined?.id ?? track.id.slice(track.id.lastIndexOf("-") + 1);
  if (!isChosen(track, options) && (small || track.state === "tentative")) return [number];
  const name = `${options.className(classOf(track, options))} ${number}`;
  return joined ? [name, number] : [`${name}  ${Math.round(track.score * 100)} %`, number];
}
