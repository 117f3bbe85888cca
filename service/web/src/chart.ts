/** Drawing the map: rings, zones, sensors, truth, tracks. Pure: all that is drawn comes in as arguments. North is up. */

import type { Base } from "./base_map";
import { paintBase } from "./base_paint";
import { type Ellipse, type Place, type Wedge, ellipseOf, ellipseOfPlace, wedgeOf, within95 } from "./ground";
import type { Look } from "./paint";
import { type Rectangle, freePlace, leader, overlaps } from "./places";
import type { PlacedSensor, TrackForecast } from "./schema";
import { paintSign } from "./signs";
import type { LocatedTrack, Truth, ZoneArea } from "./site";
import type { Level } from "./threat";
import { type ChartView, xOf, yOf } from "./view";

/** A zone that a track flies into: what is to be said of it, and when. */
export interface Entry {
  readonly after: number;
  readonly label: string;
  readonly exclusion: boolean;
}

/** Where a track will be if it flies on as it does, and what lies on its way. */
export interface Ahead {
  readonly forecast: TrackForecast;
  readonly entries: readonly Entry[];
}

export interface ChartTrack {
  readonly track: LocatedTrack;
  readonly level: Level;
  readonly label: string;
  /** A word for an identity that must not be missed, else empty. */
  readonly warning: string;
  /** Oldest first. */
  readonly trail: readonly { readonly place: Place }[];
}

export interface Chart {
  /** What lies below, and a number that changes with what has come of it. */
  readonly base: Base | undefined;
  readonly arrived: number;
  readonly sensors: readonly PlacedSensor[];
  /** Ids of sensors that are not online: drawn as such. */
  readonly silent: ReadonlySet<string>;
  readonly zones: readonly ZoneArea[];
  readonly truth: readonly Truth[];
  /** The most threatening first. */
  readonly tracks: readonly ChartTrack[];
  /** By track. */
  readonly ahead: ReadonlyMap<string, Ahead>;
  readonly selected: string | undefined;
  readonly camera: string | undefined;
}

/** A chart of nothing but the ground: begin with it and say what there is. */
export const emptyChart: Chart = {
  base: undefined,
  arrived: 0,
  sensors: [],
  silent: new Set(),
  zones: [],
  truth: [],
  tracks: [],
  ahead: new Map(),
  selected: undefined,
  camera: undefined,
};

/** More tracks than these have short trails of one shade. */
const crowdedAt = 60;
const [shortTrail, trailBands] = [24, 6];
const headingS = 3;
/** Slower than this it has no direction of flight. */
const hoversMps = 0.7;
const signPx = 15;
/** An ellipse with a half axis beyond this, and much longer than wide, is told as an area, never as a point. */
const pointM = 60;
const wedgeLeast = 0.006;

/** 1, 2 or 5 times a power of ten: the largest such below `value`. */
export function roundBelow(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  const lead = value / power;
  return power * (lead >= 5 ? 5 : lead >= 2 ? 2 : 1);
}

export const metres = (value: number): string => (value >= 1000 ? `${value / 1000} km` : `${value} m`);

export function paintChart(context: CanvasRenderingContext2D, chart: Chart, view: ChartView, look: Look): void {
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.globalAlpha = 1;
  context.fillStyle = look.chart.ground;
  context.fillRect(0, 0, view.width, view.height);
  if (chart.base) paintBase(context, chart.base, chart.arrived, view, look);
  const taken: Rectangle[] = furniture(view);
  paintRings(context, view, look);
  for (const zone of chart.zones) paintZone(context, zone, view, look, taken);
  for (const sensor of chart.sensors) paintField(context, sensor, chart, view, look);
  for (const sensor of chart.sensors) paintSensor(context, sensor, chart, view, look, taken);
  for (const each of chart.truth) paintTruth(context, each, view, look);
  const rising = [...chart.tracks].reverse().sort((a, b) => Number(isChosen(a, chart)) - Number(isChosen(b, chart)));
  for (const each of rising) paintArea(context, each, chart, view, look);
  for (const each of rising) paintTrail(context, each, chart, view, look);
  for (const each of rising) paintAhead(context, each, chart, view, look);
  for (const each of rising) paintMark(context, each, chart, view, look);
  for (const each of rising) if (!areaOf(each.track, chart.sensors)) taken.push(markBox(each.track, view));
  for (const each of rising.reverse()) paintLabel(context, each, chart, view, look, taken);
  for (const each of rising) paintEntries(context, each, chart, view, look, taken);
  const away = chart.tracks.find((each) => isChosen(each, chart));
  if (away) paintAway(context, away, view, look);
  paintScale(context, view, look);
  paintNorth(context, view, look);
}

