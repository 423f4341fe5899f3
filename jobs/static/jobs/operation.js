"use strict";
// An operation's page: asks how far it is until it has ended, then loads itself again for the failures.
(() => {
  const address = document.getElementById("operation").dataset.progress;
  const part = (name) => document.getElementById(`operation-${name}`);

  async function look() {
    let wait = 1000;
    try {
      const answer = await fetch(address, { headers: { Accept: "application/json" }, credentials: "same-origin" });
      if (!answer.ok) throw new Error(String(answer.status));
      const told = await answer.json();
      part("done").textContent = told.done;
      part("failed").textContent = told.failed;
      part("total").textContent = told.total ?? "?";
      part("status").firstElementChild.textContent = told.status;
      if (told.total !== null) {
        part("bar").max = Math.max(told.total, 1);
        part("bar").value = told.done + told.failed;
      }
      if (told.ended) {
        window.location.reload();
        return;
      }
    } catch {
      wait = 5000;
    }
    window.setTimeout(look, wait);
  }

  if (address) window.setTimeout(look, 1000);
})();
