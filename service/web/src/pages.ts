/** Which page is open: it stands behind the # of the address, so that pages can be linked, kept and gone back from. */

import { computed, signal } from "@preact/signals";

export const pageNames = ["live", "alerts", "sensor", "flights", "compare", "statistics", "setup"] as const;
export type PageName = (typeof pageNames)[number];

const hash = signal(location.hash);
addEventListener("hashchange", () => (hash.value = location.hash));

const parts = computed(() => hash.value.replace(/^#\/?/, "").split("/").map(decodeURIComponent));

export const page = computed<PageName>(() => pageNames.find((name) => name === parts.value[0]) ?? "live");
/** What the page is about: `#/sensor/cam-east` is about cam-east. */
export const about = computed<readonly string[]>(() => parts.value.slice(1));

export const pageAddress = (name: PageName, ...of: readonly string[]): string =>
  name === "live" ? "#/" : `#/${[name, ...of.map(encodeURIComponent)].join("/")}`;

export function openPage(name: PageName, ...of: readonly string[]): void {
  location.hash = pageAddress(name, ...of);
}
