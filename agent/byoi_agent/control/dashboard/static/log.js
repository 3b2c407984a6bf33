// Has the log's lines come as they are written; pausing keeps what is shown, so that it can be read.
"use strict";

(() => {
  const log = document.getElementById("log");
  const follow = document.getElementById("follow");
  const note = document.getElementById("live-note");
  const NAMED = ["time", "level", "logger", "event"];
  const MOST_LINES = 2000;
  const AGAIN_MS = 5000;
  let source = null;
  let again = 0;

  function tell(state) {
    note.dataset.state = state;
    note.textContent = state === "paused" ? "Paused: what is shown stays."
      : state === "live" ? note.dataset.textLive : note.dataset.textLost;
  }

  function span(kind, text) {
    const made = document.createElement("span");
    made.className = kind;
    made.textContent = text;
    return made;
  }

  // As the page had it from the node: month, day and time, on the reader's clock.
  function moment(iso) {
    const at = new Date(iso);
    const made = document.createElement("time");
    made.className = "when";
    made.dateTime = iso;
    const two = (number) => String(number).padStart(2, "0");
    made.textContent = Number.isNaN(at.getTime()) ? iso
      : `${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
    return made;
  }

  function lineOf(fields) {
    const line = document.createElement("div");
    const level = String(fields.level).toLowerCase();
    line.className = "log-line is-" + level.replace(/[^a-z]/g, "");
    const beside = Object.entries(fields).filter(([name]) => !NAMED.includes(name))
      .map(([name, value]) => `${name}=${typeof value === "object" ? JSON.stringify(value) : value}`);
    line.append(moment(fields.time), " ", span("level", level), ` ${fields.event} `,
      span("from", beside.join(" ")));
    return line;
  }

  function close() {
    clearTimeout(again);
    source?.close();
    source = null;
  }

  function open() {
    close();
    if (follow.getAttribute("aria-pressed") !== "true") return;
    source = new EventSource(log.dataset.stream);
    // The last lines come first each time: none is missed, and none is shown twice.
    source.addEventListener("open", () => { log.replaceChildren(); tell("live"); });
    source.addEventListener("log", (event) => {
      log.append(lineOf(JSON.parse(event.data)));
      while (log.childElementCount > MOST_LINES) log.firstElementChild.remove();
      log.scrollTop = log.scrollHeight;
    });
    source.addEventListener("error", () => {
      tell("lost");
      if (source?.readyState === EventSource.CLOSED) again = setTimeout(open, AGAIN_MS);
    });
  }

  follow.hidden = false;
  follow.addEventListener("click", () => {
    const isFollowing = follow.getAttribute("aria-pressed") !== "true";
    follow.setAttribute("aria-pressed", String(isFollowing));
    if (isFollowing) open(); else { close(); tell("paused"); }
  });
  document.addEventListener("visibilitychange", () => { if (document.hidden) close(); else open(); });
  window.addEventListener("pagehide", close);
  log.scrollTop = log.scrollHeight;
  open();
})();
