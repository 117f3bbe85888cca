import { render } from "preact";
import { App } from "./app";
import { startClock } from "./clock";
import { keepFeeds } from "./feed";
import { startLink } from "./link";
import { startPast } from "./past";
import { startReplay } from "./replay";
import { startLiveWatch } from "./replay_bar";
import { startSound } from "./sound";
import { sensors, startForgetting } from "./state";
import { startTrails } from "./trails";
import "./styles/tokens.css";
import "./styles/console.css";
import "./styles/pages.css";
import "./styles/alerts.css";
import "./styles/timeline.css";

startClock();
startLink();
startForgetting();
startTrails();
startReplay();
startLiveWatch();
startPast();
startSound();
sensors.subscribe((all) => keepFeeds(new Set(all.map(({ id }) => id))));

const root = document.getElementById("console");
if (root) render(<App />, root);
