/** Small signs beside words: classes, states of tracks, states of sensors. Always decoration: the word stands beside them. */

import { letterHeight, signs } from "./signs";
import type { ShownState } from "./state";
import type { Level } from "./threat";
import type { ClassName, SensorState } from "./wire";

export function ClassMark({ name }: { name: ClassName }) {
  return (
    <svg class={`mark class-mark ${name}`} viewBox="0 0 16 16" aria-hidden="true">
      <path d={signs[name].path} />
      <text x="8" y={letterHeight(name)}>
        {signs[name].letter}
      </text>
    </svg>
  );
}

const trackMarks: Readonly<Record<ShownState, string>> = {
  confirmed: "M8 3.4A4.6 4.6 0 1 1 8 12.6 4.6 4.6 0 1 1 8 3.4Z",
  tentative: "M8 3.4A4.6 4.6 0 1 1 8 12.6 4.6 4.6 0 1 1 8 3.4Z",
  coasting: "M8 3.4A4.6 4.6 0 1 1 8 12.6 4.6 4.6 0 1 1 8 3.4ZM8 3.4V12.6",
  lost: "M4.5 4.5 11.5 11.5M11.5 4.5 4.5 11.5",
};

export function TrackMark({ state }: { state: ShownState }) {
  return (
    <svg class={`mark track-mark ${state}`} viewBox="0 0 16 16" aria-hidden="true">
      <path d={trackMarks[state]} />
    </svg>
  );
}

const sensorMarks: Readonly<Record<SensorState, string>> = {
  starting: "M8 3.2A4.8 4.8 0 1 1 3.2 8",
  online: "M3.4 8.4 6.7 11.6 12.8 4.8",
  stale: "M8 3.2A4.8 4.8 0 1 1 8 12.8 4.8 4.8 0 1 1 8 3.2ZM8 5.4V8.3L10 9.6",
  frozen: "M5.6 3.8V12.2M10.4 3.8V12.2",
  down: "M4 4 12 12M12 4 4 12",
  failed: "M8 3V9.2M8 12.4V12.9",
  ended: "M4.2 4.2H11.8V11.8H4.2Z",
};

export function SensorMark({ state }: { state: SensorState }) {
  return (
    <svg class={`mark sensor-mark ${state}`} viewBox="0 0 16 16" aria-hidden="true">
      <path d={sensorMarks[state]} />
    </svg>
  );
}

/** One, two or three bars. */
export function ThreatMark({ level }: { level: Level }) {
  const bars = { low: 1, medium: 2, high: 3 }[level];
  return (
    <svg class={`mark threat-mark ${level}`} viewBox="0 0 16 16" aria-hidden="true">
      {[0, 1, 2].map((bar) => (
        <rect key={bar} class={bar < bars ? "is-on" : ""} x={1.5 + bar * 4.8} y={10 - bar * 3.6} width="3.4" height={4 + bar * 3.6} />
      ))}
    </svg>
  );
}

const identityMarks = {
  cooperative: "M3.4 8.4 6.7 11.6 12.8 4.8",
  unknown: "M5.6 5.8A2.4 2.4 0 1 1 8 8.6V9.6M8 12.4V12.6",
  claim: "M3 3H13V13H3ZM8 6V8.6M8 10.6V10.8",
  conflicting: "M8 1.5 9.4 5.6 13.6 4.4 10.6 8 13.6 11.6 9.4 10.4 8 14.5 6.6 10.4 2.4 11.6 5.4 8 2.4 4.4 6.6 5.6Z",
} as const;

/** A tick: says who it is, and it holds. A question mark: says nothing. A star of barbs: what it says does not hold. */
export function IdentityMark({ kind }: { kind: keyof typeof identityMarks }) {
  return (
    <svg class={`mark identity-mark ${kind}`} viewBox="0 0 16 16" aria-hidden="true">
      <path d={identityMarks[kind]} />
    </svg>
  );
}
