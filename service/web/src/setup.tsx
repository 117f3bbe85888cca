/** Set up a site by drawing: place sensors, aim cameras, draw zones, and save a site file that the service takes. */

import { useEffect } from "preact/hooks";
import { saveBlob } from "./bars";
import {
  type Draft,
  type DraftSensor,
  type DraftZone,
  addSensor,
  changeSensor,
  changeSite,
  changeZone,
  chosen,
  closeZone,
  corners,
  draft,
  loadDraft,
  placeOfSensor,
  removeChosen,
  resetDraft,
  sensorKinds,
  verdict,
} from "./draft";
import { phrases } from "./phrases";
import { SetupMap, boardCentre } from "./setup_map";
import { words } from "./strings";

const text = phrases(
  {
    board: "Drawing board: all that is on it is in the list beside it",
    add: "Add",
    kinds: { camera: "Camera", microphone_array: "Microphones", remote_id: "Remote ID receiver", external: "Other sensor" } as Record<string, string>,
    zone: "Zone",
    drawing: "Click each corner; then double-click or press Done.",
    done: "Done",
    cancel: "Cancel",
    hint: "Drag a sensor to move it, its ring to aim it, a corner to shape a zone. Drag the ground to move, turn the wheel to zoom.",
    site: "Site",
    items: "Sensors and zones",
    remove: "Remove",
    reset: "Begin with the running site",
    save: "Save site.yaml",
    right: "Nothing is wrong with it. Start with it: deeplomatics serve --config site.yaml",
    wrong: (count: number) => `${count} ${count === 1 ? "thing is" : "things are"} wrong`,
    line: (line: number) => `line ${line}`,
    file: "site.yaml",
    field: {
      name: "Name",
      latitude: "Latitude",
      longitude: "Longitude",
      altitude: "Altitude, m",
      id: "Name",
      source: "Source",
      spectrum: "Sees",
      east: "East, m",
      north: "North, m",
      up: "Up, m",
      azimuth: "Azimuth, °",
      elevation: "Elevation, °",
      fov: "Field, °",
      width: "Width, px",
      height: "Height, px",
      range: "Sees as far as, m",
      kind: "Kind",
      floor: "From altitude, m",
      ceiling: "To altitude, m",
    },
    zoneKinds: { alert: "tell me", exclusion: "nothing may fly here" },
  },
  {
    board: "Planche à dessin : tout ce qui s’y trouve est dans la liste à côté",
    add: "Ajouter",
    kinds: { camera: "Caméra", microphone_array: "Microphones", remote_id: "Récepteur Remote ID", external: "Autre capteur" } as Record<string, string>,
    zone: "Zone",
    drawing: "Cliquez chaque coin, puis double-cliquez ou appuyez sur Terminer.",
    done: "Terminer",
    cancel: "Annuler",
    hint: "Tirez un capteur pour le déplacer, son anneau pour le pointer, un coin pour former une zone. Tirez le sol pour bouger, molette pour l’échelle.",
    site: "Site",
    items: "Capteurs et zones",
    remove: "Supprimer",
    reset: "Repartir du site en service",
    save: "Enregistrer site.yaml",
    right: "Rien à redire. Lancez : deeplomatics serve --config site.yaml",
    wrong: (count) => `${count} ${count > 1 ? "choses ne vont pas" : "chose ne va pas"}`,
    line: (line) => `ligne ${line}`,
    file: "site.yaml",
    field: {
      name: "Nom",
      latitude: "Latitude",
      longitude: "Longitude",
      altitude: "Altitude, m",
      id: "Nom",
      source: "Source",
      spectrum: "Voit",
      east: "Est, m",
      north: "Nord, m",
      up: "Haut, m",
      azimuth: "Azimut, °",
      elevation: "Élévation, °",
      fov: "Champ, °",
      width: "Largeur, px",
      height: "Hauteur, px",
      range: "Voit jusqu’à, m",
      kind: "Sorte",
      floor: "Dès l’altitude, m",
      ceiling: "Jusqu’à l’altitude, m",
    },
    zoneKinds: { alert: "me prévenir", exclusion: "rien ne doit voler ici" },
  },
);

function TextField({ name, value, onChange }: { name: string; value: string; onChange: (value: string) => void }) {
  return (
    <label class="field">
      <span>{name}</span>
      <input type="text" value={value} onChange={(event) => onChange(event.currentTarget.value.trim())} />
    </label>
  );
}

