/** The page: bar, banner, wall and panels. On a phone the panels take turns. */

import { signal, useSignalEffect } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { Wall } from "./cameras";
import { Help } from "./help";
import { onKey } from "./keys";
import { link } from "./link";
import { SensorList } from "./sensors";
import { full, tracks } from "./state";
import { language, words } from "./strings";
import { TargetPanel } from "./target";
import { Banner, TopBar } from "./top";
import { TrackList } from "./tracks";

const tabs = ["cameras", "tracks", "sensors"] as const;
const tab = signal<(typeof tabs)[number]>("cameras");

function Tabs() {
  const t = words.value;
  return (
    <nav class="tabs">
      {tabs.map((name) => (
        <button type="button" key={name} aria-pressed={tab.value === name} onClick={() => (tab.value = name)}>
          {t[name]}
        </button>
      ))}
    </nav>
  );
}

/** Tells a screen reader of each track that is confirmed, once. */
function Announcer() {
  const told = useRef(new Set<string>());
  const [message, setMessage] = useState("");
  useSignalEffect(() => {
    const t = words.value;
    const confirmed = tracks.value.filter((track) => track.state === "confirmed" && !told.current.has(track.id));
    const alive = new Set(tracks.value.map((track) => track.id));
    told.current = new Set([...told.current, ...confirmed.map((track) => track.id)].filter((id) => alive.has(id)));
    const newest = confirmed.at(-1);
    if (newest) setMessage(t.confirmedOn(`${t.classes[newest.class]} ${newest.number}`, newest.sensor ?? ""));
  });
  return (
    <p class="heard" aria-live="polite">
      {message}
    </p>
  );
}

export function App() {
  useEffect(() => {
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
  useSignalEffect(() => {
    document.documentElement.lang = language.value;
  });
  return (
    <div class={`console ${link.value.state} ${full.value ? "is-full" : ""}`} data-tab={tab.value}>
      <TopBar />
      <Banner />
      <main>
        <Wall />
        <div class="side">
          <TargetPanel />
          <TrackList />
          <SensorList />
        </div>
      </main>
      <Tabs />
      <Announcer />
      <Help />
    </div>
  );
}
