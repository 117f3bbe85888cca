/** What lies below the map: the plan, the shapes and the tiles that the site file names, as the service gives them. */

import { signal } from "@preact/signals";
import { askQuietly } from "./api";
import { type Place, placeOf } from "./ground";
import { recall, remember } from "./preferences";
import type { BaseMap, MapTiles, Origin } from "./schema";

/** A picture by three of its corners. */
export interface Sheet {
  readonly picture: HTMLImageElement;
  readonly upperLeft: Place;
  readonly upperRight: Place;
  readonly lowerLeft: Place;
}

/** A feature of GeoJSON: lines, rings or single points, and its name. */
export interface Shape {
  readonly name: string;
  readonly kind: "point" | "line" | "ring";
  readonly parts: readonly (readonly Place[])[];
}

/** All of it in the plane of one origin. */
export interface Base {
  readonly origin: Origin;
  readonly sheet: Sheet | undefined;
  readonly shapes: readonly Shape[];
  readonly tiles: MapTiles | undefined;
}

type Positions = readonly unknown[];
interface Feature {
  readonly geometry: { readonly type: string; readonly coordinates: Positions };
  readonly properties: { readonly name?: string };
}

const address = "/api/v1/map"; // of the service, not of a replay's world: the ground is the same
const told = signal<BaseMap | undefined>(undefined);
const picture = signal<HTMLImageElement | undefined>(undefined);
const features = signal<readonly Feature[]>([]);
/** Counts what has come: whoever draws the base draws it anew. */
export const arrived = signal(0);

export const showBase = signal(recall("base", ["on", "off"]) !== "off");
export function toggleBase(): void {
  showBase.value = !showBase.value;
  remember("base", showBase.value ? "on" : "off");
}

/** Whether there is anything below the map at all, and who made the tiles. */
export const hasBase = (): boolean => Boolean(told.value && (told.value.plan || told.value.tiles || told.value.shapes));
export const attribution = (): string => told.value?.tiles?.attribution ?? "";

export async function loadBase(): Promise<void> {
  if (told.peek()) return;
  const answer = await askQuietly<BaseMap>(address);
  if (!answer) return;
  told.value = answer;
  if (answer.plan) picture.value = await loaded(`${address}/plan`);
  if (answer.shapes) features.value = (await askQuietly<{ features: readonly Feature[] }>(`${address}/shapes`))?.features ?? [];
  arrived.value += 1;
}

/** A picture, or undefined where none comes. */
function loaded(source: string): Promise<HTMLImageElement | undefined> {
  const image = new Image();
  image.src = source;
  return image.decode().then(
    () => image,
    () => undefined,
  );
}

let made: { readonly key: string; readonly base: Base } | undefined;

/** What is to be drawn about an origin; undefined: nothing. The same object until something of it changes. */
export function baseAt(origin: Origin | null | undefined): Base | undefined {
  if (!origin || !told.value || !showBase.value) return undefined;
  const key = `${origin.latitude} ${origin.longitude} ${arrived.value}`;
  if (made?.key !== key) made = { key, base: baseOf(origin, told.value) };
  return made.base;
}

function baseOf(origin: Origin, { plan, tiles }: BaseMap): Base {
  const place = ([latitude, longitude]: readonly [number, number]): Place => placeOf(latitude, longitude, origin);
  const sheet = plan && picture.value && {
    picture: picture.value,
    upperLeft: place(plan.upper_left),
    upperRight: place(plan.upper_right),
    lowerLeft: place(plan.lower_left),
  };
  return { origin, sheet: sheet ?? undefined, shapes: features.value.map((each) => shapeOf(each, origin)), tiles: tiles ?? undefined };
}

function shapeOf({ geometry: { type, coordinates }, properties }: Feature, origin: Origin): Shape {
  const places = (positions: Positions): Place[] =>
    (positions as readonly (readonly [number, number])[]).map(([longitude, latitude]) => placeOf(latitude, longitude, origin));
  const deep = { Point: [[coordinates]], MultiPoint: [coordinates], LineString: [coordinates], MultiPolygon: coordinates.flat() }[type];
  const kind = type.endsWith("Point") ? "point" : type.endsWith("Polygon") ? "ring" : "line";
  return { name: properties.name ?? "", kind, parts: ((deep ?? coordinates) as readonly Positions[]).map(places) };
}

// ── Tiles ────────────────────────────────────────────────────────────────────────────────────────────────────────────

const mostKept = 400;
/** A browser has few connections to one host, and the console needs some for itself. */
const mostLoading = 3;
/** What is not there is asked for again after this long: another server may have been away. */
const retryMs = 60_000;

const tiles = new Map<string, { readonly image: HTMLImageElement | undefined; readonly at: number }>();
let wanted: readonly string[] = [];
const loading = new Set<string>();

/** The picture of a tile, if it has come. */
export const tileAt = (z: number, x: number, y: number): HTMLImageElement | undefined => tiles.get(`${z}/${x}/${y}`)?.image;

/** What is in sight now; what was wanted before and has not come is not wanted any more. */
export function wantTiles(names: readonly string[]): void {
  const now = Date.now();
  wanted = names.filter((name) => {
    const held = tiles.get(name);
    return !held || (!held.image && now - held.at > retryMs);
  });
  loadNext();
}

function loadNext(): void {
  for (const name of wanted) {
    if (loading.size >= mostLoading) return;
    if (!loading.has(name)) void loadTile(name);
  }
}

async function loadTile(name: string): Promise<void> {
  loading.add(name);
  const image = await loaded(`${address}/tiles/${name}`);
  loading.delete(name);
  wanted = wanted.filter((each) => each !== name);
  tiles.delete(name);
  tiles.set(name, { image, at: Date.now() });
  for (const oldest of tiles.keys()) if (tiles.size > mostKept) tiles.delete(oldest);
  if (image) arrived.value += 1;
  loadNext();
}