const isChosen = ({ track }: ChartTrack, chart: Chart): boolean => track.id === chart.selected;

const colourOf = (each: ChartTrack, chart: Chart, look: Look): string =>
  isChosen(each, chart) ? look.chart.chosen : look.chart.classes[each.track.class];

// ── The ground ───────────────────────────────────────────────────────────────────────────────────────────────────────

/** Where the scale and the north arrow are: labels keep off. */
const furniture = ({ width, height, dpr }: ChartView): Rectangle[] => [
  { x: 0, y: height - 44 * dpr, width: 170 * dpr, height: 44 * dpr },
  { x: width - 52 * dpr, y: 0, width: 52 * dpr, height: 64 * dpr },
];

function paintRings(context: CanvasRenderingContext2D, view: ChartView, look: Look): void {
  const [x, y] = [xOf(view, 0), yOf(view, 0)];
  const step = roundBelow((110 * view.dpr) / view.scale);
  const reach = Math.hypot(Math.max(x, view.width - x), Math.max(y, view.height - y)) / view.scale;
  const least = Math.hypot(Math.max(0, -x, x - view.width), Math.max(0, -y, y - view.height)) / view.scale;
  context.strokeStyle = look.chart.ring;
  context.fillStyle = look.chart.text;
  context.lineWidth = view.dpr;
  context.setLineDash([]);
  font(context, view, look, 10.5, 400);
  context.textAlign = "center";
  context.textBaseline = "middle";
  for (let ring = Math.max(1, Math.floor(least / step)); ring * step < reach; ring++) {
    const radius = ring * step * view.scale;
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.stroke();
    context.fillText(metres(ring * step), x + radius * Math.SQRT1_2, y - radius * Math.SQRT1_2 - 7 * view.dpr);
  }
  context.beginPath();
  context.moveTo(x, 0);
  context.lineTo(x, view.height);
  context.moveTo(0, y);
  context.lineTo(view.width, y);
  context.globalAlpha = 0.5;
  context.stroke();
  context.globalAlpha = 1;
}

/** An exclusion zone: hatched, solid border. An alert zone: dashed border. */
function paintZone(context: CanvasRenderingContext2D, zone: ZoneArea, view: ChartView, look: Look, taken: Rectangle[]): void {
  const path = new Path2D();
  for (const [east, north] of zone.corners) path.lineTo(xOf(view, east), yOf(view, north));
  path.closePath();
  const colour = zone.exclusion ? look.chart.exclusion : look.chart.alert;
  if (zone.exclusion) hatch(context, path, zone, view, colour);
  context.strokeStyle = colour;
  context.lineWidth = 1.5 * view.dpr;
  context.setLineDash(zone.exclusion ? [] : [7 * view.dpr, 5 * view.dpr]);
  context.stroke(path);
  context.setLineDash([]);
  const [east, north] = zone.corners.reduce((best, at) => (at[1] > best[1] || (at[1] === best[1] && at[0] < best[0]) ? at : best));
  font(context, view, look, 11, 500);
  context.textAlign = "left";
  context.textBaseline = "bottom";
  context.fillStyle = colour;
  const [x, y, height] = [xOf(view, east) + 2 * view.dpr, yOf(view, north) - 3 * view.dpr, 14 * view.dpr];
  context.fillText(zone.name, x, y);
  taken.push({ x, y: y - height, width: context.measureText(zone.name).width, height });
}

