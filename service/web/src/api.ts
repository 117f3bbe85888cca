/** Asking the service over HTTP. Paths go to the live world unless they are made with `inWorld`. */

/** The service said no, or nothing; the message is its own sentence where it has one. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    sentence: string,
  ) {
    super(sentence);
  }
}

/** Raises Refusal. An answer without a body is undefined. */
export async function send<Answer>(method: string, path: string, body?: unknown): Promise<Answer> {
  const init: RequestInit = { method, cache: "no-store" };
  if (body !== undefined) {
    init.headers = { "Content-Type": typeof body === "string" ? "text/plain" : "application/json" };
    init.body = typeof body === "string" ? body : JSON.stringify(body);
  }
  let answer: Response;
  try {
    answer = await fetch(path, init);
  } catch {
    throw new Refusal(0, "");
  }
  const text = await answer.text();
  if (!answer.ok) throw new Refusal(answer.status, detailOf(text));
  return (text ? JSON.parse(text) : undefined) as Answer;
}

/** Raises Refusal. */
export const ask = <Answer>(path: string): Promise<Answer> => send<Answer>("GET", path);

/** What is there, or undefined: for what is asked again and again, where the link tells that the service is gone. */
export async function askQuietly<Answer>(path: string): Promise<Answer | undefined> {
  try {
    return await ask<Answer>(path);
  } catch {
    return undefined;
  }
}

/** All pages of a list that pages with `cursor`, newest first, `most` pages at most. */
export async function askAll<Item>(path: string, name: string, most = 6): Promise<Item[]> {
  const found: Item[] = [];
  let cursor: string | null = null;
  for (let page = 0; page < most; page++) {
    const next: string = cursor === null ? path : `${path}&cursor=${encodeURIComponent(cursor)}`;
    const answer: Record<string, unknown> = await ask(next);
    found.push(...(answer[name] as Item[]));
    cursor = answer["next_cursor"] as string | null;
    if (cursor === null) break;
  }
  return found;
}

function detailOf(text: string): string {
  try {
    return String((JSON.parse(text) as { detail?: unknown }).detail ?? "");
  } catch {
    return "";
  }
}
