/** Two buttons: it is a drone, it is none. What is said is kept for training, and shown wherever the track is. */

import { judge, verdicts } from "./operator";
import { phrases } from "./phrases";
import { isReplay } from "./world";

const text = phrases(
  { of: "What it really is", drone: "Is a drone", not_drone: "Not a drone" },
  { of: "Ce que c’est vraiment", drone: "C’est un drone", not_drone: "Pas un drone" },
);

const choices = ["drone", "not_drone"] as const;

export function Verdicts({ track }: { track: string }) {
  const t = text.value;
  const said = verdicts.value.get(track);
  if (isReplay) return null; // ids of a replay may name something else than what is live
  return (
    <span class="verdicts" role="group" aria-label={`${t.of}: ${track}`}>
      {choices.map((each) => (
        <button type="button" key={each} class="act" aria-pressed={said === each} onClick={() => void judge(track, each)}>
          {said === each && <span aria-hidden="true">✓ </span>}
          {t[each]}
        </button>
      ))}
    </span>
  );
}
