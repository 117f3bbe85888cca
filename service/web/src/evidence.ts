/** Reasons for an identity in the operator's language. The service's English sentence is the key, as in gettext; a test
 * holds the French ones against all that fusion/identity.py can say. An unknown sentence stays as it is. */

import french from "./evidence.fr.json";
import { language } from "./strings";

const patterns = french.map(([english, translated]) => [new RegExp(english ?? ""), translated ?? ""] as const);

export function evidenceText(sentence: string): string {
  if (language.value === "en") return sentence;
  const known = patterns.find(([english]) => english.test(sentence));
  return known ? sentence.replace(known[0], known[1]) : sentence;
}