function hatch(context: CanvasRenderingContext2D, path: Path2D, zone: ZoneArea, view: ChartView, colour: string): void {
  const xs = zone.corners.map(([east]) => xOf(view, east));
  const ys = zone.corners.map(([, north]) => yOf(view, north));
  const [left, right] = [Math.max(Math.min(...xs), 0), Math.min(Math.max(...xs), view.width)];
  const [top, bottom] = [Math.max(Math.min(...ys), 0), Math.min(Math.max(...ys), view.height)];
  context.save();
  context.clip(path);
  context.strokeStyle = colour;
  context.globalAlpha = 0.35;
  context.lineWidth = view.dpr;
  context.beginPath();
  for (let x = left - (bottom - top); x < right; x += 8 * view.dpr) {
    context.moveTo(x, bottom);
    context.lineTo(x + (bottom - top), top);
  }
  context.stroke();
  context.restore();
}

// ── Sensors ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/** What a camera looks at, fading towards the range beyond which its silence means nothing. */
function paintField(context: CanvasRenderingContext2D, sensor: PlacedSensor, chart: Chart, view: ChartView, look: Look): void {
  if (sensor.azimuth === null || sensor.horizontal_fov === null) return;
  const [x, y] = [xOf(view, sensor.enu[0]), yOf(view, sensor.enu[1])];
  const radius = (sensor.range ?? 200) * view.scale;
  const ahead = ((sensor.azimuth - 90) * Math.PI) / 180;
  const half = (sensor.horizontal_fov * Math.PI) / 360;
  const field = new Path2D();
  field.moveTo(x, y);
  field.arc(x, y, radius, ahead - half, ahead + half);
  field.closePath();
  const fade = context.createRadialGradient(x, y, 0, x, y, Math.max(radius, 1));
  fade.addColorStop(0, look.chart.field);
  fade.addColorStop(1, `${look.chart.field}00`); // the same colour: "transparent" is black
  const chosen = chart.camera === sensor.id;
  context.globalAlpha = chart.silent.has(sensor.id) ? 0.15 : chosen ? 0.55 : 0.3;
  context.fillStyle = fade;
  context.fill(field);
  context.globalAlpha = chosen ? 0.9 : 0.45;
  context.strokeStyle = look.chart.field;
  context.lineWidth = view.dpr;
  context.setLineDash(chart.silent.has(sensor.id) ? [4 * view.dpr, 4 * view.dpr] : []);
  context.stroke(field);
  context.setLineDash([]);
  context.globalAlpha = 1;
}

/** A camera is an arrow head that looks its way; an array a square; a receiver a circle. A silent one is crossed out. */
function paintSensor(
  context: CanvasRenderingContext2D,
  sensor: PlacedSensor,
  chart: Chart,
  view: ChartView,
  look: Look,
  taken: Rectangle[],
): void {
  const size = 6 * view.dpr;
  const silent = chart.silent.has(sensor.id);
  context.save();
  context.translate(xOf(view, sensor.enu[0]), yOf(view, sensor.enu[1]));
  context.rotate(((sensor.azimuth ?? 0) * Math.PI) / 180);
  context.beginPath();
  if (sensor.azimuth !== null) {
    context.moveTo(0, -size * 1.2);
    context.lineTo(size, size);
    context.lineTo(0, size * 0.5);
    context.lineTo(-size, size);
    context.closePath();
  } else if (sensor.kind === "microphone_array") context.rect(-size * 0.8, -size * 0.8, size * 1.6, size * 1.6);
  else context.arc(0, 0, size * 0.85, 0, 2 * Math.PI);
  context.fillStyle = silent ? look.chart.ground : look.chart.sensor;
  context.strokeStyle = silent ? look.chart.exclusion : look.chart.ground;
  context.lineWidth = 1.5 * view.dpr;
  context.fill();
  context.stroke();
  if (silent) {
    context.beginPath();
    context.moveTo(-size, -size);
    context.lineTo(size, size);
    context.stroke();
  }
  context.restore();
  nameSensor(context, sensor, view, look, taken);
}

