/** Which world this page shows: what is live, or a flight that plays. It stands in the page's address, so that no page
 * ever shows two, and what is live is one click, one reload or one new window away. */

const asked = new URLSearchParams(location.search).get("world") ?? "";

/** The id of the replay that this page shows; empty for what is live. */
export const replayId = asked === "live" ? "" : asked;
export const isReplay = replayId !== "";

/** A pane is one of two worlds side by side: no bar of its own, no sound. */
export const isPane = new URLSearchParams(location.search).has("pane");

/** The address of a path in this page's world. */
export const inWorld = (path: string): string =>
  isReplay ? `${path}${path.includes("?") ? "&" : "?"}world=${encodeURIComponent(replayId)}` : path;

/** The page of a world; of what is live where `id` is empty. */
export const worldPage = (id: string): string => (id ? `/?world=${encodeURIComponent(id)}` : "/");
