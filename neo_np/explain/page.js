// The page of one run. It reads the numbers from the element "data", keeps one selection, and draws every panel from it.
// Text of the model enters the page only as text nodes, never as HTML.
"use strict";

const $ = (id) => document.getElementById(id);
const range = (length) => [...Array(length).keys()];
const sum = (numbers) => numbers.reduce((total, x) => total + x, 0);
const argmax = (numbers) => numbers.indexOf(Math.max(...numbers));

// ---- Numbers ----

const DATA = JSON.parse($("data").textContent);
const decoded = new Map();

// Return a block as a flat array of numbers. All blocks are little-endian.
function decode({ type, base64 }) {
  const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
  const view = new DataView(bytes.buffer), size = Number(type[1]);
  const read = { f4: "getFloat32", i4: "getInt32", u2: "getUint16", i2: "getInt16", u1: "getUint8" }[type];
  return Float64Array.from({ length: bytes.length / size }, (_, i) => view[read](size * i, true));
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
const STATIONS = DATA.stations;
const ALL_HEADS = range(L * H).map((i) => ({ layer: Math.floor(i / H), head: i % H }));
const CHOSEN = 0, SOURCES = ["source.chosen", "source.runner_up"]; // the candidates are the next token and the likeliest other
for (const name of SOURCES) if (DATA[name]) DATA[`${name}.scales`] = DATA[name].scales;

// Return the index of a weight. A block has the lower triangle of each head, row by row: query + 1 keys in the row of a query.
function weightIndex(layer, head, query, key) {
  return ((layer * H + head) * T * (T + 1) + query * (query + 1)) / 2 + key;
}

const weight = (...index) => numbers("attention")[weightIndex(...index)] / 65535;
const weightsFrom = (layer, head, query) => range(query + 1).map((key) => weight(layer, head, query, key));
const strongestKey = (layer, head, query) => argmax(weightsFrom(layer, head, query));

// Return what a head adds to m of a candidate through one key.
function bySource(i, layer, head, query, key) {
  return numbers(SOURCES[i])[weightIndex(layer, head, query, key)] * at(`${SOURCES[i]}.scales`, layer, head, query);
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
const headsByName = new Map(ALL_HEADS.map((head) => [headName(head), head]));

// ---- Elements ----

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

const button = (text, onclick) => el("button", { type: "button", onclick }, text);
const headButton = (head) => button(headName(head), () => { select(head); show("attention"); });
const tokenElement = (id) => el("span", { class: "token" }, tokenText(id));
const numberCell = (text, sign = 0) => el("td", { class: `number ${sign < 0 ? "minus" : sign > 0 ? "plus" : ""}` }, text);
const percentCell = (p) => numberCell(percent(p));
const fixedCell = (x) => numberCell(fixed(x));
const signedCell = (x) => numberCell(signed(x), x);

// Return a list of lines that Python wrote: a text, or a list of texts and heads, [layer, head]. A head becomes a button.
function sentences(lines) {
  const part = (one) => (typeof one === "string" ? one : headButton({ layer: one[0], head: one[1] }));
  return el("ul", {}, ...lines.map((line) => el("li", {}, ...[line].flat().map(part))));
}

// Fill a table: rows are lists of cells, the first of them heads the row. A cell is a text, an element or a whole td.
function fillTable(table, caption, heads, rows, selected = -1) {
  const head = el("tr", {}, ...heads.map((text) => el("th", { scope: "col" }, text)));
  const asCell = (cell) => (cell instanceof HTMLTableCellElement ? cell : el("td", {}, cell));
  const body = rows.map(([first, ...cells], i) =>
    el("tr", { class: i === selected ? "selected" : null }, el("th", { scope: "row" }, first), ...cells.map(asCell)));
  table.replaceChildren(el("caption", {}, caption), el("thead", {}, head), el("tbody", {}, ...body));
  return table;
}

// Fill a table with a row for each layer and a column for each head. A click on a cell selects its head.
function fillHeadsTable(table, caption, corner, rowName, cellOf) {
  const cell = (head) => {
    const td = cellOf(head);
    Object.assign(td.dataset, head);
    return td;
  };
  const rows = range(L).map((layer) => [rowName(layer), ...range(H).map((head) => cell({ layer, head }))]);
  fillTable(table, caption, [corner, ...range(H).map((head) => `head ${head}`)], rows);
}

// Leave a sentence in a table that has no numbers.
function fillNote(table, sentence) {
  table.replaceChildren(el("caption", {}, sentence));
}

// Return a box for a bar. Screen readers skip it: it only repeats the number beside it.
const track = (...parts) => el("span", { class: "track", "aria-hidden": "true" }, ...parts);

// Return a bar from one number to another, on a scale from low to high.
function bar(from, to, low, high) {
  if (from === to) return track();
  const share = (length) => `${(100 * length) / (high - low || 1)}%`;
  const style = `left: ${share(Math.min(from, to) - low)}; width: ${share(Math.abs(to - from))}`;
  return track(el("i", { class: to < from ? "minus" : null, style }));
}

// ---- The selection ----

const S = { position: 0, layer: 0, head: 0, candidate: CHOSEN, ...DATA.opening }; // what is selected
const V = { scale: "one", query: -1, key: -1, locked: false }; // how attention is shown, and the cell in it

const clamp = (i, length) => Math.max(0, Math.min(length - 1, i));

// Change the selection and draw everything that depends on it. Another token unlocks the cell of the matrix.
function select(changes) {
  const lengths = { position: T, layer: L, head: H, candidate: 2 };
  for (const [name, value] of Object.entries(changes)) S[name] = clamp(Number(value), lengths[name]);
  if (V.query !== S.position) V.locked = false;
  if (V.locked) sayCell();
  else markStrongest();
  draw();
}

// Let the cell in the matrix be the largest weight from the selected position.
function markStrongest() {
  [V.query, V.key] = [S.position, strongestKey(S.layer, S.head, S.position)];
}

// Say something in the line at the bottom. While a cell is locked, the line is about this cell.
function say(text) {
  if (!V.locked) $("readout").textContent = text;
}

function sayCell() {
  const outside = outsideWindow(S.layer, V.query, V.key);
  const amount = outside ? "does not see (outside window)" : `gives ${percent(weight(S.layer, S.head, V.query, V.key))} to`;
  const cell = `Layer ${S.layer} head ${S.head}, standing at ${placed(V.query)}, ${amount} ${placed(V.key)}.`;
  $("readout").textContent = V.locked ? `${cell} Locked.` : cell;
}

// Say what an item is: a position or a head.
function sayItem({ dataset }) {
  if ("head" in dataset) return say(headCell(dataset.layer, dataset.head).getAttribute("aria-label"));
  const position = Number(dataset.position);
  const facts = [`Position ${placed(position)}, id ${ids[position]}, ${DATA.origins[position]}.`];
  if (position > 0) facts.push(`Its loss was ${fixed(at("loss", position - 1))}.`);
  if (position <= S.position) {
    facts.push(`Layer ${S.layer} head ${S.head} gives it ${percent(weight(S.layer, S.head, S.position, position))}.`);
  }
  say(facts.join(" "));
}

function draw() {
  for (const line of document.querySelectorAll(".where")) line.textContent = DATA.sentences.where[S.position];
  for (const line of document.querySelectorAll(".about")) {
    line.textContent = `This part is about ${candidate(CHOSEN)} only.`;
    line.hidden = S.candidate === CHOSEN;
  }
  drawControls();
  drawShort();
  drawTokens();
  drawChoice();
  drawLens();
  drawAttention();
  drawWhy();
  drawMlp();
  drawResidual();
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

// Bring a panel into view, below the controls.
function scrollToPanel(id) {
  window.scrollTo(0, $(id).getBoundingClientRect().top + window.scrollY - $("controls").offsetHeight - 8);
}

// Go to a panel: the Tab key then goes on from its title.
function show(id) {
  scrollToPanel(id);
  $(`${id}-title`).focus({ preventScroll: true });
}

// Make a button for each panel.
function makeNav() {
  for (const panel of document.querySelectorAll("section:not([hidden])")) {
    $(`${panel.id}-title`).tabIndex = -1;
    $("nav").append(button(panel.dataset.label, () => show(panel.id)));
  }
}

function makeSelection() {
  $("candidates").addEventListener("change", (event) => select({ candidate: event.target.value }));
  for (const [id, count] of [["layer", L], ["head", H]]) {
    $(id).append(...range(count).map((i) => el("option", { value: i }, i)));
    $(id).addEventListener("change", () => select({ [id]: $(id).value }));
  }
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  $("theme").textContent = `Theme: ${theme}`;
  drawShades();
}

function makeTheme() {
  const current = () => document.documentElement.dataset.theme;
  const next = { auto: "light", light: "dark", dark: "auto" };
  $("theme").addEventListener("click", () => setTheme(next[current()]));
  let before; // paper is light and has the words; the screen is as it was afterwards
  window.addEventListener("beforeprint", () => {
    before = { theme: current(), isOpen: $("words").open };
    setTheme("light");
    $("words").open = true;
  });
  window.addEventListener("afterprint", () => {
    setTheme(before.theme);
    $("words").open = before.isOpen;
  });
}

// Handle the keys that work everywhere: Esc, and the left and right arrow keys unless they mean something else there.
function makeKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && V.locked) {
      V.locked = false;
      say("Unlocked.");
    } else if (document.activeElement.matches("body, button, h2") && ["ArrowLeft", "ArrowRight"].includes(event.key)) {
      arrows(event, (columns) => select({ position: S.position + columns }));
      sayItem($("strip").children[S.position]);
    }
  });
}

