// Keeps a page as it is at the console: parts of it come as server-sent events, rendered there.
"use strict";

(() => {
  const place = document.querySelector("[data-live]");
  if (!place) return;
  const list = document.getElementById(place.dataset.liveList);
  const note = document.getElementById("live-note");
  const said = document.getElementById("live-said");
  const AGAIN_MS = 5000;
  let source = null;
  let again = 0;

  function tell(state) {
    if (!note || note.dataset.state === state) return;
    note.dataset.state = state;
    note.textContent = state === "live" ? note.dataset.textLive : note.dataset.textLost;
  }

  function rendered(html) {
    const template = document.createElement("template");
    template.innerHTML = html;
    return template.content.firstElementChild;
  }

  const FIELDS = "input[id], input[aria-label]";
  const REACHED = `a, button, summary, [tabindex], ${FIELDS}`;

  function nameOf(one) {
    return one.id || one.getAttribute("aria-label") || one.getAttribute("href") || one.value;
  }

  // By its name and never by its place: a row above may have got a button meanwhile.
  function sameIn(part, one) {
    const name = nameOf(one);
    const same = [...part.querySelectorAll(one.localName)].filter((each) => nameOf(each) === name);
    return name && same.length === 1 ? same[0] : null;
  }

  // What is half typed or ticked stays in the field of the same name, whatever its row says by now.
  function keepTyped(before, after) {
    for (const typed of before.querySelectorAll(FIELDS)) {
      const field = sameIn(after, typed);
      if (field && typed.value !== typed.defaultValue) field.value = typed.value;
      if (field && typed.checked !== typed.defaultChecked) field.checked = typed.checked;
    }
  }

  // Where the keyboard is must not be lost because its row is drawn anew.
  function replace(before, after) {
    const focused = before.contains(document.activeElement) ? document.activeElement : null;
    const isReached = focused?.matches(REACHED);
    keepTyped(before, after);
    before.replaceWith(after);
    if (isReached) sameIn(after, focused)?.focus();
    if (said && before.dataset.state !== after.dataset.state) {
      said.textContent = `${after.dataset.name}: ${after.dataset.state}`;
    }
  }

  function show(parts, order) {
    for (const [id, html] of Object.entries(parts)) {
      const after = rendered(html);
      const before = document.getElementById(id);
      if (before) replace(before, after);
      else if (list) list.append(after);
    }
    if (!list || !order) return;
    const wanted = new Set(order);
    for (const row of [...list.children]) if (!wanted.has(row.id)) row.remove();
    order.forEach((id, at) => {
      const row = document.getElementById(id);
      if (row && list.children[at] !== row) list.insertBefore(row, list.children[at] ?? null);
    });
    for (const part of document.querySelectorAll("[data-live-empty]")) {
      part.hidden = (part.dataset.liveEmpty === "yes") !== (order.length === 0);
    }
  }

  function close() {
    clearTimeout(again);
    source?.close();
    source = null;
  }

  function open() {
    close();
    source = new EventSource(place.dataset.live);
    source.addEventListener("open", () => tell("live"));
    source.addEventListener("parts", (event) => {
      const { parts, order } = JSON.parse(event.data);
      show(parts, order);
    });
    // What has changed for the whole page (it was deleted, somebody signed out): ask for it anew.
    source.addEventListener("over", () => { close(); location.reload(); });
    source.addEventListener("error", () => {
      tell("lost");
      // After an answer that is no stream the browser gives up; a console that starts is such a case.
      if (source?.readyState === EventSource.CLOSED) again = setTimeout(open, AGAIN_MS);
    });
  }

  // Browsers open six connections to a place, and a page in a hidden tab would keep one of them.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) close(); else open();
  });
  window.addEventListener("pagehide", close);
  open();
})();
