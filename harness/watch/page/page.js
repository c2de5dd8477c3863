// Draws /data.json, again and again; names are texts, never markup.
const at = (id) => document.getElementById(id);
const COLOURS = 7;
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
  at("stand-ins").textContent = `A stand-in is used: ${data.stand_ins.join("; ")}.`;
  at("report").hidden = !data.report;
  at("arms").replaceChildren(...data.arms.map((arm) => {
    const row = document.createElement("tr");
    const name = arm.stage === "arm" ? arm.name : `${arm.name} (${arm.stage})`;
    row.append(made("th", name));
    for (const state of ["planned", "running", "done", "failed", "diverged"])
      row.append(made("td", String(arm[state]), arm[state] ? "" : "none"));
    row.append(made("td", arm.final && `${arm.final}, ${arm.of}`));
    return row;
  }));
  at("log").replaceChildren(...(data.log.length ? data.log : ["None."]).map((line) => made("li", line)));
  at("seen").textContent = `As of ${new Date().toLocaleTimeString()}. The page reads the run folder again every few seconds.`;
  stages();
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
    const label = made("span", data.arms[arm].name, "arm");
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
    view = (await vegaEmbed("#chart", spec, { actions: false, renderer: "svg" })).view;
  }
  await view.signal("percent", at("quantity").value === "accuracy").data("curves", curves).data("runs", runs).runAsync();
}

async function follow() {
  let wait = 3;
  try {
    data = await (await fetch("/data.json")).json();
    fill();
    await draw();
    wait = data.next_s;
  } catch (err) {
    at("seen").textContent = "The page is not served any more: its command has ended. The report lies in the run folder, in report/index.html.";
    wait = 10;
  }
  setTimeout(follow, 1000 * Math.max(2, wait));
}

at("quantity").addEventListener("change", () => data && draw());
at("stage").addEventListener("change", (event) => { event.target.dataset.chosen = "yes"; if (data) draw(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { view = null; if (data) draw(); });
follow();
