"use strict";
// Takes updates of the page that is open. Who has no script has the same page, and reloads it.
(() => {
  const page = document.body.dataset.page;
  const status = document.getElementById("live");
  if (!page || !status || !window.EventSource) return;

  const WAIT_MIN_MS = 1000;
  const WAIT_MAX_MS = 60000;
  let wait = WAIT_MIN_MS;

  // A screen reader speaks what changes here, so it changes only when it says something else.
  const say = (text) => {
    if (status.textContent !== text) status.textContent = text;
  };

  // A section as the server rendered it takes the place of the old one. What was open stays open, what had the focus keeps it.
  const replace = (id, html) => {
    const old = document.getElementById(id);
    const made = new DOMParser().parseFromString(html, "text/html").body.firstElementChild;
    if (!old || !made) return;
    const open = [...old.querySelectorAll("details")].map((one) => one.open);
    made.querySelectorAll("details").forEach((one, at) => (one.open = Boolean(open[at])));
    const focus = old.contains(document.activeElement) ? document.activeElement : null;
    const same = (one) => one.tagName === focus.tagName && one.textContent === focus.textContent;
    const next = focus && [...made.querySelectorAll("a, summary")].find(same);
    old.replaceWith(document.adoptNode(made));
    if (next) next.focus({preventScroll: true});
  };

  let events = null;
  let again = 0;

  const stop = () => {
    clearTimeout(again);
    if (events) events.close();
    events = null;
  };

  const listen = () => {
    stop();
    events = new EventSource("/events?page=" + encodeURIComponent(page));
    events.addEventListener("sections", (event) => {
      wait = WAIT_MIN_MS;
      for (const [id, html] of Object.entries(JSON.parse(event.data))) replace(id, html);
      say("Live: this page updates itself.");
    });
    events.onerror = () => {
      stop();
      say("Not connected: what is shown may be old. It is tried again.");
      again = setTimeout(listen, wait);
      wait = Math.min(2 * wait, WAIT_MAX_MS);
    };
  };

  // A browser has few connections to one site: what nobody looks at takes none.
  const see = () => (document.visibilityState === "visible" ? listen() : stop());
  document.addEventListener("visibilitychange", see);
  window.addEventListener("pagehide", stop);
  window.addEventListener("pageshow", (event) => event.persisted && see());
  see();
})();
