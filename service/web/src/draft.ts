/** A site being drawn: the document that becomes site.yaml, what is chosen of it, and what the service's check says.
 * Nothing of it touches the running service. */

import { computed, signal } from "@preact/signals";
import { askQuietly, send } from "./api";
import { type Place, geodeticOf, placeOf } from "./ground";
import { keep, kept } from "./preferences";
import type { DraftVerdict, Origin, PlacedSensor } from "./schema";
import type { ZoneArea } from "./site";

/** As in site.yaml; what this page does not know of stays as it was. */
export interface DraftSensor {
  readonly id: string;
  readonly kind: string;
  readonly spectrum?: "visible" | "infrared";
  readonly source?: string | number;
  readonly position?: { readonly enu?: readonly [number, number, number]; readonly latitude?: number; readonly longitude?: number; readonly altitude?: number };
  readonly orientation?: { readonly azimuth: number; readonly elevation?: number; readonly roll?: number };
  readonly horizontal_fov?: number;
  readonly width?: number;
  readonly height?: number;
  readonly intrinsics?: { readonly width: number; readonly fx: number };
  readonly microphones?: readonly (readonly [number, number, number])[];
  readonly max_range?: number;
}

export interface DraftZone {
  readonly name: string;
  readonly kind?: "alert" | "exclusion";
  readonly polygon: readonly (readonly [number, number])[];
  readonly floor?: number;
  readonly ceiling?: number;
}

export interface Draft {
  readonly site: { readonly name: string; readonly origin: Origin };
  readonly sensors: readonly DraftSensor[];
  readonly zones?: readonly DraftZone[];
}

/** What is chosen: a sensor or a zone, by its place in the document. */
export type Chosen = { readonly kind: "sensor" | "zone"; readonly index: number } | undefined;

export const draft = signal<Draft | undefined>(undefined);
export const chosen = signal<Chosen>(undefined);
export const verdict = signal<DraftVerdict | undefined>(undefined);
/** Corners of a zone that is being drawn. */
export const corners = signal<readonly Place[] | undefined>(undefined);

const checkAfterMs = 400;
const newCameraM = 10;
let waiting: ReturnType<typeof setTimeout> | undefined;

async function check(): Promise<void> {
  const asked = draft.peek();
  const answer = await send<DraftVerdict>("POST", "/api/v1/site/check", asked).catch(() => undefined);
  if (answer && asked === draft.peek()) verdict.value = answer;
}

/** Take a changed document: it is kept in this browser, and checked when it has been still for a moment. */
function take(changed: Draft): void {
  draft.value = changed;
  keep("draft", JSON.stringify(changed));
  clearTimeout(waiting);
  waiting = setTimeout(() => void check(), checkAfterMs);
}

/** What was drawn before in this browser, else the site that runs. */
export async function loadDraft(): Promise<void> {
  if (draft.peek()) return;
  const before = kept("draft");
  const running = before ? undefined : await askQuietly<Draft>("/api/v1/site/file");
  const found = before ? (JSON.parse(before) as Draft) : running;
  if (found) take(found);
}

/** Forget what was drawn: begin with the site that runs. */
export async function resetDraft(): Promise<void> {
  const running = await askQuietly<Draft>("/api/v1/site/file");
  [chosen.value, corners.value] = [undefined, undefined];
  if (running) take(running);
}

export const changeSite = (part: Partial<Draft["site"]>): void => {
  const now = draft.peek();
  if (now) take({ ...now, site: { ...now.site, ...part } });
};

const replaced = <Item>(items: readonly Item[], index: number, item: Item): readonly Item[] => items.map((each, k) => (k === index ? item : each));

export function changeSensor(index: number, part: Changed<DraftSensor>): void {
  const now = draft.peek();
  const before = now?.sensors[index];
  if (now && before) take({ ...now, sensors: replaced(now.sensors, index, cleaned<DraftSensor>({ ...before, ...part })) });
}

export function changeZone(index: number, part: Changed<DraftZone>): void {
  const now = draft.peek();
  const before = now?.zones?.[index];
  if (now && before) take({ ...now, zones: replaced(now.zones ?? [], index, cleaned<DraftZone>({ ...before, ...part })) });
}

/** Fields to be changed; undefined empties one. */
type Changed<Item> = { readonly [Field in keyof Item]?: Item[Field] | undefined };

/** Without fields that were emptied. */
function cleaned<Item extends object>(item: Changed<Item>): Item {
  return Object.fromEntries(Object.entries(item).filter(([, value]) => value !== undefined && value !== "")) as Item;
}

function freeName(plain: string, taken: readonly string[]): string {
  const names = [plain, ...taken.map((_, k) => `${plain}-${k + 2}`)];
  return names.find((name) => !taken.includes(name)) ?? plain;
}

/** Four microphones at the corners of a tetrahedron of a hand's breadth: enough to tell directions. */
const tetrahedron = [[0.1, 0, -0.035], [-0.05, 0.087, -0.035], [-0.05, -0.087, -0.035], [0, 0, 0.106]];

