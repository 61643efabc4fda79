// The stream of server-sent events, and the watch over it.  A page that hears nothing must not look alive: the monitor
// sends its state once a second at least, so that nobody knows how the line is once nothing came for almost two.

const SILENT_MS = 1800;
const LOOK_MS = 100;
const REOPEN_MS = 5000;
const HIDDEN_MS = 10_000; // a page out of sight so long leaves its connection and the live pictures to others

/**
 * Emits "state", "part" and "live" with the server's data as `detail`, and "silence" with whether it is silent: when
 * that turns, and again with each attempt to end it.
 */
export class Feed extends EventTarget {
  constructor(url) {
    super();
    this.url = url;
    this.state = null; // the latest
    this.heardAt = null; // by the wall clock, for people
    this.silent = false;
    this.heard = this.opened = performance.now();
    this.hiding = null; // the timer that closes
    this.open();
    this.turnAway();
    document.addEventListener("visibilitychange", () => this.turnAway());
    setInterval(() => this.look(), LOOK_MS);
  }

  /** Close some time after the page went out of sight; open when it is seen again, and until news come show that none do. */
  turnAway() {
    clearTimeout(this.hiding);
    if (document.hidden) this.hiding = setTimeout(() => this.source.close(), HIDDEN_MS);
    else if (this.source.readyState === EventSource.CLOSED) this.open();
  }

  open() {
    this.source?.close();
    this.source = new EventSource(this.url);
    this.opened = performance.now();
    for (const name of ["state", "part", "live"]) {
      this.source.addEventListener(name, (event) => this.take(name, JSON.parse(event.data)));
    }
  }

  take(name, data) {
    this.heard = performance.now();
    this.heardAt = Date.now();
    if (name === "state") this.state = data;
    if (this.silent) this.turn(false);
    this.emit(name, data);
  }

  look() {
    const now = performance.now();
    if (now - this.heard > SILENT_MS && !this.silent) this.turn(true);
    if (!this.silent || document.hidden || now - this.opened <= REOPEN_MS) return;
    this.open();
    this.emit("silence", true);
  }

  turn(silent) {
    this.silent = silent;
    this.emit("silence", silent);
  }

  emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

/** Listen to several events of `feed`; return what ends all of it. */
export function listen(feed, listeners) {
  const entries = Object.entries(listeners).map(([name, take]) => [name, (event) => take(event.detail)]);
  for (const [name, listener] of entries) feed.addEventListener(name, listener);
  return () => entries.forEach(([name, listener]) => feed.removeEventListener(name, listener));
}