// Make a button of each word that is explained, which says what it means, and of each panel that is named.
function makeWords() {
  for (const word of document.querySelectorAll("span[data-word]")) {
    const meaning = document.querySelector(`dd[data-word="${word.dataset.word}"]`).textContent;
    const explain = () => say(`${word.textContent}: ${meaning}`);
    const attributes = { type: "button", class: "term", onclick: explain, onfocus: explain, onpointerenter: explain };
    word.replaceWith(el("button", attributes, word.textContent));
  }
  for (const link of document.querySelectorAll("span[data-panel]")) {
    link.replaceWith(button(link.textContent, () => show(link.dataset.panel)));
  }
}

// An item selects something, by its data-position or by its data-layer and data-head: a token of the strip, a head of the grid,
// a row or a cell of a table. The Tab key reaches one item of each group; the arrow keys go to the others.
const ITEMS = "[data-position], [data-head]", GROUPS = "#strip, #heads, main table";
const focusOf = (item) => (item.tagName === "TR" ? item.cells[0] : item);

function makeItems() {
  const itemAt = (event) => event.target.closest(ITEMS);
  document.addEventListener("click", (event) => {
    if (itemAt(event)) select({ ...itemAt(event).dataset });
  });
  document.addEventListener("pointerover", (event) => {
    if (itemAt(event)?.closest("#strip, #heads")) sayItem(itemAt(event));
  });
  document.addEventListener("keydown", (event) => {
    const item = itemAt(event);
    if (item && event.target === focusOf(item)) moveInGroup(event, item);
  });
}

