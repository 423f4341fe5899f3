"use strict";
// A form of work: while somebody types it is asked what is wrong with it and what it would come to, as the button
// Check does. Without this the button does it.
(() => {
  const PAUSE_MS = 600;
  const form = document.getElementById("submit");
  const aside = document.getElementById("submit-aside");
  const touched = new Set();
  let timer = 0;
  let asked = null;

  function show(errors) {
    for (const place of form.querySelectorAll("[data-errors]")) {
      const name = place.dataset.errors;
      // What nobody has come to yet is not at fault.
      const found = touched.has(name) || name === "__all__" ? (errors[name] ?? []) : [];
      const list = document.createElement("ul");
      list.className = "errorlist";
      for (const text of found) list.append(Object.assign(document.createElement("li"), { textContent: text }));
      place.replaceChildren(...(found.length ? [list] : []));
      const input = form.elements[name];
      if (!(input instanceof Element)) continue;
      if (found.length) input.setAttribute("aria-invalid", "true");
      else input.removeAttribute("aria-invalid");
    }
  }

  async function ask() {
    asked?.abort();
    const asking = (asked = new AbortController());
    const body = new FormData(form);
    body.set("check", "live");
    try {
      const answer = await fetch(window.location.href, { method: "POST", body, signal: asking.signal });
      if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
      const told = await answer.json();
      show(told.errors);
      // Written by the server, which escapes what people have typed.
      aside.innerHTML = told.aside;
    } catch (error) {
      if (error.name !== "AbortError") {
        const text = "It cannot be checked just now; the button Check asks again.";
        aside.replaceChildren(Object.assign(document.createElement("p"), { textContent: text }));
      }
    }
  }

  function later(event) {
    if (event.target.name) touched.add(event.target.name);
    window.clearTimeout(timer);
    timer = window.setTimeout(ask, PAUSE_MS);
  }

  form.addEventListener("input", later);
  form.addEventListener("submit", () => {
    window.clearTimeout(timer);
    asked?.abort();
  });
  // Shown by the server: these have been come to.
  for (const place of form.querySelectorAll("[data-errors]")) if (place.firstElementChild) touched.add(place.dataset.errors);
  for (const input of form.elements) if (input.name && input.value !== "") touched.add(input.name);
})();
