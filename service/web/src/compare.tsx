/** Two worlds side by side: each is this console in a frame of its own, so that neither can touch the other's tracks. */

import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { askQuietly } from "./api";
import { timeOfDay } from "./clock";
import { about } from "./pages";
import { phrases } from "./phrases";
import { changeReplay } from "./replay";
import type { ReplayModel } from "./schema";

const text = phrases(
  {
    side: (id: string) => `Replay ${id}`,
    both: "Both",
    play: "Play both",
    pause: "Pause both",
    together: "From the beginning",
    position: "Time of both",
    gone: "One of the two replays is no more. Open them again from the flights.",
    none: "Nothing is chosen to compare: press Compare beside a flight on the page of flights.",
  },
  {
    side: (id) => `Rediffusion ${id}`,
    both: "Les deux",
    play: "Lire les deux",
    pause: "Suspendre les deux",
    together: "Depuis le début",
    position: "Instant des deux",
    gone: "L’une des deux rediffusions n’existe plus. Rouvrez-les depuis les vols.",
    none: "Rien à comparer : appuyez sur Comparer à côté d’un vol, dans la page des vols.",
  },
);

const pollMs = 500;
const replays = signal<readonly (ReplayModel | undefined)[]>([]);

async function poll(ids: readonly string[]): Promise<void> {
  replays.value = await Promise.all(ids.map((id) => askQuietly<ReplayModel>(`/api/v1/replays/${encodeURIComponent(id)}`)));
}

const both = (change: Parameters<typeof changeReplay>[1]): void => {
  for (const each of replays.peek()) if (each) void changeReplay(each.id, change).catch(() => undefined);
};

const ms = (time: string | null | undefined): number => (time ? Date.parse(time) : 0);

export function ComparePage() {
  const t = text.value;
  const ids = about.value.slice(0, 2);
  const key = ids.join("/");
  useEffect(() => {
    void poll(ids);
    const polling = setInterval(() => void poll(ids), pollMs);
    return () => clearInterval(polling);
  }, [key]);
  const known = replays.value.filter((each): each is ReplayModel => each !== undefined);
  const [first] = known;
  const [from, to] = [ms(first?.start), ms(first?.end)];
  const at = Math.min(...known.map((each) => ms(each.time) || ms(each.start)));
  const isPaused = known.every(({ state }) => state === "paused");
  if (ids.length < 2)
    return (
      <main class="page compare">
        <p class="panel empty">{t.none}</p>
      </main>
    );
  return (
    <main class="page compare">
      <div class="transport panel" role="group" aria-label={t.both}>
        <button type="button" class="act" onClick={() => both({ paused: !isPaused })}>
          {isPaused ? t.play : t.pause}
        </button>
        <button type="button" class="act" disabled={!first?.start} onClick={() => first?.start && both({ seek: first.start, paused: false })}>
          {t.together}
        </button>
        <input
          type="range"
          aria-label={t.position}
          aria-valuetext={timeOfDay(at)}
          min={from}
          max={to}
          value={at}
          onChange={(event) => both({ seek: new Date(Number(event.currentTarget.value)).toISOString() })}
        />
        <time>{known.length > 0 && timeOfDay(at)}</time>
        {replays.value.length > 0 && known.length < ids.length && <p role="alert">{t.gone}</p>}
      </div>
      <div class="worlds">
        {ids.map((id) => (
          <iframe key={id} title={t.side(id)} src={`/?world=${encodeURIComponent(id)}&pane`} />
        ))}
      </div>
    </main>
  );
}