function nameSensor(context: CanvasRenderingContext2D, sensor: PlacedSensor, view: ChartView, look: Look, taken: Rectangle[]): void {
  font(context, view, look, 11, 400);
  const box = around(xOf(view, sensor.enu[0]), yOf(view, sensor.enu[1]), 16 * view.dpr);
  const size = { width: context.measureText(sensor.id).width, height: 13 * view.dpr };
  const below = { ...size, x: box.x + box.width / 2 - size.width / 2, y: box.y + box.height };
  const place = taken.some((other) => overlaps(other, below)) ? freePlace(box, size, view, 2 * view.dpr, taken) : below;
  taken.push(box);
  if (!place) return;
  taken.push(place);
  context.fillStyle = look.chart.text;
  context.textAlign = "left";
  context.textBaseline = "top";
  context.fillText(sensor.id, place.x, place.y);
}

const around = (x: number, y: number, size: number): Rectangle => ({ x: x - size / 2, y: y - size / 2, width: size, height: size });

// ── Truth and tracks ─────────────────────────────────────────────────────────────────────────────────────────────────

/** A thin cross: where something really is. */
function paintTruth(context: CanvasRenderingContext2D, { enu }: Truth, view: ChartView, look: Look): void {
  const [x, y, arm] = [xOf(view, enu[0]), yOf(view, enu[1]), 5 * view.dpr];
  context.strokeStyle = look.chart.truth;
  context.lineWidth = 1.2 * view.dpr;
  context.beginPath();
  context.moveTo(x - arm, y);
  context.lineTo(x + arm, y);
  context.moveTo(x, y - arm);
  context.lineTo(x, y + arm);
  context.stroke();
}

/** Of a track as it is told once; it is asked for several times in each drawing. */
const areasKnown = new WeakMap<LocatedTrack, { readonly area: Wedge | Ellipse | undefined }>();

/** What is drawn in place of a point where the place is not known well enough to be one. */
export function areaOf(track: LocatedTrack, sensors: readonly PlacedSensor[]): Wedge | Ellipse | undefined {
  const known = areasKnown.get(track) ?? { area: areaFound(track, sensors) };
  areasKnown.set(track, known);
  return known.area;
}

function areaFound(track: LocatedTrack, sensors: readonly PlacedSensor[]): Wedge | Ellipse | undefined {
  const alone = track.sensors.length === 1 ? sensors.find(({ id }) => id === track.sensors[0]) : undefined;
  const wedge = alone && wedgeOf(track.enu, track.covariance, alone.enu);
  if (wedge) return wedge;
  const ellipse = ellipseOf(track.covariance);
  return ellipse.major * within95 > pointM && ellipse.major > 3 * ellipse.minor ? ellipse : undefined;
}

function areaPath(area: Wedge | Ellipse, [east, north]: Place, view: ChartView): Path2D {
  const path = new Path2D();
  if ("apex" in area) {
    const [x, y] = [xOf(view, area.apex[0]), yOf(view, area.apex[1])];
    const half = Math.max(area.halfAngle, wedgeLeast);
    path.arc(x, y, area.far * view.scale, -area.direction - half, -area.direction + half);
    path.arc(x, y, area.near * view.scale, -area.direction + half, -area.direction - half, true);
    path.closePath();
  } else {
    const [major, minor] = [Math.max(area.major * within95 * view.scale, 1), Math.max(area.minor * within95 * view.scale, 1)];
    path.ellipse(xOf(view, east), yOf(view, north), major, minor, -area.turn, 0, 2 * Math.PI);
  }
  return path;
}

/** Where the target is with 95 %: an ellipse, or a wedge where only its direction is known. */
function paintArea(context: CanvasRenderingContext2D, each: ChartTrack, chart: Chart, view: ChartView, look: Look): void {
  const { track } = each;
  const area = areaOf(track, chart.sensors);
  const chosen = isChosen(each, chart);
  const shape = area ?? ellipseOf(track.covariance);
  const path = areaPath(shape, [track.enu[0], track.enu[1]], view);
  const vague = "major" in shape ? Math.min(1, pointM / (shape.major * within95)) : 0.6; // the vaguer, the fainter
  context.fillStyle = context.strokeStyle = colourOf(each, chart, look);
  context.globalAlpha = faded(track) * (chosen ? 0.22 : 0.1) * vague;
  context.fill(path);
  context.globalAlpha = faded(track) * (chosen ? 1 : area ? 0.55 : 0.7) * (chosen ? 1 : Math.sqrt(vague));
  context.lineWidth = (chosen ? 1.8 : 1) * view.dpr;
  context.setLineDash(area ? [6 * view.dpr, 4 * view.dpr] : []);
  context.stroke(path);
  context.setLineDash([]);
  context.globalAlpha = 1;
}

