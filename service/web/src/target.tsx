/** The selected track: a near view of it, cut from the very picture it was found in, and what is known of it. */

import { computed } from "@preact/signals";
import { useRef } from "preact/hooks";
import { duration, now, timeOfDay } from "./clock";
import { evidenceText } from "./evidence";
import type { Shown } from "./feed";
import { forecasts } from "./forecast";
import { heightSigma, ellipseOf, within95 } from "./ground";
import { bestCamera, boxOf } from "./joined";
import { ClassMark, TrackMark } from "./marks";
import { Figures } from "./parts";
import { type View, around } from "./paint";
import { Picture } from "./picture";
import { ranked } from "./ranking";
import { areaOf } from "./chart";
import { type LocatedTrack, plan, worldTracks, zoneNames } from "./site";
import { type ListedTrack, selectedTrack, stateOf, targetZoom } from "./state";
import { type Strings, words } from "./strings";
import { Identity, compass, metresText, rangeOf, reasonText } from "./threats";
import { type Band, type Box, type ClassName, classNames } from "./wire";

const nearest = 4;
const farthest = 0.25;

export function zoomBy(factor: number): void {
  targetZoom.value = Math.min(nearest, Math.max(farthest, targetZoom.value * factor));
}

/** The box in the picture shown; between pictures with it, the last one known. */
function boxIn(shown: Shown, track: ListedTrack): Box | null {
  if (track.space === "world") return boxOf(track.id, shown.header)?.box ?? null;
  return shown.header.tracks.find(({ id }) => id === track.id)?.box ?? track.box;
}

function viewOf(track: ListedTrack, zoom: number) {
  return (canvas: HTMLCanvasElement, shown: Shown, dpr: number): View | undefined => {
    const box = boxIn(shown, track);
    return box ? around(canvas, box, shown.header, zoom, dpr) : undefined;
  };
}

function Evidence({ track, name }: { track: ListedTrack; name: ClassName }) {
  const probability = track.probabilities[name] ?? 0;
  return (
    <li class={name === track.class ? "best" : ""}>
      <ClassMark name={name} />
      <span class="evidence-name">{words.value.classes[name]}</span>
      <span class="bar" aria-hidden="true">
        <span style={{ width: `${probability * 100}%` }} />
      </span>
      <span class="figure">{Math.round(probability * 100)} %</span>
    </li>
  );
}

function factsOf(track: ListedTrack, t: Strings): readonly (readonly [string, string])[] {
  const [x, y, width, height] = track.box ?? [0, 0, 0, 0];
  const [vx, vy] = [track.velocity[0] ?? 0, track.velocity[1] ?? 0];
  return [
    [t.fact.score, `${Math.round(track.score * 100)} %`],
    [t.fact.existence, `${(track.existence * 100).toFixed(1)} %`],
    [t.fact.age, duration(track.age * 1000)],
    [t.fact.speed, `${Math.hypot(vx, vy).toFixed(0)} px/s`],
    [t.fact.position, `${(x + width / 2).toFixed(0)}, ${(y + height / 2).toFixed(0)} px`],
    [t.fact.size, `${width.toFixed(0)} × ${height.toFixed(0)} px`],
    [t.fact.sensor, track.sensor ?? track.sensors.join(", ")],
    [t.fact.seen, timeOfDay(Date.parse(track.time))],
  ];
}

const sigma = (metres: number, t: Strings): string => t.uncertain(metresText(metres));

function worldFacts(track: LocatedTrack, t: Strings): readonly (readonly [string, string])[] {
  const [east, north, up] = track.enu;
  const [ve = 0, vn = 0, vu = 0] = track.velocity;
  const spread = ellipseOf(track.covariance).major * within95;
  const area = areaOf(track, plan.value?.sensors ?? []);
  const speed = Math.hypot(ve, vn);
  return [
    [t.fact.place, `${compass(east, north)}  ${area && "apex" in area ? t.onlyDirection : `${metresText(rangeOf(track))} ${sigma(spread, t)}`}`],
    [t.fact.height, `${metresText(up)} ${sigma(1.96 * heightSigma(track.covariance), t)}`],
    [t.fact.speed, `${speed.toFixed(1)} m/s`],
    [t.fact.heading, speed < 0.7 ? "–" : compass(ve, vn)],
    [t.fact.climb, `${vu.toFixed(1)} m/s`],
    [t.fact.existence, `${(track.existence * 100).toFixed(1)} %`],
    [t.fact.age, duration(track.age * 1000)],
    [t.fact.seen, timeOfDay(Date.parse(track.time))],
  ];
}

