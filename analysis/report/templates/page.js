// The interactive part of a report: charts drawn as SVG from the JSON in the page, arms switched
// on and off everywhere at once, tables sorted, light or dark. No network, no library.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("report-data").textContent);
  const hidden = new Set(data.hidden);
  const SVG = "http://www.w3.org/2000/svg";
  const charts = [];

  const node = (name, attributes, parent, text) => {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    if (parent) parent.appendChild(element);
    return element;
  };
  const html = (name, className, parent, text) => {
    const element = document.createElement(name);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    if (parent) parent.appendChild(element);
    return element;
  };

  // ---- numbers -----------------------------------------------------------------------------
  const compact = (v) => {
    if (v === null || !isFinite(v)) return "–";
    const a = Math.abs(v);
    if (a >= 1e6) return +(v / 1e6).toPrecision(3) + "M";
    if (a >= 1e4) return +(v / 1e3).toPrecision(3) + "k";
    if (a >= 1) return (+v.toPrecision(4)).toLocaleString("en");
    return String(+v.toPrecision(3));
  };
  const percent = (v, digits) =>
    v === null || !isFinite(v) ? "–" : (100 * v).toFixed(digits === undefined ? 2 : digits) + " %";
  const show = { percent: (v) => percent(v), number: compact, ratio: (v) => compact(v) + "×" };

  const niceStep = (span, count) => {
    const raw = span / Math.max(count, 1);
    const power = 10 ** Math.floor(Math.log10(raw));
    return power * [1, 2, 5, 10].find((m) => m * power >= raw * 0.999);
  };
  const linearTicks = (low, high, count) => {
    const step = niceStep(high - low || 1, count);
    const ticks = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) ticks.push(k * step);
    return ticks;
  };
  const logTicks = (low, high) => {
    const ticks = [];
    for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++)
      for (const m of [1, 1.5, 2, 3, 5, 7]) {
        const v = m * 10 ** e;
        if (v >= low * 0.999 && v <= high * 1.001) ticks.push(v);
      }
    if (ticks.length > 9) return ticks.filter((v) => /^[125]/.test(v.toExponential()));
    return ticks;
  };
  const tickText = (values, format) => {
    if (format === "percent") {
      const gap = values.length > 1 ? Math.abs(values[1] - values[0]) * 100 : 1;
      const digits = gap >= 0.999 ? 0 : gap >= 0.0999 ? 1 : gap >= 0.00999 ? 2 : 3;
      return (v) => percent(v, digits);
    }
    return format === "ratio" ? show.ratio : compact;
  };

  const scale = (kind, domain, range) => {
    const f = kind === "log" ? Math.log : (v) => v;
    const [a, b] = domain.map(f);
    const k = (range[1] - range[0]) / (b - a || 1);
    return (v) => range[0] + (f(v) - a) * k;
  };

  // ---- one chart ---------------------------------------------------------------------------
  class Chart {
    constructor(figure) {
      this.figure = figure;
      this.spec = data.charts[figure.dataset.chart];
      this.stage = figure.querySelector(".stage");
      this.view = 0;
      this.axis = 0;
      this.phase = 0; // 1: the first fifth of training, 2: the last two thirds
      this.runs = true;
      this.cursor = -1;
      this.controls();
      this.tip = html("div", "tip", this.stage);
      this.tip.hidden = true;
      this.live = html("p", "visually-hidden", this.stage);
      this.live.setAttribute("aria-live", "polite");
      this.stage.tabIndex = 0;
      this.stage.setAttribute("role", "group");
      this.stage.setAttribute("aria-label", this.spec.title + ". Left and right arrow keys read the values.");
      this.stage.addEventListener("pointermove", (event) => this.point(event));
      this.stage.addEventListener("pointerdown", (event) => this.point(event));
      this.stage.addEventListener("pointerleave", () => this.leave());
      this.stage.addEventListener("blur", () => this.leave());
      this.stage.addEventListener("keydown", (event) => this.key(event));
      let drawn = 0; // only a new width needs a new drawing; drawing itself changes the height
      new ResizeObserver(() => {
        if (this.stage.clientWidth === drawn) return;
        drawn = this.stage.clientWidth;
        requestAnimationFrame(() => this.draw());
      }).observe(this.stage);
    }

    controls() {
      const bar = this.figure.querySelector(".controls");
      const choose = (label, options, pick) => {
        if (options.length < 2) return;
        const wrap = html("label", "", bar, label + " ");
        const select = html("select", "", wrap);
        options.forEach((text, k) => (html("option", "", select, text).value = k));
        select.addEventListener("change", () => { pick(+select.value); this.leave(); this.draw(); });
      };
      const toggle = (label, on, pick) => {
        const button = html("button", "toggle", bar, label);
        button.type = "button";
        button.setAttribute("aria-pressed", on);
        button.addEventListener("click", () => {
          const next = button.getAttribute("aria-pressed") !== "true";
          button.setAttribute("aria-pressed", next);
          pick(next);
          this.leave();
          this.draw();
        });
      };
      choose("Show", this.spec.views.map((v) => v.label), (k) => (this.view = k));
      choose("against", this.spec.axes.map((a) => a.label), (k) => (this.axis = k));
      if (this.spec.phases) choose("Phase", ["whole", "early", "late"], (k) => (this.phase = k));
      if (this.spec.views.some((v) => v.series.some((s) => s.runs && s.runs.length)))
        toggle("Single runs", true, (on) => (this.runs = on));
    }

    get series() {
      return this.spec.views[this.view].series.filter((s) => !hidden.has(s.arm));
    }
    xs(series) {
      return series.x[this.spec.axes[this.axis].key];
    }

    domains() {
      const view = this.spec.views[this.view], axis = this.spec.axes[this.axis];
      let xs = [], ys = [], bands = [];
      for (const s of this.series) xs = xs.concat(this.xs(s));
      xs = xs.filter((v) => v !== null);
      if (!xs.length) return null;
      let [x0, x1] = [Math.min(...xs), Math.max(...xs)];
      if (this.spec.kind === "lines" && axis.scale !== "log") x0 = Math.min(x0, 0);
      if (this.phase === 1) x1 = x0 + (x1 - x0) * 0.2;
      if (this.phase === 2) x0 = x0 + (x1 - x0) / 3;
      for (const s of this.series) {
        const x = this.xs(s);
        const inside = (k) => x[k] !== null && x[k] >= x0 && x[k] <= x1;
        const into = this.spec.kind === "lines" ? bands : ys;
        for (const [column, target] of [[s.y, ys], [s.low, into], [s.high, into]])
          if (column) column.forEach((v, k) => { if (v !== null && inside(k)) target.push(v); });
        if (s.dots) for (const d of s.dots) ys.push(...d.filter((v) => v !== null));
        if (this.runs && s.runs)
          for (const run of s.runs) run.forEach((v, k) => { if (v !== null && inside(k)) ys.push(v); });
      }
      if (view.include !== undefined) ys.push(view.include);
      if (!ys.length) return null;
      let [y0, y1] = [Math.min(...ys), Math.max(...ys)];
      if (bands.length) {
        // Two or three seeds have bands so wide that they would flatten every curve: cut those.
        const room = (y1 - y0) * 0.6;
        [y0, y1] = [Math.max(Math.min(y0, ...bands), y0 - room), Math.min(Math.max(y1, ...bands), y1 + room)];
      }
      if (view.scale === "log") {
        const pad = Math.max(Math.pow(y1 / y0, 0.06), Math.sqrt(1.7 / (y1 / y0)), 1.05);
        return { x: this.widened(x0, x1), y: [y0 / pad, y1 * pad] };
      }
      const pad = (y1 - y0) * 0.06 || Math.abs(y1) * 0.01 || 0.01;
      [y0, y1] = [y0 - pad, y1 + pad];
      if (view.limits) [y0, y1] = [Math.max(y0, view.limits[0]), Math.min(y1, view.limits[1] + pad / 2)];
      return { x: this.widened(x0, x1), y: [y0, y1] };
    }
    widened(x0, x1) {
      return this.spec.kind === "points" ? [x0 - 0.6, x1 + 0.6] : [x0, x1];
    }

    draw() {
      const width = this.stage.clientWidth;
      if (!width) return;
      const height = Math.round(Math.min(430, Math.max(250, width * 0.52)));
      const view = this.spec.views[this.view], axis = this.spec.axes[this.axis];
      if (this.svg) this.svg.remove();
      this.svg = node("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
      this.stage.prepend(this.svg);
      const domain = this.domains();
      if (!domain) {
        node("text", { x: width / 2, y: height / 2, class: "axis-label", "text-anchor": "middle" }, this.svg,
          "Nothing to show: switch an arm on.");
        this.at = null;
        return;
      }
      const slanted = axis.ticks && axis.ticks.some((t) => t.length * 7 > (width - 80) / axis.ticks.length);
      const box = { left: 58, right: width - 26, top: 12, bottom: height - (slanted ? 104 : 46) };
      const x = scale(axis.scale || "linear", domain.x, [box.left, box.right]);
      const y = scale(view.scale || "linear", domain.y, [box.bottom, box.top]);
      this.at = { x, y, box };
      this.frame(domain, slanted);
      const clip = "clip-" + this.figure.id;
      const defs = node("defs", {}, this.svg);
      node("rect", { x: box.left, y: box.top - 6, width: box.right - box.left + 6, height: box.bottom - box.top + 6 },
        node("clipPath", { id: clip }, defs));
      const layer = node("g", { "clip-path": `url(#${clip})` }, this.svg);
      if (this.spec.kind === "lines") this.lines(layer);
      else this.points(layer);
      this.marker = node("g", { class: "cursor" }, this.svg);
    }

    frame(domain, slanted) {
      const { x, y, box } = this.at;
      const view = this.spec.views[this.view], axis = this.spec.axes[this.axis];
      const yTicks = view.scale === "log" ? logTicks(...domain.y) : linearTicks(...domain.y, 5);
      const yText = tickText(yTicks, view.format);
      for (const v of yTicks) {
        node("line", { x1: box.left, x2: box.right, y1: y(v), y2: y(v), class: "grid" }, this.svg);
        node("text", { x: box.left - 8, y: y(v) + 4, class: "tick", "text-anchor": "end" }, this.svg, yText(v));
      }
      if (view.reference !== undefined)
        node("line", { x1: box.left, x2: box.right, y1: y(view.reference), y2: y(view.reference), class: "reference" }, this.svg);
      const xTicks = axis.ticks ? axis.ticks.map((_, k) => k) 
        : axis.scale === "log" ? logTicks(...domain.x) : linearTicks(...domain.x, (box.right - box.left) / 90);
      const xText = axis.ticks ? (v) => axis.ticks[v] : tickText(xTicks, axis.format);
      for (const v of xTicks) {
        if (v < domain.x[0] || v > domain.x[1]) continue;
        node("line", { x1: x(v), x2: x(v), y1: box.bottom, y2: box.bottom + 4, class: "axis" }, this.svg);
        const full = xText(v), text = slanted && full.length > 16 ? full.slice(0, 15) + "…" : full;
        const place = slanted
          ? { x: x(v), y: box.bottom + 14, "text-anchor": "end", transform: `rotate(-38 ${x(v)} ${box.bottom + 14})` }
          : { x: x(v), y: box.bottom + 18, "text-anchor": "middle" };
        node("text", { ...place, class: "tick" }, this.svg, text);
      }
      node("line", { x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom, class: "axis" }, this.svg);
      if (axis.label && !slanted)
        node("text", { x: (box.left + box.right) / 2, y: box.bottom + 38, class: "axis-label", "text-anchor": "middle" }, this.svg, axis.label);
    }

    path(series, values) {
      const { x, y } = this.at, xs = this.xs(series);
      let d = "", pen = false;
      values.forEach((v, k) => {
        if (v === null || xs[k] === null) { pen = false; return; }
        if (pen && this.spec.step) d += `H${x(xs[k]).toFixed(1)}V${y(v).toFixed(1)}`;
        else d += `${pen ? "L" : "M"}${x(xs[k]).toFixed(1)} ${y(v).toFixed(1)}`;
        pen = true;
      });
      return d;
    }

    band(series) {
      const { x, y } = this.at, xs = this.xs(series), up = [], down = [];
      let previous = null;
      series.low.forEach((low, k) => {
        const high = series.high[k];
        if (low === null || high === null || xs[k] === null) return;
        if (this.spec.step && previous) {
          up.push(`${x(xs[k]).toFixed(1)} ${y(previous[1]).toFixed(1)}`);
          down.push(`${x(xs[k]).toFixed(1)} ${y(previous[0]).toFixed(1)}`);
        }
        up.push(`${x(xs[k]).toFixed(1)} ${y(high).toFixed(1)}`);
        down.push(`${x(xs[k]).toFixed(1)} ${y(low).toFixed(1)}`);
        previous = [low, high];
      });
      return up.length > 1 ? "M" + up.join("L") + "L" + down.reverse().join("L") + "Z" : "";
    }

    lines(layer) {
      for (const s of this.series) {
        const style = data.arms[s.arm];
        const group = node("g", { class: "arm-" + style.color }, layer);
        if (this.runs && s.runs) for (const run of s.runs) node("path", { d: this.path(s, run), class: "run" }, group);
        if (s.low) node("path", { d: this.band(s), class: "band" }, group);
        node("path", { d: this.path(s, s.y), class: "mean", "stroke-dasharray": style.dash }, group);
        if (s.marks) for (const [mx, my] of s.marks)
          node("path", { d: `M${this.at.x(mx)} ${this.at.y(my) - 5}v10`, class: "censor" }, group);
      }
    }

    points(layer) {
      const { x, y, box } = this.at, shown = this.series, dodge = this.spec.axes[this.axis].dodge;
      const gap = Math.min(9, ((x(1) - x(0)) * 0.8) / Math.max(shown.length, 1));
      shown.forEach((s, index) => {
        const style = data.arms[s.arm];
        const group = node("g", { class: "arm-" + style.color }, layer);
        const shift = dodge ? (index - (shown.length - 1) / 2) * gap : 0;
        if (dodge) {
          const joined = s.y.map((v, k) => (v === null ? null : `${(x(this.xs(s)[k]) + shift).toFixed(1)} ${y(v).toFixed(1)}`)).filter(Boolean);
          if (joined.length > 1) node("path", { d: "M" + joined.join("L"), class: "joint", "stroke-dasharray": style.dash }, group);
        }
        s.y.forEach((v, k) => {
          const px = x(this.xs(s)[k]) + shift;
          if (s.dots && this.runs) {
            const dots = s.dots[k];
            dots.forEach((d, i) => {
              const jitter = ((i * 0.618034) % 1 - 0.5) * 22;
              if (d !== null) node("circle", { cx: px + jitter, cy: y(d), r: 2.6, class: "dot" }, group);
            });
          }
          const low = s.low[k], high = s.high[k];
          if (low !== null || high !== null) {
            const top = high === null ? box.top : y(high), bottom = low === null ? box.bottom : y(low);
            node("line", { x1: px, x2: px, y1: top, y2: bottom, class: "whisker" }, group);
            if (high === null) node("path", { d: `M${px - 5} ${top + 8}L${px} ${top}L${px + 5} ${top + 8}`, class: "whisker open" }, group);
            if (low === null) node("path", { d: `M${px - 5} ${bottom - 8}L${px} ${bottom}L${px + 5} ${bottom - 8}`, class: "whisker open" }, group);
          }
          if (v !== null) node("path", { d: mark(style.mark, px, y(v)), class: "mark" }, group);
        });
      });
    }

    // ---- reading values ----
    stops() {
      const all = new Set();
      for (const s of this.series) for (const v of this.xs(s)) if (v !== null) all.add(v);
      let stops = [...all].sort((a, b) => a - b);
      if (this.at) stops = stops.filter((v) => this.at.x(v) <= this.at.box.right + 1 && this.at.x(v) >= this.at.box.left - 1);
      return stops;
    }
    point(event) {
      if (!this.at || event.target.closest(".tip")) return;
      const px = event.clientX - this.stage.getBoundingClientRect().left;
      const stops = this.stops();
      let best = 0;
      stops.forEach((v, k) => { if (Math.abs(this.at.x(v) - px) < Math.abs(this.at.x(stops[best]) - px)) best = k; });
      this.read(stops, best, false);
    }
    key(event) {
      const move = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 }[event.key];
      if (event.key === "Escape") return this.leave();
      if (!this.at || (move === undefined && event.key !== "Home" && event.key !== "End")) return undefined;
      event.preventDefault();
      const stops = this.stops(), last = stops.length - 1;
      const next = event.key === "Home" ? 0 : event.key === "End" ? last : Math.min(last, Math.max(0, this.cursor + move));
      this.read(stops, next, true);
      return undefined;
    }
    leave() {
      this.cursor = -1;
      this.tip.hidden = true;
      if (this.marker) this.marker.replaceChildren();
    }
    rows(stop) {
      const rows = [];
      for (const s of this.series) {
        const xs = this.xs(s);
        let k = xs.indexOf(stop);
        if (k < 0 && this.spec.kind === "lines") {
          // Arms evaluated at other steps show their last evaluation up to here.
          k = xs.findLastIndex((v) => v !== null && v <= stop);
          if (k >= 0 && k === xs.length - 1 && xs[k] < stop) k = -1;
        }
        if (k < 0 || (s.y[k] === null && !s.text)) continue;
        rows.push({ s, k });
      }
      return rows;
    }
    read(stops, k, aloud) {
      if (!stops.length) return;
      this.cursor = k;
      const stop = stops[k], { x, y, box } = this.at, view = this.spec.views[this.view], axis = this.spec.axes[this.axis];
      const form = show[view.format] || compact;
      this.marker.replaceChildren();
      if (this.spec.kind === "lines") node("line", { x1: x(stop), x2: x(stop), y1: box.top, y2: box.bottom }, this.marker);
      this.tip.replaceChildren();
      const at = axis.ticks ? axis.ticks[stop] : axis.format === "percent" ? percent(stop, 1) : compact(stop);
      html("p", "tip-head", this.tip, axis.ticks ? at : axis.short + " " + at);
      const words = [];
      for (const { s, k: index } of this.rows(stop)) {
        const style = data.arms[s.arm], row = html("p", "tip-row", this.tip);
        html("span", "swatch arm-" + style.color, row);
        html("span", "tip-name", row, s.label || style.name);
        let text = s.text ? s.text[index] : form(s.y[index]);
        if (!s.text && s.low && s.low[index] !== null && s.high[index] !== null)
          text += ` [${form(s.low[index])}, ${form(s.high[index])}]`;
        html("span", "tip-value", row, text);
        if (s.n) html("span", "tip-n", row, (this.spec.count || "n =") + " " + s.n[index]);
        if (s.y[index] !== null && this.spec.kind === "lines")
          node("circle", { cx: x(this.xs(s)[index]), cy: y(s.y[index]), r: 4, class: "arm-" + style.color }, this.marker);
        words.push((s.label || style.name) + " " + text);
      }
      this.tip.hidden = false;
      const room = this.stage.clientWidth - this.tip.offsetWidth - 4;
      const wanted = x(stop) + 14 > room ? x(stop) - this.tip.offsetWidth - 14 : x(stop) + 14;
      this.tip.style.left = Math.max(0, Math.min(room, wanted)) + "px";
      this.tip.style.top = box.top + "px";
      if (aloud) this.live.textContent = (axis.short || "") + " " + at + ": " + words.join("; ");
    }
  }

  const mark = (kind, x, y) => {
    const r = 5;
    return {
      o: `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`,
      s: `M${x - 4.5} ${y - 4.5}h9v9h-9z`,
      "^": `M${x} ${y - 6}l5.5 10h-11z`,
      D: `M${x} ${y - 6}l6 6l-6 6l-6 -6z`,
      v: `M${x} ${y + 6}l5.5 -10h-11z`,
      P: `M${x - 2} ${y - 6}h4v4h4v4h-4v4h-4v-4h-4v-4h4z`,
    }[kind];
  };

  // ---- arms on and off -----------------------------------------------------------------------
  const legends = document.querySelectorAll("[data-arm]");
  const paint = () => {
    legends.forEach((b) => b.setAttribute("aria-pressed", !hidden.has(+b.dataset.arm)));
    charts.forEach((chart) => { chart.leave(); chart.draw(); });
  };
  legends.forEach((button) =>
    button.addEventListener("click", () => {
      const arm = +button.dataset.arm;
      if (hidden.has(arm)) hidden.delete(arm); else hidden.add(arm);
      paint();
    }));
  document.querySelectorAll("[data-arms]").forEach((button) =>
    button.addEventListener("click", () => {
      hidden.clear();
      if (button.dataset.arms === "none") data.arms.forEach((_, k) => hidden.add(k));
      paint();
    }));

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

  document.querySelectorAll("figure[data-chart]").forEach((figure) => charts.push(new Chart(figure)));
})();
