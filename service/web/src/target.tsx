/** The selected track: a near view of it, cut from the very picture it was found in, and what is known of it. */

import { duration, now, timeOfDay } from "./clock";
import type { Shown } from "./feed";
import { ClassMark, TrackMark } from "./marks";
import { type View, around } from "./paint";
import { Picture } from "./picture";
import { type ListedTrack, selectedTrack, stateOf, targetZoom } from "./state";
import { type Strings, words } from "./strings";
import { type Box, type ClassName, classNames } from "./wire";

const nearest = 4;
const farthest = 0.25;

export function zoomBy(factor: number): void {
  targetZoom.value = Math.min(nearest, Math.max(farthest, targetZoom.value * factor));
}

/** The box in the picture shown; between pictures with it, the last one known. */
function boxIn(shown: Shown, track: ListedTrack): Box | null {
  return shown.header.tracks.find(({ id }) => id === track.id)?.box ?? track.box;
}

function viewOf(track: ListedTrack, zoom: number) {
  return (canvas: HTMLCanvasElement, shown: Shown, dpr: number): View | undefined => {
    const box = boxIn(shown, track);
    return box ? around(canvas, box, zoom, dpr) : undefined;
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

function Found({ track }: { track: ListedTrack }) {
  const t = words.value;
  const state = stateOf(track);
  const name = `${t.classes[track.class]} ${track.number}`;
  return (
    <>
      <div class={`crop ${state === "lost" ? "is-stale" : ""}`}>
        {track.sensor && (
          <Picture sensor={track.sensor} label={t.cropLabel(name)} labels={false} view={viewOf(track, targetZoom.value)} />
        )}
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
        <div class="crop-zoom">
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
        </div>
      </div>
      <ul class="evidence" aria-label={t.column.class}>
        {classNames.map((each) => (
          <Evidence key={each} track={track} name={each} />
        ))}
      </ul>
      <dl class="facts">
        {factsOf(track, t).map(([term, value]) => (
          <div key={term}>
            <dt>{term}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </>
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
