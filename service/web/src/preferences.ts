/** What this browser remembers of its operator. A browser that forbids storage only forgets. */

const prefix = "deeplomatics.";

/** The remembered choice, if it is one of `allowed`. */
export function recall<Choice extends string>(key: string, allowed: readonly Choice[]): Choice | undefined {
  try {
    const kept = localStorage.getItem(prefix + key);
    return allowed.find((choice) => choice === kept);
  } catch {
    return undefined;
  }
}

export function remember(key: string, choice: string): void {
  try {
    localStorage.setItem(prefix + key, choice);
  } catch {
    // Storage is forbidden or full: the choice holds until the page is closed.
  }
}

/** A text that is not a choice: undefined when there is none. */
export function kept(key: string): string | undefined {
  try {
    return localStorage.getItem(prefix + key) ?? undefined;
  } catch {
    return undefined;
  }
}

export const keep = remember;
