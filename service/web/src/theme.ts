/** Night, day and red light: the names of three sets of CSS variables (styles/tokens.css). */

import { effect, signal } from "@preact/signals";
import { recall, remember } from "./preferences";

export const themes = ["night", "day", "red"] as const;
export type Theme = (typeof themes)[number];

export const theme = signal<Theme>(recall("theme", themes) ?? "night");

effect(() => {
  document.documentElement.dataset["theme"] = theme.value;
});

export function nextTheme(): void {
  theme.value = themes[(themes.indexOf(theme.value) + 1) % themes.length] ?? "night";
  remember("theme", theme.value);
}
