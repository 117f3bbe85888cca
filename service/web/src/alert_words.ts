/** What an alert says, worded here from its kind, zone and time, in the operator's language. */

import { evidenceText } from "./evidence";
import { phrases } from "./phrases";
import type { Alert } from "./schema";
import { zoneNames } from "./site";

const text = phrases(
  {
    enter: (zone: string) => `in ${zone}`,
    entered: (zone: string) => `was in ${zone}`,
    approach: (zone: string, seconds: string) => `towards ${zone}${seconds && `, ${seconds} s away`}`,
    approached: (zone: string) => `flew towards ${zone}`,
    unrecorded: "Nothing is recorded",
    wasUnrecorded: "Nothing was recorded",
  },
  {
    enter: (zone) => `dans ${zone}`,
    entered: (zone) => `était dans ${zone}`,
    approach: (zone, seconds) => `vers ${zone}${seconds && `, à ${seconds} s`}`,
    approached: (zone) => `volait vers ${zone}`,
    unrecorded: "Rien n’est enregistré",
    wasUnrecorded: "Rien n’a été enregistré",
  },
);

/** Without the name of the track, which stands beside it. */
export function alertText(alert: Alert): string {
  const t = text.value;
  const zone = zoneNames.value.get(alert.zone ?? "") ?? alert.zone ?? "";
  switch (alert.kind) {
    case "enter":
      return alert.active ? t.enter(zone) : t.entered(zone);
    case "approach": {
      const seconds = alert.time_to_entry === null ? "" : alert.time_to_entry.toFixed(0);
      return alert.active ? t.approach(zone, seconds) : t.approached(zone);
    }
    case "claim_conflict":
      return evidenceText(alert.text.replace(`${alert.track}: `, ""));
    case "recording":
      return `${alert.active ? t.unrecorded : t.wasUnrecorded}: ${alert.text.replace("Nothing is recorded in ", "")}`;
  }
}
