/** The state of every sensor, in a sign, a word and a sentence. */

import { reasonOf, shownState } from "./cameras";
import { now } from "./clock";
import { type Feed, feedOf } from "./feed";
import { SensorMark } from "./marks";
import { openPage } from "./pages";
import { sensors } from "./state";
import { words } from "./strings";
import type { Sensor, SensorState } from "./wire";

const total = (counts: Sensor["dropped"]): number => Object.values(counts).reduce<number>((sum, count) => sum + (count ?? 0), 0);

const reasons = (counts: Sensor["dropped"]): string =>
  Object.entries(counts)
    .map(([reason, count]) => `${reason}: ${count}`)
    .join(", ");

const pictures = (sensor: Sensor): Feed | undefined => (sensor.kind === "camera" ? feedOf(sensor.id) : undefined);

const stateNow = (sensor: Sensor): SensorState => shownState(sensor, pictures(sensor), now.value);

function Figure({ value, unit, title }: { value: string; unit: string; title?: string }) {
  return (
    <span class="figure" title={title}>
      {value} <small>{unit}</small>
    </span>
  );
}

function SensorRow({ sensor }: { sensor: Sensor }) {
  const t = words.value;
  const feed = pictures(sensor);
  const state = stateNow(sensor);
  const latency = feed?.latency.value;
  const reason = reasonOf(sensor, state);
  return (
    <li class={`sensor-row ${state}`} data-sensor={sensor.id} data-state={state}>
      <button type="button" title={t.openSensor} onClick={() => openPage("sensor", sensor.id)}>
        <SensorMark state={state} />
        <span class="sensor-name">
          {sensor.id}
          {sensor.spectrum && <small>{t.bands[sensor.spectrum]}</small>}
        </span>
        <span class="sensor-state">{t.sensorStates[state]}</span>
      </button>
      <div class="sensor-figures">
        <Figure value={sensor.fps.toFixed(1)} unit={t.health.fps} />
        <Figure
          value={latency === undefined || state !== "online" ? "–" : `${Math.round(latency)} ms`}
          unit={t.health.latency}
        />
        <Figure value={String(total(sensor.dropped))} unit={t.health.dropped} title={reasons(sensor.dropped)} />
        <Figure value={String(sensor.reconnects)} unit={t.health.reconnects} />
      </div>
      {reason && <p class="sensor-reason">{reason}</p>}
    </li>
  );
}

export function SensorList() {
  const t = words.value;
  const all = sensors.value;
  const online = all.filter((sensor) => stateNow(sensor) === "online").length;
  return (
    <section class="panel sensors" aria-label={t.sensors}>
      <header class="panel-head">
        <h2>{t.sensors}</h2>
        <span class="count">{t.onlineOf(online, all.length)}</span>
      </header>
      <ul class="sensor-rows">
        {all.map((sensor) => (
          <SensorRow key={sensor.id} sensor={sensor} />
        ))}
      </ul>
    </section>
  );
}
