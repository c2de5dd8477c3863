// What is folded opens for a link, for the printer and for all at once; words explain themselves.
"use strict";
(() => {
  // ---- a link into a fold opens it -----------------------------------------------------------
  const reveal = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    for (let node = target; node; node = node.parentElement)
      if (node.tagName === "DETAILS") node.open = true;
    target.scrollIntoView();
    (target.tagName === "DETAILS" ? target.firstElementChild : target).focus({ preventScroll: true });
  };
  addEventListener("hashchange", reveal);
  document.addEventListener("click", (event) => { // the same link once more
    const link = event.target.closest?.('a[href^="#"]');
    if (link && link.hash === location.hash) reveal();
  });
  if (location.hash) reveal();

  // ---- all at once, and on paper -------------------------------------------------------------
  const folds = [...document.querySelectorAll("details")], button = document.getElementById("unfold");
  const label = () => { button.textContent = folds.every((f) => f.open) ? "Fold all" : "Unfold all"; };
  button.hidden = !folds.length;
  button.addEventListener("click", () => {
    const open = !folds.every((f) => f.open);
    folds.forEach((f) => { f.open = open; });
  });
  folds.forEach((f) => f.addEventListener("toggle", label));
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = folds.filter((f) => !f.open);
    closed.forEach((f) => { f.open = true; });
  });
  addEventListener("afterprint", () => { closed.forEach((f) => { f.open = false; }); });

  // ---- words that explain themselves: on a click or a key by the browser, here where the pointer
  // rests, and beside the word -----------------------------------------------------------------
  document.querySelectorAll("button.term").forEach((word) => {
    const box = document.getElementById(word.getAttribute("popovertarget"));
    if (!box?.showPopover) return;
    const place = () => {
      const at = word.getBoundingClientRect();
      const left = Math.min(at.left, innerWidth - box.offsetWidth - 12);
      const below = at.bottom + 6 + box.offsetHeight < innerHeight;
      box.style.left = Math.max(12, left) + "px";
      box.style.top = (below ? at.bottom + 6 : Math.max(12, at.top - 6 - box.offsetHeight)) + "px";
    };
    let timer = 0;
    word.addEventListener("pointerenter", (event) => {
      if (event.pointerType !== "mouse") return;
      timer = setTimeout(() => { if (!box.matches(":popover-open")) { box.showPopover(); place(); } }, 250);
    });
    word.addEventListener("pointerleave", (event) => {
      clearTimeout(timer);
      if (event.pointerType === "mouse" && box.matches(":popover-open")) box.hidePopover();
    });
    word.addEventListener("click", () => requestAnimationFrame(place));
    word.addEventListener("blur", () => { if (box.matches(":popover-open")) box.hidePopover(); });
  });
})();
