"use strict";
// What all pages of the admin have: times in the reader's zone, and keys.
// Without it times are in UTC, and everything is reached as in any page.

// --- Times: the server writes UTC; the reader sees their own, and UTC on hover -------------------
(() => {
  const pad = (number) => String(number).padStart(2, "0");

  function local(at) {
    const date = [at.getFullYear(), pad(at.getMonth() + 1), pad(at.getDate())].join("-");
    return `${date} ${[at.getHours(), at.getMinutes(), at.getSeconds()].map(pad).join(":")}`;
  }

  function translate(element) {
    const at = new Date(element.dateTime);
    if (element.dataset.utc !== undefined || !element.dateTime.includes("T") || Number.isNaN(at.getTime())) return;
    element.dataset.utc = element.textContent;
    element.textContent = local(at);
    element.title = `${element.dataset.utc} UTC`;
  }

  function translateIn(node) {
    if (node.nodeType !== Node.ELEMENT_NODE) return;
    if (node.matches("time")) translate(node);
    node.querySelectorAll("time").forEach(translate);
  }

  translateIn(document.body);
  new MutationObserver((changes) => changes.forEach((change) => change.addedNodes.forEach(translateIn))).observe(
    document.body,
    { childList: true, subtree: true },
  );
})();

// --- Keys ------------------------------------------------------------------------------------------
(() => {
  const KEYS = [
    ["/", "Find"],
    ["j, k", "Next row, previous row"],
    ["o", "Open the row"],
    ["?", "These keys"],
    ["Esc", "Leave a field, or close this"],
  ];
  const OFF = "cp-keys-off";
  const row = { now: null };

  const isOff = () => window.localStorage.getItem(OFF) === "1";
  const isTyping = (target) => target.closest("input, textarea, select, [contenteditable], [role=dialog]") !== null;
  const rows = () =>
    [...document.querySelectorAll("#result_list tbody tr, .cp-table tbody tr")].filter(
      (each) => each.querySelector("a[href]") && each.offsetParent !== null,
    );

  function step(by) {
    const all = rows();
    if (!all.length) return;
    const at = all.indexOf(row.now);
    const next = all[at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + by, 0), all.length - 1)];
    row.now?.classList.remove("cp-current");
    row.now = next;
    next.classList.add("cp-current");
    const link = next.querySelector("a[href]");
    link.focus({ preventScroll: true }); // it is what a screen reader tells, and what Enter opens
    next.scrollIntoView({ block: "nearest" });
  }

  function open() {
    if (row.now?.isConnected) row.now.querySelector("a[href]").click();
  }

  function find() {
    const field = document.getElementById("cp-find") ?? document.querySelector("#searchbar, input[name=q]");
    field?.focus();
    field?.select();
  }

  const dialog = document.createElement("dialog");
  dialog.className = "cp cp-keys";
  dialog.setAttribute("aria-labelledby", "cp-keys-title");
  const list = KEYS.map(([key, what]) => `<dt><kbd>${key}</kbd></dt><dd>${what}</dd>`).join("");
  dialog.innerHTML =
    `<h2 id="cp-keys-title">Keys</h2><dl>${list}</dl>` +
    `<p><label><input type="checkbox" id="cp-keys-on"> Keys of one letter work</label></p>` +
    `<form method="dialog"><button class="cp-button">Close</button></form>`;
  document.body.append(dialog);
  const box = dialog.querySelector("#cp-keys-on");
  box.checked = !isOff();
  box.addEventListener("change", () => window.localStorage.setItem(OFF, box.checked ? "0" : "1"));

  const button = document.createElement("button");
  button.type = "button";
  button.className = "cp-keys-button";
  button.title = "Keys";
  button.setAttribute("aria-label", "Keys");
  button.textContent = "?";
  button.addEventListener("click", () => dialog.showModal());
  document.body.append(button);

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && event.target.closest("input, textarea, select")) {
      event.target.blur();
      return;
    }
    if (isOff() || isTyping(event.target) || dialog.open) return;
    const act = { "/": find, j: () => step(1), k: () => step(-1), o: open, "?": () => dialog.showModal() }[event.key];
    if (act === undefined) return;
    event.preventDefault();
    act();
  });
})();