// Select another item by the arrow keys, Home and End. Heads are in H columns, positions in one row.
function moveInGroup(event, item) {
  const group = item.closest(GROUPS), items = [...group.querySelectorAll(ITEMS)], i = items.indexOf(item);
  const isHead = "head" in item.dataset, columns = isHead ? H : items.length, start = i - (i % columns);
  const go = (target) => {
    if (!items[target]) return;
    select({ ...items[target].dataset });
    const focused = group.querySelector('[tabindex="0"]'); // a table has new cells now
    focused.focus();
    sayItem(focused.closest(ITEMS));
  };
  arrows(event, (right, down) => go(i + right + (isHead ? H : 1) * down), (last) => go(last ? start + columns - 1 : start));
}

// Mark the selected item of each group.
function markSelected() {
  for (const group of document.querySelectorAll(GROUPS)) {
    const items = [...group.querySelectorAll(ITEMS)];
    const isSelected = (item) => Object.entries(item.dataset).every(([name, value]) => S[name] === Number(value));
    const found = items.find(isSelected);
    for (const item of items) {
      item.classList.toggle("selected", item === found);
      focusOf(item).setAttribute(item.hasAttribute("role") ? "aria-selected" : "aria-current", item === found);
      focusOf(item).tabIndex = item === (found ?? items[0]) ? 0 : -1;
    }
  }
}

