// Draws the charts of the page (vega-embed, from the script before), switches arms on and off in
// all of them. Colours are the page's variables, so a change of light needs no new drawing.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("report-data").textContent);
  const hidden = new Set(data.hidden);
  const views = [];

  // ---- charts: drawn when they come near, the rest when the browser has nothing else to do -----
  const draw = async (figure) => {
    const stage = figure.querySelector(".stage");
    if (stage.dataset.state || !stage.clientWidth) return;
    stage.dataset.state = "drawing";
    const spec = data.charts[figure.dataset.chart], narrow = stage.clientWidth < 520;
    if (spec.usermeta.width) stage.style.maxWidth = spec.usermeta.width + "px";
    spec.params.find((p) => p.name === "hidden").value = [...hidden];
    const { view } = await vegaEmbed(stage, spec, {
      renderer: "svg", ast: true, actions: false, logLevel: 1, defaultStyle: false, tooltip: { disableDefaultStyle: true },
      config: { legend: { disable: true }, axis: { labelLimit: narrow ? 110 : 260 } },
    });
    views.push(view);
    stage.dataset.state = "drawn";
  };
  const figures = [...document.querySelectorAll("figure[data-chart]")];
  const near = new IntersectionObserver((entries) => {
    for (const { target } of entries.filter((entry) => entry.isIntersecting)) {
      near.unobserve(target);
      draw(target);
    }
  }, { rootMargin: "600px" });
  figures.forEach((figure) => near.observe(figure));
  const idle = window.requestIdleCallback ?? ((work) => setTimeout(work, 100));
  const rest = async () => {
    const next = figures.find((f) => !f.querySelector(".stage").dataset.state && f.clientWidth);
    if (next) { await draw(next); idle(rest); }
  };
  window.addEventListener("load", () => idle(rest));

  // ---- arms on and off -------------------------------------------------------------------------
  const switches = document.querySelectorAll("[data-arm]");
  const paint = () => {
    switches.forEach((b) => b.setAttribute("aria-pressed", !hidden.has(b.dataset.arm)));
    views.forEach((view) => view.signal("hidden", [...hidden]).runAsync());
  };
  switches.forEach((button) => button.addEventListener("click", () => {
    if (!hidden.delete(button.dataset.arm)) hidden.add(button.dataset.arm);
    paint();
  }));
  document.querySelectorAll("[data-arms]").forEach((button) => button.addEventListener("click", () => {
    hidden.clear();
    if (button.dataset.arms === "none") switches.forEach((b) => hidden.add(b.dataset.arm));
    paint();
  }));
  paint();
})();
