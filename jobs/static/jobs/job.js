"use strict";
// A job's page: follows its log and status over server-sent events.
// Without the stream the page shows what the server put there, and says so.
(() => {
  const KEPT = 262144;
  const page = document.getElementById("job");
  const log = document.getElementById("log");
  const note = document.getElementById("log-note");
  const status = document.getElementById("job-status");
  const reason = document.getElementById("job-reason");
  const said = note.textContent;
  let ended = false;

  const tones = {
    COMPLETED: "good", FAILED: "bad", REJECTED: "bad", RUNNING: "busy", STARTING: "busy", CANCELING: "busy",
    CANCELED: "quiet",
  };

  function parse(text) {
    try {
      return JSON.parse(text);
    } catch {
      return {};
    }
  }

  function show(word) {
    const badge = document.createElement("span");
    badge.className = `cp-badge cp-${tones[word] ?? "waiting"}`;
    badge.textContent = word;
    status.replaceChildren(badge);
  }

  function follow(address) {
    const source = new EventSource(address);
    let fresh = true;
    let execution = null;
    source.addEventListener("log", (event) => {
      const piece = parse(event.data);
      const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
      // The stream begins at the beginning, and anew with each execution.
      if (fresh || (piece.execution !== undefined && piece.execution !== execution)) log.textContent = "";
      fresh = false;
      execution = piece.execution ?? execution;
      log.textContent = (log.textContent + (piece.text ?? "")).slice(-KEPT);
      if (atEnd) log.scrollTop = log.scrollHeight;
      note.textContent = "Follows the output…";
    });
    source.addEventListener("status", (event) => {
      const told = parse(event.data);
      if (told.status) show(told.state ?? told.status);
      if (told.reason !== undefined) reason.textContent = told.reason ?? "";
    });
    source.addEventListener("end", (event) => {
      const told = parse(event.data);
      source.close();
      ended = true;
      if (told.status) show(told.state ?? told.status);
      note.textContent = "The job has ended. Load the page again for the whole story.";
    });
    source.addEventListener("error", () => {
      // The browser tries again by itself, but for an answer that is no stream.
      if (source.readyState === EventSource.CLOSED) note.textContent = said;
    });
    return source;
  }

  log.scrollTop = log.scrollHeight;
  if (!page.dataset.follow || !("EventSource" in window)) return;
  let source = document.hidden ? null : follow(page.dataset.follow);
  // Each stream keeps a thread of the server busy: not for pages that nobody sees.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      source?.close();
      source = null;
    } else if (!ended) {
      source ??= follow(page.dataset.follow);
    }
  });
})();
