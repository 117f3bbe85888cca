import { render } from "preact";
import { App } from "./app";
import { startAway } from "./away";
import { startClock } from "./clock";
import { keepFeeds, pictured } from "./feed";
import { startForecast } from "./forecast";
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
import "./styles/sensor.css";
import "./styles/setup.css";
import "./styles/statistics.css";
import "./styles/timeline.css";

startClock();
startLink();
startForgetting();
startTrails();
startReplay();
startLiveWatch();
startSound();
startAway();
void pictured.then(() => {
  startPast();
  startForecast();
});
sensors.subscribe((all) => keepFeeds(new Set(all.map(({ id }) => id))));

const root = document.getElementById("console");
if (root) render(<App />, root);
