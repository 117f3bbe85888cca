/** What each key does. A key typed into a field, or with a modifier, is not ours. */

import { toggleBase } from "./base_map";
import { toggleZone } from "./clock";
import { acknowledgeFirst } from "./alerts";
import { toggleSound } from "./sound";
import { centreMap, fitMap, zoomMap } from "./map";
import { step } from "./ranking";
import { showTruth, worldTracks } from "./site";
import { camera, full, select, selected, sensors, showDetections, toggleFull } from "./state";
import { toggleLanguage } from "./strings";
import { zoomBy } from "./target";
import { page } from "./pages";
import { seekBy, stepOn, togglePaused } from "./replay";
import { nextTheme } from "./theme";
import { jumpToAlert } from "./timeline";
import { isReplay } from "./world";
import { helpOpen } from "./help";

function escape(): void {
  if (helpOpen.value) helpOpen.value = false;
  else if (full.value) full.value = false;
  else select(undefined);
}

function chooseCamera(number: number): void {
  const sensor = sensors.value.filter(({ kind }) => kind === "camera")[number - 1];
  if (sensor) camera.value = sensor.id;
}

function centreTarget(): void {
  const target = worldTracks.value.find(({ id }) => id === selected.value);
  if (target) centreMap(target.enu);
}

/** Of a page that plays a flight; on a live one these keys do nothing. */
const replayActions: Readonly<Record<string, () => void>> = {
  p: () => void togglePaused(),
  " ": () => void togglePaused(),
  ".": () => void stepOn(10),
  n: () => jumpToAlert(1),
  b: () => jumpToAlert(-1),
  ArrowLeft: () => void seekBy(-5000),
  ArrowRight: () => void seekBy(5000),
};

const actions: Readonly<Record<string, () => void>> = {
  j: () => step(1),
  ArrowDown: () => step(1),
  k: () => step(-1),
  ArrowUp: () => step(-1),
  Home: () => step(-Infinity),
  End: () => step(Infinity),
  Escape: escape,
  f: toggleFull,
  d: () => (showDetections.value = !showDetections.value),
  a: acknowledgeFirst,
  s: toggleSound,
  c: centreTarget,
  g: toggleBase,
  m: fitMap,
  x: () => (showTruth.value = !showTruth.value),
  "]": () => zoomMap(1.5),
  "[": () => zoomMap(1 / 1.5),
  t: nextTheme,
  l: toggleLanguage,
  z: toggleZone,
  "+": () => zoomBy(1.5),
  "=": () => zoomBy(1.5),
  "-": () => zoomBy(1 / 1.5),
  "?": () => (helpOpen.value = !helpOpen.value),
  ...(isReplay ? replayActions : {}),
};

/** What keys mean on pages other than the situation too. */
const everywhere: ReadonlySet<string> = new Set(["t", "l", "z", "?", "Escape"]);

const typing = (target: EventTarget | null): boolean =>
  target instanceof HTMLInputElement || target instanceof HTMLSelectElement || target instanceof HTMLTextAreaElement;

export function onKey(event: KeyboardEvent): void {
  if (event.ctrlKey || event.altKey || event.metaKey || typing(event.target)) return;
  if (event.key === " " && event.target instanceof HTMLButtonElement) return; // it is pressed by it
  if (page.value !== "live" && !everywhere.has(event.key)) return;
  if (helpOpen.value && event.key !== "Escape" && event.key !== "?") return;
  const action = /^[1-9]$/.test(event.key) ? () => chooseCamera(Number(event.key)) : actions[event.key];
  if (!action) return;
  event.preventDefault();
  action();
}
