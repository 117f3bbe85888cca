/** The bar on top: who we are, whether this is live, what time it is. And the banner when it is not live. */

import { duration, now, timeOfDay, toggleZone, zone } from "./clock";
import { helpOpen } from "./help";
import { link } from "./link";
import { missed } from "./state";
import { language, toggleLanguage, words } from "./strings";
import { type PageName, openPage, page, pageAddress, pageNames } from "./pages";
import { nextTheme, theme } from "./theme";
import { isReplay } from "./world";

const linked: readonly PageName[] = ["live", "alerts", "flights", "statistics", "setup"];

function LinkState() {
  const t = words.value;
  const { state } = link.value;
  if (isReplay && state === "live") return null; // the bar below says what it is instead
  return (
    <div class={`link ${state}`} role="status">
      <svg class="mark" viewBox="0 0 16 16" aria-hidden="true">
        {state === "live" && <path class="solid" d="M8 4A4 4 0 1 1 8 12 4 4 0 1 1 8 4Z" />}
        {state === "connecting" && <path d="M8 3.2A4.8 4.8 0 1 1 3.2 8" />}
        {state === "lost" && <path d="M4 4 12 12M12 4 4 12" />}
      </svg>
      {t.link[state]}
    </div>
  );
}

/** Ways to the other pages; on a phone a list to choose from. */
function Pages() {
  const t = words.value;
  if (isReplay) return null;
  return (
    <>
      <nav class="pages" aria-label={t.pagesLabel}>
        {linked.map((name) => (
          <a key={name} href={pageAddress(name)} aria-current={page.value === name ? "page" : undefined}>
            {t.pages[name]}
          </a>
        ))}
      </nav>
      <select
        class="pages-phone"
        aria-label={t.pagesLabel}
        value={page.value}
        onChange={(event) => openPage(event.currentTarget.value as PageName)}
      >
        {pageNames.map((name) => (
          <option key={name} value={name} hidden={!linked.includes(name)}>
            {t.pages[name]}
          </option>
        ))}
      </select>
    </>
  );
}

const themeSigns = {
  night: "M12.6 9.8A5.2 5.2 0 0 1 6.2 3.4 5.2 5.2 0 1 0 12.6 9.8Z",
  day: "M8 5.2A2.8 2.8 0 1 1 8 10.8 2.8 2.8 0 1 1 8 5.2ZM8 1.6V3M8 13V14.4M1.6 8H3M13 8H14.4M3.5 3.5 4.5 4.5M11.5 11.5 12.5 12.5M12.5 3.5 11.5 4.5M4.5 11.5 3.5 12.5",
  red: "M5 6.2A3 3 0 0 1 11 6.2C11 7.8 9.8 8.4 9.6 10H6.4C6.2 8.4 5 7.8 5 6.2ZM6.4 12.2H9.6M7 14H9",
} as const;

export function TopBar() {
  const t = words.value;
  const utc = zone.value === "utc";
  return (
    <header class="top">
      <a class="skip" href="#tracks">
        {t.skipToTracks}
      </a>
      <h1 class="brand">
        <svg viewBox="0 0 32 32" aria-hidden="true">
          <path d="M16 5 27 16 16 27 5 16Z" />
          <circle cx="16" cy="16" r="2.6" />
        </svg>
        <span>Deeplomatics</span>
      </h1>
      <LinkState />
      <Pages />
      {missed.value > 0 && <span class="missed">{t.missed(missed.value)}</span>}
      <span class="spring" />
      <button type="button" class="clock" onClick={toggleZone} title={`${t.clockButton(utc ? t.utc : t.local)} (z)`}>
        <time>{timeOfDay(now.value)}</time>
        <small>{utc ? t.utc : t.local}</small>
      </button>
      <button type="button" class="quiet" onClick={nextTheme} title={`${t.themeButton(t.themes[theme.value])} (t)`}>
        <svg viewBox="0 0 16 16" aria-hidden="true">
          <path d={themeSigns[theme.value]} />
        </svg>
        <span class="heard">{t.themeButton(t.themes[theme.value])}</span>
      </button>
      <button type="button" class="quiet word" onClick={toggleLanguage} title={`${t.languageButton} (l)`}>
        <span aria-hidden="true">{language.value.toUpperCase()}</span>
        <span class="heard">{t.languageButton}</span>
      </button>
      <button type="button" class="quiet word" onClick={() => (helpOpen.value = true)} title={`${t.help} (?)`}>
        <span aria-hidden="true">?</span>
        <span class="heard">{t.help}</span>
      </button>
    </header>
  );
}

export function Banner() {
  const t = words.value;
  const { state, heard } = link.value;
  if (state !== "lost") return null;
  return (
    <div class="banner" role="alert">
      <strong>{heard ? t.noDataSince(timeOfDay(heard)) : t.neverConnected}</strong>
      {heard > 0 && <span aria-live="off">{t.reconnecting(duration(now.value - heard))}</span>}
    </div>
  );
}