function drawControls() {
  $("where").textContent = DATA.sentences.where[S.position];
  [...$("strip").children].forEach((option, position) => {
    option.classList.toggle("next", position === S.position + 1);
    const strength = position <= S.position ? weight(S.layer, S.head, S.position, position) : 0;
    option.style.setProperty("--weight", 0.45 * strength);
  });
  keepInView($("strip"), $("strip").children[S.position]);
  document.querySelectorAll("#candidates span").forEach((name, i) => {
    name.textContent = DATA.sentences.candidates[S.position][i];
  });
  document.querySelectorAll("#candidates input")[S.candidate].checked = true;
  $("layer").value = S.layer;
  $("head").value = S.head;
}

// Scroll a box, and nothing else, so that an element inside is in view, below what covers the top of the box.
function keepInView(box, inside, covered = 0) {
  const outer = box.getBoundingClientRect(), inner = inside.getBoundingClientRect();
  const isInView = inner.top >= outer.top + covered && inner.bottom <= outer.bottom;
  if (!isInView) box.scrollTop += inner.top - outer.top - box.clientHeight / 2;
}

// ---- In short ----

function drawShort() {
  const key = strongestKey(S.layer, S.head, S.position), w = weight(S.layer, S.head, S.position, key);
  const selected = ["The selected head, ", [S.layer, S.head], `, looks from here most at ${placed(key)} (${percent(w)}).`];
  $("short").replaceChildren(sentences([...DATA.sentences.here[S.position], selected]));
}

// ---- 1. Tokens ----

function drawTokens() {
  const word = DATA.words.find(({ first, last }) => first <= S.position && S.position <= last);
  const how = word.steps.length ? "It begins with bytes; then each rule joins two neighbours, the lowest rule first. " : "";
  const pieces = (tokens) => tokens.flatMap((token, i) => [i ? " | " : "", el("span", { class: "token" }, token)]);
  $("token-facts").replaceChildren(
    el("p", {}, DATA.sentences.token[S.position]),
    el("h3", {}, `How the tokenizer merges the word “${word.shown}”`),
    el("p", {}, how + word.note),
    el("ol", {}, ...word.steps.map(([rule, tokens]) => el("li", {}, ...pieces(tokens), ` (${rule})`))));
}

// ---- 2. The choice ----

function drawChoice() {
  const step = S.position - DATA.prompt_length + 1, isChoice = step >= 0 && step < DATA["choice.token"].shape[0];
  const scroll = { class: "scroll tall", tabindex: 0, role: "region", "aria-label": "The rules" };
  const shown = isChoice ? [...unitInterval(step), el("div", scroll, rulesTable(step))] : [likeliestTable()];
  $("choice-live").replaceChildren(sentences(DATA.sentences.rules[S.position]), ...shown);
}