function NumberField({ name, value, onChange }: { name: string; value: number | undefined; onChange: (value: number | undefined) => void }) {
  const read = (typed: string): number | undefined => (typed === "" || Number.isNaN(Number(typed)) ? undefined : Number(typed));
  return (
    <label class="field">
      <span>{name}</span>
      <input type="number" step="any" value={value ?? ""} onChange={(event) => onChange(read(event.currentTarget.value))} />
    </label>
  );
}

function SiteForm({ of: { site } }: { of: Draft }) {
  const t = text.value.field;
  const { origin } = site;
  return (
    <div class="fields">
      <TextField name={t.name} value={site.name} onChange={(name) => changeSite({ name })} />
      {(["latitude", "longitude", "altitude"] as const).map((each) => (
        <NumberField key={each} name={t[each]} value={origin[each]} onChange={(value) => changeSite({ origin: { ...origin, [each]: value ?? 0 } })} />
      ))}
    </div>
  );
}

function SensorForm({ sensor, index, of }: { sensor: DraftSensor; index: number; of: Draft }) {
  const t = text.value.field;
  const place = placeOfSensor(sensor, of.site.origin) ?? [0, 0, 0];
  const put = (axis: number) => (value: number | undefined): void =>
    changeSensor(index, { position: { enu: place.map((each, k) => (k === axis ? (value ?? 0) : each)) as [number, number, number] } });
  const camera = sensor.kind === "camera";
  return (
    <div class="fields">
      <TextField name={t.id} value={sensor.id} onChange={(id) => changeSensor(index, { id })} />
      {camera && (
        <label class="field">
          <span>{t.spectrum}</span>
          <select value={sensor.spectrum ?? "visible"} onChange={(event) => changeSensor(index, { spectrum: event.currentTarget.value as "visible" | "infrared" })}>
            <option value="visible">{words.value.bands.visible}</option>
            <option value="infrared">{words.value.bands.infrared}</option>
          </select>
        </label>
      )}
      {(camera || sensor.kind === "microphone_array") && (
        <TextField name={t.source} value={String(sensor.source ?? "")} onChange={(source) => changeSensor(index, { source })} />
      )}
      <NumberField name={t.east} value={place[0]} onChange={put(0)} />
      <NumberField name={t.north} value={place[1]} onChange={put(1)} />
      <NumberField name={t.up} value={place[2]} onChange={put(2)} />
      {camera &&
        (["azimuth", "elevation"] as const).map((each) => (
          <NumberField
            key={each}
            name={t[each]}
            value={sensor.orientation?.[each]}
            onChange={(value) => changeSensor(index, { orientation: { azimuth: 0, ...sensor.orientation, [each]: value ?? 0 } })}
          />
        ))}
      {camera && !sensor.intrinsics && (
        <>
          <NumberField name={t.fov} value={sensor.horizontal_fov} onChange={(value) => changeSensor(index, { horizontal_fov: value })} />
          <NumberField name={t.width} value={sensor.width} onChange={(value) => changeSensor(index, { width: value })} />
          <NumberField name={t.height} value={sensor.height} onChange={(value) => changeSensor(index, { height: value })} />
        </>
      )}
      <NumberField name={t.range} value={sensor.max_range} onChange={(value) => changeSensor(index, { max_range: value })} />
    </div>
  );
}

function ZoneForm({ zone, index }: { zone: DraftZone; index: number }) {
  const t = text.value;
  return (
    <div class="fields">
      <TextField name={t.field.name} value={zone.name} onChange={(name) => changeZone(index, { name })} />
      <label class="field">
        <span>{t.field.kind}</span>
        <select value={zone.kind ?? "alert"} onChange={(event) => changeZone(index, { kind: event.currentTarget.value as "alert" | "exclusion" })}>
          <option value="alert">{t.zoneKinds.alert}</option>
          <option value="exclusion">{t.zoneKinds.exclusion}</option>
        </select>
      </label>
      <NumberField name={t.field.floor} value={zone.floor} onChange={(floor) => changeZone(index, { floor })} />
      <NumberField name={t.field.ceiling} value={zone.ceiling} onChange={(ceiling) => changeZone(index, { ceiling })} />
    </div>
  );
}

