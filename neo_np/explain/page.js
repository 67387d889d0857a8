// The page of one run. It reads the numbers from the element "data", keeps one selection, and draws every panel from it.
// Text of the model enters the page only as text nodes, never as HTML.
"use strict";

// ---- Numbers ----

const DATA = JSON.parse(document.getElementById("data").textContent);
const decoded = new Map();

// Return a block as a flat array of numbers. All blocks are little-endian.
function decode(block) {
  const bytes = Uint8Array.from(atob(block.base64), (char) => char.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const read = {
    f4: (i) => view.getFloat32(4 * i, true),
    i4: (i) => view.getInt32(4 * i, true),
    u2: (i) => view.getUint16(2 * i, true),
    i2: (i) => view.getInt16(2 * i, true),
    u1: (i) => bytes[i],
  }[block.type];
  return Float64Array.from({ length: bytes.length / Number(block.type[1]) }, (_, i) => read(i));
}

// Return the numbers of a block by its name. They are decoded at the first use.
function numbers(name) {
  if (!decoded.has(name)) decoded.set(name, decode(DATA[name]));
  return decoded.get(name);
}

// Return one number: at("lens.kl", row, position).
function at(name, ...index) {
  return numbers(name)[index.reduce((flat, i, axis) => flat * DATA[name].shape[axis] + i, 0)];
}

const ids = numbers("ids");
const T = ids.length, L = DATA.layers.length, H = DATA.heads;
const STATIONS = DATA.stations, HEADS = Array.from({ length: H }, (_, head) => `head ${head}`);
const CHOSEN = 0, SOURCES = ["source.chosen", "source.runner_up"]; // the candidates are the next token and the likeliest other
const triangle = (query, key) => (query * (query + 1)) / 2 + key;

function weight(layer, head, query, key) {
  const inHead = (T * (T + 1)) / 2;
  return numbers("attention")[(layer * H + head) * inHead + triangle(query, key)] / 65535;
}

// Return what a head adds to m of a candidate through one key.
function bySource(i, layer, head, query, key) {
  const name = SOURCES[i], head_index = layer * H + head;
  const scales = decoded.get(`${name}.scales`) || decode(DATA[name].scales);
  decoded.set(`${name}.scales`, scales);
  return numbers(name)[head_index * ((T * (T + 1)) / 2) + triangle(query, key)] * scales[head_index * T + query];
}

function outsideWindow(layer, query, key) {
  return DATA.windows[layer] !== null && query - key >= DATA.windows[layer];
}

// ---- Words ----

// Return a text, or a list of texts, that Python and this script share, with its {names} filled in.
function words(name, parts = {}) {
  const fill = (text) => text.replace(/\{(\w+)\}/g, (_, part) => parts[part]);
  return Array.isArray(DATA.wording[name]) ? DATA.wording[name].map(fill) : fill(DATA.wording[name]);
}

const percent = (p) => (p > 0 && p < 1e-4 ? "< 0.01 %" : `${Number((100 * p).toPrecision(3))} %`);
const fixed = (x) => (Math.abs(x) >= 1000 || (x !== 0 && Math.abs(x) < 0.0005) ? x.toExponential(2) : x.toFixed(3));
const signed = (x) => (x < 0 ? "−" : "+") + fixed(Math.abs(x));
const tokenText = (id) => DATA.texts[id];
const quoted = (id) => `“${tokenText(id)}”`;
const placed = (position) => `${position} ${quoted(ids[position])}`;
const candidate = (i) => quoted(at("candidates", S.position, i));
const headName = ({ layer, head }) => `layer ${layer} head ${head}`;

// Return what the two candidates of the selected position are.
function candidateNames() {
  const isLast = S.position === T - 1, isChosen = !isLast && DATA.origins[S.position + 1] === "generated";
  return [isLast ? "the likeliest next token" : isChosen ? "the chosen token" : "the next token", isLast ? "the second" : "likeliest other token"];
}

// ---- Elements ----

const $ = (id) => document.getElementById(id);

// Return a new element; children are elements or texts.
function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

const tokenElement = (id) => el("span", { class: "token" }, tokenText(id));
const numberCell = (text, sign = 0) => el("td", { class: `number ${sign < 0 ? "minus" : sign > 0 ? "plus" : ""}` }, text);

// Return a list of sentences that Python wrote. A head in a sentence, [layer, head], is a button that selects it.
function sentences(lines) {
  const part = (one) => (typeof one === "string" ? one : headButton({ layer: one[0], head: one[1] }));
  return el("ul", {}, ...lines.map((line) => el("li", {}, ...[line].flat().map(part))));
}

// Fill a table: rows are lists of cells, the first of them heads the row. A cell is a text, an element or a whole td.
function fillTable(table, caption, heads, rows, selected = -1) {
  const head = el("tr", {}, ...heads.map((text) => el("th", { scope: "col" }, text)));
  const body = rows.map(([first, ...cells], i) =>
    el("tr", { class: i === selected ? "selected" : null }, el("th", { scope: "row" }, first),
      ...cells.map((cell) => (cell instanceof HTMLTableCellElement ? cell : el("td", {}, cell)))));
  table.replaceChildren(el("caption", {}, caption), el("thead", {}, head), el("tbody", {}, ...body));
  return table;
}

// Return a bar from one number to another, on a scale from low to high. It only repeats a number that is beside it.
function bar(from, to, low, high) {
  if (from === to) return el("span", { class: "track", "aria-hidden": "true" });
  const part = el("i", { class: to < from ? "minus" : null }), share = (x) => (100 * (x - low)) / (high - low || 1);
  part.style.left = `${share(Math.min(from, to))}%`;
  part.style.width = `${share(low + Math.abs(to - from))}%`;
  return el("span", { class: "track", "aria-hidden": "true" }, part);
}

// Return a cell for a signed number with a bar that begins in the middle.
const signedBar = (x, largest) => bar(0, x, -largest, largest);

function radios(fieldset, name, choices, chosen, choose) {
  fieldset.replaceChildren(fieldset.querySelector("legend"), ...choices.map(([value, text]) => {
    const input = el("input", { type: "radio", name, value, onchange: () => choose(value) });
    input.checked = value === chosen;
    return el("label", {}, input, " ", text);
  }));
}

// ---- The selection ----

const S = { position: 0, layer: 0, head: 0, candidate: CHOSEN, ...DATA.opening }; // what is selected
const V = { scale: "one", query: -1, key: -1, locked: false }; // how attention is shown, and the cell in it

// Change the selection and draw everything that depends on it.
function select(changes) {
  const limits = { position: T, layer: L, head: H, candidate: 2 };
  for (const [name, value] of Object.entries(changes)) S[name] = Math.max(0, Math.min(limits[name] - 1, value));
  if (!("candidate" in changes || (V.locked && V.query === S.position))) markStrongest();
  draw();
}

// Let the cell in the matrix be the largest weight from the selected position.
function markStrongest() {
  [V.query, V.key] = [S.position, strongestKey(S.layer, S.head, S.position)];
}

function say(text) {
  $("readout").textContent = text;
}

function sayCell() {
  const outside = outsideWindow(S.layer, V.query, V.key);
  const amount = outside ? "does not see (outside window)" : `gives ${percent(weight(S.layer, S.head, V.query, V.key))} to`;
  say(`Layer ${S.layer} head ${S.head}, standing at ${placed(V.query)}, ${amount} ${placed(V.key)}.${V.locked ? " Locked." : ""}`);
}

function draw() {
  for (const line of document.querySelectorAll(".where")) line.textContent = DATA.sentences.where[S.position];
  for (const line of document.querySelectorAll(".about")) {
    line.textContent = `This part is about ${candidate(CHOSEN)} only.`;
    line.hidden = S.candidate === CHOSEN;
  }
  for (const panel of [drawControls, drawShort, drawTokens, drawChoice, drawLens, drawAttention, drawWhy, drawMlp, drawResidual]) panel();
  markSelected();
}

// Handle the arrow keys, Home and End of a grid: move(columns, rows), edge(first or last).
function arrows(event, move, edge) {
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (steps) move(...steps);
  else if (event.key === "Home" || event.key === "End") edge(event.key === "End");
  else return;
  event.preventDefault();
}

// ---- The controls ----

function makeControls() {
  const panels = { summary: "In short", tokens: "Tokens", choice: "Choice", lens: "Lens", attention: "Attention", why: "Why", mlp: "MLP",
    residual: "Residual stream", timings: "Timings", method: "Method" };
  for (const [id, text] of Object.entries(panels)) {
    if (id === "timings" && !DATA.timings) continue;
    const [number] = /^\d\. |^/.exec($(`${id}-title`).textContent);
    $("nav").append(el("button", { type: "button", onclick: () => show(id) }, number + text));
  }
  ids.forEach((id, position) => {
    const whole = DATA.characters[position], isEnd = position === T - 1 || at("offsets", position + 1, 0) >= at("offsets", position, 1);
    $("strip").append(el("span", {
      role: "option", class: `token ${position < DATA.prompt_length ? "" : "new"}`,
      "aria-label": `${position} ${tokenText(id)}${whole && `, part of ${whole}`} ${DATA.origins[position]}`,
      onclick: () => select({ position }),
      onpointerenter: () => sayToken(position),
    }, tokenText(id), whole && isEnd ? ` = ${whole}` : ""));
  });
  $("strip").addEventListener("keydown", (event) => {
    arrows(event, (columns, rows) => select({ position: S.position + columns + rows }), (last) => select({ position: last ? T - 1 : 0 }));
    $("strip").children[S.position].focus();
    sayToken(S.position);
  });
  for (const [id, count] of [["layer", L], ["head", H]]) {
    for (let i = 0; i < count; i++) $(id).append(el("option", { value: i }, i));
    $(id).addEventListener("change", () => select({ [id]: Number($(id).value) }));
  }
  $("theme").addEventListener("click", () => {
    const themes = ["auto", "light", "dark"], root = document.documentElement;
    root.dataset.theme = themes[(themes.indexOf(root.dataset.theme) + 1) % themes.length];
    drawTheme();
  });
  const shown = (theme, isOpen) => { [document.documentElement.dataset.theme, $("words").open] = [theme, isOpen]; drawTheme(); };
  let before = []; // paper is light and has the words; the screen is as it was afterwards
  window.addEventListener("beforeprint", () => { before = [document.documentElement.dataset.theme, $("words").open]; shown("light", true); });
  window.addEventListener("afterprint", () => shown(...before));
  document.addEventListener("keydown", (event) => {
    const isFree = document.activeElement === document.body || document.activeElement.tagName === "BUTTON";
    if (event.key === "Escape" && V.locked) {
      V.locked = false;
      say("Unlocked.");
    } else if (isFree && (event.key === "ArrowLeft" || event.key === "ArrowRight")) {
      arrows(event, (columns) => select({ position: S.position + columns }));
      sayToken(S.position);
    }
  });
}

// Make a button of each word that is explained, which says what it means, and of each panel that is named.
function makeWords() {
  for (const word of document.querySelectorAll("span[data-word]")) {
    const meaning = `${word.textContent}: ${document.querySelector(`dd[data-word="${word.dataset.word}"]`).textContent}`;
    const explain = () => { if (!V.locked) say(meaning); };
    word.replaceWith(el("button", { type: "button", class: "term", onclick: explain, onfocus: explain, onpointerenter: explain }, word.textContent));
  }
  for (const link of document.querySelectorAll("span[data-panel]"))
    link.replaceWith(el("button", { type: "button", onclick: () => show(link.dataset.panel) }, link.textContent));
}

// Tables select too: a row that has a position, a cell that has a head. A click does it, and the arrow keys at the selected one.
const CHOOSABLE = "tr[data-position] > th, td[data-head]";

function choose(place) {
  const { position, layer, head } = { ...place.parentElement.dataset, ...place.dataset };
  select(head === undefined ? { position: Number(position) } : { layer: Number(layer), head: Number(head) });
}

function makeTables() {
  document.querySelector("main").addEventListener("click", (event) => {
    const place = event.target.closest("td[data-head], tr[data-position] > *");
    if (place) choose(place);
  });
  document.querySelector("main").addEventListener("keydown", (event) => {
    if (!event.target.matches(CHOOSABLE)) return;
    const table = event.target.closest("table"), rows = [...table.tBodies[0].rows];
    const column = event.target.cellIndex, row = rows.indexOf(event.target.parentElement);
    const go = (cell) => {
      if (!cell || !cell.matches(CHOOSABLE)) return;
      choose(cell);
      table.querySelector('[tabindex="0"]').focus();
    };
    arrows(event, (columns, down) => go(rows[row + down]?.cells[column + columns]),
      (last) => go(column === 0 ? rows[last ? rows.length - 1 : 0].cells[0] : rows[row].cells[last ? H : 1]));
  });
}

// Mark the selected row or cell of each of these tables. It alone is reached by the Tab key.
function markSelected() {
  for (const table of document.querySelectorAll("main table")) {
    const places = [...table.querySelectorAll(CHOOSABLE)];
    const found = places.find(({ dataset, parentElement }) => (dataset.head === undefined ? Number(parentElement.dataset.position) === S.position
      : Number(dataset.layer) === S.layer && Number(dataset.head) === S.head));
    for (const place of places) {
      const marked = place.tagName === "TH" ? place.parentElement : place;
      marked.classList.toggle("selected", place === found);
      place.setAttribute("aria-current", place === found);
      place.tabIndex = place === (found || places[0]) ? 0 : -1;
    }
  }
}

function drawTheme() {
  $("theme").textContent = `Theme: ${document.documentElement.dataset.theme}`;
  drawLegend();
  drawThumbnails();
  drawMatrix();
}

function sayToken(position) {
  if (V.locked) return;
  const facts = [`Position ${placed(position)}, id ${ids[position]}, ${DATA.origins[position]}.`];
  if (position > 0) facts.push(`Its loss was ${fixed(at("loss", position - 1))}.`);
  if (position <= S.position) facts.push(`Layer ${S.layer} head ${S.head} gives it ${percent(weight(S.layer, S.head, S.position, position))}.`);
  say(facts.join(" "));
}

// Bring a panel into view, below the controls.
function show(id) {
  window.scrollTo(0, $(id).getBoundingClientRect().top + window.scrollY - $("controls").offsetHeight - 8);
}

function drawControls() {
  $("where").textContent = DATA.sentences.where[S.position];
  [...$("strip").children].forEach((option, position) => {
    option.setAttribute("aria-selected", position === S.position);
    option.tabIndex = position === S.position ? 0 : -1;
    option.classList.toggle("next", position === S.position + 1);
    option.style.setProperty("--weight", position <= S.position ? 0.45 * weight(S.layer, S.head, S.position, position) : 0);
  });
  keepInView($("strip"), $("strip").children[S.position]);
  radios($("candidates"), "candidate", candidateNames().map((name, i) => [i, `${candidate(i)}, ${name}`]), S.candidate, (i) => select({ candidate: i }));
  [$("layer").value, $("head").value] = [S.layer, S.head];
}

// Scroll a box, and nothing else, so that an element inside is in view, below what covers the top of the box.
function keepInView(box, inside, covered = 0) {
  const outer = box.getBoundingClientRect(), inner = inside.getBoundingClientRect();
  if (inner.top < outer.top + covered || inner.bottom > outer.bottom) box.scrollTop += inner.top - outer.top - box.clientHeight / 2;
}

// ---- In short ----

function everyHead() {
  return Array.from({ length: L * H }, (_, i) => ({ layer: Math.floor(i / H), head: i % H }));
}

function headButton(head) {
  return el("button", { type: "button", onclick: () => { select(head); show("attention"); } }, headName(head));
}

// Return what all heads together add through each key.
function sourceSums(i) {
  return Array.from({ length: S.position + 1 }, (_, key) =>
    everyHead().reduce((sum, { layer, head }) => sum + bySource(i, layer, head, S.position, key), 0));
}

// Return the key of a query with the largest weight.
function strongestKey(layer, head, query) {
  let best = 0;
  for (let key = 1; key <= query; key++) if (weight(layer, head, query, key) > weight(layer, head, query, best)) best = key;
  return best;
}

function drawShort() {
  const { layer, head } = S, key = strongestKey(layer, head, S.position);
  const selected = ["The selected head, ", [layer, head], `, looks from here most at ${placed(key)} (${percent(weight(layer, head, S.position, key))}).`];
  $("short").replaceChildren(sentences([...DATA.sentences.here[S.position], selected]));
  $("whole").replaceChildren(sentences(DATA.sentences.whole));
}

// ---- 1. Tokens ----

function drawTokens() {
  const facts = [`Position ${S.position}: ${quoted(ids[S.position])}, id ${ids[S.position]}, bytes ${DATA.bytes[S.position] || "none"}, `
    + `characters ${at("offsets", S.position, 0)} to ${at("offsets", S.position, 1)} of the text, from the ${DATA.origins[S.position]} text.`];
  if (DATA.characters[S.position]) facts.push(`Its bytes are a part of “${DATA.characters[S.position]}”.`);
  if (S.position > 0) facts.push(`Before it came, standing at ${placed(S.position - 1)}, the model gave it a probability of `
    + `${percent(Math.exp(-at("loss", S.position - 1)))}: a loss of ${fixed(at("loss", S.position - 1))} nats.`);
  const word = DATA.words.find(({ first, last }) => first <= S.position && S.position <= last);
  const steps = word.steps.map(([rule, tokens]) =>
    el("li", {}, ...tokens.flatMap((token, i) => [i ? " | " : "", el("span", { class: "token" }, token)]), ` (${rule})`));
  $("token-facts").replaceChildren(
    el("p", {}, facts.join(" ")),
    el("h3", {}, `How the tokenizer merges the word “${word.shown}”`),
    el("p", {}, word.steps.length ? `It begins with bytes; then each rule joins two neighbours, the lowest rule first. ${word.note}` : word.note),
    el("ol", {}, ...steps));
}

// ---- 2. The choice ----

// Return the number of the choice that was made at a position, or -1.
function stepAt(position) {
  const step = position - DATA.prompt_length + 1;
  return step >= 0 && step < DATA["choice.token"].shape[0] ? step : -1;
}

function drawChoice() {
  const step = stepAt(S.position), table = el("table"), story = sentences(DATA.sentences.rules[S.position]);
  if (step < 0) {
    const rows = Array.from({ length: DATA["top.ids"].shape[1] }, (_, i) => [tokenElement(at("top.ids", S.position, i)), numberCell(percent(at("top.probabilities", S.position, i)))]);
    $("choice-live").replaceChildren(story, fillTable(table, words("said"), words("said.heads"), rows));
    return;
  }
  const rows = [];
  let selected = -1, removed = false;
  for (let i = 0; i < DATA["choice.shown"].shape[1]; i++) {
    const id = at("choice.shown", step, i);
    if (id < 0) continue;
    if (id === at("choice.token", step)) selected = rows.length;
    rows.push([tokenElement(id), ...DATA.columns.map((_, column) => {
      if (at("choice.kept", step, column, i)) return numberCell(percent(at("choice.probabilities", step, column, i)));
      removed = true;
      return el("td", { class: "number" }, el("del", {}, percent(lastProbability(step, i))), ` ${words("removed")}`);
    })]);
  }
  const last = (name, format) => DATA.columns.map((_, column) => numberCell(format(at(name, step, column))));
  rows.push([words("choice.kept"), ...last("choice.counts", String)], [words("choice.share"), ...last("choice.masses", percent)]);
  const source = words(DATA.mode === "given" ? "choice.given" : "choice.generated");
  fillTable(table, words("choice", { source }) + (removed ? words("choice.struck") : ""), [words("choice.token"), ...DATA.columns], rows, selected);
  $("choice-live").replaceChildren(story, ...(DATA.mode === "sampled" ? unitInterval(step) : []),
    el("div", { class: "scroll tall", tabindex: "0", role: "region", "aria-label": "The rules" }, table));
}

// Return the probability of a removed token in the column before it was removed.
function lastProbability(step, i) {
  const removed = DATA.columns.findIndex((_, column) => !at("choice.kept", step, column, i));
  return at("choice.probabilities", step, Math.max(0, removed - 1), i);
}

// Return a picture of [0, 1) with the interval of the drawn token and the random number.
function unitInterval(step) {
  const [low, high, uniform] = ["low", "high", "uniform"].map((name) => at(`choice.${name}`, step));
  const interval = el("i"), mark = el("b");
  [interval.style.left, interval.style.width, mark.style.left] = [`${100 * low}%`, `${100 * (high - low)}%`, `${100 * uniform}%`];
  const label = (text, kind, place = 0) => {
    const element = el("span", { class: kind }, text);
    element.style.setProperty("--at", `${100 * place}%`);
    return element;
  };
  const labels = [label("0", "first"), label("1", "last"), label(uniform.toFixed(5), "above", uniform), label(tokenText(at("choice.token", step)), "below token", (low + high) / 2)];
  return [el("p", {}, "All kept tokens lie side by side from 0 to 1, in the order of their ids, not by probability."),
    el("div", { id: "unit", role: "img", "aria-label": `Random number ${uniform.toFixed(4)} in [${low.toFixed(4)}, ${high.toFixed(4)})` }, interval, mark, ...labels)];
}

// ---- 3. Logit lens ----

function drawLens() {
  const rows = STATIONS.map((name, row) => [name, tokenElement(at("lens.top", row, S.position)), numberCell(percent(at("lens.probability", row, S.position))),
    numberCell(String(at("lens.rank", row, S.position))), numberCell(percent(at("lens.came", row, S.position))), bar(0, at("lens.came", row, S.position), 0, 1),
    numberCell(fixed(at("lens.entropy", row, S.position))), numberCell(fixed(at("lens.kl", row, S.position)))]);
  $("lens-live").replaceChildren(fillTable(el("table"), words("lens"), words("lens.heads", { token: candidate(CHOSEN) }), rows));
}

// ---- 4. Attention ----

const SCALES = [["one", "0 to 1"], ["row", "row maximum"], ["rest", "without token 0"]];

// Return how strong each key of a query is drawn, from 0 to 1.
function strengths(layer, head, query) {
  const weights = Array.from({ length: query + 1 }, (_, key) => weight(layer, head, query, key));
  if (V.scale === "row") return weights.map((w) => w / Math.max(...weights));
  if (V.scale === "rest") return weights.map((w, key) => (key === 0 ? 0 : w / Math.max(1 - weights[0], 1e-6)));
  return weights;
}

function colour(name) {
  const hex = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
}

// Shades grow with the square root, so that small weights can be seen. A legend shows them.
const shade = (strength) => Math.sqrt(Math.min(1, strength));

function drawLegend() {
  const [low, high] = ["--low", "--high"].map(colour);
  $("legend").replaceChildren("Shade: ", ...[0, 0.01, 0.1, 0.25, 0.5, 1].flatMap((strength) => {
    const patch = el("span", { class: "patch" });
    patch.style.background = `rgb(${low.map((from, i) => Math.round(from + (high[i] - from) * shade(strength)))})`;
    return [patch, ` ${100 * strength} % `];
  }), V.scale === "row" ? "of the largest weight of the row" : V.scale === "rest" ? "of what token 0 leaves over" : "");
}

// Draw one head into a canvas of T x T pixels; CSS or the caller makes it larger.
function drawHead(canvas, layer, head) {
  const [low, high, hatch] = ["--low", "--high", "--hatch"].map(colour);
  [canvas.width, canvas.height] = [T, T];
  const context = canvas.getContext("2d"), image = context.createImageData(T, T);
  for (let query = 0; query < T; query++) {
    strengths(layer, head, query).forEach((strength, key) => {
      const hatched = outsideWindow(layer, query, key) && (query + key) % 3 === 0;
      const rgb = hatched ? hatch : low.map((from, i) => from + (high[i] - from) * shade(strength));
      image.data.set([...rgb, 255], 4 * (query * T + key));
    });
  }
  context.putImageData(image, 0, 0);
}

function makeAttention() {
  radios($("scale"), "scale", SCALES, V.scale, (scale) => { V.scale = scale; drawTheme(); });
  DATA.layers.forEach((kind, layer) => {
    const window_text = DATA.windows[layer] === null ? "global" : `local, window ${DATA.windows[layer]}`;
    const cells = Array.from({ length: H }, (_, head) => {
      const pattern = bestPattern(layer, head);
      return el("div", { role: "gridcell", "aria-label": `layer ${layer} head ${head}, ${pattern}`, onclick: () => select({ layer, head }),
        onpointerenter: () => { if (!V.locked) say(`Layer ${layer} head ${head}, on average: ${pattern}.`); } },
      el("canvas", { "aria-hidden": "true" }), `head ${head}: ${pattern}`);
    });
    $("heads").append(el("div", { role: "row" }, el("div", { role: "rowheader" }, `layer ${layer} (${window_text})`), ...cells));
  });
  $("heads").addEventListener("keydown", (event) => {
    arrows(event, (columns, rows) => select({ layer: S.layer + rows, head: S.head + columns }), (last) => select({ head: last ? H - 1 : 0 }));
    headCell(S.layer, S.head).focus();
    say(headCell(S.layer, S.head).getAttribute("aria-label"));
  });
  const windows = [...new Set(DATA.windows.filter((size) => size !== null))];
  const lines = windows.map((size) => (size >= T ? `The window of ${size} tokens is longer than the text of ${T}, so it hides nothing here.`
    : `A local layer sees the last ${size} tokens, the query itself included. Keys outside the window are hatched.`));
  $("windows").replaceChildren(...lines.map((text) => el("p", {}, text)));
  makeMatrix();
}

function headCell(layer, head) {
  return $("heads").children[layer].children[head + 1];
}

// Return the pattern with the largest mean weight, such as "token before 82 %", or "mixed" if none reaches 20 %.
function bestPattern(layer, head) {
  const weights = DATA.pattern_names.map((_, i) => at("patterns", layer, head, i)), best = weights.indexOf(Math.max(...weights));
  return weights[best] < 0.2 ? "mixed" : `${DATA.pattern_names[best]} ${(100 * weights[best]).toFixed(0)} %`;
}

function drawThumbnails() {
  for (const { layer, head } of everyHead()) drawHead(headCell(layer, head).querySelector("canvas"), layer, head);
}

function makeMatrix() {
  const matrix = $("matrix");
  const cellAt = (event) => [Math.floor((event.offsetX / matrix.clientWidth) * T), Math.floor((event.offsetY / matrix.clientHeight) * T)];
  const move = (key, query) => {
    V.query = Math.max(0, Math.min(T - 1, query));
    V.key = Math.max(0, Math.min(V.query, key));
    drawMatrix();
    drawRow();
    sayCell();
  };
  const lock = () => { V.locked = true; select({ position: V.query }); sayCell(); };
  matrix.addEventListener("pointerleave", () => { // back to the selected token
    if (V.locked) return;
    markStrongest();
    drawMatrix();
    drawRow();
  });
  matrix.addEventListener("pointermove", (event) => { if (!V.locked) move(...cellAt(event)); });
  matrix.addEventListener("click", (event) => { V.locked = false; move(...cellAt(event)); lock(); });
  matrix.addEventListener("keydown", (event) => {
    if (event.key === "Enter") lock();
    else if (V.locked) arrows(event, sayCell, sayCell);
    else arrows(event, (columns, rows) => move(V.key + columns, V.query + rows), (last) => move(last ? V.query : 0, V.query));
  });
}

function drawMatrix() {
  const matrix = $("matrix"), small = el("canvas"), cell = Math.max(2, Math.floor(560 / T)), size = cell * T;
  drawHead(small, S.layer, S.head);
  [matrix.width, matrix.height] = [size, size];
  const context = matrix.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(small, 0, 0, size, size);
  context.strokeStyle = `rgb(${colour("--minus")})`;
  context.lineWidth = 1.5;
  context.strokeRect(0, V.query * cell, (V.query + 1) * cell, cell);
  context.strokeRect(V.key * cell, V.query * cell, cell, cell);
}

function drawAttention() {
  everyHead().forEach(({ layer, head }) => {
    const chosen = layer === S.layer && head === S.head;
    headCell(layer, head).setAttribute("aria-selected", chosen);
    headCell(layer, head).tabIndex = chosen ? 0 : -1;
  });
  $("matrix-title").textContent = `Layer ${S.layer} head ${S.head}: rows are queries, columns are keys`;
  drawMatrix();
  drawRow();
  const rows = DATA.layers.map((kind, layer) => [`layer ${layer} (${kind})`, ...HEADS.map((_, head) => {
    const key = strongestKey(layer, head, S.position);
    return el("td", { "data-layer": layer, "data-head": head }, `${key} `, tokenElement(ids[key]), ` ${percent(weight(layer, head, S.position, key))}`);
  })]);
  fillTable($("heads-table"), words("heads", { place: placed(S.position) }), [words("heads.layer"), ...HEADS], rows);
}

// Draw the row of the matrix that is under the pointer, or that of the selected token, as a table.
function drawRow() {
  const rows = Array.from({ length: V.query + 1 }, (_, key) => {
    const outside = outsideWindow(S.layer, V.query, key), w = weight(S.layer, S.head, V.query, key);
    const picture = outside ? el("span", { class: "track", "aria-hidden": "true" }, el("i", { class: "outside" })) : bar(0, w < 1e-4 ? 0 : w, 0, 1);
    return [String(key), tokenElement(ids[key]), outside ? "outside window" : numberCell(percent(w)), picture];
  });
  fillTable($("row"), `Layer ${S.layer} head ${S.head}, standing at ${placed(V.query)}, looks at`, ["position", "token", "weight", "as a bar"], rows, V.key);
  const most = rows.map((_, key) => [key, weight(S.layer, S.head, V.query, key)]).sort(([, a], [, b]) => b - a).slice(0, 3);
  $("most").textContent = `Most: ${most.map(([key, w]) => `${placed(key)} ${percent(w)}`).join(", ")}.`;
  keepInView($("row").parentElement, $("row").tBodies[0].rows[V.key], $("row").tHead.offsetHeight);
}

// ---- 5. Why this token ----

const LARGEST = 10; // rows that are shown without "all rows"

// Return the rows to show: the largest by size, and those that are named, in their own order; then the number of the others.
function largest(values, all, named = []) {
  const order = values.map((_, i) => i).sort((a, b) => Math.abs(values[b]) - Math.abs(values[a]));
  const kept = order.filter((part, i) => all || i < LARGEST || named.includes(part)).sort((a, b) => a - b);
  return { kept, others: values.length - kept.length };
}

// Return the sum of the numbers that are not among the kept.
const restOf = (values, kept) => values.reduce((sum, x, i) => (kept.includes(i) ? sum : sum + x), 0);

function drawWaterfall(all) {
  const values = DATA.parts.map((_, part) => at("direct", S.position, S.candidate, part)), token = candidate(S.candidate), other = candidate(1 - S.candidate);
  const more = values.map((x, part) => x - at("direct", S.position, 1 - S.candidate, part)); // more than to the other candidate
  const named = [[S.layer, S.head], ...DATA.sentences.here[S.position].flat().filter(Array.isArray)];
  const { kept, others } = largest(values, all, named.map(([layer, head]) => DATA.parts.indexOf(headName({ layer, head }))));
  const steps = kept.map((part) => [DATA.parts[part], values[part], more[part]]);
  if (others) steps.push([words("waterfall.others", { count: others }), restOf(values, kept), restOf(more, kept)]);
  const ends = [0];
  for (const [, x] of steps) ends.push(ends[ends.length - 1] + x);
  const [low, high, total] = [Math.min(...ends), Math.max(...ends), restOf(values, [])];
  const row = (name, x, y, from, to) => [partElement(name), numberCell(signed(x), x), bar(from, to, low, high), numberCell(signed(y), y)];
  const rows = steps.map(([name, x, y], i) => row(name, x, y, ends[i], ends[i + 1]));
  rows.push(row(words("waterfall.sum", { token }), total, restOf(more, []), 0, total));
  fillTable($("waterfall"), words("waterfall", { token }), words("waterfall.heads", { token, other }), rows);
}

// Return the name of a part; that of a head is a button that selects it.
function partElement(name) {
  const found = /^layer (\d+) head (\d+)$/.exec(name);
  return found ? headButton({ layer: Number(found[1]), head: Number(found[2]) }) : name;
}

// Draw a table of signed numbers for each source token. The first column says which rows are shown.
function signedTable(name, token, heads, columns, all) {
  const { kept, others } = largest(columns[0], all), scale = Math.max(...columns.flat().map(Math.abs));
  const row = (head, numbers) => [head, ...numbers.flatMap((x) => [numberCell(signed(x), x), signedBar(x, scale)])];
  const rows = kept.map((key) => row(placed(key), columns.map((column) => column[key])));
  if (others) rows.push(row(words("tokens.others", { count: others }), columns.map((column) => restOf(column, kept))));
  fillTable($(name), words(name, { token }), heads, rows);
}

function drawSources(all) {
  if (!DATA[SOURCES[S.candidate]]) return $("sources").replaceChildren(el("caption", {}, words("left out")));
  const sums = sourceSums(S.candidate), one = sums.map((_, key) => bySource(S.candidate, S.layer, S.head, S.position, key));
  signedTable("sources", candidate(S.candidate), words("sources.heads", { head: headName(S) }), [sums, one], all);
}

function drawGradient(all) {
  const row = numbers("gradient.positions").indexOf(S.position);
  if (row < 0) return $("gradient").replaceChildren(el("caption", {}, words("gradient.absent")));
  const values = Array.from({ length: S.position + 1 }, (_, key) => at("gradient", row, key));
  signedTable("gradient", candidate(CHOSEN), words("gradient.heads"), [values], all);
}

function drawAblation() {
  if (!DATA["ablation.m"]) return $("ablation").replaceChildren(el("caption", {}, words("ablation.absent")));
  const rows = DATA.layers.map((_, layer) => [`layer ${layer}`, ...HEADS.map((_, head) => {
    const change = at("ablation.log_prob", layer, head, S.position), cell = numberCell(signed(change), -change); // the colour of what helped
    [cell.dataset.layer, cell.dataset.head] = [layer, head];
    return cell;
  })]);
  const m = signed(at("ablation.m", S.layer, S.head, S.position)), before = at("lens.came", STATIONS.length - 1, S.position);
  const change = `${percent(before)} → ${percent(before * Math.exp(at("ablation.log_prob", S.layer, S.head, S.position)))}`;
  fillTable($("ablation"), words("ablation", { token: candidate(CHOSEN), head: headName(S), m, change }), [words("ablation.layer"), ...HEADS], rows);
}

function drawWhy() {
  const all = $("all-rows").checked;
  $("explained").textContent = words("explained", { token: candidate(S.candidate) });
  $("raised").textContent = DATA.sentences.raised[S.position][S.candidate];
  drawWaterfall(all);
  drawSources(all);
  drawGradient(all);
  drawAblation();
}

// ---- 6. MLP ----

function drawMlp() {
  const share = at("neurons.above_0", S.layer, S.position);
  $("mlp-share").textContent = `In layer ${S.layer}, ${percent(share)} of the ${DATA.neurons} neurons are above 0 here.`;
  const rows = Array.from({ length: DATA["neurons.index"].shape[2] }, (_, i) => {
    const adds = at("neurons.adds", S.layer, S.position, i, S.candidate);
    return [`neuron ${at("neurons.index", S.layer, S.position, i)}`, numberCell(signed(at("neurons.activation", S.layer, S.position, i))), numberCell(signed(adds), adds)];
  });
  const caption = `The neurons of layer ${S.layer} with the largest activations, standing at ${placed(S.position)}`;
  fillTable($("neurons"), caption, ["neuron", "activation", `adds to m of ${candidate(S.candidate)}`], rows);
}

// ---- 7. Embeddings and residual stream ----

function drawResidual() {
  const near = Array.from({ length: DATA.neighbours.shape[1] }, (_, i) => [at("neighbours", S.position, i), at("neighbours.cosine", S.position, i)]);
  const spelled = near.filter(([, cosine]) => cosine > -2).map(([id, cosine]) => `${quoted(id)} (${cosine.toFixed(3)})`).join(", ");
  $("neighbours").replaceChildren(
    el("p", {}, `The token embedding of ${quoted(ids[S.position])} has length ${fixed(at("embedding.norms", 0, S.position))}, the embedding of position ${S.position} has length ${fixed(at("embedding.norms", 1, S.position))}. The residual stream begins as their sum.`),
    el("p", {}, `Tokens with the nearest embeddings, by cosine: ${spelled}.`));
  const rows = STATIONS.map((name, row) => [name, numberCell(fixed(at("residual.update", row, S.position))), numberCell(fixed(at("residual.norm", row, S.position))),
    numberCell(fixed(at("residual.cosine", row, S.position)))]);
  fillTable($("stream"), "The residual stream after each part", ["after", "length of the update", "length of the stream", "cosine to the final one"], rows);
}

// ---- Start ----

for (const panel of document.querySelectorAll(".live")) panel.hidden = panel.id === "timings" && !DATA.timings;
makeControls();
makeWords();
makeTables();
makeAttention();
$("all-rows").addEventListener("change", drawWhy);
if (DATA.timings) fillTable($("seconds"), "Seconds of each part", ["part", "seconds"], Object.entries(DATA.timings).map(([name, s]) => [name, numberCell(s.toFixed(3))]));
select({ position: S.position });
drawTheme();
say("Point at a token or at a cell of the matrix, and this line says what it is.");
if (DATA.opening.panel !== "summary") show(DATA.opening.panel);