const faded = (track: LocatedTrack): number => (track.endedAt === undefined ? 1 : 0.35);

function paintTrail(context: CanvasRenderingContext2D, each: ChartTrack, chart: Chart, view: ChartView, look: Look): void {
  const { track, trail } = each;
  if (areaOf(track, chart.sensors)) return;
  const chosen = isChosen(each, chart);
  const crowded = chart.tracks.length > crowdedAt;
  const shown = chosen || (each.level !== "low" && !crowded) ? trail : trail.slice(-shortTrail);
  context.strokeStyle = colourOf(each, chart, look);
  context.lineWidth = (chosen ? 2 : 1.3) * view.dpr;
  context.lineCap = "round";
  const band = Math.max(1, Math.ceil((shown.length - 1) / (crowded ? 1 : trailBands))); // one stroke for each, not for each step
  for (let first = 0; first < shown.length - 1; first += band) {
    const part = shown.slice(first, first + band + 1);
    context.globalAlpha = (0.75 * faded(track) * (first + band)) / shown.length;
    context.beginPath();
    for (const { place: [east, north] } of part) context.lineTo(xOf(view, east), yOf(view, north));
    context.stroke();
  }
  context.globalAlpha = 1;
  if (track.endedAt === undefined) paintHeading(context, each, chart, view, look);
}

/** Where it will be in some seconds, by its velocity. */
function paintHeading(context: CanvasRenderingContext2D, each: ChartTrack, chart: Chart, view: ChartView, look: Look): void {
  const { enu, velocity } = each.track;
  const [ve = 0, vn = 0] = velocity;
  if (Math.hypot(ve, vn) < hoversMps) return;
  context.strokeStyle = colourOf(each, chart, look);
  context.lineWidth = 2 * view.dpr;
  context.beginPath();
  context.moveTo(xOf(view, enu[0]), yOf(view, enu[1]));
  context.lineTo(xOf(view, enu[0] + ve * headingS), yOf(view, enu[1] + vn * headingS));
  context.stroke();
}

/** Of a track that flies into no zone, so far ahead is shown; into one, until it is there. */
const aheadS = 10;

type Path = readonly (readonly [number, Place])[];

/** Places from now on, by seconds after the forecast: where it is, where it will be. */
function fromNow({ track }: ChartTrack, { forecast }: Ahead): Path {
  const passed = (Date.parse(track.time) - Date.parse(forecast.time)) / 1000;
  const steps = forecast.steps.filter(({ after }) => after > passed);
  return [[passed, [track.enu[0], track.enu[1]]], ...steps.map(({ after, enu }) => [after, [enu[0], enu[1]]] as const)];
}

/** As far as it is drawn: until it is in a zone, or some seconds. */
function pathOf(each: ChartTrack, ahead: Ahead): Path {
  const until = Math.max(ahead.entries[0]?.after ?? 0, aheadS);
  return fromNow(each, ahead).filter((_, index, all) => (all[index - 1]?.[0] ?? 0) < until);
}

const aheadOf = (each: ChartTrack, chart: Chart): Ahead | undefined => {
  const ahead = chart.ahead.get(each.track.id);
  const flies = Math.hypot(each.track.velocity[0] ?? 0, each.track.velocity[1] ?? 0) >= hoversMps;
  const told = ahead && each.track.endedAt === undefined && (ahead.entries.length > 0 || (isChosen(each, chart) && flies));
  return told && !areaOf(each.track, chart.sensors) ? ahead : undefined;
};

