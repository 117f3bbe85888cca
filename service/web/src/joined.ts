/** Which box in a picture is which track of the site: by where the lens puts the track at the time of the picture. */

import { feedOf } from "./feed";
import { type Place, project } from "./ground";
import type { PlacedSensor } from "./schema";
import { type LocatedTrack, placed, worldTracks } from "./site";
import { sensors } from "./state";
import type { Band, Box, PictureHeader, PictureTrack } from "./wire";

/** What a picture shows of the site's tracks. */
export interface Joined {
  /** By the id of the image track. */
  readonly byBox: ReadonlyMap<string, LocatedTrack>;
  /** Pixels at which tracks of this camera's view must be, by the id of the world track. */
  readonly expected: ReadonlyMap<string, Place>;
}

const nothing: Joined = { byBox: new Map(), expected: new Map() };
const longestMs = 3000;
/** A box is a track's when its centre is no further off than this share of the picture's width, or its own size. */
const widthShare = 0.03;

/** Where a track is at a time, carried on at its velocity. */
function carried({ enu, velocity, time }: LocatedTrack, at: number): readonly [number, number, number] {
  const seconds = Math.min(longestMs, Math.max(0, at - Date.parse(time))) / 1000;
  const [ve = 0, vn = 0, vu = 0] = velocity;
  return [enu[0] + ve * seconds, enu[1] + vn * seconds, enu[2] + vu * seconds];
}

const distance = ({ box }: PictureTrack, [x, y]: Place): number =>
  Math.hypot(box[0] + box[2] / 2 - x, box[1] + box[3] / 2 - y);

const inPicture = ([x, y]: Place, { width, height }: PictureHeader): boolean => x >= 0 && x < width && y >= 0 && y < height;

function expectedIn(header: PictureHeader, camera: PlacedSensor): Map<string, Place> {
  const at = Date.parse(header.time);
  const found = new Map<string, Place>();
  for (const track of worldTracks.peek()) {
    const pixel = track.endedAt === undefined ? project(carried(track, at), camera) : undefined;
    if (pixel && inPicture(pixel, header)) found.set(track.id, pixel);
  }
  return found;
}

/** Nearest pairs first, each box and each track once. Claims are not seen, so no box is theirs. */
export function join(header: PictureHeader): Joined {
  const camera = placed.peek().get(header.sensor);
  if (!camera?.lens) return nothing;
  const expected = expectedIn(header, camera);
  const pairs = worldTracks
    .peek()
    .filter((track) => track.sensors.includes(header.sensor) && !track.claim_only)
    .flatMap((track) => {
      const pixel = expected.get(track.id);
      return pixel ? header.tracks.map((box) => ({ track, box, apart: distance(box, pixel) })) : [];
    })
    .filter(({ box, apart }) => apart < Math.max(widthShare * header.width, 0.75 * Math.max(box.box[2], box.box[3])))
    .sort((a, b) => a.apart - b.apart);
  const byBox = new Map<string, LocatedTrack>();
  const taken = new Set<string>();
  for (const { track, box } of pairs) {
    if (byBox.has(box.id) || taken.has(track.id)) continue;
    byBox.set(box.id, track);
    taken.add(track.id);
  }
  return { byBox, expected };
}

/** The box of a track in a picture, or where it must be; undefined when it is not in this picture. */
export function boxOf(id: string, header: PictureHeader): { readonly box: Box; readonly found: boolean } | undefined {
  const { byBox, expected } = join(header);
  const found = header.tracks.find((box) => byBox.get(box.id)?.id === id);
  if (found) return { box: found.box, found: true };
  const pixel = expected.get(id);
  const size = header.width * widthShare;
  return pixel && { box: [pixel[0] - size / 2, pixel[1] - size / 2, size, size], found: false };
}

/** How well a camera shows a track: the box's share of its picture; a little where it only must be. */
function worth(id: string, sensor: string): number {
  const shown = feedOf(sensor).shown;
  const seen = shown && boxOf(id, shown.header);
  if (!shown || !seen) return 0;
  return seen.found ? seen.box[2] / shown.header.width : 1e-4;
}

/** A view is left for another only when that one is this much better, so that the picture does not flicker. */
const stickiness = 1.4;

/** The camera of a band that shows a track best; `now` is the one that shows it so far. */
export function bestCamera(id: string, band: Band, now: string | undefined): string | undefined {
  const bands = new Map(sensors.peek().map((sensor) => [sensor.id, sensor.spectrum]));
  const rated = [...placed.peek().values()]
    .filter(({ id: sensor, lens }) => lens && bands.get(sensor) === band)
    .map(({ id: sensor }) => ({ sensor, value: worth(id, sensor) * (sensor === now ? stickiness : 1) }))
    .filter(({ value }) => value > 0);
  return rated.sort((a, b) => b.value - a.value)[0]?.sensor;
}
