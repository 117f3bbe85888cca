/** What an array of microphones hears: a minute of it, where from, how loud, and what it takes it for. */

import { now } from "./clock";
import { look } from "./look";
import { Figures } from "./parts";
import { phrases } from "./phrases";
import type { Sound, SoundDirection } from "./schema";
import { inWorld } from "./world";

const text = phrases(
  {
    spectrogram: "The last minute, 50 Hz to 8 kHz",
    compass: "Where from",
    level: "Level",
    bands: "Level and noise floor of third octaves",
    floor: "Noise floor",
    excess: "Above the floor",
    kinds: "What it is taken for",
    classes: { drone: "Drone", helicopter: "Helicopter", background: "Background" } as Record<string, string>,
    states: { listening: "Listening", "masked by wind": "Masked by wind: hears nothing, whatever flies" },
    fixed: "always there",
    drift: "Its clock runs",
    ppm: (value: string) => `${value} ppm off`,
    gaps: "Sound lost",
    lost: (gaps: number, seconds: string) => `${gaps} times, ${seconds} s`,
    none: "No direction now",
  },
  {
    spectrogram: "La dernière minute, 50 Hz à 8 kHz",
    compass: "D’où",
    level: "Niveau",
    bands: "Niveau et bruit de fond par tiers d’octave",
    floor: "Bruit de fond",
    excess: "Au-dessus du fond",
    kinds: "Ce qu’on croit entendre",
    classes: { drone: "Drone", helicopter: "Hélicoptère", background: "Fond" } as Record<string, string>,
    states: { listening: "À l’écoute", "masked by wind": "Couvert par le vent : n’entend rien, quoi qui vole" },
    fixed: "toujours là",
    drift: "Son horloge dérive",
    ppm: (value) => `de ${value} ppm`,
    gaps: "Son perdu",
    lost: (gaps, seconds) => `${gaps} fois, ${seconds} s`,
    none: "Aucune direction pour l’instant",
  },
);

/** A picture a second: older ones are no longer so. */
const pictureMs = 1000;
const [softDb, loudDb] = [-110, 0];
const share = (db: number): number => Math.min(1, Math.max(0, (db - softDb) / (loudDb - softDb)));

const place = (azimuth: number, radius: number): readonly [number, number] => {
  const turn = (azimuth * Math.PI) / 180;
  return [100 + radius * Math.sin(turn), 100 - radius * Math.cos(turn)];
};

/** North is up; the horizon is the rim, the zenith the middle. */
function Direction({ at }: { at: SoundDirection }) {
  const { chosen, text: dim } = look.value.chart;
  const radius = 86 * (1 - Math.max(0, at.elevation) / 90);
  const spread = Math.min(180, Math.max(1, 1.96 * at.sigma_azimuth));
  const [from, to] = [place(at.azimuth - spread, 86), place(at.azimuth + spread, 86)];
  const [x, y] = place(at.azimuth, radius);
  const colour = at.fixed ? dim : chosen;
  return (
    <g>
      <title>{`${at.azimuth.toFixed(0)}° ± ${at.sigma_azimuth.toFixed(1)}°, ${at.elevation.toFixed(0)}°${at.fixed ? `, ${text.value.fixed}` : ""}`}</title>
      <path d={`M100 100L${from.join(" ")}A86 86 0 ${spread > 90 ? 1 : 0} 1 ${to.join(" ")}Z`} fill={colour} opacity="0.25" />
      <circle cx={x} cy={y} r="5" fill={at.fixed ? "none" : colour} stroke={colour} stroke-width="1.6" />
    </g>
  );
}

function Compass({ sound }: { sound: Sound }) {
  const { ring, text: dim } = look.value.chart;
  const letters = [["N", 0], ["E", 90], ["S", 180], ["W", 270]] as const;
  return (
    <svg class="compass" viewBox="0 0 200 200" role="img" aria-label={text.value.compass}>
      {[86, 57, 29].map((radius) => (
        <circle key={radius} cx="100" cy="100" r={radius} fill="none" stroke={ring} />
      ))}
      {letters.map(([letter, azimuth]) => {
        const [x, y] = place(azimuth, 94);
        return (
          <text key={letter} x={x} y={y + 4} font-size="11" fill={dim} text-anchor="middle" aria-hidden="true">
            {letter}
          </text>
        );
      })}
      {sound.directions.map((each, k) => (
        <Direction key={k} at={each} />
      ))}
    </svg>
  );
}

function Bands({ sound }: { sound: Sound }) {
  const { field, ink, ring } = look.value.chart;
  const step = 300 / Math.max(1, sound.bands.length);
  return (
    <svg class="bars" viewBox="0 0 300 110" role="img" aria-label={text.value.bands} preserveAspectRatio="none">
      <rect width="300" height="110" fill={ring} opacity="0.3" />
      {sound.bands.map(({ frequency, level, floor }, k) => (
        <g key={frequency}>
          <title>{`${frequency.toFixed(0)} Hz: ${level.toFixed(0)} dB, ${floor.toFixed(0)} dB`}</title>
          <rect x={k * step + 0.5} width={step - 1} y={110 - 110 * share(level)} height={110 * share(level)} fill={field} />
          <rect x={k * step} width={step} y={110 - 110 * share(floor)} height="1.5" fill={ink} />
        </g>
      ))}
    </svg>
  );
}

export function SoundPanel({ sound }: { sound: Sound }) {
  const t = text.value;
  const drift = sound.clock.drift_ppm;
  const second = Math.floor(now.value / pictureMs);
  return (
    <section class="panel sound-panel" aria-label={t.spectrogram}>
      <header class="panel-head">
        <h2>{t.spectrogram}</h2>
        <span class={`count ${sound.state === "listening" ? "" : "is-masked"}`}>{t.states[sound.state]}</span>
      </header>
      <div class="spectrogram">
        <img src={inWorld(`${sound.spectrogram}?at=${second}`)} alt={t.spectrogram} />
      </div>
      <div class="sound-parts">
        <figure>
          <Compass sound={sound} />
          <figcaption>{sound.directions.length === 0 ? t.none : t.compass}</figcaption>
        </figure>
        <figure>
          <Bands sound={sound} />
          <figcaption>{t.bands}</figcaption>
        </figure>
        <ul class="stages" aria-label={t.kinds}>
          {Object.entries(sound.scores ?? {}).map(([name, score = 0]) => (
            <li key={name}>
              <span>{t.classes[name] ?? name}</span>
              <span class="bar" aria-hidden="true">
                <span style={{ width: `${score * 100}%` }} />
              </span>
              <span class="figure">{Math.round(score * 100)} %</span>
            </li>
          ))}
        </ul>
      </div>
      <Figures
        rows={[
          [t.level, `${sound.level_db.toFixed(1)} dB`],
          [t.floor, `${sound.noise_floor_db.toFixed(1)} dB`],
          [t.excess, `${sound.excess_db.toFixed(1)} dB`],
          [t.drift, drift === null ? "–" : t.ppm(drift.toFixed(1))],
          [t.gaps, t.lost(sound.clock.gaps, sound.clock.lost_s.toFixed(1))],
        ]}
      />
      {sound.faults.map((fault) => (
        <p key={fault} role="alert">
          {fault}
        </p>
      ))}
    </section>
  );
}
