/** The theme's colours for the canvas, read from the same CSS variables as everything else. */

import { computed, signal } from "@preact/signals";
import type { Look } from "./paint";
import { theme } from "./theme";

const textPx = 14;

/** Pixels of the page's type against those that drawings are made for: drawings grow with the type, on a wall of 4K too. */
const unit = signal(1);

function measure(): void {
  unit.value = Number.parseFloat(getComputedStyle(document.documentElement).fontSize) / textPx;
}
addEventListener("resize", measure);
measure();

/** Canvas pixels of what a drawing calls a pixel. */
export const drawnPixel = (): number => (window.devicePixelRatio || 1) * unit.peek();

function read(): Look {
  const style = getComputedStyle(document.documentElement);
  const value = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  const onPicture = (name: string): string => value(`picture-${name}`) || value(name);
  return {
    classes: {
      drone: onPicture("drone"),
      bird: onPicture("bird"),
      airplane: onPicture("airplane"),
      helicopter: onPicture("helicopter"),
    },
    selected: onPicture("chosen"),
    halo: value("halo"),
    label: value("label"),
    ink: value("ink"),
    backdrop: value("backdrop"),
    font: value("font"),
    chart: {
      classes: {
        drone: value("drone"),
        bird: value("bird"),
        airplane: value("airplane"),
        helicopter: value("helicopter"),
      },
      ground: value("map-ground"),
      ring: value("map-ring"),
      text: value("dim"),
      ink: value("bright"),
      label: value("map-label"),
      field: value("map-field"),
      sensor: value("text"),
      alert: value("warn"),
      exclusion: value("alarm"),
      truth: value("map-truth"),
      shape: value("map-shape"),
      plan: value("map-plan"),
      tint: value("map-tint"),
      chosen: value("bright"),
    },
  };
}

export const look = computed<Look>(() => {
  void [theme.value, unit.value];
  return read();
});
