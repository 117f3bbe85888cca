/** One sensor, whole: its picture or sound, what it covers, where the time of its frames goes, what it lost. */

import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { askQuietly } from "./api";
import { reasonOf, shownState } from "./cameras";
import { dateOf, duration, now, timeOfDay } from "./clock";
import { feedOf } from "./feed";
import type { Place } from "./ground";
import { SensorMark } from "./marks";
import { about, openPage } from "./pages";
import { fit } from "./paint";
import { Figures } from "./parts";
import { phrases } from "./phrases";
import { Picture } from "./picture";
import type { PlacedSensor, Sensor, System } from "./schema";
import { placed } from "./site";
import { SmallMap } from "./small_map";
import { SoundPanel } from "./sound_panel";
import { sensors } from "./state";
import { words } from "./strings";
import { inWorld } from "./world";

const text = phrases(
  {
    none: (id: string) => `There is no sensor ${id}.`,
    choose: "Sensor",
    picture: "Picture",
    coverage: "What it covers",
    health: "Health",
    stages: "Where a frame's time goes",
    stageNames: { transport: "On its way here", queue: "Waiting", detect: "Detector", track: "Tracker", deliver: "To the console", total: "In all" },
    last: "in the last seconds; in brackets since the start",
    system: "System",
    facts: {
      state: "State",
      source: "Source",
      rate: "Pictures a second",
      came: "Came",
      processed: "Processed",
      dropped: "Left out",
      reconnects: "Opened anew",
      clock: "Its time comes from",
      last: "Newest",
      size: "Size",
      place: "Place (east, north, up)",
      view: "Looks (azimuth, elevation)",
      field: "Field (across, up)",
      range: "Sees as far as",
      version: "Version",
      started: "Runs since",
      store: "Disk left: store",
      recording: "Disk left: recording",
    },
    clocks: {
      rtcp: "its own clock (RTCP)",
      pts: "the recording",
      arrival: "arrival, less its latency",
      simulated: "the simulation",
    },
    ago: (age: string) => `${age} ago`,
    of: (free: string, total: string) => `${free} of ${total}`,
  },
  {
    none: (id) => `Il n’y a pas de capteur ${id}.`,
    choose: "Capteur",
    picture: "Image",
    coverage: "Ce qu’il couvre",
    health: "Santé",
    stages: "Où va le temps d’une image",
    stageNames: { transport: "En chemin", queue: "En attente", detect: "Détecteur", track: "Pistage", deliver: "Vers la console", total: "En tout" },
    last: "ces dernières secondes ; entre parenthèses depuis le début",
    system: "Système",
    facts: {
      state: "État",
      source: "Source",
      rate: "Images par seconde",
      came: "Reçues",
      processed: "Traitées",
      dropped: "Écartées",
      reconnects: "Rouvert",
      clock: "Son heure vient de",
      last: "Dernière",
      size: "Taille",
      place: "Lieu (est, nord, haut)",
      view: "Regarde (azimut, élévation)",
      field: "Champ (largeur, hauteur)",
      range: "Voit jusqu’à",
      version: "Version",
      started: "Tourne depuis",
      store: "Disque libre : base",
      recording: "Disque libre : vols",
    },
    clocks: {
      rtcp: "sa propre horloge (RTCP)",
      pts: "l’enregistrement",
      arrival: "l’arrivée, moins sa latence",
      simulated: "la simulation",
    },
    ago: (age) => `il y a ${age}`,
    of: (free, total) => `${free} sur ${total}`,
  },
);

const stageNames = ["transport", "queue", "detect", "track", "deliver", "total"] as const;
type StageName = (typeof stageNames)[number];

/** Seconds and count, as Prometheus sums them since the start. */
interface Sum {
  readonly seconds: number;
  readonly count: number;
}
type Sums = Readonly<Partial<Record<StageName, Sum>>>;

const pollMs = 3000;
const sums = signal<readonly [Sums, Sums]>([{}, {}]);
const system = signal<System | undefined>(undefined);

