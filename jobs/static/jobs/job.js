"use strict";
// A job's page: puts what the job writes, as live.js tells it, below what it has written.
(() => {
  const KEPT = 262144;
  const log = document.getElementById("log");
  const note = document.getElementById("log-note");
  const said = note.textContent;
  let isFresh = true;
  let execution = null;

  function parse(text) {
    try {
      return JSON.parse(text);
    } catch {
      return {};
    }
  }

  function add(piece) {
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    // The stream begins at the beginning, and anew with each execution.
    if (isFresh || (piece.execution !== undefined && piece.execution !== execution)) log.textContent = "";
    isFresh = false;
    execution = piece.execution ?? execution;
    log.textContent = (log.textContent + (piece.text ?? "")).slice(-KEPT);
    if (atEnd) log.scrollTop = log.scrollHeight;
    note.textContent = "Follows the output…";
  }

  document.addEventListener("live-start", () => {
    isFresh = true;
  });
  document.addEventListener("live-told", (event) => {
    if (event.detail.name === "log") add(parse(event.detail.data));
  });
  document.addEventListener("live-lost", () => {
    note.textContent = said;
  });
  document.addEventListener("live-end", () => {
    note.textContent = "The job has ended.";
  });
  log.scrollTop = log.scrollHeight;
})();