/** Who it says it is, why it is a threat, and which sensors vouch for it. */
function Why({ track }: { track: LocatedTrack }) {
  const t = words.value;
  const threat = ranked.value.find((each) => each.track.id === track.id)?.threat;
  const reasons = threat?.reasons.map((reason) => reasonText(reason, t)) ?? [];
  const ahead = forecasts.value.get(track.id)?.entries ?? [];
  const coming = ahead.map(({ zone, after, sigma }) => t.timeTo(zoneNames.value.get(zone) ?? zone, after, sigma));
  const told = [...new Set([...coming, ...reasons, ...track.evidence.map(evidenceText)])].filter(Boolean);
  return (
    <div class="why">
      <p>
        <Identity track={track} />
        {track.claimed_id && track.identity === "conflicting" && <small>{track.claimed_id}</small>}
      </p>
      {told.length > 0 && <ul>{told.map((each) => <li key={each}>{each}</li>)}</ul>}
      <p>
        <small>{track.sensors.join(", ")}</small>
      </p>
    </div>
  );
}

/** Whether any camera could ever show a track of the site. */
const hasCameras = computed(() => (plan.value?.sensors ?? []).some(({ lens }) => lens));

const bands: readonly Band[] = ["visible", "infrared"];

/** A camera, and when it was last the best. */
interface Held {
  readonly sensor: string;
  readonly at: number;
}

/** A target is missed now and then in one picture: another camera is looked through only after this long. */
const heldMs = 1500;

function viewIn(track: ListedTrack, band: Band, held: Held | undefined): Held | undefined {
  const [best, at] = [bestCamera(track.id, band, held?.sensor), performance.now()];
  if (best === undefined) return held;
  return held && best !== held.sensor && at - held.at < heldMs ? held : { sensor: best, at };
}

/** The cameras for the near view: that of an image track; for one of the site, in each band the one that shows it best. */
function useViews(track: ListedTrack): readonly string[] {
  const before = useRef<{ id: string; views: readonly (Held | undefined)[] }>({ id: "", views: [] });
  if (track.space !== "world") return track.sensor === null ? [] : [track.sensor];
  const views = before.current.id === track.id ? before.current.views : [];
  before.current = { id: track.id, views: bands.map((band, index) => viewIn(track, band, views[index])) };
  return before.current.views.flatMap((view) => (view ? [view.sensor] : []));
}

function Found({ track }: { track: ListedTrack }) {
  const t = words.value;
  const state = stateOf(track);
  const views = useViews(track);
  const inSpace = worldTracks.value.find(({ id }) => id === track.id);
  const name = `${t.classes[track.class]} ${track.number}`;
  return (
    <div class="target-body">
      <div class={`crop ${state === "lost" ? "is-stale" : ""} ${inSpace && !hasCameras.value ? "is-blind" : ""}`}>
        {views.map((sensor) => (
          <div class="crop-view" key={sensor}>
            <Picture sensor={sensor} label={`${t.cropLabel(name)}, ${sensor}`} labels={false} view={viewOf(track, targetZoom.value)} />
            {inSpace && <span class="crop-sensor">{sensor}</span>}
          </div>
        ))}
        {views.length === 0 && hasCameras.value && <p class="crop-none">{t.noView}</p>}
        <div class="crop-title">
          <ClassMark name={track.class} />
          <strong>{name}</strong>
          <span class={`state-word ${state}`}>
            <TrackMark state={state} />
            {track.endedAt === undefined
              ? t.states[state]
              : t.targetGone(Math.max(0, Math.round((now.value - track.endedAt) / 1000)))}
          </span>
        </div>
        {views.length > 0 && <div class="crop-zoom">
          <button type="button" class="quiet" aria-label={t.zoomOut} title={`${t.zoomOut} (−)`} onClick={() => zoomBy(1 / 1.5)}>
            <svg viewBox="0 0 16 16" aria-hidden="true">
              <path d="M4 8H12" />
            </svg>
          </button>
          <button type="button" class="quiet" aria-label={t.zoomIn} title={`${t.zoomIn} (+)`} onClick={() => zoomBy(1.5)}>
            <svg viewBox="0 0 16 16" aria-hidden="true">
              <path d="M4 8H12M8 4V12" />
            </svg>
          </button>
        </div>}
      </div>
      <div class="target-facts">
      {inSpace && <Why track={inSpace} />}
      <ul class="evidence" aria-label={t.column.class}>
        {classNames.map((each) => (
          <Evidence key={each} track={track} name={each} />
        ))}
      </ul>
      <Figures kind="facts" rows={inSpace ? worldFacts(inSpace, t) : factsOf(track, t)} />
      </div>
    </div>
  );
}

export function TargetPanel() {
  const t = words.value;
  const track = selectedTrack.value;
  return (
    <section class={`panel target ${track ? "" : "is-empty"}`} aria-label={t.target}>
      <header class="panel-head">
        <h2>{t.target}</h2>
        {track && <span class="count">{track.id}</span>}
      </header>
      {track ? (
        <Found track={track} />
      ) : (
        <p class="empty">
          {t.noTarget}
          <small>{t.noTargetHint}</small>
        </p>
      )}
    </section>
  );
}
