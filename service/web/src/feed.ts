/** One camera's pictures: received, decoded off the main thread, the newest kept. Whoever draws subscribes. */

import { signal } from "@preact/signals";
import { Socket } from "./socket";
import { type Picture, type PictureHeader, readPicture, videoAddress } from "./wire";
import { isReplay } from "./world";

/** A decoded picture with what was found in it. */
export interface Shown {
  readonly header: PictureHeader;
  readonly bitmap: ImageBitmap;
  /** When it arrived, milliseconds UTC of this console. */
  readonly arrived: number;
}

/** Taken off a lag with each picture, so that a clock that was set does not leave a camera stale for ever. */
const forgivenMs = 1;

export class Feed {
  shown: Shown | undefined;
  /** Smoothed age of a picture when it is shown, milliseconds; undefined while clocks disagree. */
  readonly latency = signal<number | undefined>(undefined);
  /** How much later pictures come than they can, milliseconds: what has piled up on the way. Needs no equal clocks. */
  behind = 0;
  readonly hasPicture = signal(false);
  private readonly viewers = new Set<() => void>();
  private waiting: Picture | undefined;
  private decoding = false;
  private soonest = Infinity;
  private readonly socket: Socket;

  constructor(readonly sensor: string) {
    this.socket = new Socket(() => videoAddress(sensor), { bytes: (bytes) => this.receive(bytes) });
  }

  /** Call `changed` after each new picture; gives back what ends that. */
  watch(changed: () => void): () => void {
    this.viewers.add(changed);
    return () => this.viewers.delete(changed);
  }

  stop(): void {
    this.socket.stop();
    this.shown?.bitmap.close();
    this.shown = undefined;
  }

  /** Answered at once: the service sends at most two pictures ahead, so that nothing old queues on a slow line. */
  private receive(bytes: ArrayBuffer): void {
    this.socket.say("came");
    this.take(readPicture(bytes));
  }

  /** While one picture is being decoded only the newest waits: a slow console skips, it never lags. */
  private take(picture: Picture): void {
    this.waiting = picture;
    if (!this.decoding) void this.decode();
  }

  private async decode(): Promise<void> {
    this.decoding = true;
    while (this.waiting) {
      const { header, jpeg } = this.waiting;
      this.waiting = undefined;
      try {
        this.show(header, await createImageBitmap(jpeg));
      } catch {
        // A broken picture is left out; the sensor's own state tells of a broken camera.
      }
    }
    this.decoding = false;
  }

  private show(header: PictureHeader, bitmap: ImageBitmap): void {
    this.shown?.bitmap.close();
    this.shown = { header, bitmap, arrived: Date.now() };
    if (!isReplay) this.measure(Date.now() - Date.parse(header.time));
    this.hasPicture.value = true;
    tell();
    for (const changed of this.viewers) changed();
  }

  private measure(ms: number): void {
    this.soonest = Math.min(ms, this.soonest + forgivenMs);
    this.behind = ms - this.soonest;
    if (ms < 0 || ms > 60_000) return;
    const before = this.latency.peek() ?? ms;
    this.latency.value = before + (ms - before) * 0.15;
  }
}

const patienceMs = 1500;
let tell: () => void = () => {};
/** The first picture stands, or has been waited for long enough: what else is to be asked of the service may be asked. */
export const pictured = new Promise<void>((resolve) => {
  tell = resolve;
  setTimeout(resolve, patienceMs);
});

const feeds = new Map<string, Feed>();

/** The feed of a camera; the same one for every view of it. */
export function feedOf(sensor: string): Feed {
  const feed = feeds.get(sensor) ?? new Feed(sensor);
  feeds.set(sensor, feed);
  return feed;
}

/** Stop the feeds of cameras that are no more. */
export function keepFeeds(sensors: ReadonlySet<string>): void {
  for (const [sensor, feed] of feeds) {
    if (sensors.has(sensor)) continue;
    feed.stop();
    feeds.delete(sensor);
  }
}
