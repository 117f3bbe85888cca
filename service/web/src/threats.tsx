/** The list of a site that locates: tracks by threat, each with the reasons in words. */

import { useEffect, useRef } from "preact/hooks";
import { alertText } from "./alert_words";
import { areaOf } from "./chart";
import { evidenceText } from "./evidence";
import { ClassMark, IdentityMark, ThreatMark, TrackMark } from "./marks";
import { type Ranked, rowId } from "./ranking";
import { select, selected, stateOf } from "./state";
import { type Strings, words } from "./strings";
import type { Reason } from "./threat";
import { type LocatedTrack, plan } from "./site";

export function reasonText(reason: Reason, t: Strings): string {
  switch (reason.why) {
    case "zone":
      return alertText(reason.alert);
    case "conflict":
      return evidenceText(reason.text);
    case "nearer":
      return t.reasons.nearer(reason.metresPerSecond);
    default:
      return t.reasons[reason.why];
  }
}

/** What is known of its identity: a sign and a word. */
export function Identity({ track }: { track: LocatedTrack }) {
  const t = words.value;
  const kind = track.claim_only && track.identity !== "conflicting" ? "claim" : track.identity;
  return (
    <span class={`identity ${kind}`}>
      <IdentityMark kind={kind} />
      <span>{kind === "cooperative" || kind === "claim" ? (track.claimed_id ?? t.identity[kind]) : t.identity[kind]}</span>
    </span>
  );
}

export const rangeOf = ({ enu }: LocatedTrack): number => Math.hypot(enu[0], enu[1]);

/** Degrees clockwise from north, three figures as on a compass. */
export const compass = (east: number, north: number): string =>
  `${String(Math.round((Math.atan2(east, north) * 180) / Math.PI + 360) % 360).padStart(3, "0")}°`;

/** How far off and how high; of a target of which only the direction is known, that. */
function Where({ track }: { track: LocatedTrack }) {
  const area = areaOf(track, plan.value?.sensors ?? []);
  if (area && "apex" in area) {
    return (
      <span class="figure threat-place">
        {compass(Math.cos(area.direction), Math.sin(area.direction))} <small>{words.value.onlyDirection}</small>
      </span>
    );
  }
  return (
    <span class="figure threat-place">
      {metresText(rangeOf(track))} <small>↑{metresText(track.enu[2])}</small>
    </span>
  );
}

export const metresText = (value: number): string => (value >= 10_000 ? `${(value / 1000).toFixed(1)} km` : `${Math.round(value)} m`);

export function ThreatRow({ ranked: { track, threat } }: { ranked: Ranked }) {
  const t = words.value;
  const state = stateOf(track);
  const chosen = track.id === selected.value;
  const element = useRef<HTMLLIElement>(null);
  useEffect(() => {
    if (chosen) element.current?.scrollIntoView({ block: "nearest" });
  }, [chosen]);
  return (
    <li
      ref={element}
      id={rowId(track.id)}
      class={`track threat ${state} ${threat.level}`}
      role="option"
      aria-selected={chosen}
      data-track={track.id}
      onClick={() => select(track.id)}
    >
      <span class="threat-level" title={t.levels[threat.level]}>
        <ThreatMark level={threat.level} />
        <span class="heard">{t.levels[threat.level]}</span>
      </span>
      <span class="threat-what">
        <span class="threat-line">
          <ClassMark name={track.class} />
          <span class="threat-name">
            {t.classes[track.class]} {track.id}
          </span>
          <Identity track={track} />
          <Where track={track} />
          <span class="threat-state" title={t.states[state]}>
            <TrackMark state={state} />
            <span class="heard">{t.states[state]}</span>
          </span>
        </span>
        <small class="threat-why">{threat.reasons.map((reason) => reasonText(reason, t)).filter(Boolean).join(" · ")}</small>
      </span>
    </li>
  );
}
