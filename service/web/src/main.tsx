import { render } from "preact";
import { App } from "./app";
import { startClock } from "./clock";
import { keepFeeds } from "./feed";
import { startLink } from "./link";
import { startTrails } from "./trails";
import { sensors, startForgetting } from "./state";
import "./styles/tokens.css";
import "./styles/console.css";

startClock();
startLink();
startForgetting();
startTrails();
sensors.subscribe((all) => keepFeeds(new Set(all.map(({ id }) => id))));

const root = document.getElementById("console");
if (root) render(<App />, root);
