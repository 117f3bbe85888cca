/** Who sits here, and what he says of alerts and tracks; every answer of the service is put into the state at once. */

import { signal } from "@preact/signals";
import { Refusal, send } from "./api";
import { phrases } from "./phrases";
import { keep, kept } from "./preferences";
import type { Alert } from "./schema";
import { putAlert } from "./state";

const text = phrases({ operator: "Operator", silent: "The service did not answer." }, { operator: "Opérateur", silent: "Le service n’a pas répondu." });

export const operator = signal(kept("operator") ?? "");

export function nameOperator(name: string): void {
  operator.value = name;
  keep("operator", name);
}

const who = (): string => operator.value.trim() || text.peek().operator;

/** What went wrong with the last word said; empty when nothing did. */
export const trouble = signal("");

async function trying<Answer>(path: string, body: object): Promise<Answer | undefined> {
  try {
    const answer = await send<Answer>("POST", path, { who: who(), ...body });
    trouble.value = "";
    return answer;
  } catch (error) {
    trouble.value = (error instanceof Refusal && error.message) || text.peek().silent;
    return undefined;
  }
}

/** Take note of alerts, all with the same words. */
export async function acknowledge(alerts: readonly Alert[], note = ""): Promise<void> {
  const open = alerts.filter(({ acknowledged }) => !acknowledged);
  const paths = open.map(({ id }) => `/api/v1/alerts/${encodeURIComponent(id)}/acknowledge`);
  for (const answer of await Promise.all(paths.map((path) => trying<Alert>(path, { note })))) if (answer) putAlert(answer);
}

export type Verdict = "drone" | "bird" | "airplane" | "helicopter" | "not_drone" | "unclear";

/** What an operator said of a track by this console: the newest counts. Others' words come with the page of alerts. */
export const verdicts = signal<ReadonlyMap<string, Verdict>>(new Map());

/** Say what a track really is; kept for training. */
export async function judge(track: string, verdict: Verdict, note = ""): Promise<void> {
  const said = await trying<unknown>(`/api/v1/tracks/${encodeURIComponent(track)}/mark`, { verdict, note });
  if (said) verdicts.value = new Map([...verdicts.value, [track, verdict]]);
}
