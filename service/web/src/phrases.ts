/** Words of one panel, beside the panel that shows them; what all panels share is in strings.ts. */

import { type ReadonlySignal, computed } from "@preact/signals";
import { language } from "./strings";

/** The words of the language now. The compiler finds what French lacks. */
export const phrases = <Shape>(en: Shape, fr: NoInfer<Shape>): ReadonlySignal<Shape> =>
  computed(() => (language.value === "fr" ? (fr as Shape) : en));
