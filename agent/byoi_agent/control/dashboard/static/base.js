// What scripts add to the pages; each page does its work without them.
"use strict";

// Times are written in UTC and shown in the reader's own zone.
function localTimes(root) {
  for (const time of root.querySelectorAll("time[data-local]")) {
    const moment = new Date(time.dateTime);
    if (!Number.isNaN(moment.getTime())) {
      time.title = time.textContent;
      time.textContent = moment.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
    }
  }
}

function copyButtons(root) {
  for (const button of root.querySelectorAll("button[data-copy]")) {
    if (!navigator.clipboard) continue;
    button.hidden = false;
    button.addEventListener("click", async () => {
      const label = button.textContent;
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = label; }, 1500);
    });
  }
}

// A choice that is its own button: the button beside it is for browsers without scripts.
function submittingChoices(root) {
  for (const choice of root.querySelectorAll("select[data-submit]")) {
    const button = choice.form.querySelector("button[type=submit]");
    if (button) button.hidden = true;
    choice.addEventListener("change", () => choice.form.requestSubmit());
  }
}

function improve(root) {
  localTimes(root);
  copyButtons(root);
  submittingChoices(root);
}

improve(document);
document.addEventListener("htmx:load", (event) => {
  if (event.detail.elt !== document.body) improve(event.detail.elt);
});
