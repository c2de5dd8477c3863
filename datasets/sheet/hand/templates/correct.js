"use strict";
// In: the JSON in #data (photographs, boxes that were read). Out: the text of corrections.yaml.
// Boxes are [left, top, width, height] in pixels of the photograph, turned as it is shown here;
// only `fromShown` and `toShown` know how the photograph itself lies.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const stage = $("stage"), picture = $("picture"), view = $("view"), said = $("said");
  const ZOOMS = [1, 1.5, 2, 3, 4, 6];
  const COVERED = 0.9; // of a box: it went into others
  const TOUCHED = 0.25; // of a box that another one covers: it is written too, so that it stays
  let zoom = 0, isSaved = true, nextId = 0, chosen = new Set(), rubber = null;

  // -- boxes ---------------------------------------------------------------------------------

  function turned([left, top, width, height], quarters, across, down) {
    for (let n = 0; n < quarters; n++) {
      [left, top, width, height] = [top, across - left - width, height, width];
      [across, down] = [down, across];
    }
    return [left, top, width, height];
  }
  const toShown = (sheet, box) => turned(box, sheet.quarters, sheet.width, sheet.height);
  const fromShown = (sheet, box) => turned(box, (4 - sheet.quarters) % 4, sheet.across, sheet.down);

  const areaOf = (box) => box[2] * box[3];
  function overlap(a, b) {
    const width = Math.min(a[0] + a[2], b[0] + b[2]) - Math.max(a[0], b[0]);
    const height = Math.min(a[1] + a[3], b[1] + b[3]) - Math.max(a[1], b[1]);
    return Math.max(0, width) * Math.max(0, height);
  }
  function around(boxes) {
    const left = Math.min(...boxes.map((b) => b[0])), top = Math.min(...boxes.map((b) => b[1]));
    const right = Math.max(...boxes.map((b) => b[0] + b[2]));
    const bottom = Math.max(...boxes.map((b) => b[1] + b[3]));
    return [left, top, right - left, bottom - top];
  }
  function clamped(sheet, [left, top, width, height]) {
    width = Math.max(1, Math.min(Math.round(width), sheet.across));
    height = Math.max(1, Math.min(Math.round(height), sheet.down));
    left = Math.min(Math.max(0, Math.round(left)), sheet.across - width);
    top = Math.min(Math.max(0, Math.round(top)), sheet.down - height);
    return [left, top, width, height];
  }
  const middle = (item) => [item.box[0] + item.box[2] / 2, item.box[1] + item.box[3] / 2];

  // -- sheets: what was read on each photograph, and what the person made of it ---------------

  // An item: `was` is what was read (null: the person placed it); `state` is digit, dirt, gone (no
  // digit) or within (other boxes stand in its place).
  function item(box, label, row, was, state) {
    return { id: nextId++, box, label, row, was, state };
  }
  function makeSheet(photo) {
    const isTurned = photo.quarters % 2 === 1;
    const sheet = {
      ...photo, across: isTurned ? photo.height : photo.width,
      down: isTurned ? photo.width : photo.height, steps: [],
    };
    sheet.items = photo.read.map((read) => {
      const was = { label: read.label, state: read.leftOut ? "dirt" : "digit", why: read.why };
      const box = toShown(sheet, read.box);
      return item(box, read.label, read.row, was, read.fate || was.state);
    });
    for (const placed of photo.placed) {
      const box = toShown(sheet, placed.box);
      const same = sheet.items.find((i) => i.state === "within" && String(i.box) === String(box));
      if (same) Object.assign(same, { label: placed.label ?? same.label, state: "digit" });
      else insert(sheet, box, placed.label);
    }
    return sheet;
  }
  /** A box of the person's, in the order and the row of that which is nearest. */
  function insert(sheet, box, label, near = nearest(sheet, box)) {
    const made = item(box, label, near ? near.row : 0, null, "digit");
    sheet.items.splice(near ? sheet.items.indexOf(near) + 1 : 0, 0, made);
    return made;
  }
  function nearest(sheet, box) {
    const [x, y] = middle({ box });
    const away = (i) => Math.hypot(middle(i)[0] - x, 2 * (middle(i)[1] - y));
    return sheet.items.filter((i) => i.row >= 0).sort((a, b) => away(a) - away(b))[0];
  }
  function isSaid(i) {
    if (i.state !== "digit") return false;
    return !i.was || i.was.state !== "digit" || i.was.label !== i.label;
  }
  /** The digits that are written: what the person said, and boxes that it would swallow. */
  function written(sheet) {
    const digits = sheet.items.filter((i) => i.state === "digit");
    const chosenOnes = new Set(digits.filter(isSaid));
    for (let grows = true; grows; ) {
      const touched = digits.filter((i) => !chosenOnes.has(i) && [...chosenOnes].some(
        (s) => overlap(i.box, s.box) > TOUCHED * areaOf(i.box)));
      touched.forEach((i) => chosenOnes.add(i));
      grows = touched.length > 0;
    }
    return digits.filter((i) => chosenOnes.has(i));
  }
  const isCovered = (i, digits) =>
    digits.reduce((sum, d) => sum + overlap(i.box, d.box), 0) >= COVERED * areaOf(i.box);
  function dropped(sheet, digits) {
    const goes = (i) => i.state === "gone" || (i.state === "within" && !isCovered(i, digits));
    return sheet.items.filter((i) => i.was && goes(i));
  }

  // -- corrections.yaml ----------------------------------------------------------------------

  const HEAD = "# Corrections for: python -m datasets.sheet … --corrections FILE\n" +
    "# A box is [left, top, width, height] in pixels of the photograph.\n";
  function yaml() {
    const parts = sheets.map((sheet) => {
      const digits = written(sheet), drops = dropped(sheet, digits);
      if (!digits.length && !drops.length) return "";
      const shown = (i) => `[${fromShown(sheet, i.box).join(", ")}]`;
      const lines = [`${JSON.stringify(sheet.name)}:`, `  sha256: "${sheet.sha256}"`];
      if (drops.length) lines.push("  drop:", ...drops.map((i) => `    - ${shown(i)}`));
      const labelled = (i) => (i.label === null ? "" : `, label: ${JSON.stringify(i.label)}`);
      if (digits.length) lines.push("  digits:", ...digits.map((i) => `    - {box: ${shown(i)}${labelled(i)}}`));
      return lines.join("\n") + "\n";
    });
    return HEAD + (parts.join("") || "{}\n");
  }

  // -- what is shown -------------------------------------------------------------------------

  const sheets = data.photos.map(makeSheet);
  let sheet = sheets[0];

  function isShown(i, digits) {
    if (i.state === "gone") return i.was !== null;
    return i.state !== "within" || (i.was && !isCovered(i, digits));
  }
  function inWords(i) {
    const what = { gone: "no digit", within: "no digit", dirt: "left out" }[i.state] || `label ${i.label ?? "?"}`;
    const where = i.row < 0 ? "" : `${sheet.line} ${i.row + 1}, `;
    const why = i.was?.why && ["digit", "dirt"].includes(i.state) ? `: ${i.was.why}` : "";
    return `${where}${what}${why}, box [${fromShown(sheet, i.box).join(", ")}]`;
  }
  function boxButton(i) {
    const button = document.createElement("button"), tag = document.createElement("span");
    button.type = "button";
    button.className = "box" + (["gone", "within"].includes(i.state) ? " gone" : i.state === "dirt" ? " ignored"
      : isSaid(i) ? " said" : i.was.why ? " doubt" : i.row % 2 ? " odd" : "");
    button.dataset.id = i.id;
    button.setAttribute("aria-label", inWords(i));
    button.setAttribute("aria-pressed", chosen.has(i.id));
    tag.textContent = i.state === "digit" ? i.label ?? "?" : "";
    button.append(tag);
    place(button, i.box);
    return button;
  }
  function place(element, [left, top, width, height]) {
    element.style.left = `${(100 * left) / sheet.across}%`;
    element.style.top = `${(100 * top) / sheet.down}%`;
    element.style.width = `${(100 * width) / sheet.across}%`;
    element.style.height = `${(100 * height) / sheet.down}%`;
  }
  function show() {
    const focused = document.activeElement?.dataset?.id;
    const digits = written(sheet);
    const items = sheet.items.filter((i) => isShown(i, digits));
    stage.replaceChildren(picture, ...items.map(boxButton));
    if (focused !== undefined) buttonOf(focused)?.focus({ preventScroll: true });
    showTools(items);
    $("yaml").value = yaml();
  }
  function showTools(items) {
    const some = chosenItems(), unlabelled = items.filter((i) => i.state === "digit" && i.label === null);
    $("drop").disabled = $("line").disabled = some.length === 0;
    $("merge").disabled = some.length < 2;
    $("split").disabled = some.length !== 1;
    $("undo").disabled = sheet.steps.length === 0;
    $("smaller").disabled = zoom === 0;
    $("larger").disabled = zoom === ZOOMS.length - 1;
    for (const button of $("labels").children) button.disabled = some.length === 0;
    const n = items.filter((i) => i.state === "digit").length;
    const all = `${n} digits` + (unlabelled.length ? `, ${unlabelled.length} without a label` : "");
    const which = some.length === 1 ? inWords(some[0]) : some.length ? `${some.length} boxes chosen` : "no box chosen";
    say(`${all}; ${which}`);
  }
  const say = (text) => { said.textContent = text; };
  const buttonOf = (id) => stage.querySelector(`[data-id="${id}"]`);
  const chosenItems = () => sheet.items.filter((i) => chosen.has(i.id));

  function choose(items, focus = true) {
    chosen = new Set(items.map((i) => i.id));
    for (const button of stage.querySelectorAll(".box")) {
      button.setAttribute("aria-pressed", chosen.has(Number(button.dataset.id)));
    }
    if (focus && items.length) {
      const button = buttonOf(items[items.length - 1].id);
      button?.focus({ preventScroll: true });
      button?.scrollIntoView({ block: "nearest", inline: "nearest" });
    }
    showTools([...stage.querySelectorAll(".box")].map((b) => itemOf(b)));
  }
  const itemOf = (button) => sheet.items.find((i) => i.id === Number(button.dataset.id));

  // -- what can be done ----------------------------------------------------------------------

  /** Do one step that can be taken back; `change` gives the items that are chosen after it. */
  function step(change) {
    sheet.steps.push({ items: sheet.items.map((i) => ({ ...i })), chosen: [...chosen] });
    const after = change(chosenItems());
    isSaved = false;
    chosen = new Set(after.map((i) => i.id));
    show();
    choose(after);
  }
  function undo() {
    const before = sheet.steps.pop();
    if (!before) return;
    sheet.items = before.items;
    isSaved = false;
    chosen = new Set(before.chosen);
    show();
    choose(chosenItems());
  }
  function label(character) {
    if (!chosen.size) return;
    step((items) => {
      const wasOpen = items.length === 1 && items[0].state === "digit" && items[0].label === null;
      for (const i of items) Object.assign(i, { label: character, state: "digit" });
      if (!wasOpen) return items;
      const rest = sheet.items.slice(sheet.items.indexOf(items[0]) + 1);
      return [rest.find((i) => i.state === "digit" && i.label === null) || items[0]];
    });
  }
  function drop() {
    if (!chosen.size) return;
    step((items) => {
      const goes = items.some((i) => i.state === "digit");
      for (const i of items) {
        if (goes ? i.state === "digit" : i.state !== "dirt") i.state = goes ? "gone" : "digit";
      }
      return items.filter((i) => i.was);
    });
  }
  /** The items go, and boxes of the person's stand in their place. */
  function replace(items, boxes, character) {
    const made = [];
    for (const box of boxes) made.push(insert(sheet, box, character, made[made.length - 1] || items[0]));
    for (const i of items) i.state = "within";
    return made;
  }
  function merge() {
    if (chosen.size < 2) return;
    step((items) => {
      const labels = new Set(items.filter((i) => i.state === "digit").map((i) => i.label));
      return replace(items, [around(items.map((i) => i.box))], labels.size === 1 ? [...labels][0] : null);
    });
  }
  function split() {
    if (chosen.size !== 1) return;
    step(([i]) => {
      const [left, top, width, height] = i.box;
      const at = Math.min(Math.max(1, palest(i.box)), width - 1);
      if (width < 2) return [i];
      return replace([i], [[left, top, at, height], [left + at, top, width - at, height]], i.label);
    });
  }
  /** The column of a box, from its left, that has least ink in it, not far from the middle. */
  function palest([left, top, width, height]) {
    const scale = picture.naturalWidth / sheet.across, canvas = document.createElement("canvas");
    canvas.width = Math.max(3, Math.round(width * scale));
    canvas.height = Math.max(1, Math.round(height * scale));
    const pen = canvas.getContext("2d", { willReadFrequently: true });
    pen.drawImage(picture, left * scale, top * scale, width * scale, height * scale, 0, 0, canvas.width, canvas.height);
    const pixels = pen.getImageData(0, 0, canvas.width, canvas.height).data;
    const light = Array.from({ length: pixels.length / 4 }, (_, k) => pixels[4 * k] + pixels[4 * k + 1] + pixels[4 * k + 2]);
    const paper = [...light].sort((a, b) => a - b)[light.length >> 1];
    let best = canvas.width / 2, least = Infinity;
    for (let x = Math.round(0.25 * canvas.width); x <= 0.75 * canvas.width; x++) {
      let ink = Math.abs(x / canvas.width - 0.5) * 20; // the middle, where nothing else decides
      for (let y = 0; y < canvas.height; y++) ink += Math.abs(light[y * canvas.width + x] - paper);
      if (ink < least) [best, least] = [x + 0.5, ink];
    }
    return Math.round(best / scale);
  }
  /** A new box beside that which has the focus, for who does not draw. */
  function newBox() {
    const [beside] = chosenItems(), digits = sheet.items.filter((i) => i.state === "digit");
    const like = beside || digits[digits.length - 1];
    const size = Math.round(sheet.across / 20);
    const box = like ? [like.box[0] + Math.round(1.2 * like.box[2]), like.box[1], like.box[2], like.box[3]]
      : [Math.round(sheet.across / 2), Math.round(sheet.down / 2), size, size];
    step(() => [insert(sheet, clamped(sheet, box), null)]);
  }
  function reshape(across, down, isSize) {
    const by = Math.max(1, Math.round(Math.max(sheet.across, sheet.down) / 400));
    step((items) => items.flatMap((i) => {
      let [left, top, width, height] = i.box;
      if (isSize) [width, height] = [width + across * by, height + down * by];
      else [left, top] = [left + across * by, top + down * by];
      const box = clamped(sheet, [left, top, width, height]);
      if (!i.was) i.box = box;
      return i.was ? replace([i], [box], i.label) : [i];
    }));
  }
  function chooseLine() {
    const rows = new Set(chosenItems().map((i) => i.row));
    choose(sheet.items.filter((i) => rows.has(i.row) && i.state === "digit"));
  }

  // -- keys ----------------------------------------------------------------------------------

  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

  /** The shown item that is next in a direction. */
  function beyond(from, [across, down]) {
    const [x, y] = middle(from);
    let best = null, least = Infinity;
    for (const button of stage.querySelectorAll(".box")) {
      const i = itemOf(button), dx = middle(i)[0] - x, dy = middle(i)[1] - y;
      const ahead = dx * across + dy * down, aside = Math.abs(dx * down) + Math.abs(dy * across);
      if (ahead > 0 && ahead >= 0.6 * aside && ahead + 2 * aside < least) [best, least] = [i, ahead + 2 * aside];
    }
    return best;
  }
  function onArrow(event, from) {
    const arrow = ARROWS[event.key];
    if (event.altKey) return reshape(...arrow, event.shiftKey);
    const next = beyond(from, arrow);
    if (next) choose(event.shiftKey ? [...chosenItems().filter((i) => i !== next), next] : [next]);
  }
  function onCharacter(character) {
    const near = data.classes.filter((c) => c.toLowerCase() === character.toLowerCase());
    const which = data.classes.includes(character) ? character : near.length === 1 ? near[0] : null;
    if (which !== null) label(which);
    else say(`“${character}” is none of the labels ${data.classes.join(" ")}`);
  }
  stage.addEventListener("keydown", (event) => {
    const button = event.target.closest(".box");
    if (!button) return;
    const isPlain = !event.ctrlKey && !event.metaKey && !event.altKey;
    if (ARROWS[event.key] && !event.ctrlKey && !event.metaKey) onArrow(event, itemOf(button));
    else if (event.key === "Delete" || event.key === "Backspace") drop();
    else if (event.key === "Enter" && event.shiftKey) split();
    else if (event.key === "Enter" && chosen.size > 1) merge();
    else if (event.key === "Insert") newBox();
    else if (event.key === "Escape") choose([]);
    else if (event.key !== " " && isPlain && [...event.key].length === 1) onCharacter(event.key);
    else return;
    event.preventDefault();
  });
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && !event.shiftKey && event.key.toLowerCase() === "z") {
      event.preventDefault();
      undo();
    }
  });
  let byPointer = false; // a box that gets the focus otherwise is chosen by it
  stage.addEventListener("pointerdown", () => { byPointer = true; });
  document.addEventListener("keydown", (event) => { if (event.key === "Tab") byPointer = false; }, true);
  stage.addEventListener("focusin", (event) => {
    const button = event.target.closest(".box");
    if (button && !byPointer && !chosen.has(Number(button.dataset.id))) choose([itemOf(button)], false);
  });

  // -- pointers ------------------------------------------------------------------------------

  const isOn = (id) => $(id).getAttribute("aria-pressed") === "true";
  function turn(id, on) {
    $(id).setAttribute("aria-pressed", on);
    if (id === "draw") stage.classList.toggle("drawing", on);
  }
  stage.addEventListener("click", (event) => {
    const button = event.target.closest(".box");
    if (!button) return;
    const i = itemOf(button), adds = event.shiftKey || event.ctrlKey || event.metaKey || isOn("several");
    if (!adds) choose([i]);
    else if (chosen.has(i.id)) choose(chosenItems().filter((other) => other !== i), false);
    else choose([...chosenItems(), i]);
  });
  function pointAt(event) {
    const at = picture.getBoundingClientRect();
    const inside = (x) => Math.min(1, Math.max(0, x));
    return [inside((event.clientX - at.left) / at.width) * sheet.across,
      inside((event.clientY - at.top) / at.height) * sheet.down];
  }
  const between = ([x, y], [u, v]) => [Math.min(x, u), Math.min(y, v), Math.abs(x - u), Math.abs(y - v)];
  stage.addEventListener("pointerdown", (event) => {
    if (!isOn("draw") || event.button !== 0) return;
    event.preventDefault();
    const frame = document.createElement("div");
    frame.id = "rubber";
    rubber = { start: pointAt(event), frame };
    stage.append(frame);
    stage.setPointerCapture(event.pointerId);
  });
  stage.addEventListener("pointermove", (event) => {
    if (rubber) place(rubber.frame, between(rubber.start, pointAt(event)));
  });
  function endDrawing(event) {
    if (!rubber) return;
    const box = between(rubber.start, pointAt(event)), least = sheet.across / 300;
    rubber.frame.remove();
    rubber = null;
    if (event.type === "pointercancel" || box[2] < least || box[3] < least) return;
    turn("draw", false);
    step(() => [insert(sheet, clamped(sheet, box), null)]);
  }
  stage.addEventListener("pointerup", endDrawing);
  stage.addEventListener("pointercancel", endDrawing);

  // -- buttons -------------------------------------------------------------------------------

  for (const character of data.classes) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = character;
    button.addEventListener("click", () => label(character));
    $("labels").append(button);
  }
  $("drop").addEventListener("click", drop);
  $("merge").addEventListener("click", merge);
  $("split").addEventListener("click", split);
  $("line").addEventListener("click", chooseLine);
  $("undo").addEventListener("click", undo);
  $("several").addEventListener("click", () => turn("several", !isOn("several")));
  $("draw").addEventListener("click", (event) => {
    if (event.detail === 0) newBox(); // by a key: nobody draws with a keyboard
    else turn("draw", !isOn("draw"));
  });
  function resize(by) {
    const [item] = chosenItems(); // it stays in sight; else what is in the middle
    const x = item ? middle(item)[0] / sheet.across : (view.scrollLeft + view.clientWidth / 2) / view.scrollWidth;
    const y = item ? middle(item)[1] / sheet.down : (view.scrollTop + view.clientHeight / 2) / view.scrollHeight;
    zoom = Math.min(ZOOMS.length - 1, Math.max(0, zoom + by));
    stage.style.width = `${100 * ZOOMS[zoom]}%`;
    view.scrollLeft = x * view.scrollWidth - view.clientWidth / 2;
    view.scrollTop = y * view.scrollHeight - view.clientHeight / 2;
    show();
  }
  $("smaller").addEventListener("click", () => resize(-1));
  $("larger").addEventListener("click", () => resize(1));
  $("save").addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([yaml()], { type: "text/yaml" }));
    link.download = "corrections.yaml";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    isSaved = true;
    say("corrections.yaml is in the folder of your downloads; give it to the next call as --corrections");
  });
  $("copy").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(yaml());
    } catch {
      $("yaml").select();
      document.execCommand("copy");
    }
    isSaved = true;
    say("copied; put it into a file corrections.yaml");
  });
  addEventListener("beforeunload", (event) => { if (!isSaved) event.preventDefault(); });

  // -- photographs ---------------------------------------------------------------------------

  sheets.forEach((each, n) => {
    const option = document.createElement("option");
    option.value = n;
    option.textContent = each.name + (each.problem ? " (not read)" : "");
    $("photo").append(option);
  });
  $("choice").hidden = sheets.length < 2;
  function open(n) {
    sheet = sheets[n];
    chosen = new Set();
    picture.src = sheet.picture;
    picture.alt = `the photograph ${sheet.name}, ${sheet.expected}`;
    $("problem").textContent = sheet.problem;
    show();
  }
  $("photo").addEventListener("change", () => open(Number($("photo").value)));
  const first = Math.max(0, sheets.findIndex((each) => each.problem));
  $("photo").value = first;
  open(first);
})();
