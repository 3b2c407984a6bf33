// What scripts add to the owner's pages, besides base.js; each page does its work without them.
"use strict";

(() => {
  // Parts that come live bring forms with them.
  const seen = new MutationObserver((records) => {
    for (const record of records) {
      for (const added of record.addedNodes) {
        if (!(added instanceof Element)) continue;
        window.htmx?.process(added);
        improve(added);
      }
    }
  });
  seen.observe(document.getElementById("content"), { childList: true, subtree: true });

  // A session that is over (the node was restarted, or nobody was here for long): the whole page
  // says so, and what to type.
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.xhr.status === 401) {
      event.detail.shouldSwap = false;
      location.reload();
    }
  });
  const note = document.getElementById("live-note");
  const AGAIN_MS = 5000;
  async function lookWhetherOver() {
    if (note?.dataset.state !== "lost") return;
    try {
      const answer = await fetch(location.href, { method: "HEAD" });
      if (answer.status === 401) { location.reload(); return; }
    } catch {
      // the node is not there: it is looked for again
    }
    setTimeout(lookWhetherOver, AGAIN_MS);
  }
  if (note) new MutationObserver(lookWhetherOver).observe(note, { attributeFilter: ["data-state"] });
})();