/** What /metrics has of this sensor's stages. */
function readStages(metrics: string, sensor: string): Sums {
  const found: Partial<Record<StageName, Sum>> = {};
  const value = (kind: string, stage: StageName): number => {
    const line = `deeplomatics_stage_seconds_${kind}{sensor="${sensor}",stage="${stage}"} `;
    const at = metrics.indexOf(line);
    return at < 0 ? 0 : Number.parseFloat(metrics.slice(at + line.length, at + line.length + 24));
  };
  for (const stage of stageNames) {
    const count = value("count", stage);
    if (count > 0) found[stage] = { seconds: value("sum", stage), count };
  }
  return found;
}

async function poll(sensor: string): Promise<void> {
  if (document.hidden) return;
  const answer = await fetch(inWorld("/metrics"), { cache: "no-store" }).catch(() => undefined);
  if (answer?.ok) sums.value = [sums.peek()[1], readStages(await answer.text(), sensor)];
  system.value = (await askQuietly<System>("/api/v1/system")) ?? system.peek();
}

const milliseconds = (seconds: number): string => `${(seconds * 1000).toFixed(seconds < 0.01 ? 1 : 0)} ms`;

function Stages() {
  const t = text.value;
  const [before, after] = sums.value;
  const rows = stageNames.flatMap((name) => {
    const all = after[name];
    if (!all) return [];
    const was = before[name] ?? { seconds: 0, count: 0 };
    const fresh = all.count > was.count ? (all.seconds - was.seconds) / (all.count - was.count) : undefined;
    return [{ name, mean: all.seconds / all.count, fresh }];
  });
  const most = Math.max(1e-9, ...rows.map(({ mean, fresh }) => Math.max(mean, fresh ?? 0)));
  if (rows.length === 0) return null;
  return (
    <section class="panel" aria-label={t.stages}>
      <header class="panel-head">
        <h2>{t.stages}</h2>
      </header>
      <ul class="stages">
        {rows.map(({ name, mean, fresh }) => (
          <li key={name}>
            <span>{t.stageNames[name]}</span>
            <span class="bar" aria-hidden="true">
              <span style={{ width: `${((fresh ?? mean) / most) * 100}%` }} />
            </span>
            <span class="figure">
              {fresh === undefined ? "–" : milliseconds(fresh)} <small>({milliseconds(mean)})</small>
            </span>
          </li>
        ))}
      </ul>
      <small class="figures-hint">{t.last}</small>
    </section>
  );
}

function Facts({ title, rows }: { title: string; rows: readonly (readonly [string, string])[] }) {
  return (
    <section class="panel" aria-label={title}>
      <header class="panel-head">
        <h2>{title}</h2>
      </header>
      <Figures rows={rows} />
    </section>
  );
}

function healthOf(sensor: Sensor): readonly (readonly [string, string])[] {
  const t = text.value;
  const dropped = Object.entries(sensor.dropped).map(([reason, count]) => `${reason} ${count}`);
  return [
    [t.facts.source, sensor.source],
    ...(sensor.kind === "camera" ? [[t.facts.rate, sensor.fps.toFixed(1)] as const] : []),
    [t.facts.came, String(sensor.frames_in)],
    [t.facts.processed, String(sensor.processed)],
    [t.facts.dropped, dropped.join(", ") || "0"],
    [t.facts.reconnects, String(sensor.reconnects)],
    [t.facts.clock, t.clocks[sensor.time_source]],
    [t.facts.last, sensor.last_frame ? t.ago(duration(now.value - Date.parse(sensor.last_frame))) : "–"],
    ...(sensor.width ? [[t.facts.size, `${sensor.width} × ${sensor.height} px`] as const] : []),
  ];
}

