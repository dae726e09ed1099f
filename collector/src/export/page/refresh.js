// The server renders; this fetches the page anew and swaps what has changed, keeping what is open,
// where the focus is and what is selected.
(() => {
  const every = 5000;
  const stale = document.getElementById("stale");
  const swap = (next, id) => {
    const now = document.getElementById(id), then = next.getElementById(id);
    if (!now || !then || now.innerHTML === then.innerHTML) return;
    for (const open of now.querySelectorAll("details[open][id]")) {
      const same = then.querySelector("#" + CSS.escape(open.id));
      if (same) same.open = true;
    }
    const focused = now.contains(document.activeElement) ? document.activeElement : null;
    const key = focused && (focused.getAttribute("href") || focused.parentElement.id);
    now.replaceChildren(...then.childNodes);
    if (!key) return;
    for (const one of now.querySelectorAll("a[href], summary")) {
      if ((one.getAttribute("href") || one.parentElement.id) === key) { one.focus({ preventScroll: true }); break; }
    }
  };
  const refresh = async () => {
    if (document.hidden || String(getSelection())) return;
    try {
      const answer = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(10000) });
      if (!answer.ok) throw new Error(answer.status);
      const next = new DOMParser().parseFromString(await answer.text(), "text/html");
      swap(next, "bar");
      swap(next, "main");
      document.title = next.title;
      stale.className = "";
    } catch {
      stale.className = "on";
    }
  };
  setInterval(refresh, every);
  document.addEventListener("visibilitychange", refresh);
})();
