/** The wall: every camera live, or one of them in full view. */

import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { duration, now, timeOfFrame } from "./clock";
import { type Feed, feedOf } from "./feed";
import { link } from "./link";
import { SensorMark } from "./marks";
import { fit } from "./paint";
import { Picture } from "./picture";
import { camera, full, introduced, sensors, tracks } from "./state";
import { words } from "./strings";
import type { Sensor, SensorState } from "./wire";
import { isReplay } from "./world";

/** A camera that says it is online and shows nothing new this long is stale, whatever it says; so is one that lags. */
const staleMs = 1500;
const lagMs = 2500;
const gapPx = 10;

/** How a camera must look, from what the service says and from what really arrives here. */
export function shownState(sensor: Sensor, feed: Feed | undefined, at: number): SensorState {
  const late = !isReplay && feed?.shown !== undefined && (at - feed.shown.arrived > staleMs || feed.behind > lagMs);
  if (sensor.state === "online" && (late || link.value.state === "lost")) return "stale";
  return sensor.state;
}

/** Why it is so, in the service's own sentence where that is what is shown. */
export function reasonOf(sensor: Sensor, state: SensorState): string {
  const t = words.value;
  if (link.value.state === "lost") return t.noAnswer;
  return (state === sensor.state && sensor.reason) || t.sensorReasons[state];
}

/** Columns that make `count` tiles of one aspect the largest, and the width of one; side by side when nearly as large. */
export function bestColumns(count: number, aspect: number, width: number, height: number) {
  let best = { columns: 1, tile: 0 };
  for (let columns = 1; columns <= count; columns++) {
    const rows = Math.ceil(count / columns);
    const across = (width - gapPx * (columns - 1)) / columns;
    const down = ((height - gapPx * (rows - 1)) / rows) * aspect;
    const tile = Math.floor(Math.min(across, down));
    if (tile > best.tile * 0.9) best = { columns, tile };
  }
  return best;
}

function Corner({ sensor, feed, state }: { sensor: Sensor; feed: Feed; state: SensorState }) {
  const t = words.value;
  const latency = feed.latency.value;
  return (
    <div class="tile-foot" aria-hidden="true">
      <span class="figure">
        {sensor.fps.toFixed(1)} <small>{t.health.fps}</small>
      </span>
      {latency !== undefined && state === "online" && (
        <span class="figure">
          {Math.round(latency)} <small>ms</small>
        </span>
      )}
      <span class="figure time">{feed.shown && timeOfFrame(Date.parse(feed.shown.header.time))}</span>
    </div>
  );
}

function Curtain({ sensor, feed, state }: { sensor: Sensor; feed: Feed; state: SensorState }) {
  const t = words.value;
  return (
    <div class={`curtain ${state}`}>
      <div class="curtain-word">
        <SensorMark state={state} />
        {t.sensorStates[state]}
      </div>
      <p>{reasonOf(sensor, state)}</p>
      <p class="dim">{feed.shown ? t.lastPicture(duration(now.value - feed.shown.arrived)) : t.noPicture}</p>
    </div>
  );
}

function Tile({ sensor, number }: { sensor: Sensor; number: number }) {
  const t = words.value;
  const feed = feedOf(sensor.id);
  void feed.hasPicture.value;
  const state = shownState(sensor, feed, now.value);
  const here = tracks.value.filter((track) => track.sensor === sensor.id && track.endedAt === undefined);
  const chosen = camera.value === sensor.id;
  const open = (): void => {
    full.value = !(full.value && chosen);
    camera.value = sensor.id;
  };
  return (
    <article
      class={`tile ${state === "online" ? "" : "is-stale"} ${chosen ? "is-chosen" : ""}`}
      data-sensor={sensor.id}
      data-state={state}
      onDblClick={open}
    >
      <Picture
        sensor={sensor.id}
        label={t.pictureLabel(sensor.id, sensor.spectrum ? t.bands[sensor.spectrum] : "", here.length)}
        labels
        view={(canvas, shown, dpr) => fit(canvas, shown.header.width, shown.header.height, dpr)}
      />
      {(state !== "online" || !feed.hasPicture.value) && <Curtain sensor={sensor} feed={feed} state={state} />}
      <header class="tile-head">
        {number <= 9 && <kbd>{number}</kbd>}
        <h3>{sensor.id}</h3>
        {sensor.spectrum && <span class="band">{t.bands[sensor.spectrum]}</span>}
        <button type="button" class="quiet" onClick={open} aria-pressed={full.value && chosen} title={`${t.fullView} (f)`}>
          <svg viewBox="0 0 16 16" aria-hidden="true">
            <path d="M2.5 6V2.5H6M10 2.5H13.5V6M13.5 10V13.5H10M6 13.5H2.5V10" />
          </svg>
          <span class="heard">{t.fullView}</span>
        </button>
      </header>
      <Corner sensor={sensor} feed={feed} state={state} />
    </article>
  );
}

/** Width and height of an element as it changes. */
export function useSize<Kind extends HTMLElement>() {
  const element = useRef<Kind>(null);
  const [size, setSize] = useState({ width: 0, height: 0 });
  useLayoutEffect(() => {
    if (!element.current) return;
    const observer = new ResizeObserver(([entry]) => {
      if (entry) setSize({ width: entry.contentRect.width, height: entry.contentRect.height });
    });
    observer.observe(element.current);
    return () => observer.disconnect();
  }, []);
  return { element, ...size };
}

export const cameraSensors = (all: readonly Sensor[]): readonly Sensor[] => all.filter((sensor) => sensor.kind === "camera");

const aspectOf = ({ width, height }: Sensor): number => (width && height ? width / height : 1.25);

export const cameraAspect = (all: readonly Sensor[]): number =>
  all.length ? all.reduce((sum, sensor) => sum + aspectOf(sensor), 0) / all.length : 1.25;

/** `strip`: one row below a map, each tile as wide as fits. */
export function Wall({ strip = false }: { strip?: boolean }) {
  const t = words.value;
  const { element, width, height } = useSize<HTMLDivElement>();
  const all = cameraSensors(sensors.value);
  const shown = full.value ? all.filter((sensor) => sensor.id === camera.value) : all;
  const aspect = cameraAspect(shown);
  const { columns, tile } = bestColumns(shown.length, aspect, width, height);
  const row = strip && !full.value;
  if (strip && all.length === 0) return null; // a map without cameras is a whole page
  return (
    <section class={`wall ${row ? "is-strip" : ""}`} aria-label={t.cameras}>
      <div
        class="tiles"
        ref={element}
        style={{ "--columns": row ? shown.length : columns, "--tile": `${tile}px`, "--aspect": aspect.toFixed(4) }}
      >
        {shown.map((sensor) => (
          <Tile key={sensor.id} sensor={sensor} number={all.indexOf(sensor) + 1} />
        ))}
        {all.length === 0 && <p class="empty">{introduced.value ? t.noCameras : t.waitingForCameras}</p>}
      </div>
    </section>
  );
}
