// Sorts tables and changes between light and dark.
"use strict";
(() => {
  // ---- tables --------------------------------------------------------------------------------
  document.querySelectorAll("table.sortable").forEach((table) => {
    const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
    heads.forEach((head, column) => {
      const button = head.querySelector("button");
      if (!button) return;
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((h) => h.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
        const order = (a, b) => {
          const [u, v] = [key(a), key(b)];
          if (u === "" || v === "") return u === v ? 0 : u === "" ? 1 : -1; // nothing measured: last
          const difference = isNaN(u) || isNaN(v) ? u.localeCompare(v) : u - v;
          return down ? -difference : difference;
        };
        body.append(...[...body.rows].sort(order));
      });
    });
  });

  // ---- light and dark ------------------------------------------------------------------------
  const root = document.documentElement, theme = document.getElementById("theme");
  const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const label = () => {
    theme.textContent = dark() ? "Light" : "Dark";
    theme.setAttribute("aria-label", dark() ? "Switch to light colours" : "Switch to dark colours");
  };
  theme.hidden = false;
  theme.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; label(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", label);
  label();
})();