const newSensors: Readonly<Record<string, object>> = {
  camera: { spectrum: "visible", width: 1920, height: 1080, horizontal_fov: 40, orientation: { azimuth: 0, elevation: 10 } },
  microphone_array: { microphones: tetrahedron },
  remote_id: {},
  external: {},
};
export const sensorKinds = Object.keys(newSensors);

const rounded = ([east, north]: Place): readonly [number, number] => [Math.round(east * 10) / 10, Math.round(north * 10) / 10];

export function addSensor(kind: string, at: Place): void {
  const now = draft.peek();
  if (!now) return;
  const id = freeName({ camera: "cam", microphone_array: "mic" }[kind] ?? kind.replace("_", "-"), now.sensors.map((each) => each.id));
  const up = kind === "camera" ? newCameraM : 3;
  const sensor = { id, kind, position: { enu: [...rounded(at), up] }, ...newSensors[kind] } as DraftSensor;
  take({ ...now, sensors: [...now.sensors, sensor] });
  chosen.value = { kind: "sensor", index: now.sensors.length };
}

/** Make a zone of the corners drawn so far; fewer than three are none. */
export function closeZone(): void {
  const [now, drawn] = [draft.peek(), corners.peek()];
  corners.value = undefined;
  if (!now || !drawn || drawn.length < 3) return;
  const zones = now.zones ?? [];
  const polygon = drawn.map((corner) => geodetic(corner, now.site.origin));
  const zone: DraftZone = { name: freeName("Zone", zones.map(({ name }) => name)), kind: "alert", polygon };
  take({ ...now, zones: [...zones, zone] });
  chosen.value = { kind: "zone", index: zones.length };
}

const geodetic = (place: Place, origin: Origin): readonly [number, number] => {
  const [latitude, longitude] = geodeticOf(place, origin);
  return [Math.round(latitude * 1e7) / 1e7, Math.round(longitude * 1e7) / 1e7];
};

export function moveCorner(index: number, corner: number, to: Place): void {
  const now = draft.peek();
  const zone = now?.zones?.[index];
  if (now && zone) changeZone(index, { polygon: replaced(zone.polygon, corner, geodetic(to, now.site.origin)) });
}

export function placeOfSensor({ position }: DraftSensor, origin: Origin): readonly [number, number, number] | undefined {
  if (position?.enu) return position.enu;
  if (position?.latitude === undefined || position.longitude === undefined) return undefined;
  return [...placeOf(position.latitude, position.longitude, origin), (position.altitude ?? origin.altitude) - origin.altitude];
}

export function moveSensor(index: number, to: Place): void {
  const now = draft.peek();
  const sensor = now?.sensors[index];
  const up = now && sensor && placeOfSensor(sensor, now.site.origin)?.[2];
  if (sensor) changeSensor(index, { position: { enu: [...rounded(to), up ?? newCameraM] } });
}

export function aimSensor(index: number, at: Place): void {
  const now = draft.peek();
  const sensor = now?.sensors[index];
  const from = now && sensor && placeOfSensor(sensor, now.site.origin);
  if (!sensor || !from) return;
  const azimuth = ((Math.atan2(at[0] - from[0], at[1] - from[1]) * 180) / Math.PI + 360) % 360;
  changeSensor(index, { orientation: { ...sensor.orientation, azimuth: Math.round(azimuth * 10) / 10 } });
}

export function removeChosen(): void {
  const [now, which] = [draft.peek(), chosen.peek()];
  if (!now || !which) return;
  chosen.value = undefined;
  if (which.kind === "sensor") take({ ...now, sensors: now.sensors.filter((_, k) => k !== which.index) });
  else take({ ...now, zones: (now.zones ?? []).filter((_, k) => k !== which.index) });
}

/** Degrees across the picture of a draft's camera. */
const fieldOf = ({ horizontal_fov, intrinsics }: DraftSensor): number | null =>
  horizontal_fov ?? (intrinsics ? (2 * Math.atan(intrinsics.width / 2 / intrinsics.fx) * 180) / Math.PI : null);

/** The draft as the map draws sensors. */
export const draftSensors = computed<readonly PlacedSensor[]>(() => {
  const now = draft.value;
  return (now?.sensors ?? []).flatMap((sensor) => {
    const enu = now && placeOfSensor(sensor, now.site.origin);
    if (!enu) return [];
    const { azimuth = null, elevation = null, roll = null } = sensor.orientation ?? {};
    const view = { azimuth, elevation, roll, horizontal_fov: azimuth === null ? null : fieldOf(sensor), vertical_fov: null };
    return [{ id: sensor.id, kind: sensor.kind, enu, range: sensor.max_range ?? null, lens: null, ...view }];
  });
});

export const draftZones = computed<readonly ZoneArea[]>(() => {
  const now = draft.value;
  return (now?.zones ?? []).map(({ name, kind, polygon }, index) => ({
    id: String(index),
    name,
    exclusion: kind === "exclusion",
    corners: polygon.map(([latitude, longitude]) => placeOf(latitude, longitude, (now as Draft).site.origin)),
  }));
});
