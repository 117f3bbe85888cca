/** The list of tracks: a listbox with sortable columns and a filter that is always in sight. */

import { computed, signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { duration } from "./clock";
import { ClassMark, TrackMark } from "./marks";
import { countAll, rankedShown, rowId, rows as listed, unplacedTracks } from "./ranking";
import { located } from "./site";
import {
  type Column,
  type Filter,
  type ListedTrack,
  type ShownState,
  filter,
  noFilter,
  order,
  select,
  selected,
  sensors,
  sortBy,
  stateOf,
  tracks,
} from "./state";
import { words } from "./strings";
import { ThreatRow } from "./threats";
import { classNames } from "./wire";

const columns: readonly Column[] = ["class", "id", "sensor", "state", "score", "age"];
const states: readonly ShownState[] = ["confirmed", "coasting", "tentative", "lost"];
const ages = [0, 1, 5, 30];
/** Nobody reads more; a page of hundreds of rows that change ten times a second is slow. */
const mostRows = 100;

function toggled<Item>(set: ReadonlySet<Item>, item: Item): ReadonlySet<Item> {
  const next = new Set(set);
  if (!next.delete(item)) next.add(item);
  return next;
}

const change = (part: Partial<Filter>): void => {
  filter.value = { ...filter.value, ...part };
};

function Filters() {
  const t = words.value;
  const { hiddenClasses, hiddenStates } = filter.value;
  return (
    <div class="filters" role="group" aria-label={t.filters}>
      {classNames.map((name) => (
        <button
          type="button"
          key={name}
          class="chip"
          aria-pressed={!hiddenClasses.has(name)}
          title={t.classes[name]}
          onClick={() => change({ hiddenClasses: toggled(hiddenClasses, name) })}
        >
          <ClassMark name={name} />
          <span class="heard">{t.classes[name]}</span>
        </button>
      ))}
      <span class="rule" />
      {states.map((state) => (
        <button
          type="button"
          key={state}
          class="chip"
          aria-pressed={!hiddenStates.has(state)}
          title={t.states[state]}
          onClick={() => change({ hiddenStates: toggled(hiddenStates, state) })}
        >
          <TrackMark state={state} />
          <span class="heard">{t.states[state]}</span>
        </button>
      ))}
    </div>
  );
}

const opened = signal(false);
/** Sensor and age are chosen seldom: they are in sight while somebody chooses, and while they narrow the list. */
const choosing = computed(() => opened.value || filter.value.sensor !== undefined || filter.value.olderThanS > 0);

function Choices() {
  const t = words.value;
  const { sensor, olderThanS } = filter.value;
  return (
    <div class="choices">
      <select
        aria-label={t.column.sensor}
        value={sensor ?? ""}
        onChange={(event) => change({ sensor: event.currentTarget.value || undefined })}
      >
        <option value="">{t.allSensors}</option>
        {sensors.value.map(({ id }) => (
          <option key={id} value={id}>
            {id}
          </option>
        ))}
      </select>
      <select
        aria-label={t.column.age}
        value={olderThanS}
        onChange={(event) => change({ olderThanS: Number(event.currentTarget.value) })}
      >
        {ages.map((age) => (
          <option key={age} value={age}>
            {age === 0 ? t.anyAge : t.olderThan(`${age} s`)}
          </option>
        ))}
      </select>
    </div>
  );
}

function Heads() {
  const t = words.value;
  const { column: sorted, falling } = order.value;
  return (
    <div class="heads row" role="group" aria-label={t.tracks}>
      {columns.map((column) => (
        <button
          type="button"
          key={column}
          class={`cell ${column}`}
          aria-pressed={column === sorted}
          aria-label={t.sortBy(t.column[column])}
          onClick={() => sortBy(column)}
        >
          <span>{t.column[column]}</span>
          {column === sorted && (
            <svg class={`arrow ${falling ? "up" : ""}`} viewBox="0 0 8 8" aria-hidden="true">
              <path d="M1 2.5 4 6 7 2.5" />
            </svg>
          )}
        </button>
      ))}
    </div>
  );
}

function Row({ track }: { track: ListedTrack }) {
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
      class={`row track ${state}`}
      role="option"
      aria-selected={chosen}
      data-track={track.id}
      onClick={() => select(track.id)}
    >
      <span class="cell class">
        <ClassMark name={track.class} />
        {t.classes[track.class]}
      </span>
      <span class="cell id">{track.number}</span>
      <span class="cell sensor">
        <span>{track.sensor}</span>
      </span>
      <span class="cell state">
        <TrackMark state={state} />
        <span class="word">{t.states[state]}</span>
      </span>
      <span class="cell score">{Math.round(track.score * 100)} %</span>
      <span class="cell age">{duration(track.age * 1000)}</span>
    </li>
  );
}

function Nothing() {
  const t = words.value;
  if (tracks.value.length === 0) {
    return (
      <p class="empty">
        {t.noTracks}
        <small>{t.noTracksHint}</small>
      </p>
    );
  }
  return (
    <p class="empty">
      {t.noMatch}
      <button type="button" onClick={() => (filter.value = noFilter)}>
        {t.clearFilter}
      </button>
    </p>
  );
}

export function TrackList() {
  const t = words.value;
  const rows = listed.value;
  const ranked = located.value ? rankedShown.value.filter(({ track }, index) => index < mostRows || track.id === selected.value) : [];
  const unseen = located.value ? rankedShown.value.length - ranked.length : 0;
  const live = rows.filter((track) => track.endedAt === undefined).length;
  const chosen = rows.some((track) => track.id === selected.value) ? selected.value : undefined;
  return (
    <section class="panel tracks" aria-label={t.tracks}>
      <header class="panel-head">
        <h2>{t.tracks}</h2>
        <span class="count">{t.countTracks(live, countAll.value)}</span>
        <Filters />
        <button
          type="button"
          class="chip more"
          aria-label={t.moreFilters}
          title={t.moreFilters}
          aria-expanded={choosing.value}
          onClick={() => (opened.value = !opened.value)}
        >
          <svg class="mark" viewBox="0 0 16 16" aria-hidden="true">
            <path d="M2 4H14M4.5 8H11.5M7 12H9" />
          </svg>
        </button>
      </header>
      {choosing.value && <Choices />}
      {!located.value && <Heads />}
      <ul
        id="tracks"
        class="rows"
        role="listbox"
        tabIndex={0}
        aria-label={t.tracks}
        aria-activedescendant={chosen === undefined ? undefined : rowId(chosen)}
      >
        {ranked.map((each) => (
          <ThreatRow key={each.track.id} ranked={each} />
        ))}
        {(located.value ? unplacedTracks.value : rows).map((track) => (
          <Row key={track.id} track={track} />
        ))}
      </ul>
      {unseen > 0 && <p class="rows-more">{t.moreRows(unseen)}</p>}
      {rows.length === 0 && <Nothing />}
    </section>
  );
}
