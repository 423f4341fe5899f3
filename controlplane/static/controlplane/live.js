"use strict";
// Parts of a page that follow what it shows. Elements with data-live are filled anew from the page's own address when
// the stream of data-live-stream tells one of data-live-events, and every data-live-every seconds besides. Where the
// stream cannot be had the page is asked every few seconds instead. A page that has no data-live-every any more has
// ended, and is asked no longer. Without this script the page is as the server made it.
//
// Scripts of a page hear of the stream by events of the document: live-start, live-told {name, data}, live-lost, live-end.
(() => {
  const POLL_MS = 3000; // without a stream
  const LEAST_MS = 1000; // between two looks, however much is told
  const GRACE_MS = 4000; // for a stream to come, or to come back
  const AGAIN_MS = 30000; // until a stream that was lost is tried again
  const root = document.querySelector("[data-live-every]");
  if (!root) return;
  const word = root.querySelector("[data-live-word]");
  let source = null;
  let streams = false;
  let hasStreamed = false; // what was polled must not take the place of what was streamed
  let ended = false;
  let busy = false;
  let wanted = false;
  let last = performance.now();
  let look = 0;
  let grace = 0;
  let retry = 0;

  const say = (name, detail) => document.dispatchEvent(new CustomEvent(`live-${name}`, { detail }));

  function mark(state, text) {
    root.dataset.liveState = state;
    if (word && word.textContent !== text) word.textContent = text;
  }

  // Nobody's selection or focus is taken away.
  function isHeld(part) {
    const selection = document.getSelection();
    const selects = selection && !selection.isCollapsed && part.contains(selection.anchorNode);
    return selects || part.contains(document.activeElement);
  }

  function fill(part, fresh) {
    if (part.innerHTML === fresh.innerHTML || isHeld(part) || part.querySelector("[data-live-keep]")) return;
    if (part.hasAttribute("data-live-polled") && (streams || hasStreamed)) return;
    const atEnd = part.scrollHeight - part.scrollTop - part.clientHeight < 40;
    part.replaceChildren(...document.importNode(fresh, true).childNodes);
    if (atEnd) part.scrollTop = part.scrollHeight;
  }

  function take(page) {
    const parts = new Map(Array.from(page.querySelectorAll("[data-live]"), (part) => [part.dataset.live, part]));
    for (const part of root.querySelectorAll("[data-live]")) {
      const fresh = parts.get(part.dataset.live);
      if (fresh) fill(part, fresh);
    }
    if (!page.querySelector("[data-live-every]")) end();
  }

  async function refresh() {
    if (busy) {
      wanted = true;
      return;
    }
    busy = true;
    wanted = false;
    try {
      const answer = await fetch(window.location.href, { credentials: "same-origin", cache: "no-store" });
      // To the page for signing in: there is nothing more to see.
      if (answer.redirected) end();
      else if (answer.ok) take(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch {
      // Asked again at the next look.
    }
    busy = false;
    last = performance.now();
    plan(wanted);
  }

  // The next look: soon where something is new, else when it is time.
  function plan(isNew) {
    window.clearTimeout(look);
    if (ended || document.hidden) return;
    const every = streams ? Number(root.dataset.liveEvery) * 1000 : POLL_MS;
    look = window.setTimeout(refresh, Math.max(0, last + (isNew ? LEAST_MS : every) - performance.now()));
  }

  function close() {
    source?.close();
    source = null;
    window.clearTimeout(grace);
    window.clearTimeout(retry);
    grace = 0;
  }

  function lose() {
    close();
    streams = hasStreamed = false;
    mark("polling", "Asked every few seconds");
    say("lost");
    plan(true);
    retry = window.setTimeout(connect, AGAIN_MS);
  }

  function connect() {
    if (!root.dataset.liveStream || !("EventSource" in window)) {
      mark("polling", "Asked every few seconds");
      return;
    }
    close();
    const mine = (source = new EventSource(root.dataset.liveStream));
    let isFirst = true;
    grace = window.setTimeout(lose, GRACE_MS);
    mine.addEventListener("open", () => {
      window.clearTimeout(grace);
      grace = 0;
      streams = true;
      mark("streaming", "Live");
      if (isFirst) say("start");
      isFirst = false;
      plan(true);
    });
    for (const name of root.dataset.liveEvents.split(" ")) {
      mine.addEventListener(name, (event) => {
        hasStreamed = true;
        say("told", { name, data: event.data });
        if (name === "end") close();
        if (name !== "log") plan(true);
      });
    }
    mine.addEventListener("error", () => {
      if (mine !== source) return;
      // The browser connects again by itself, with Last-Event-ID, but after an answer that is no stream.
      if (mine.readyState === EventSource.CLOSED) lose();
      else if (!grace) grace = window.setTimeout(lose, GRACE_MS);
    });
  }

  function end() {
    ended = true;
    close();
    window.clearTimeout(look);
    mark("ended", "");
    say("end");
  }

  // Each stream keeps a thread of the server busy: not for pages that nobody sees.
  document.addEventListener("visibilitychange", () => {
    if (ended) return;
    if (document.hidden) {
      close();
      streams = hasStreamed = false;
      window.clearTimeout(look);
    } else {
      connect();
      plan(true);
    }
  });
  if (document.hidden) return;
  connect();
  plan(false);
})();