/** Where it will be if it flies on as it does: a dotted line, and ellipses of 95 % that grow. */
function paintAhead(context: CanvasRenderingContext2D, each: ChartTrack, chart: Chart, view: ChartView, look: Look): void {
  const ahead = aheadOf(each, chart);
  if (!ahead) return;
  const path = pathOf(each, ahead);
  const chosen = isChosen(each, chart);
  context.strokeStyle = context.fillStyle = colourOf(each, chart, look);
  context.lineWidth = view.dpr;
  for (const { after, enu, covariance } of ahead.forecast.steps) {
    const shown = path.some(([time]) => time === after) && (chosen ? after === 5 || after % 10 === 0 : after === path.at(-1)?.[0]);
    if (!shown) continue;
    const ellipse = areaPath(ellipseOfPlace(covariance), [enu[0], enu[1]], view);
    context.globalAlpha = 0.03;
    context.fill(ellipse);
    context.globalAlpha = 0.3;
    context.stroke(ellipse);
    if (!chosen) continue;
    const top = yOf(view, enu[1]) - within95 * Math.sqrt(covariance[2]) * view.scale;
    font(context, view, look, 10, 400);
    context.textAlign = "center";
    context.textBaseline = "bottom";
    context.globalAlpha = 0.8;
    context.fillText(`+${after} s`, xOf(view, enu[0]), top - 2 * view.dpr);
  }
  context.globalAlpha = 0.9;
  context.lineWidth = (chosen ? 2 : 1.4) * view.dpr;
  context.lineCap = "round";
  context.setLineDash([0.1, 5 * view.dpr]);
  context.beginPath();
  for (const [, [east, north]] of path) context.lineTo(xOf(view, east), yOf(view, north));
  context.stroke();
  context.setLineDash([]);
  context.lineCap = "butt";
  context.globalAlpha = 1;
}

/** On its way, a bar where it comes into a zone, with the time until then. */
function paintEntries(
  context: CanvasRenderingContext2D,
  each: ChartTrack,
  chart: Chart,
  view: ChartView,
  look: Look,
  taken: Rectangle[],
): void {
  const ahead = aheadOf(each, chart);
  for (const entry of ahead?.entries ?? []) {
    const at = ahead && placeAt(fromNow(each, ahead), entry.after);
    if (!at) continue;
    const [x, y] = [xOf(view, at[0]), yOf(view, at[1])];
    const colour = entry.exclusion ? look.chart.exclusion : look.chart.alert;
    context.fillStyle = look.chart.ground;
    context.strokeStyle = colour;
    context.lineWidth = 2 * view.dpr;
    context.beginPath();
    context.arc(x, y, 4 * view.dpr, 0, 2 * Math.PI);
    context.fill();
    context.stroke();
    font(context, view, look, 11.5, 500);
    const box = around(x, y, 10 * view.dpr);
    const size = { width: context.measureText(entry.label).width + 8 * view.dpr, height: 18 * view.dpr };
    const place = freePlace(box, size, view, 3 * view.dpr, taken);
    if (!place) continue;
    taken.push(place, box);
    paintLeader(context, box, place, colour, view);
    paintPlate(context, place, colour, view);
    context.fillStyle = look.chart.ground;
    context.textAlign = "left";
    context.textBaseline = "middle";
    context.fillText(entry.label, place.x + 4 * view.dpr, place.y + place.height / 2 + 0.5 * view.dpr);
  }
}

/** Between two points of a path; undefined beyond it. */
function placeAt(path: Path, after: number): Place | undefined {
  const next = path.findIndex(([time]) => time >= after);
  const [from, to] = [path[Math.max(0, next - 1)], path[next]];
  if (!from || !to) return undefined;
  const share = to[0] > from[0] ? (after - from[0]) / (to[0] - from[0]) : 0;
  return [from[1][0] + share * (to[1][0] - from[1][0]), from[1][1] + share * (to[1][1] - from[1][1])];
}

const signSize = (view: ChartView): number => signPx * view.dpr;

const markBox = ({ enu }: LocatedTrack, view: ChartView): Rectangle => around(xOf(view, enu[0]), yOf(view, enu[1]), signSize(view) + 4 * view.dpr);

