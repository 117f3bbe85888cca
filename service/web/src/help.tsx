/** The page of keys and signs. */

import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { ClassMark, IdentityMark, TrackMark } from "./marks";
import { type Strings, words } from "./strings";
import { classNames } from "./wire";

export const helpOpen = signal(false);

const rows: readonly (readonly [string, keyof Strings["keys"]])[] = [
  ["j k ↓ ↑", "tracks"],
  ["Home End", "ends"],
  ["1 … 9", "cameras"],
  ["f", "full"],
  ["Esc", "escape"],
  ["+ −", "zoom"],
  ["d", "detections"],
  ["a", "acknowledge"],
  ["s", "sound"],
  ["[ ]", "mapZoom"],
  ["m", "mapFit"],
  ["c", "mapCentre"],
  ["g", "base"],
  ["x", "truth"],
  ["p Space", "pause"],
  ["← →", "seek"],
  [".", "step"],
  ["b n", "jump"],
  ["t", "theme"],
  ["l", "language"],
  ["z", "clock"],
  ["?", "help"],
];

function Keys() {
  const t = words.value;
  return (
    <dl class="keys">
      {rows.map(([keys, name]) => (
        <div key={name}>
          <dt>
            {keys.split(" ").map((key) => (key === "…" ? " … " : <kbd key={key}>{key}</kbd>))}
          </dt>
          <dd>{t.keys[name]}</dd>
        </div>
      ))}
    </dl>
  );
}

function Legend() {
  const t = words.value;
  return (
    <>
      <h3>{t.legend}</h3>
      <ul class="legend">
        {classNames.map((name) => (
          <li key={name}>
            <ClassMark name={name} />
            {t.classes[name]}
          </li>
        ))}
        {(["confirmed", "tentative", "coasting"] as const).map((state) => (
          <li key={state}>
            <TrackMark state={state} />
            {t.legendStates[state]}
          </li>
        ))}
        {(["cooperative", "unknown", "claim", "conflicting"] as const).map((kind) => (
          <li key={kind}>
            <IdentityMark kind={kind} />
            {t.legendIdentity[kind]}
          </li>
        ))}
      </ul>
    </>
  );
}

export function Help() {
  const t = words.value;
  const dialog = useRef<HTMLDialogElement>(null);
  const open = helpOpen.value;
  useEffect(() => {
    if (open) dialog.current?.showModal();
    else dialog.current?.close();
  }, [open]);
  return (
    <dialog ref={dialog} class="help" aria-label={t.help} onClose={() => (helpOpen.value = false)}>
      <header>
        <h2>{t.help}</h2>
        <button type="button" onClick={() => (helpOpen.value = false)}>
          {t.close}
        </button>
      </header>
      <Keys />
      <Legend />
    </dialog>
  );
}