function likeliestTable() {
  const rows = range(DATA["top.ids"].shape[1]).map((i) =>
    [tokenElement(at("top.ids", S.position, i)), percentCell(at("top.probabilities", S.position, i))]);
  return fillTable(el("table"), words("said"), words("said.heads"), rows);
}

// Return the table of a choice: a row for each token, a column for each rule.
function rulesTable(step) {
  const shown = range(DATA["choice.shown"].shape[1]).filter((i) => at("choice.shown", step, i) >= 0);
  const isKept = (column, i) => at("choice.kept", step, column, i) === 1;
  const probability = (column, i) => percent(at("choice.probabilities", step, column, i));
  const eachColumn = (cell) => DATA.columns.map((_, column) => cell(column));
  const cell = (column, i) => {
    if (isKept(column, i)) return numberCell(probability(column, i));
    const removal = DATA.columns.findIndex((_, earlier) => !isKept(earlier, i));
    const last = probability(Math.max(0, removal - 1), i);
    return el("td", { class: "number" }, el("del", {}, last), ` ${words("removed")}`);
  };
  const rows = shown.map((i) => [tokenElement(at("choice.shown", step, i)), ...eachColumn((column) => cell(column, i))]);
  rows.push([words("choice.kept"), ...eachColumn((column) => numberCell(String(at("choice.counts", step, column))))]);
  rows.push([words("choice.share"), ...eachColumn((column) => percentCell(at("choice.masses", step, column)))]);
  const source = words(DATA.mode === "given" ? "choice.given" : "choice.generated");
  const anyRemoved = shown.some((i) => DATA.columns.some((_, column) => !isKept(column, i)));
  const caption = words("choice", { source }) + (anyRemoved ? words("choice.struck") : "");
  const selected = shown.findIndex((i) => at("choice.shown", step, i) === at("choice.token", step));
  return fillTable(el("table"), caption, [words("choice.token"), ...DATA.columns], rows, selected);
}

// Return a picture of [0, 1) with the interval of the drawn token and the random number, if a token was drawn.
function unitInterval(step) {
  if (DATA.mode !== "sampled") return [];
  const [low, high, uniform] = ["low", "high", "uniform"].map((name) => at(`choice.${name}`, step));
  const label = (text, kind, place = 0) => el("span", { class: kind, style: `--at: ${100 * place}%` }, text);
  const name = `Random number ${uniform.toFixed(4)} in [${low.toFixed(4)}, ${high.toFixed(4)})`;
  return [
    el("p", {}, "All kept tokens lie side by side from 0 to 1, in the order of their ids, not by probability."),
    el("div", { id: "unit", role: "img", "aria-label": name },
      el("i", { style: `left: ${100 * low}%; width: ${100 * (high - low)}%` }),
      el("b", { style: `left: ${100 * uniform}%` }),
      label("0", "first"),
      label("1", "last"),
      label(uniform.toFixed(5), "above", uniform),
      label(tokenText(at("choice.token", step)), "below token", (low + high) / 2)),
  ];
}

// ---- 3. Logit lens ----

function drawLens() {
  const rows = STATIONS.map((name, row) => {
    const number = (key) => at(`lens.${key}`, row, S.position);
    return [name, tokenElement(number("top")), percentCell(number("probability")), numberCell(String(number("rank"))),
      percentCell(number("came")), bar(0, number("came"), 0, 1), fixedCell(number("entropy")), fixedCell(number("kl"))];
  });
  const heads = words("lens.heads", { token: candidate(CHOSEN) });
  $("lens-live").replaceChildren(fillTable(el("table"), words("lens"), heads, rows));
}

// ---- 4. Attention ----

const SCALE_NOTES = { one: "", row: "of the largest weight of the row", rest: "of the weight that is not on token 0" };

// Return how strong each key of a query is drawn, from 0 to 1.
function strengths(layer, head, query) {
  const weights = weightsFrom(layer, head, query), largest = Math.max(...weights);
  if (V.scale === "row") return weights.map((w) => w / largest);
  if (V.scale === "rest") return weights.map((w, key) => (key === 0 ? 0 : w / Math.max(1 - weights[0], 1e-6)));
  return weights;
}

