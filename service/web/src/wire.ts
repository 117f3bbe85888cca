/** What the service sends: REST, the topic socket and the video socket. The shapes themselves are in schema.ts. */

import type { Alert, Detection, Sensor, Track } from "./schema";
import { inWorld } from "./world";

export type { Alert, Detection, Sensor, SensorState, Track } from "./schema";
export type ClassName = Track["class"];
export type Band = NonNullable<Sensor["spectrum"]>;

/** x, y, width, height in pixels of the full-size frame. */
export type Box = NonNullable<Track["box"]>;

/** A track as it is in one picture. */
export interface PictureTrack extends Pick<Track, "id" | "class" | "state" | "score"> {
  readonly box: Box;
  /** Centres of the box during the last seconds, oldest first, ending in this very picture. */
  readonly trail: readonly (readonly [number, number])[];
}

/** In front of each JPEG: what was found in that very picture. */
export interface PictureHeader {
  readonly sensor: string;
  readonly sequence: number;
  readonly time: string;
  readonly width: number;
  readonly height: number;
  readonly detections: readonly Pick<Detection, "class" | "score" | "box">[];
  readonly tracks: readonly PictureTrack[];
}

export type Message =
  | {
      readonly type: "snapshot";
      readonly seq: number;
      readonly tracks: readonly Track[];
      readonly sensors: readonly Sensor[];
      readonly alerts: readonly Alert[];
    }
  | { readonly type: "update"; readonly seq: number; readonly time: string; readonly data: Track }
  | { readonly type: "delete"; readonly seq: number; readonly time: string; readonly data: { readonly id: string } }
  | { readonly type: "alert"; readonly seq: number; readonly time: string; readonly data: Alert }
  | { readonly type: "sensor"; readonly seq: number; readonly time: string; readonly data: Sensor }
  | { readonly type: "lagged"; readonly missed: number };

export const classNames: readonly ClassName[] = ["drone", "bird", "airplane", "helicopter"];

const address = (path: string): string => {
  const url = new URL(path, location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
};

export const topicsAddress = (): string => address(inWorld("/api/v1/ws?topics=tracks,sensors,alerts"));
export const videoAddress = (sensor: string): string => 
  address(inWorld(`/api/v1/ws/video?sensor=${encodeURIComponent(sensor)}`));

/** A message of the topic socket. Types this console does not know yet come out as undefined. */
export function readMessage(text: string): Message | undefined {
  const message = JSON.parse(text) as Message;
  return ["snapshot", "update", "delete", "alert", "sensor", "lagged"].includes(message.type) ? message : undefined;
}

export interface Picture {
  readonly header: PictureHeader;
  readonly jpeg: Blob;
}

const utf8 = new TextDecoder();

/** A message of the video socket: uint32 little-endian length of the header, header as JSON, JPEG. */
export function readPicture(bytes: ArrayBuffer): Picture {
  const length = new DataView(bytes).getUint32(0, true);
  const header = JSON.parse(utf8.decode(new Uint8Array(bytes, 4, length))) as PictureHeader;
  return { header, jpeg: new Blob([new Uint8Array(bytes, 4 + length)], { type: "image/jpeg" }) };
}