/** The class's sign; hollow for a mere claim; in a barbed frame where claim and sightings conflict. No area gets one. */
function paintMark(context: CanvasRenderingContext2D, each: ChartTrack, chart: Chart, view: ChartView, look: Look): void {
  const { track } = each;
  if (areaOf(track, chart.sensors)) return;
  const size = signSize(view);
  const [x, y] = [xOf(view, track.enu[0]), yOf(view, track.enu[1])];
  context.globalAlpha = faded(track);
  if (track.identity === "conflicting") paintBarbs(context, x, y, size, view, look);
  const colour = colourOf(each, chart, look);
  if (track.claim_only) {
    context.strokeStyle = colour;
    context.lineWidth = 1.6 * view.dpr;
    context.setLineDash([3 * view.dpr, 2.5 * view.dpr]);
    context.strokeRect(x - size * 0.42, y - size * 0.42, size * 0.84, size * 0.84);
    context.setLineDash([]);
    font(context, view, look, 10, 500);
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillStyle = colour;
    context.fillText("?", x, y + 0.5 * view.dpr);
  } else paintSign(context, track.class, x - size / 2, y - size / 2, size, colour, look.ink, look.font);
  context.globalAlpha = 1;
}

/** Eight short rays: something does not hold. */
function paintBarbs(context: CanvasRenderingContext2D, x: number, y: number, size: number, view: ChartView, look: Look): void {
  context.strokeStyle = look.chart.exclusion;
  context.lineWidth = 2 * view.dpr;
  context.beginPath();
  for (let k = 0; k < 8; k++) {
    const [dx, dy] = [Math.cos((k * Math.PI) / 4), Math.sin((k * Math.PI) / 4)];
    context.moveTo(x + dx * size * 0.75, y + dy * size * 0.75);
    context.lineTo(x + dx * size * 1.1, y + dy * size * 1.1);
  }
  context.stroke();
}

/** Where a label hangs: at the sign, or in an area at its near end, where the sensor is. */
function anchorOf(track: LocatedTrack, chart: Chart, view: ChartView): Rectangle {
  const area = areaOf(track, chart.sensors);
  if (!area || !("apex" in area)) return markBox(track, view);
  const reach = Math.min(Math.max((area.near + area.far) / 2, 0), 0.42 * (Math.min(view.width, view.height) / view.scale));
  const [east, north] = [area.apex[0] + reach * Math.cos(area.direction), area.apex[1] + reach * Math.sin(area.direction)];
  return around(xOf(view, east), yOf(view, north), 4 * view.dpr);
}

/** Labels of birds and the like give way when it is crowded; that of the chosen one never. */
function paintLabel(
  context: CanvasRenderingContext2D,
  each: ChartTrack,
  chart: Chart,
  view: ChartView,
  look: Look,
  taken: Rectangle[],
): void {
  const chosen = isChosen(each, chart);
  if (!each.label && !chosen) return;
  const named = anchorOf(each.track, chart, view);
  if (!overlaps(named, { x: 0, y: 0, width: view.width, height: view.height })) return;
  const pad = 4 * view.dpr;
  font(context, view, look, 11.5, 500);
  const warning = each.warning ? context.measureText(each.warning).width + 2 * pad : 0;
  const size = { width: context.measureText(each.label).width + 2 * pad + warning, height: 18 * view.dpr };
  const place = freePlace(named, size, view, 3 * view.dpr, taken) ?? (chosen ? { ...size, x: named.x, y: named.y - size.height } : undefined);
  if (!place) return;
  taken.push(place);
  paintLeader(context, named, place, colourOf(each, chart, look), view);
  context.globalAlpha = faded(each.track);
  paintPlate(context, place, chosen ? look.chart.chosen : look.chart.label, view);
  context.textAlign = "left";
  context.textBaseline = "middle";
  const middle = place.y + place.height / 2 + 0.5 * view.dpr;
  context.fillStyle = chosen ? look.chart.ground : look.chart.ink;
  context.fillText(each.label, place.x + pad, middle);
  if (warning) {
    paintPlate(context, { ...place, x: place.x + place.width - warning, width: warning }, look.chart.exclusion, view);
    context.fillStyle = look.chart.ground;
    context.fillText(each.warning, place.x + place.width - warning + pad, middle);
  }
  context.globalAlpha = 1;
}

/** What a text stands on. */
function paintPlate(context: CanvasRenderingContext2D, place: Rectangle, colour: string, view: ChartView): void {
  context.fillStyle = colour;
  context.beginPath();
  context.roundRect(place.x, place.y, place.width, place.height, 3 * view.dpr);
  context.fill();
}