function Items({ of }: { of: Draft }) {
  const which = chosen.value;
  const named = [
    ...of.sensors.map(({ id, kind }, index) => ({ kind: "sensor" as const, index, name: id, what: text.value.kinds[kind] ?? kind })),
    ...(of.zones ?? []).map(({ name }, index) => ({ kind: "zone" as const, index, name, what: text.value.zone })),
  ];
  return (
    <ul class="items">
      {named.map(({ kind, index, name, what }) => {
        const isChosen = which?.kind === kind && which.index === index;
        return (
          <li key={`${kind}-${index}`}>
            <button type="button" aria-pressed={isChosen} onClick={() => (chosen.value = isChosen ? undefined : { kind, index })}>
              {name} <small>{what}</small>
            </button>
          </li>
        );
      })}
    </ul>
  );
}

function Tools() {
  const t = text.value;
  if (corners.value) {
    return (
      <div class="tools" role="group" aria-label={t.zone}>
        <span>{t.drawing}</span>
        <button type="button" class="act" onClick={closeZone}>
          {t.done}
        </button>
        <button type="button" class="act" onClick={() => (corners.value = undefined)}>
          {t.cancel}
        </button>
      </div>
    );
  }
  return (
    <div class="tools" role="group" aria-label={t.add}>
      <span>{t.add}</span>
      {sensorKinds.map((kind) => (
        <button type="button" key={kind} class="act" onClick={() => addSensor(kind, boardCentre())}>
          {t.kinds[kind]}
        </button>
      ))}
      <button type="button" class="act" onClick={() => (corners.value = [])}>
        {t.zone}
      </button>
    </div>
  );
}

/** What the service's check says, beside the very lines it speaks of. */
function Verdict() {
  const t = text.value;
  const said = verdict.value;
  if (!said) return null;
  const { faults } = said;
  const bad = new Set(faults.map(({ line }) => line));
  return (
    <section class="panel" aria-label={t.file}>
      <header class="panel-head">
        <h2>{t.file}</h2>
        <span class="spring" />
        <button type="button" class="act" disabled={faults.length > 0} onClick={() => saveBlob(new Blob([said.text], { type: "application/yaml" }), "site.yaml")}>
          {t.save}
        </button>
      </header>
      <div role="status" class={`verdict ${faults.length > 0 ? "is-wrong" : ""}`}>
        <p>{faults.length > 0 ? t.wrong(faults.length) : t.right}</p>
        <ul>
          {faults.map((fault) => (
            <li key={`${fault.line} ${fault.where} ${fault.what}`}>
              <strong>{t.line(fault.line)}</strong> {fault.where}: {fault.what}
            </li>
          ))}
        </ul>
      </div>
      <pre class="scrolls" tabIndex={0} role="region" aria-label={t.file}>
        {said.text.split("\n").map((line, k) => (
          <code key={k} class={bad.has(k + 1) ? "is-wrong" : ""}>
            {line}
            {"\n"}
          </code>
        ))}
      </pre>
    </section>
  );
}

function ChosenForm({ of }: { of: Draft }) {
  const which = chosen.value;
  const sensor = which?.kind === "sensor" ? of.sensors[which.index] : undefined;
  const zone = which?.kind === "zone" ? of.zones?.[which.index] : undefined;
  if (!which || !(sensor || zone)) return null;
  return (
    <>
      {sensor && <SensorForm sensor={sensor} index={which.index} of={of} />}
      {zone && <ZoneForm zone={zone} index={which.index} />}
      <button type="button" class="act remove" onClick={removeChosen}>
        {text.value.remove}
      </button>
    </>
  );
}

export function SetupPage() {
  const t = text.value;
  useEffect(() => void loadDraft(), []);
  const now = draft.value;
  return (
    <main class="page setup">
      <section class="panel" aria-label={t.board}>
        <Tools />
        <SetupMap title={t.board} />
        <small class="figures-hint">{t.hint}</small>
      </section>
      <div class="setup-side">
        {now && (
          <section class="panel" aria-label={t.items}>
            <header class="panel-head">
              <h2>{t.site}</h2>
              <span class="spring" />
              <button type="button" class="act" onClick={() => void resetDraft()}>
                {t.reset}
              </button>
            </header>
            <SiteForm of={now} />
            <Items of={now} />
            <ChosenForm of={now} />
          </section>
        )}
        <Verdict />
      </div>
    </main>
  );
}
