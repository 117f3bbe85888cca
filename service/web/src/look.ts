/** The theme's colours for the canvas, read from the same CSS variables as everything else. */

import { computed } from "@preact/signals";
import type { Look } from "./paint";
import { theme } from "./theme";

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
      chosen: value("bright"),
    },
  };
}

export const look = computed<Look>(() => {
  void theme.value;
  return read();
});
