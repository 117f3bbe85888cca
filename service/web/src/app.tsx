/** The page: bar, banner, wall and panels. On a phone the panels take turns. */

import { computed, signal, useSignalEffect } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { AlertsPage } from "./alert_log";
import { AlertPanel } from "./alerts";
import { Away } from "./away";
import { Wall, bestColumns, cameraAspect, useSize } from "./cameras";
import { Help } from "./help";
import { ComparePage } from "./compare";
import { FlightsPage } from "./flights";
import { onKey } from "./keys";
import { link } from "./link";
import { SiteMap } from "./map";
import { page } from "./pages";
import { ReplayBar } from "./replay_bar";
import { SensorPage } from "./sensor_page";
import { SensorList } from "./sensors";
import { SetupPage } from "./setup";
import { located } from "./site";
import { alerts, full, sensors, tracks } from "./state";
import { language, words } from "./strings";
import { StatisticsPage } from "./statistics";
import { TargetPanel } from "./target";
import { Timeline } from "./timeline";
import { Banner, TopBar } from "./top";
import { TrackList } from "./tracks";
import { isPane, isReplay } from "./world";

const tabs = ["map", "cameras", "tracks", "sensors"] as const;
const tab = signal<(typeof tabs)[number] | undefined>(undefined);
/** What a phone shows first: the map where there is one. */
const tabShown = computed(() => tab.value ?? (located.value ? "map" : "cameras"));
/** The target's panel goes below the cameras where they leave at least this much of the height, CSS pixels. */
const roomPx = 240;

function Tabs() {
  const t = words.value;
  return (
    <nav class="tabs">
      {tabs.filter((name) => name !== "map" || located.value).map((name) => (
        <button type="button" key={name} aria-pressed={tabShown.value === name} onClick={() => (tab.value = name)}>
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
    const confirmed = tracks.value.filter(
      (track) => track.state === "confirmed" && (track.space === "world" || !located.value) && !told.current.has(track.id),
    );
    const alive = new Set(tracks.value.map((track) => track.id));
    told.current = new Set([...told.current, ...confirmed.map((track) => track.id)].filter((id) => alive.has(id)));
    const newest = confirmed.at(-1);
    if (newest) setMessage(t.confirmedOn(`${t.classes[newest.class]} ${newest.number}`, newest.sensor ?? newest.sensors.join(", ")));
  });
  return (
    <p class="heard" aria-live="polite">
      {message}
    </p>
  );
}

/** A site with a map: map above, cameras in a strip below it; one camera in full view takes all of that room. */
function LocatedPage() {
  return (
    <main class="located">
      <div class="stage">
        <SiteMap />
        <Wall strip />
      </div>
      <div class="side">
        <AlertPanel />
        <TrackList />
        <TargetPanel />
        <SensorList />
      </div>
    </main>
  );
}

/** Cameras that only see: the wall, and the target below it where wide pictures leave the room. */
function SeeingPage() {
  const page = useSize<HTMLElement>();
  const side = useSize<HTMLDivElement>();
  const cameras = sensors.value.filter(({ kind }) => kind === "camera");
  const aspect = cameraAspect(cameras);
  const { columns, tile } = bestColumns(cameras.length, aspect, page.width - side.width - 10, page.height);
  const rows = Math.ceil(cameras.length / columns);
  const used = rows * (tile / aspect) + (rows - 1) * 10;
  const below = !full.value && page.width >= 740 && cameras.length > 0 && page.height - used >= roomPx;
  return (
    <main ref={page.element} class={below ? "below" : ""} style={{ "--wall": `${Math.round(used)}px` }}>
      <Wall />
      {below && <TargetPanel />}
      <div class="side" ref={side.element}>
        {alerts.value.length > 0 && <AlertPanel />}
        {!below && <TargetPanel />}
        <TrackList />
        <SensorList />
      </div>
    </main>
  );
}

function Situation() {
  return (
    <>
      {located.value ? <LocatedPage /> : <SeeingPage />}
      <Timeline />
      <Tabs />
    </>
  );
}

function OtherPage() {
  switch (page.value) {
    case "alerts":
      return <AlertsPage />;
    case "sensor":
      return <SensorPage />;
    case "setup":
      return <SetupPage />;
    case "statistics":
      return <StatisticsPage />;
    case "compare":
      return <ComparePage />;
    default:
      return <FlightsPage />;
  }
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
    <div
      class={`console ${link.value.state} ${full.value ? "is-full" : ""} ${isReplay ? "is-replay" : ""} ${isPane ? "is-pane" : ""}`}
      data-tab={tabShown.value}
    >
      {!isPane && <TopBar />}
      <Banner />
      <ReplayBar />
      <Away />
      {page.value === "live" ? <Situation /> : <OtherPage />}
      <Announcer />
      <Help />
    </div>
  );
}
