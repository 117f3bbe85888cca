/** How good the system is by the truth, where some is known: of a simulation, or of a drone's own log. */

import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { askQuietly } from "./api";
import { Figures, Table } from "./parts";
import { phrases } from "./phrases";
import { inWorld } from "./world";

const text = phrases(
  {
    score: "By the truth",
    sources: (source: string, complete: boolean) => (complete ? `of the ${source}` : `of ${source}; other things may fly too`),
    over: (seconds: string) => `over ${seconds} s`,
    figures: {
      position: "Place, median",
      position90: "Place, 90 %",
      velocity: "Velocity, median",
      gospa: "GOSPA",
      tracked: "Tracked while in sight",
      right: "Called right",
      oneId: "Under one name",
      first: "First track after",
      falseTracks: "False tracks per hour",
      liars: "Liars found",
      honest: "Honest ones accused",
    },
    head: ["Drone", "In sight", "Tracked", "One name", "Place", "First seen", "Lies"],
    liesFound: (seconds: string) => `found after ${seconds} s`,
    liesOpen: "not found yet",
    of: (part: number, all: number) => `${part} of ${all}`,
  },
  {
    score: "Selon la vérité",
    sources: (source, complete) => (complete ? `de la ${source}` : `de ${source} ; d’autres choses peuvent voler`),
    over: (seconds) => `sur ${seconds} s`,
    figures: {
      position: "Lieu, médiane",
      position90: "Lieu, 90 %",
      velocity: "Vitesse, médiane",
      gospa: "GOSPA",
      tracked: "Suivie quand visible",
      right: "Bien nommée",
      oneId: "Sous un seul nom",
      first: "Première piste après",
      falseTracks: "Fausses pistes par heure",
      liars: "Menteurs trouvés",
      honest: "Honnêtes accusés",
    },
    head: ["Drone", "Visible", "Suivi", "Un nom", "Lieu", "Vu après", "Mensonge"],
    liesFound: (seconds) => `trouvé après ${seconds} s`,
    liesOpen: "pas encore trouvé",
    of: (part, all) => `${part} sur ${all}`,
  },
);

type Figure = number | null;

interface Score {
  readonly truth: { readonly source: string; readonly complete: boolean } | null;
  readonly duration_s: number;
  readonly figures: {
    readonly gospa_m: Figure;
    readonly position_median_m: Figure;
    readonly position_p90_m: Figure;
    readonly velocity_median_mps: Figure;
    readonly tracked_share: Figure;
    readonly called_right_share: Figure;
    readonly one_id_share: Figure;
    readonly first_track_median_s: Figure;
    readonly false_tracks_per_hour: { readonly per_hour: number; readonly low: number; readonly high: number } | null;
    readonly liars: number;
    readonly liars_flagged: number;
    readonly honest: number;
    readonly honest_flagged: number;
  };
  readonly drones: readonly {
    readonly name: string;
    readonly in_sight_s: Figure;
    readonly tracked_share: Figure;
    readonly one_id_share: Figure;
    readonly position_median_m: Figure;
    readonly first_track_s: Figure;
    readonly lies: boolean;
    readonly flagged_after_s: Figure;
  }[];
}

const pollMs = 2000;
const score = signal<Score | undefined>(undefined);

export const share = (value: Figure): string => (value === null ? "–" : `${Math.round(value * 100)} %`);
export const measured = (value: Figure, unit: string): string => (value === null ? "–" : `${value.toFixed(value < 10 ? 1 : 0)} ${unit}`);

export function ScorePanel() {
  const t = text.value;
  useEffect(() => {
    const poll = async (): Promise<void> => {
      if (!document.hidden) score.value = await askQuietly<Score>(inWorld("/api/v1/score"));
    };
    void poll();
    const polling = setInterval(() => void poll(), pollMs);
    return () => clearInterval(polling);
  }, []);
  const known = score.value;
  if (!known?.truth) return null;
  const { figures: f } = known;
  const rate = f.false_tracks_per_hour;
  const rows: readonly (readonly [string, string])[] = [
    [t.figures.position, measured(f.position_median_m, "m")],
    [t.figures.position90, measured(f.position_p90_m, "m")],
    [t.figures.velocity, measured(f.velocity_median_mps, "m/s")],
    [t.figures.gospa, measured(f.gospa_m, "m")],
    [t.figures.tracked, share(f.tracked_share)],
    [t.figures.right, share(f.called_right_share)],
    [t.figures.oneId, share(f.one_id_share)],
    [t.figures.first, measured(f.first_track_median_s, "s")],
    [t.figures.falseTracks, rate ? `${rate.per_hour.toFixed(0)} (${rate.low.toFixed(0)}–${rate.high.toFixed(0)})` : "–"],
    [t.figures.liars, t.of(f.liars_flagged, f.liars)],
    [t.figures.honest, t.of(f.honest_flagged, f.honest)],
  ];
  return (
    <section class="panel score" aria-label={t.score}>
      <header class="panel-head">
        <h2>{t.score}</h2>
        <span class="count">
          {t.sources(known.truth.source, known.truth.complete)} · {t.over(known.duration_s.toFixed(0))}
        </span>
      </header>
      <Figures rows={rows} />
      <Table title={t.score} head={t.head}>
        {known.drones.map((drone) => (
          <tr key={drone.name}>
            <th scope="row">{drone.name}</th>
            <td>{measured(drone.in_sight_s, "s")}</td>
            <td>{share(drone.tracked_share)}</td>
            <td>{share(drone.one_id_share)}</td>
            <td>{measured(drone.position_median_m, "m")}</td>
            <td>{measured(drone.first_track_s, "s")}</td>
            <td>{drone.lies && (drone.flagged_after_s === null ? t.liesOpen : t.liesFound(drone.flagged_after_s.toFixed(1)))}</td>
          </tr>
        ))}
      </Table>
    </section>
  );
}
