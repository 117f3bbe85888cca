/** The sound of alerts: two falling tones for a critical one, again until somebody takes note; one tone for a warning. */

import { effect, signal } from "@preact/signals";
import { now } from "./clock";
import { recall, remember } from "./preferences";
import type { Alert } from "./schema";
import { liveAlerts } from "./replay_bar";
import { alerts } from "./state";
import { isPane, isReplay } from "./world";

export const sound = signal<"on" | "off">(recall("sound", ["on", "off"]) ?? "on");
/** A browser lets no page make a sound before its operator has touched it. */
export const blocked = signal(true);

const againMs = 5000;
const loudness = 0.16;

let context: AudioContext | undefined;

/** Called by the first touch or key. */
function unlock(): void {
  context ??= new AudioContext();
  void context.resume().then(() => (blocked.value = context?.state !== "running"));
}

function tone(hertz: number, at: number, seconds: number): void {
  if (!context) return;
  const [wave, gain] = [context.createOscillator(), context.createGain()];
  const from = context.currentTime + at;
  wave.type = "triangle";
  wave.frequency.value = hertz;
  gain.gain.setValueAtTime(0, from);
  gain.gain.linearRampToValueAtTime(loudness, from + 0.02); // no click at the beginning, nor at the end
  gain.gain.setValueAtTime(loudness, from + seconds - 0.05);
  gain.gain.linearRampToValueAtTime(0, from + seconds);
  wave.connect(gain).connect(context.destination);
  wave.start(from);
  wave.stop(from + seconds);
}

/** Sounds that were made, for whoever wants to know (tests cannot hear). */
export const sounded = signal(0);

function call(severity: Alert["severity"]): void {
  if (sound.peek() === "off" || blocked.peek()) return;
  sounded.value += 1;
  document.documentElement.dataset["sounded"] = String(sounded.value);
  if (severity === "warning") return tone(523, 0, 0.25);
  for (const [hertz, at] of [[932, 0], [740, 0.22], [932, 0.5], [740, 0.72]] as const) tone(hertz, at, 0.2);
}

export function toggleSound(): void {
  sound.value = sound.value === "on" ? "off" : "on";
  remember("sound", sound.value);
  if (sound.value === "on") tone(523, 0, 0.15); // so one hears how loud it is
}

export function startSound(): void {
  if (isPane) return;
  for (const kind of ["pointerdown", "keydown"]) addEventListener(kind, unlock, { capture: true });
  const told = new Set<string>();
  let last = 0;
  effect(() => {
    const heard = isReplay ? liveAlerts.value : alerts.value; // what is past makes no sound
    const calling = heard.filter(({ active, acknowledged }) => active && !acknowledged);
    const fresh = calling.filter(({ id }) => !told.has(id));
    const again = now.value - last > againMs && calling.some(({ severity }) => severity === "critical");
    for (const id of told) if (!heard.some((alert) => alert.id === id)) told.delete(id);
    for (const { id } of fresh) told.add(id);
    if (fresh.length === 0 && !again) return;
    last = now.value;
    call([...fresh, ...(again ? calling : [])].some(({ severity }) => severity === "critical") ? "critical" : "warning");
  });
}
