"use strict";
// A container's page: asks for the end of its log every two seconds, as long as somebody looks.
(() => {
  const EVERY_MS = 2000;
  const log = document.getElementById("log");
  const note = document.getElementById("log-note");
  if (!log) return;
  let busy = false;

  async function look() {
    if (document.hidden || busy) return;
    busy = true;
    try {
      const answer = await fetch(log.dataset.address, { headers: { Accept: "application/json" } });
      if (!answer.ok || answer.redirected) throw new Error(answer.status);
      const told = await answer.json();
      const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
      if (log.textContent !== told.text) log.textContent = told.text;
      note.textContent = told.note;
      if (atEnd) log.scrollTop = log.scrollHeight;
    } catch {
      note.textContent = "The log cannot be had just now; it is asked for again.";
    } finally {
      busy = false;
    }
  }

  document.addEventListener("visibilitychange", look);
  setInterval(look, EVERY_MS);
  look();
})();
