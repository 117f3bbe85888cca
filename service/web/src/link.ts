/** Whether what is on the screen is live: the topic socket is open and the server was heard within the last moments. */

import { signal } from "@preact/signals";
import { now } from "./clock";
import { startSite } from "./site";
import { applyMessage } from "./state";
import { Socket } from "./socket";
import { readMessage, topicsAddress } from "./wire";
import { inWorld } from "./world";

export type LinkState = "connecting" | "live" | "lost";

export interface Link {
  readonly state: LinkState;
  /** When the server was heard last, milliseconds UTC; 0 if never. */
  readonly heard: number;
}

export const link = signal<Link>({ state: "connecting", heard: 0 });

/** A closed socket is forgiven this long, so that a blink of the network does not shout. */
const closedGraceMs = 700;
/** A quiet server is asked after this long whether it is there… */
const askAfterMs = 900;
/** …and held for lost after this long: the banner must stand within two seconds. */
const silenceMs = 1600;
const firstAnswerMs = 3000;

let open = false;
let heard = 0;
let closedAt = 0;
let asking = false;
const startedAt = Date.now();

function hear(): void {
  heard = Date.now();
}

async function ask(): Promise<void> {
  asking = true;
  try {
    const answer = await fetch(inWorld("/healthz"), { cache: "no-store", signal: AbortSignal.timeout(silenceMs - askAfterMs) });
    if (answer.ok) hear();
  } catch {
    // No answer is the answer: `judge` sees the silence grow.
  }
  asking = false;
}

function judge(at: number): LinkState {
  if (heard === 0) return at - startedAt < firstAnswerMs ? "connecting" : "lost";
  if (open && at - heard < silenceMs) return "live";
  if (!open && at - Math.max(closedAt, 0) < closedGraceMs) return link.peek().state;
  return "lost";
}

export function startLink(): void {
  const socket = new Socket(topicsAddress, {
    opened: () => {
      open = true;
      hear();
      startSite();
    },
    closed: () => {
      if (open) closedAt = Date.now();
      open = false;
    },
    text: (text) => {
      hear();
      const message = readMessage(text);
      if (message) applyMessage(message);
    },
  });
  now.subscribe((at) => {
    if (open && at - heard > askAfterMs && !asking) void ask();
    const state = judge(at);
    if (state === "lost" && open) socket.restart();
    if (state !== link.peek().state || heard - link.peek().heard > 500) link.value = { state, heard };
  });
}
