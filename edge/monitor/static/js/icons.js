// Icons, drawn on a grid of 24.  Each state and outcome has a shape of its own: colour alone tells nobody anything.

import { svg } from "./dom.js";

const LINE = {
  overview: "M4 5h7v6H4zM13 5h7v10h-7zM4 13h7v6H4zM13 17h7v2h-7z",
  gallery: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4",
  shifts: "M5 20V10M12 20V4M19 20v-7",
  alarms: "M6 17v-6a6 6 0 0 1 12 0v6l1.5 1.5h-15zM10 20.5h4",
  challenge: "M5 4h14v6a7 7 0 0 1-14 0zM12 17v3M8 20.5h8M9 9l2 2 4-4",
  user: "M12 4a4 4 0 1 1 0 8 4 4 0 0 1 0-8zM4.5 20.5c.5-4 3.5-6 7.5-6s7 2 7.5 6",
  auto: "M12 4a8 8 0 1 0 0 16zM12 4a8 8 0 0 1 0 16",
  light: "M12 8a4 4 0 1 1 0 8 4 4 0 0 1 0-8zM12 2v3M12 19v3M2 12h3M19 12h3M5 5l2 2M17 17l2 2M5 19l2-2M17 7l2-2",
  dark: "M19.5 14.5A8 8 0 1 1 9.5 4.5a6.5 6.5 0 0 0 10 10z",
  next: "M9 5l7 7-7 7",
  back: "M15 5l-7 7 7 7",
  check: "M5 12.5l4.5 4.5L19 7.5",
  cross: "M6 6l12 12M18 6L6 18",
  download: "M12 4v11M7 10.5l5 5 5-5M5 20h14",
  picture: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4",
  unknown: "M8.5 9a3.5 3.5 0 1 1 5 3.2c-1 .5-1.500 1.200-1.500 2.300M12 18.500v.2",
};

const SOLID = {
  RUNNING: "M12 1a11 11 0 1 0 0 22 11 11 0 0 0 0-22zM9 7l9 5-9 5z",
  WARNING: "M12 1.500L23.500 22H.5zM10.900 8.500h2.200v7h-2.200zM10.900 17h2.200v2.200h-2.200z",
  FAULT: "M7.500 1h9L23 7.500v9L16.500 23h-9L1 16.500v-9zM8.300 6.700L6.700 8.300l3.700 3.700-3.700 3.700 1.600 1.600 3.700-3.700 3.700 3.700 1.600-1.600-3.700-3.700 3.700-3.700-1.600-1.600-3.700 3.700z",
  STOPPED: "M12 1a11 11 0 1 0 0 22 11 11 0 0 0 0-22zM8 8h8v8H8z",
  WAITING: "M12 1a11 11 0 1 0 0 22 11 11 0 0 0 0-22zM11 5h2v6.600l4 4-1.400 1.400-4.600-4.600z",
  SILENT: "M12 1a11 11 0 1 0 0 22 11 11 0 0 0 0-22zM6 10.900h12v2.200H6z",
};

/** Return an icon; the text beside it says the same. */
export function icon(name, className = "") {
  const isSolid = name in SOLID;
  const path = svg("path", { d: isSolid ? SOLID[name] : LINE[name], "fill-rule": "evenodd" });
  const kind = isSolid ? "icon icon-solid" : "icon";
  return svg("svg", { class: `${kind} ${className}`, viewBox: "0 0 24 24", "aria-hidden": "true", focusable: "false" }, path);
}

const OF_OUTCOME = { PASS: "check", REJECT: "cross", NO_DECISION: "unknown" };

export function outcomeIcon(outcome) {
  return icon(OF_OUTCOME[outcome] ?? "unknown");
}
