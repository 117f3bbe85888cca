/** What several pages are made of: a choice that is kept, a list of figures, a table that scrolls. */

import { type Signal, effect, signal } from "@preact/signals";
import { type ComponentChildren } from "preact";
import { recall, remember } from "./preferences";

/** One of several names, as it was when this console was last open. */
export function keptChoice<Name extends string>(key: string, names: readonly Name[], otherwise: Name): Signal<Name> {
  const chosen = signal<Name>(recall(key, names) ?? otherwise);
  effect(() => remember(key, chosen.value));
  return chosen;
}

export function Choice<Name extends string>({ label, of, say }: {
  readonly label: string;
  readonly of: Signal<Name>;
  /** What each is called, in order. */
  readonly say: Readonly<Record<Name, string>>;
}) {
  return (
    <select aria-label={label} value={of.value} onChange={(event) => (of.value = event.currentTarget.value as Name)}>
      {(Object.keys(say) as Name[]).map((name) => (
        <option key={name} value={name}>
          {say[name]}
        </option>
      ))}
    </select>
  );
}

export function Figures({ rows, kind = "figures" }: { readonly rows: readonly (readonly [string, string])[]; readonly kind?: string }) {
  return (
    <dl class={kind}>
      {rows.map(([term, value]) => (
        <div key={term}>
          <dt>{term}</dt>
          <dd title={value}>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

export function Table({ title, head, children }: {
  readonly title: string;
  readonly head?: readonly string[];
  readonly children: ComponentChildren;
}) {
  return (
    <div class="scrolls" tabIndex={0} role="region" aria-label={title}>
      <table>
        {head && (
          <thead>
            <tr>
              {head.map((each) => (
                <th key={each} scope="col">
                  {each}
                </th>
              ))}
            </tr>
          </thead>
        )}
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}
