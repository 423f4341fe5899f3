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
  let isStale = false;
  let busy = false;
  let wanted = false;
  let last = performance.now();
  let look = 0;
  let grace = 0;
  let retry = 0;

  const kept = new WeakMap(); // as the server told each part: other scripts change what is shown, such as times

  const say = (name, detail) => document.dispatchEvent(new CustomEvent(`live-${name}`, { detail }));

  function mark(state, text) {
    root.dataset.liveState = state;
    if (word && word.textContent !== text) word.textContent = text;
  }

  // Nobody's selection, or what they type, is taken away.
  function isHeld(part) {
    const selection = document.getSelection();
    const selects = selection && !selection.isCollapsed && part.contains(selection.anchorNode);
    const types = part.contains(document.activeElement) && document.activeElement.matches("input, textarea, select");
    return selects || types;
  }

  // Those of a part that are like an element which is about to be replaced.
  function alike(part, element) {
    if (element.id) return [...part.querySelectorAll(`#${CSS.escape(element.id)}`)];
    const href = element.getAttribute("href");
    return [...part.querySelectorAll(element.localName)].filter((each) => each.getAttribute("href") === href);
  }

  // What has the focus keeps it, and what is open or scrolled stays so.
  function replace(part, fresh) {
    const focused = part.contains(document.activeElement) ? document.activeElement : null;
    const place = focused ? alike(part, focused).indexOf(focused) : -1;
    const open = [...part.querySelectorAll("details[open][id]")].map((each) => each.id);
    const scrolled = [...part.querySelectorAll(".cp-scroll")].map((each) => each.scrollLeft);
    part.replaceChildren(...document.importNode(fresh, true).childNodes);
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    part.querySelectorAll(".cp-scroll").forEach((each, index) => { each.scrollLeft = scrolled[index] ?? 0; });
    if (place >= 0) alike(part, focused)[place]?.focus({ preventScroll: true });
  }

  function fill(part, fresh) {
    if (kept.get(part) === fresh.innerHTML || isHeld(part) || part.querySelector("[data-live-keep]")) return;
    if (part.hasAttribute("data-live-polled") && (streams || hasStreamed)) return;
    const atEnd = part.scrollHeight - part.scrollTop - part.clientHeight < 40;
    kept.set(part, fresh.innerHTML);
    replace(part, fresh);
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
      if (answer.redirected) {
        end();
        mark("ended", "Not up to date: you are signed out. Load the page again.");
      } else if (answer.ok) take(new DOMParser().parseFromString(await answer.text(), "text/html"));
      if (answer.ok && isStale && !ended) connect();
      isStale = !answer.ok;
    } catch {
      isStale = true;
    }
    if (isStale && !ended) mark("stale", "Not up to date: the server does not answer");
    busy = false;
    last = performance.now();
    plan(wanted);
  }

  // The next look: soon where something is new, else when it is time.
  function plan(isNew) {
    window.clearTimeout(look);
    if (ended || document.hidden) return;
    const every = streams || !root.dataset.liveStream ? Number(root.dataset.liveEvery) * 1000 : POLL_MS;
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
      const alone = `Keeps itself up to date, every ${root.dataset.liveEvery} seconds`;
      mark("polling", root.dataset.liveStream ? "Asked every few seconds" : alone);
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