function paintLeader(context: CanvasRenderingContext2D, named: Rectangle, place: Rectangle, colour: string, view: ChartView): void {
  const [fromX, fromY, toX, toY] = leader(named, place);
  if (Math.hypot(toX - fromX, toY - fromY) < 8 * view.dpr) return;
  context.globalAlpha = 0.6;
  context.strokeStyle = colour;
  context.lineWidth = view.dpr;
  context.beginPath();
  context.moveTo(fromX, fromY);
  context.lineTo(toX, toY);
  context.stroke();
  context.globalAlpha = 1;
}

// ── Furniture ────────────────────────────────────────────────────────────────────────────────────────────────────────

function font(context: CanvasRenderingContext2D, view: ChartView, look: Look, size: number, weight: number): void {
  context.font = `${weight} ${size * view.dpr}px ${look.font}`;
}

/** At the border, an arrow towards the chosen target when it is out of sight. */
function paintAway(context: CanvasRenderingContext2D, { track }: ChartTrack, view: ChartView, look: Look): void {
  const margin = 16 * view.dpr;
  const [dx, dy] = [xOf(view, track.enu[0]) - view.width / 2, yOf(view, track.enu[1]) - view.height / 2];
  const over = Math.max(Math.abs(dx) / (view.width / 2 - margin), Math.abs(dy) / (view.height / 2 - margin));
  if (over <= 1) return;
  context.save();
  context.translate(view.width / 2 + dx / over, view.height / 2 + dy / over);
  context.rotate(Math.atan2(dy, dx));
  context.fillStyle = look.chart.chosen;
  context.beginPath();
  context.moveTo(margin * 0.7, 0);
  context.lineTo(-margin * 0.4, -margin * 0.5);
  context.lineTo(-margin * 0.4, margin * 0.5);
  context.fill();
  context.restore();
}

function paintScale(context: CanvasRenderingContext2D, view: ChartView, look: Look): void {
  const length = roundBelow((130 * view.dpr) / view.scale);
  const [x, y, tick] = [14 * view.dpr, view.height - 14 * view.dpr, 5 * view.dpr];
  context.strokeStyle = context.fillStyle = look.chart.ink;
  context.lineWidth = 1.5 * view.dpr;
  context.beginPath();
  context.moveTo(x, y - tick);
  context.lineTo(x, y);
  context.lineTo(x + length * view.scale, y);
  context.lineTo(x + length * view.scale, y - tick);
  context.stroke();
  font(context, view, look, 11, 400);
  context.textAlign = "left";
  context.textBaseline = "bottom";
  context.fillText(metres(length), x + 6 * view.dpr, y - 3 * view.dpr);
}

function paintNorth(context: CanvasRenderingContext2D, view: ChartView, look: Look): void {
  const [x, y, size] = [view.width - 26 * view.dpr, 34 * view.dpr, 9 * view.dpr];
  context.fillStyle = look.chart.ink;
  context.beginPath();
  context.moveTo(x, y - size);
  context.lineTo(x + size * 0.6, y + size);
  context.lineTo(x, y + size * 0.5);
  context.lineTo(x - size * 0.6, y + size);
  context.closePath();
  context.fill();
  font(context, view, look, 11, 500);
  context.textAlign = "center";
  context.textBaseline = "bottom";
  context.fillText("N", x, y - size - 2 * view.dpr);
}

// ── Picking ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/** The track at a canvas point: the nearest sign within reach, else the area that holds the point. */
export function pickTrack(
  context: CanvasRenderingContext2D,
  chart: Chart,
  view: ChartView,
  x: number,
  y: number,
): string | undefined {
  let best: string | undefined;
  let bestDistance = 16 * view.dpr;
  for (const { track } of chart.tracks) {
    if (areaOf(track, chart.sensors)) continue;
    const apart = Math.hypot(xOf(view, track.enu[0]) - x, yOf(view, track.enu[1]) - y);
    if (apart < bestDistance) [best, bestDistance] = [track.id, apart];
  }
  if (best) return best;
  const held = chart.tracks.find(({ track }) => {
    const area = areaOf(track, chart.sensors);
    return area && context.isPointInPath(areaPath(area, [track.enu[0], track.enu[1]], view), x, y);
  });
  return held?.track.id;
}
