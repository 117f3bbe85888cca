/** The page of recorded flights: play one, lay two ways of playing one side by side, take one away. */

import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { Refusal } from "./api";
import { dateOf, duration, timeOfDay } from "./clock";
import { openPage } from "./pages";
import { flights, loadFlights } from "./past";
import { Choice, Table } from "./parts";
import { phrases } from "./phrases";
import { openReplay, showReplay } from "./replay";
import type { FlightModel, Stage } from "./schema";

const text = phrases(
  {
    flights: "Recorded flights",
    none: "Nothing is recorded yet. A site records with `recording: {folder: flights}` in its file.",
    replay: "Replay",
    compare: "Compare",
    download: "Download",
    asShown: "as it was shown",
    from: "Play from",
    stages: { tracks: "tracks, as shown", measurements: "measurements, fused anew", detections: "detections, tracked anew", raw: "pictures, seen anew" },
    states: { recording: "recording", whole: "", cut: "cut off", unreadable: "unreadable" },
    compareHint: "Left: as it was shown. Right: from the stage chosen, else from measurements, by the program as it is now.",
    growing: "Is being recorded: pick a time on the live timeline to replay it.",
  },
  {
    flights: "Vols enregistrés",
    none: "Rien n’est encore enregistré. Un site enregistre avec `recording: {folder: flights}` dans son fichier.",
    replay: "Revoir",
    compare: "Comparer",
    download: "Télécharger",
    asShown: "comme il fut montré",
    from: "Lire depuis",
    stages: { tracks: "pistes, comme montrées", measurements: "mesures, refusionnées", detections: "détections, resuivies", raw: "images, revues" },
    states: { recording: "en cours", whole: "", cut: "coupé", unreadable: "illisible" },
    compareHint: "À gauche : comme il fut montré. À droite : depuis l’étape choisie, sinon depuis les mesures, par le programme actuel.",
    growing: "En cours d’enregistrement : choisissez une heure sur la chronologie en direct pour la revoir.",
  },
);

const stage = signal<Stage>("tracks");
const trouble = signal("");

async function trying(act: () => Promise<unknown>): Promise<void> {
  try {
    trouble.value = "";
    await act();
  } catch (error) {
    trouble.value = error instanceof Refusal ? error.message : String(error);
  }
}

async function compare(flight: string): Promise<void> {
  const [a, b] = [await openReplay(flight, "tracks"), await openReplay(flight, stage.peek() === "tracks" ? "measurements" : stage.peek())];
  openPage("compare", a.id, b.id);
}

const size = (bytes: number): string => (bytes >= 1e9 ? `${(bytes / 1e9).toFixed(2)} GB` : `${(bytes / 1e6).toFixed(1)} MB`);

const lasted = ({ start, end }: FlightModel): string => (start && end ? duration(Date.parse(end) - Date.parse(start)) : "–");

function Row({ flight }: { flight: FlightModel }) {
  const t = text.value;
  const begins = flight.start === null ? undefined : Date.parse(flight.start);
  const usable = flight.state === "whole" || flight.state === "cut";
  return (
    <tr data-flight={flight.id}>
      <th scope="row">{begins === undefined ? flight.id : `${dateOf(begins)} ${timeOfDay(begins)}`}</th>
      <td class="figure">{lasted(flight)}</td>
      <td class="figure">{size(flight.bytes)}</td>
      <td>{flight.sensors.join(", ")}</td>
      <td>{flight.reason || t.states[flight.state]}</td>
      <td class="acts">
        {usable && (
          <>
            <button type="button" class="act" onClick={() => void trying(() => showReplay(flight.id, undefined, stage.value))}>
              {t.replay}
            </button>
            <button type="button" class="act" title={t.compareHint} onClick={() => void trying(() => compare(flight.id))}>
              {t.compare}
            </button>
          </>
        )}
        {flight.state === "recording" && <small>{t.growing}</small>}
        <a class="act" href={flight.download}>
          {t.download}
        </a>
      </td>
    </tr>
  );
}

export function FlightsPage() {
  const t = text.value;
  useEffect(() => void loadFlights(), []);
  return (
    <main class="page flights">
      <section class="panel" aria-label={t.flights}>
        <header class="panel-head">
          <h2>{t.flights}</h2>
          <span class="count">{flights.value.length}</span>
          {trouble.value && <p role="alert">{trouble.value}</p>}
          <label>
            {t.from}{" "}
            <Choice label={t.from} of={stage} say={t.stages} />
          </label>
        </header>
        {flights.value.length === 0 ? (
          <p class="empty">{t.none}</p>
        ) : (
          <Table title={t.flights}>
            {flights.value.map((flight) => (
              <Row key={flight.id} flight={flight} />
            ))}
          </Table>
        )}
      </section>
    </main>
  );
}
