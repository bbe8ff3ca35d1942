// The views beside the channels, in the order of the side; without a title, they are not at the side. `open`: also for
// whoever reads without a token.

import { agentsView } from "./agents.js";
import { alertsView } from "./alerts.js";
import { asksView } from "./asks.js";
import { costsView } from "./costs.js";
import { inboxView, mentionsView, sentView } from "./mail.js";
import { meshView } from "./mesh.js";
import { searchView } from "./search.js";
import { talksView } from "./talks.js";

export const VIEWS = [
  { name: "inbox", title: "Inbox", drawing: "inbox", open: false, show: inboxView },
  { name: "direct", title: "Direct", drawing: "talk", open: false, show: talksView },
  { name: "asks", title: "Asks", drawing: "ask", open: false, show: asksView },
  { name: "mentions", title: "Mentions", drawing: "at", open: true, show: mentionsView },
  { name: "sent", title: "Sent", drawing: "sent", open: false, show: sentView },
  { name: "mesh", title: "Mesh", drawing: "mesh", open: true, show: meshView },
  { name: "agents", title: "Agents", drawing: "people", open: true, show: agentsView },
  { name: "costs", title: "Costs", drawing: "coin", open: false, show: costsView },
  { name: "alerts", title: "Alerts", drawing: "bell", open: true, show: alertsView },
  { name: "search", open: true, show: searchView },
];
