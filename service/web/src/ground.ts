/** Geometry of the site: east, north, up in metres; what covariances and lenses make of places. Pure. */

import type { Lens, Origin, PlacedSensor } from "./schema";

export type Enu = readonly [number, number, number];
/** East, north, metres. */
export type Place = readonly [number, number];

/** Half axes of one standard deviation, metres, and the direction of the longer one, radians from east to north. */
export interface Ellipse {
  readonly major: number;
  readonly minor: number;
  readonly turn: number;
}

/** A direction from a sensor: what is known of a target that one sensor alone sees. Radians, metres. */
export interface Wedge {
  readonly apex: Place;
  /** Of its middle, from east to north. */
  readonly direction: number;
  readonly halfAngle: number;
  readonly near: number;
  readonly far: number;
}

/** Standard deviations that hold 95 % of a two-dimensional normal distribution, and of a one-dimensional one. */
export const within95 = 2.4477;
const within95Along = 1.96;
/** A range as uncertain as this share of itself is no range: what is known then is a direction. */
const knownRange = 0.25;

const entry = (covariance: readonly number[], row: number, column: number): number => covariance[row * 6 + column] ?? 0;

/** Of the horizontal position in a 6×6 covariance of position and velocity. */
export const ellipseOf = (covariance: readonly number[]): Ellipse =>
  ellipseOfPlace([entry(covariance, 0, 0), entry(covariance, 0, 1), entry(covariance, 1, 1)]);

/** Of the covariances east-east, east-north and north-north, m². */
export function ellipseOfPlace([a, b, c]: readonly [number, number, number]): Ellipse {
  const middle = (a + c) / 2;
  const reach = Math.hypot((a - c) / 2, b);
  return {
    major: Math.sqrt(Math.max(0, middle + reach)),
    minor: Math.sqrt(Math.max(0, middle - reach)),
    turn: 0.5 * Math.atan2(2 * b, a - c),
  };
}

/** Standard deviation of the height, metres. */
export const heightSigma = (covariance: readonly number[]): number => Math.sqrt(Math.max(0, entry(covariance, 2, 2)));

const along = (covariance: readonly number[], x: number, y: number): number =>
  Math.sqrt(
    Math.max(0, x * x * entry(covariance, 0, 0) + 2 * x * y * entry(covariance, 0, 1) + y * y * entry(covariance, 1, 1)),
  );

/** The wedge of a target whose range from a sensor is not known; undefined where it is. */
export function wedgeOf(enu: Enu, covariance: readonly number[], sensor: Enu): Wedge | undefined {
  const [x, y] = [enu[0] - sensor[0], enu[1] - sensor[1]];
  const range = Math.hypot(x, y);
  if (range === 0) return undefined;
  const [ux, uy] = [x / range, y / range];
  const deep = along(covariance, ux, uy);
  if (deep < knownRange * range) return undefined;
  return {
    apex: [sensor[0], sensor[1]],
    direction: Math.atan2(uy, ux),
    halfAngle: Math.min(Math.PI / 2, Math.atan2(within95Along * along(covariance, -uy, ux), range)),
    near: Math.max(0, range - within95Along * deep),
    far: range + within95Along * deep,
  };
}

const [equator, flattening] = [6_378_137, 1 / 298.257223563];

/** East and north of a latitude and longitude (degrees) near the site: exact to centimetres within some kilometres. */
export function placeOf(latitude: number, longitude: number, origin: Origin): Place {
  const radians = Math.PI / 180;
  const squared = flattening * (2 - flattening);
  const shrink = 1 - squared * Math.sin(origin.latitude * radians) ** 2;
  const meridian = (equator * (1 - squared)) / shrink ** 1.5;
  const across = (equator / Math.sqrt(shrink)) * Math.cos(origin.latitude * radians);
  return [(longitude - origin.longitude) * radians * across, (latitude - origin.latitude) * radians * meridian];
}

/** The pixel at which a camera sees a place, by its lens; undefined behind it or far outside of its picture. */
export function project(point: Enu, { enu, lens }: PlacedSensor): Place | undefined {
  if (!lens) return undefined;
  const [x, y, z] = turned(lens, [point[0] - enu[0], point[1] - enu[1], point[2] - enu[2]]);
  if (z <= 0 || Math.abs(x / z) > (2 * lens.width) / lens.fx || Math.abs(y / z) > (2 * lens.height) / lens.fy) return undefined;
  const [u, v] = distorted(x / z, y / z, lens);
  return [lens.fx * u + lens.cx, lens.fy * v + lens.cy];
}

function turned({ enu_to_camera: m }: Lens, [e, n, u]: Enu): Enu {
  return [m[0] * e + m[1] * n + m[2] * u, m[3] * e + m[4] * n + m[5] * u, m[6] * e + m[7] * n + m[8] * u];
}

/** Brown's lens in OpenCV's order of coefficients. */
function distorted(a: number, b: number, { distortion: [k1, k2, p1, p2, k3] }: Lens): Place {
  const r2 = a * a + b * b;
  const radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3));
  return [a * radial + 2 * p1 * a * b + p2 * (r2 + 2 * a * a), b * radial + p1 * (r2 + 2 * b * b) + 2 * p2 * a * b];
}

/** Latitude and longitude (degrees) of a place near the site: the inverse of `placeOf`. */
export function geodeticOf([east, north]: Place, origin: Origin): readonly [number, number] {
  const [oneEast, oneNorth] = placeOf(origin.latitude + 1e-3, origin.longitude + 1e-3, origin);
  return [origin.latitude + (north / oneNorth) * 1e-3, origin.longitude + (east / oneEast) * 1e-3];
}