// Return a colour of the style sheet as [red, green, blue].
function colour(name) {
  const hex = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
}

// Return a function that gives the colour of a strength. It grows with the square root, so that small weights can be seen.
function shades() {
  const low = colour("--low"), high = colour("--high");
  return (strength) => low.map((from, i) => Math.round(from + (high[i] - from) * Math.sqrt(Math.min(1, strength))));
}

function drawLegend() {
  const shade = shades();
  const patch = (strength) => el("span", { class: "patch", style: `background: rgb(${shade(strength)})` });
  const entries = [0, 0.01, 0.1, 0.25, 0.5, 1].flatMap((strength) => [patch(strength), ` ${100 * strength} % `]);
  $("legend").replaceChildren("Shade: ", ...entries, SCALE_NOTES[V.scale]);
}

// Draw one head into a canvas of T x T pixels; CSS or the caller makes it larger.
function drawHead(canvas, layer, head) {
  const shade = shades(), hatch = colour("--hatch");
  [canvas.width, canvas.height] = [T, T];
  const context = canvas.getContext("2d"), image = context.createImageData(T, T);
  for (let query = 0; query < T; query++) {
    strengths(layer, head, query).forEach((strength, key) => {
      const isHatched = outsideWindow(layer, query, key) && (query + key) % 3 === 0;
      image.data.set([...(isHatched ? hatch : shade(strength)), 255], 4 * (query * T + key));
    });
  }
  context.putImageData(image, 0, 0);
}

// Draw everything that depends on the theme or on the scale.
function drawShades() {
  drawLegend();
  for (const { layer, head } of ALL_HEADS) drawHead(headCell(layer, head).querySelector("canvas"), layer, head);
  drawMatrix();
}

function headCell(layer, head) {
  return document.querySelector(`#heads [data-layer="${layer}"][data-head="${head}"]`);
}