const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`;

function systemRows(of: System): readonly (readonly [string, string])[] {
  const t = text.value;
  const started = Date.parse(of.started);
  const disk = ({ free, total }: System["store"]): string => t.of(gigabytes(free), gigabytes(total));
  return [
    [t.facts.version, `${of.version} · Python ${of.python}`],
    [t.facts.started, `${dateOf(started)} ${timeOfDay(started)}`],
    [t.facts.store, disk(of.store)],
    ...(of.recording ? [[t.facts.recording, disk(of.recording)] as const] : []),
  ];
}

const rangeM = 200;

/** The corners of what it looks at, so that all of it is in sight. */
function corners({ enu, azimuth, horizontal_fov, range }: PlacedSensor): readonly Place[] {
  const reach = Math.min(range ?? rangeM, 3000);
  const turns = azimuth === null ? [0, 90, 180, 270] : [-0.5, 0, 0.5].map((part) => azimuth + part * (horizontal_fov ?? 0));
  const far = azimuth === null ? rangeM / 2 : reach;
  const ends = turns.map((turn) => (turn * Math.PI) / 180).map((turn) => [enu[0] + far * Math.sin(turn), enu[1] + far * Math.cos(turn)] as const);
  return [[enu[0], enu[1]], ...ends];
}

function Coverage({ at }: { at: PlacedSensor }) {
  const t = text.value;
  const degrees = (value: number | null): string => (value === null ? "–" : `${value.toFixed(1)}°`);
  return (
    <>
      <section class="panel" aria-label={t.coverage}>
        <header class="panel-head">
          <h2>{t.coverage}</h2>
        </header>
        <div class="figure-body">
          <SmallMap title={t.coverage} sensors={[at]} cells={[]} places={corners(at)} />
        </div>
        <Figures
          rows={[
            [t.facts.place, at.enu.map((each) => each.toFixed(1)).join(", ")],
            [t.facts.view, at.azimuth === null ? "–" : `${degrees(at.azimuth)}, ${degrees(at.elevation)}`],
            [t.facts.field, at.horizontal_fov === null ? "–" : `${degrees(at.horizontal_fov)}, ${degrees(at.vertical_fov)}`],
            [t.facts.range, at.range === null ? "–" : `${at.range.toFixed(0)} m`],
          ]}
        />
      </section>
    </>
  );
}

function Head({ sensor }: { sensor: Sensor }) {
  const t = words.value;
  const state = shownState(sensor, sensor.kind === "camera" ? feedOf(sensor.id) : undefined, now.value);
  return (
    <header class="sensor-head panel">
      <select aria-label={text.value.choose} value={sensor.id} onChange={(event) => openPage("sensor", event.currentTarget.value)}>
        {sensors.value.map(({ id }) => (
          <option key={id} value={id}>
            {id}
          </option>
        ))}
      </select>
      <span class={`sensor-row ${state}`}>
        <SensorMark state={state} /> <span class="sensor-state">{t.sensorStates[state]}</span>
      </span>
      <span>{reasonOf(sensor, state)}</span>
      <span class="spring" />
      <small>
        {sensor.kind.replace("_", " ")}
        {sensor.spectrum && ` · ${t.bands[sensor.spectrum]}`}
      </small>
    </header>
  );
}

export function SensorPage() {
  const t = text.value;
  const [id = ""] = about.value;
  useEffect(() => {
    sums.value = [{}, {}];
    void poll(id);
    const polling = setInterval(() => void poll(id), pollMs);
    return () => clearInterval(polling);
  }, [id]);
  const sensor = sensors.value.find((each) => each.id === id);
  if (!sensor) return <main class="page"><p class="empty">{t.none(id)}</p></main>;
  const at = placed.value.get(id);
  return (
    <main class="page sensor-page">
      <Head sensor={sensor} />
      {sensor.kind === "camera" && (
        <section class="panel sensor-picture" aria-label={t.picture}>
          <Picture
            key={id}
            sensor={id}
            label={t.picture}
            labels
            view={(canvas, shown, dpr) => fit(canvas, shown.header.width, shown.header.height, dpr)}
          />
        </section>
      )}
      {sensor.sound && <SoundPanel sound={sensor.sound} />}
      {at && <Coverage at={at} />}
      <Facts title={t.health} rows={healthOf(sensor)} />
      <Stages />
      {system.value && <Facts title={t.system} rows={systemRows(system.value)} />}
    </main>
  );
}
