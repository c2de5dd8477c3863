// Draws /data.json, again and again; names are texts, never markup.
const at = (id) => document.getElementById(id);
const COLOURS = 7, MOST_CARDS = 6;
const STAGES = { arm: "the arms", pretrain: "pretraining", search: "the search" };
let view = null, data = null;

const made = (tag, text, className) => {
  const node = document.createElement(tag);
  node.textContent = text;
  if (className) node.className = className;
  return node;
};
const role = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const colour = (arm) => role(`--arm-${data.arms[arm].colour % COLOURS}`);

function fill() {
  at("name").textContent = data.name;
  document.title = `${data.line.split(".")[0]} · ${data.name}`;
  at("question").textContent = data.question || data.name;
  at("line").textContent = data.line;
  at("stand-ins").hidden = !data.stand_ins.length;
  at("stand-ins").textContent = `Made with stand-in data: ${data.stand_ins.join("; ")}. What comes out holds for these alone.`;
  at("report").hidden = !data.report;
  at("cards").replaceChildren(...data.arms.filter((arm) => arm.stage === "arm").slice(0, MOST_CARDS).map(card));
  at("arms").replaceChildren(...data.arms.map((arm) => {
    const row = made("tr", "");
    row.append(made("td", arm.stage === "arm" ? arm.name : `${arm.name} (${arm.stage})`));
    for (const state of ["planned", "running", "done", "failed", "diverged"])
      row.append(made("td", String(arm[state]), arm[state] ? "number" : "number none"));
    row.append(made("td", [arm.final, arm.range && `(${arm.range})`, arm.of && `on ${arm.of} images`].filter(Boolean).join(" ")));
    return row;
  }));
  at("log").replaceChildren(...(data.log.length ? data.log : ["None."]).map((line) => made("li", line)));
  at("seen").textContent = `As of ${new Date().toLocaleTimeString()}`;
  stages();
}

function card(arm, place) {
  const node = made("li", "", "card"), title = made("h2", arm.name), mark = made("i", ""), list = made("dl", "");
  mark.style.background = role(`--arm-${arm.colour % COLOURS}`);
  title.prepend(mark);
  const n = arm.planned + arm.running + arm.done + arm.failed + arm.diverged;
  const others = ["running", "failed", "diverged"].filter((state) => arm[state]).map((state) => `${arm[state]} ${state}`);
  const readings = [
    ["Runs done", `${arm.done} of ${n}`, others.join(", ")],
    ["Final so far", arm.final || "–", arm.final && [arm.range, `on ${arm.of} images`].filter(Boolean).join(", ")],
  ];
  for (const [name, value, small] of readings) {
    const reading = made("div", "", "reading"), content = made("dd", "");
    content.append(made("b", value), made("span", small, "small"));
    reading.append(made("dt", name), content);
    list.append(reading);
  }
  const bar = made("progress", "");
  bar.value = arm.share;
  bar.setAttribute("aria-label", "share of its steps that is done");
  node.append(title, list, bar);
  return node;
}

function stages() {
  const present = new Set(data.curves.concat(data.runs).map((point) => data.arms[point.arm].stage));
  const menu = at("stage"), known = [...menu.options].map((option) => option.value);
  for (const stage of Object.keys(STAGES))
    if (present.has(stage) && !known.includes(stage)) menu.append(new Option(STAGES[stage], stage));
  if (present.has("arm") && !menu.dataset.chosen) menu.value = "arm";
}

function rows() {
  const quantity = at("quantity").value, stage = at("stage").value;
  const shown = (point) => point.quantity === quantity && data.arms[point.arm].stage === stage;
  const named = (point) => ({ ...point, name: data.arms[point.arm].name, colour: colour(point.arm) });
  const curves = data.curves.filter(shown).map(named), means = curves.map((point) => point.mean);
  const least = Math.min(...means), most = Math.max(...means);
  const room = 0.6 * Math.max(most - least, 0.02 * Math.abs(most));
  for (const point of curves.filter((each) => each.low !== null)) { // few trials have bands that would flatten every curve
    point.low = Math.max(point.low, least - room, 0);
    point.high = Math.min(point.high, most + room, quantity === "accuracy" ? 1 : Infinity);
  }
  return { curves, runs: data.runs.filter(shown).map(named) };
}

async function draw() {
  const { curves, runs } = rows();
  const arms = [...new Set(curves.concat(runs).map((point) => point.arm))];
  at("legend").replaceChildren(...arms.map((arm) => {
    const label = made("span", data.arms[arm].name);
    const mark = made("i", "");
    mark.style.background = colour(arm);
    label.prepend(mark);
    return label;
  }));
  if (!window.vegaEmbed || !arms.length) return;
  if (!view) {
    const spec = await (await fetch("/chart.json")).json();
    for (const key of ["labelColor", "titleColor", "domainColor", "tickColor"]) spec.config.axis[key] = role("--soft");
    spec.config.axis.gridColor = role("--rule");
    spec.datasets = { curves, runs };
    view = (await vegaEmbed("#chart", spec, { actions: false, renderer: "svg", logLevel: 1 })).view;
  }
  await view.signal("percent", at("quantity").value === "accuracy").data("curves", curves).data("runs", runs).runAsync();
}

async function follow() {
  let isServed = true;
  try {
    data = await (await fetch("/data.json")).json();
  } catch (err) {
    isServed = false;
    at("seen").textContent = "The page is not served any more: its command has ended. The report lies in the run folder, in report/index.html.";
  }
  setTimeout(follow, 1000 * (isServed ? Math.max(2, data.next_s) : 10));
  if (!isServed) return;
  fill();
  await draw();
}

at("quantity").addEventListener("change", () => data && draw());
at("stage").addEventListener("change", (event) => { event.target.dataset.chosen = "yes"; if (data) draw(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { view = null; if (data) draw(); });
follow();