function makeMatrix() {
  const matrix = $("matrix");
  const mark = (query, key) => {
    V.query = clamp(query, T);
    V.key = clamp(key, V.query + 1);
    drawMatrix();
    drawRow();
    sayCell();
  };
  const markAt = ({ offsetX, offsetY }) =>
    mark(Math.floor((offsetY / matrix.clientHeight) * T), Math.floor((offsetX / matrix.clientWidth) * T));
  const lock = () => {
    V.locked = true;
    select({ position: V.query });
  };
  matrix.addEventListener("pointermove", (event) => { if (!V.locked) markAt(event); });
  matrix.addEventListener("pointerleave", () => { // back to the selected token
    if (V.locked) return;
    markStrongest();
    drawMatrix();
    drawRow();
  });
  matrix.addEventListener("click", (event) => {
    markAt(event);
    lock();
  });
  matrix.addEventListener("keydown", (event) => {
    if (event.key === "Enter") lock();
    else if (V.locked) arrows(event, sayCell, sayCell);
    else arrows(event, (columns, rows) => mark(V.query + rows, V.key + columns), (last) => mark(V.query, last ? V.query : 0));
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
  $("matrix-title").textContent = `Layer ${S.layer} head ${S.head}: rows are queries, columns are keys`;
  drawMatrix();
  drawRow();
  const cell = ({ layer, head }) => {
    const key = strongestKey(layer, head, S.position);
    return el("td", {}, `${key} `, tokenElement(ids[key]), ` ${percent(weight(layer, head, S.position, key))}`);
  };
  const caption = words("heads", { place: placed(S.position) });
  fillHeadsTable($("heads-table"), caption, words("heads.layer"), (layer) => `layer ${layer} (${DATA.layers[layer]})`, cell);
}

// Draw the row of the matrix that is under the pointer, or that of the selected token, as a table.
function drawRow() {
  const weights = weightsFrom(S.layer, S.head, V.query);
  const seen = (w) => [percentCell(w), bar(0, w < 1e-4 ? 0 : w, 0, 1)];
  const unseen = () => ["outside window", track(el("i", { class: "outside" }))];
  const rows = weights.map((w, key) =>
    [String(key), tokenElement(ids[key]), ...(outsideWindow(S.layer, V.query, key) ? unseen() : seen(w))]);
  const caption = `Layer ${S.layer} head ${S.head}, standing at ${placed(V.query)}, looks at`;
  fillTable($("row"), caption, ["position", "token", "weight", "as a bar"], rows, V.key);
  const most = largest(weights, 3).map((key) => `${placed(key)} ${percent(weights[key])}`);
  $("most").textContent = `Most: ${most.join(", ")}.`;
  keepInView($("row").parentElement, $("row").tBodies[0].rows[V.key], $("row").tHead.offsetHeight);
}

// ---- 5. Why this token ----

// Return the indices of the largest numbers by size, the largest first.
function largest(values, count) {
  return range(values.length).sort((a, b) => Math.abs(values[b]) - Math.abs(values[a])).slice(0, count);
}

// Return the rows to show, in order: the ten with the largest numbers and those that are named, or all rows if so wished.
function shownRows(values, named = []) {
  const isShown = new Set([...largest(values, $("all-rows").checked ? values.length : 10), ...named]);
  return range(values.length).filter((row) => isShown.has(row));
}

// Return the sum of the numbers that are not among the shown.
const restOf = (values, shown) => sum(values.filter((_, i) => !shown.includes(i)));

function drawWaterfall() {
  const token = candidate(S.candidate), other = candidate(1 - S.candidate);
  const added = (i) => DATA.parts.map((_, part) => at("direct", S.position, i, part));
  const values = added(S.candidate), toOther = added(1 - S.candidate), more = values.map((x, part) => x - toOther[part]);
  const named = DATA.sentences.here[S.position].flat().filter(Array.isArray).map(([layer, head]) => ({ layer, head }));
  const shown = shownRows(values, [S, ...named].map((head) => DATA.parts.indexOf(headName(head))));
  const steps = shown.map((part) => [partElement(DATA.parts[part]), values[part], more[part]]);
  const count = values.length - shown.length;
  if (count) steps.push([words("waterfall.others", { count }), restOf(values, shown), restOf(more, shown)]);
  const ends = [0];
  for (const [, x] of steps) ends.push(ends.at(-1) + x);
  const low = Math.min(...ends), high = Math.max(...ends);
  const row = ([name, x, y], from, to) => [name, signedCell(x), bar(from, to, low, high), signedCell(y)];
  const rows = steps.map((step, i) => row(step, ends[i], ends[i + 1]));
  rows.push(row([words("waterfall.sum", { token }), sum(values), sum(more)], 0, sum(values)));
  fillTable($("waterfall"), words("waterfall", { token }), words("waterfall.heads", { token, other }), rows);
}

// Return the name of a part; that of a head is a button that selects it.
function partElement(name) {
  return headsByName.has(name) ? headButton(headsByName.get(name)) : name;
}

// Draw a table of signed numbers for each source token. The first column says which rows are shown.
function fillSignedTable(table, caption, heads, columns) {
  const shown = shownRows(columns[0]), count = columns[0].length - shown.length;
  const scale = Math.max(...columns.flat().map(Math.abs));
  const row = (name, numbers) => [name, ...numbers.flatMap((x) => [signedCell(x), bar(0, x, -scale, scale)])];
  const rows = shown.map((key) => row(placed(key), columns.map((column) => column[key])));
  if (count) rows.push(row(words("tokens.others", { count }), columns.map((column) => restOf(column, shown))));
  fillTable(table, caption, heads, rows);
}

// Return what all heads together add to m of a candidate through each key.
function sourceSums(i) {
  return range(S.position + 1).map((key) => sum(ALL_HEADS.map(({ layer, head }) => bySource(i, layer, head, S.position, key))));
}

function drawSources() {
  if (!DATA[SOURCES[S.candidate]]) return fillNote($("sources"), words("left out"));
  const sums = sourceSums(S.candidate), one = sums.map((_, key) => bySource(S.candidate, S.layer, S.head, S.position, key));
  const caption = words("sources", { token: candidate(S.candidate) });
  fillSignedTable($("sources"), caption, words("sources.heads", { head: headName(S) }), [sums, one]);
}

function drawGradient() {
  const row = numbers("gradient.positions").indexOf(S.position);
  if (row < 0) return fillNote($("gradient"), words("gradient.absent"));
  const values = range(S.position + 1).map((key) => at("gradient", row, key));
  fillSignedTable($("gradient"), words("gradient", { token: candidate(CHOSEN) }), words("gradient.heads"), [values]);
}

function drawAblation() {
  if (!DATA["ablation.m"]) return fillNote($("ablation"), words("ablation.absent"));
  const changeOf = ({ layer, head }) => at("ablation.log_prob", layer, head, S.position);
  const before = at("lens.came", STATIONS.length - 1, S.position);
  const caption = words("ablation", {
    token: candidate(CHOSEN),
    head: headName(S),
    m: signed(at("ablation.m", S.layer, S.head, S.position)),
    change: `${percent(before)} → ${percent(before * Math.exp(changeOf(S)))}`,
  });
  const cell = (head) => numberCell(signed(changeOf(head)), -changeOf(head)); // a head that helped has the colour of help
  fillHeadsTable($("ablation"), caption, words("ablation.layer"), (layer) => `layer ${layer}`, cell);
}

function drawWhy() {
  $("explained").textContent = words("explained", { token: candidate(S.candidate) });
  $("raised").textContent = DATA.sentences.raised[S.position][S.candidate];
  drawWaterfall();
  drawSources();
  drawGradient();
  drawAblation();
}

// ---- 6. MLP ----

function drawMlp() {
  const share = percent(at("neurons.above_0", S.layer, S.position));
  $("mlp-share").textContent = `In layer ${S.layer}, ${share} of the ${DATA.neurons} neurons are above 0 here.`;
  const rows = range(DATA["neurons.index"].shape[2]).map((i) => {
    const number = (name, ...index) => at(`neurons.${name}`, S.layer, S.position, i, ...index);
    return [`neuron ${number("index")}`, numberCell(signed(number("activation"))), signedCell(number("adds", S.candidate))];
  });
  const caption = `The neurons of layer ${S.layer} with the largest activations, standing at ${placed(S.position)}`;
  fillTable($("neurons"), caption, ["neuron", "activation", `adds to m of ${candidate(S.candidate)}`], rows);
}

// ---- 7. Embeddings and residual stream ----

function drawResidual() {
  $("neighbours").replaceChildren(...DATA.sentences.embedding[S.position].map((line) => el("p", {}, line)));
  const cells = (row) => ["update", "norm", "cosine"].map((name) => fixedCell(at(`residual.${name}`, row, S.position)));
  const heads = ["after", "length of the update", "length of the stream", "cosine to the final one"];
  fillTable($("stream"), "The residual stream after each part", heads, STATIONS.map((name, row) => [name, ...cells(row)]));
}

// ---- Start ----

for (const element of document.querySelectorAll(".live")) element.hidden = false;
makeNav();
makeSelection();
makeTheme();
makeKeys();
makeWords();
makeItems();
makeMatrix();
$("scale").addEventListener("change", (event) => { V.scale = event.target.value; drawShades(); });
$("all-rows").addEventListener("change", drawWhy);
$("whole").replaceChildren(sentences(DATA.sentences.whole));
select({});
setTheme(document.documentElement.dataset.theme);
if (DATA.opening.panel !== "summary") scrollToPanel(DATA.opening.panel);
