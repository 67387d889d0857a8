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
const STATIONS = ["embedding", ...DATA.layers.flatMap((_, i) => [`layer ${i} attention`, `layer ${i} MLP`])];
const CHOSEN = 0, RUNNER_UP = 1;
const triangle = (query, key) => (query * (query + 1)) / 2 + key;

function weight(layer, head, query, key) {
  const inHead = (T * (T + 1)) / 2;
  return numbers("attention")[(layer * H + head) * inHead + triangle(query, key)] / 65535;
}

// Return what a head adds to m of the candidate through one key.
function bySource(candidate, layer, head, query, key) {
  const name = candidate === CHOSEN ? "source.chosen" : "source.runner_up", head_index = layer * H + head;
  const scales = decoded.get(`${name}.scales`) || decode(DATA[name].scales);
  decoded.set(`${name}.scales`, scales);
  return numbers(name)[head_index * ((T * (T + 1)) / 2) + triangle(query, key)] * scales[head_index * T + query];
}

function outsideWindow(layer, query, key) {
  return DATA.windows[layer] !== null && query - key >= DATA.windows[layer];
}

// ---- Words ----

const percent = (p) => (p > 0 && p < 1e-5 ? "< 0.001 %" : `${Number((100 * p).toPrecision(3))} %`);
const fixed = (x) => (Math.abs(x) >= 1000 || (x !== 0 && Math.abs(x) < 0.0005) ? x.toExponential(2) : x.toFixed(3));
const signed = (x) => (x < 0 ? "−" : "+") + fixed(Math.abs(x));
const tokenText = (id) => DATA.texts[id];
const quoted = (id) => `“${tokenText(id)}”`;
const placed = (position) => `${position} ${quoted(ids[position])}`;
const candidateId = () => at("candidates", S.position, S.candidate);

function where(position) {
  return `Standing at ${quoted(ids[position])} (position ${position}), predicting what follows.`;
}

function origin(position) {
  return position < DATA.prompt_length ? "prompt" : DATA.mode === "given" ? "given" : "generated";
}

// Return how the text goes on after the selected position, in words.
function whatCame() {
  const chosen = quoted(at("candidates", S.position, CHOSEN));
  if (S.position === T - 1) return `The text ends here; the likeliest next token is ${chosen}.`;
  const how = { prompt: "in the prompt", given: "in the given continuation", generated: "as the model chose" }[origin(S.position + 1)];
  return `${chosen} follows, ${how}.`;
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
const V = { scale: "one", query: S.position, key: S.position, locked: false }; // how attention is shown, and the cell in it

// Change the selection and draw everything that depends on it.
function select(changes) {
  const limits = { position: T, layer: L, head: H, candidate: 2 };
  for (const [name, value] of Object.entries(changes)) S[name] = Math.max(0, Math.min(limits[name] - 1, value));
  if ("position" in changes) [V.query, V.key] = [S.position, Math.min(V.key, S.position)];
  draw();
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
  for (const line of document.querySelectorAll(".where")) line.textContent = `${where(S.position)} ${whatCame()}`;
  for (const panel of [drawControls, drawShort, drawTokens, drawChoice, drawLens, drawAttention, drawWhy, drawMlp, drawResidual]) panel();
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
    $("nav").append(el("button", { type: "button", onclick: () => show(id) }, text));
  }
  ids.forEach((id, position) => {
    $("strip").append(el("span", {
      role: "option", class: `token ${position < DATA.prompt_length ? "" : "new"}`, "aria-label": `${position} ${tokenText(id)} ${origin(position)}`,
      onclick: () => select({ position }),
      onpointerenter: () => sayToken(position),
    }, tokenText(id)));
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
  let theme = "light"; // paper is light; the theme of the screen comes back afterwards
  window.addEventListener("beforeprint", () => { theme = document.documentElement.dataset.theme; document.documentElement.dataset.theme = "light"; drawTheme(); });
  window.addEventListener("afterprint", () => { document.documentElement.dataset.theme = theme; drawTheme(); });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && V.locked) {
      V.locked = false;
      say("Unlocked.");
    }
  });
}

function drawTheme() {
  $("theme").textContent = `Theme: ${document.documentElement.dataset.theme}`;
  drawLegend();
  drawThumbnails();
  drawMatrix();
}

function sayToken(position) {
  if (V.locked) return;
  const words = [`Position ${placed(position)}, id ${ids[position]}, ${origin(position)}.`];
  if (position > 0) words.push(`Its loss was ${fixed(at("loss", position - 1))}.`);
  if (position <= S.position) words.push(`Layer ${S.layer} head ${S.head} gives it ${percent(weight(S.layer, S.head, S.position, position))}.`);
  say(words.join(" "));
}

// Bring a panel into view, below the controls.
function show(id) {
  window.scrollTo(0, $(id).getBoundingClientRect().top + window.scrollY - $("controls").offsetHeight - 8);
}

function drawControls() {
  $("where").textContent = `${where(S.position)} ${whatCame()}`;
  [...$("strip").children].forEach((option, position) => {
    option.setAttribute("aria-selected", position === S.position);
    option.tabIndex = position === S.position ? 0 : -1;
    option.classList.toggle("next", position === S.position + 1);
    option.style.setProperty("--weight", position <= S.position ? 0.45 * weight(S.layer, S.head, S.position, position) : 0);
  });
  keepInView($("strip"), $("strip").children[S.position]);
  const names = [[CHOSEN, "chosen"], [RUNNER_UP, "runner-up"]];
  radios($("candidates"), "candidate", names.map(([i, name]) => [i, `${quoted(at("candidates", S.position, i))} ${name}`]), S.candidate,
    (candidate) => select({ candidate }));
  [$("layer").value, $("head").value] = [S.layer, S.head];
}

// Scroll a box, and nothing else, so that one of its children is in view.
function keepInView(box, child) {
  if (child.offsetTop < box.scrollTop || child.offsetTop + child.offsetHeight > box.scrollTop + box.clientHeight)
    box.scrollTop = child.offsetTop - box.clientHeight / 2;
}

// ---- In short ----

function everyHead() {
  return Array.from({ length: L * H }, (_, i) => ({ layer: Math.floor(i / H), head: i % H }));
}

function headButton({ layer, head }) {
  return el("button", { type: "button", onclick: () => { select({ layer, head }); show("attention"); } }, `layer ${layer} head ${head}`);
}

// Return what a head adds directly to m of a candidate at the selected position.
function direct(candidate, { layer, head }) {
  return at("direct", S.position, candidate, DATA.parts.indexOf(`layer ${layer} head ${head}`));
}

// Return what all heads together add through each key.
function sourceSums(candidate) {
  return Array.from({ length: S.position + 1 }, (_, key) =>
    everyHead().reduce((sum, { layer, head }) => sum + bySource(candidate, layer, head, S.position, key), 0));
}

// Return the keys of a query with the largest weights.
function strongestKeys(layer, head, query, count) {
  const keys = Array.from({ length: query + 1 }, (_, key) => key);
  return keys.sort((a, b) => weight(layer, head, query, b) - weight(layer, head, query, a)).slice(0, count);
}

function drawShort() {
  const chosen = at("candidates", S.position, CHOSEN), last = STATIONS.length - 1;
  const list = el("ul");
  const line = (...parts) => list.append(el("li", {}, ...parts));
  const rank = at("lens.rank", last, S.position), first = at("top.ids", S.position, 0);
  line(`The model gave ${quoted(chosen)} a probability of ${percent(at("lens.came", last, S.position))}, rank ${rank} of ${DATA.vocabulary} tokens. `,
    rank === 1 ? "It was the likeliest token." : `The likeliest was ${quoted(first)} with ${percent(at("top.probabilities", S.position, 0))}.`);
  const step = stepAt(S.position);
  if (step >= 0) line(howChosen(step));
  const agreed = STATIONS.findIndex((_, row) => STATIONS.slice(row).every((_, i) => at("lens.top", row + i, S.position) === first));
  line(`By the logit lens, ${quoted(first)} is the likeliest token from the station "${STATIONS[agreed]}" on.`);

  const parts = DATA.parts.map((name, part) => [at("direct", S.position, CHOSEN, part), name]).sort((a, b) => b[0] - a[0]);
  const spelled = (some) => some.map(([x, name]) => `${name} (${signed(x)})`).join(", ");
  line(`Parts that added most to the logit of ${quoted(chosen)}: ${spelled(parts.slice(0, 3))}. Most against it: ${spelled(parts.slice(-2).reverse())}.`);

  const spelledHeads = (some) => some.flatMap(([x, head], i) => [i ? ", " : "", headButton(head), ` (${x})`]);
  const adding = everyHead().map((head) => [direct(CHOSEN, head), head]).sort((a, b) => b[0] - a[0]).slice(0, 3);
  line("Heads that added most: ", ...spelledHeads(adding.map(([x, head]) => [signed(x), head])), ".");
  if (DATA["source.chosen"]) {
    const sums = sourceSums(CHOSEN), keys = sums.map((_, key) => key).sort((a, b) => sums[b] - sums[a]).slice(0, 3);
    line(`Tokens from which the heads brought most: ${keys.map((key) => `${placed(key)} (${signed(sums[key])})`).join(", ")}.`);
  }
  const before = everyHead().sort((a, b) => at("patterns", b.layer, b.head, 1) - at("patterns", a.layer, a.head, 1)).slice(0, 3);
  line("Heads that look most at the token before, on average over the whole text: ",
    ...spelledHeads(before.map((head) => [percent(at("patterns", head.layer, head.head, 1)), head])), ".");
  const [key] = strongestKeys(S.layer, S.head, S.position, 1);
  line("The selected head, ", headButton(S), `, looks from here most at ${placed(key)} (${percent(weight(S.layer, S.head, S.position, key))}).`);
  $("short").replaceChildren(list);
}

// ---- 1. Tokens ----

function drawTokens() {
  const facts = [`Position ${S.position}: ${quoted(ids[S.position])}, id ${ids[S.position]}, bytes ${DATA.bytes[S.position] || "none"}, `
    + `characters ${at("offsets", S.position, 0)} to ${at("offsets", S.position, 1)} of the text, from the ${origin(S.position)} text.`];
  if (S.position > 0) facts.push(`Its loss: ${fixed(at("loss", S.position - 1))} nats, a probability of ${percent(Math.exp(-at("loss", S.position - 1)))}.`);
  const word = DATA.words.find(({ first, last }) => first <= S.position && S.position <= last);
  const steps = word.steps.map(([rule, tokens]) =>
    el("li", {}, ...tokens.flatMap((token, i) => [i ? " | " : "", el("span", { class: "token" }, token)]), ` (${rule})`));
  $("token-facts").replaceChildren(
    el("p", {}, facts.join(" ")),
    el("h3", {}, `How the tokenizer merges the word “${word.shown}”`),
    el("p", {}, word.steps.length ? `It begins with bytes; then each rule joins two neighbours, the lowest rule first. ${word.note}` : word.note),
    el("ol", {}, ...steps));
  [...$("tokens-table").tBodies[0].rows].forEach((row, position) => row.classList.toggle("selected", position === S.position));
}

// ---- 2. The choice ----

// Return the number of the choice that was made at a position, or -1.
function stepAt(position) {
  const step = position - DATA.prompt_length + 1;
  return step >= 0 && step < DATA["choice.token"].shape[0] ? step : -1;
}

function howChosen(step) {
  const token = quoted(at("choice.token", step));
  if (DATA.mode === "given") {
    const removed = at("choice.removed", step) ? "would have removed it" : "would have kept it";
    return `${token} was given, not chosen: its rank is ${at("choice.rank", step)}, its probability ${percent(at("choice.probability", step))}, and the logits processors ${removed}.`;
  }
  if (DATA.mode === "greedy")
    return `${token} was taken because it was the likeliest after the processors: its logit is ${fixed(at("choice.margin", step))} above that of the runner-up ${quoted(at("choice.runner_up", step))}.`;
  return `${token} was drawn: the random number ${at("choice.uniform", step).toFixed(5)} fell into its interval from ${at("choice.low", step).toFixed(5)} to ${at("choice.high", step).toFixed(5)}.`;
}

function drawChoice() {
  const step = stepAt(S.position), table = el("table");
  if (step < 0) {
    const why = S.position < DATA.prompt_length - 1 ? "The next token was in the prompt, so nothing was chosen here." : "The text ends here, so nothing was chosen.";
    const rows = Array.from({ length: DATA["top.ids"].shape[1] }, (_, i) => [tokenElement(at("top.ids", S.position, i)), numberCell(percent(at("top.probabilities", S.position, i)))]);
    fillTable(table, "What the model would have said, by the pass over the whole text", ["token", "model"], rows);
    $("choice-live").replaceChildren(el("p", {}, why), table);
    return;
  }
  const rows = [], columns = DATA.columns.length;
  let selected = -1;
  for (let i = 0; i < DATA["choice.shown"].shape[1]; i++) {
    const id = at("choice.shown", step, i);
    if (id < 0) continue;
    if (id === at("choice.token", step)) selected = rows.length;
    rows.push([tokenElement(id), ...DATA.columns.map((_, column) => {
      const p = percent(at("choice.probabilities", step, column, i));
      if (at("choice.kept", step, column, i)) return numberCell(p);
      return el("td", { class: "number" }, el("del", {}, percent(lastProbability(step, i))), " removed");
    })]);
  }
  const last = (name, format) => DATA.columns.map((_, column) => numberCell(format(at(name, step, column))));
  rows.push(["tokens kept", ...last("choice.counts", String)], ["their mass before", ...last("choice.masses", percent)]);
  const source = DATA.mode === "given" ? "from the pass over the whole text" : "as generated";
  fillTable(table, `Probabilities, ${source}. A removed token is struck through, with its last probability.`, ["token", ...DATA.columns], rows, selected);
  const parts = [el("p", {}, howChosen(step)), el("div", { class: "scroll tall", tabindex: "0", role: "region", "aria-label": "The processors" }, table)];
  if (DATA.mode === "sampled") parts.splice(1, 0, unitInterval(step));
  if (columns === 1) parts.push(el("p", {}, "No logits processor was active."));
  $("choice-live").replaceChildren(...parts);
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
  return el("div", { id: "unit", role: "img", "aria-label": `Random number ${uniform.toFixed(4)} in [${low.toFixed(4)}, ${high.toFixed(4)})` }, interval, mark);
}

// ---- 3. Logit lens ----

function drawLens() {
  const came = quoted(at("candidates", S.position, CHOSEN));
  const rows = STATIONS.map((name, row) => [name, tokenElement(at("lens.top", row, S.position)), numberCell(percent(at("lens.probability", row, S.position))),
    numberCell(String(at("lens.rank", row, S.position))), numberCell(percent(at("lens.came", row, S.position))), bar(0, at("lens.came", row, S.position), 0, 1),
    numberCell(fixed(at("lens.entropy", row, S.position))), numberCell(fixed(at("lens.kl", row, S.position)))]);
  const heads = ["station", "likeliest", "its probability", `rank of ${came}`, `probability of ${came}`, "as a bar", "entropy", "KL to the final"];
  const table = fillTable(el("table"), "The last row is the model's own prediction.", heads, rows);
  $("lens-live").replaceChildren(el("div", { class: "scroll tall", tabindex: "0", role: "region", "aria-label": "Logit lens at the selected token" }, table));
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
    sayCell();
  };
  const lock = () => { V.locked = true; select({ position: V.query }); sayCell(); };
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
  const rows = Array.from({ length: S.position + 1 }, (_, key) => {
    const outside = outsideWindow(S.layer, S.position, key), w = weight(S.layer, S.head, S.position, key);
    const picture = outside ? el("span", { class: "track", "aria-hidden": "true" }, el("i", { class: "outside" })) : bar(0, w, 0, 1);
    return [String(key), tokenElement(ids[key]), outside ? "outside window" : numberCell(percent(w)), picture];
  });
  fillTable($("row"), `Layer ${S.layer} head ${S.head}, standing at ${placed(S.position)}, looks at`, ["position", "token", "weight", "as a bar"], rows, V.key);
}

// ---- 5. Why this token ----

const LARGEST = 10; // rows that are shown without "all rows"

// Return the rows to show: the largest by size in their own order, and what the others add up to.
function largest(values, all) {
  const order = values.map((_, i) => i).sort((a, b) => Math.abs(values[b]) - Math.abs(values[a]));
  const kept = (all ? order : order.slice(0, LARGEST)).sort((a, b) => a - b);
  const rest = order.filter((i) => !kept.includes(i));
  return { kept, rest: rest.reduce((sum, i) => sum + values[i], 0), others: rest.length };
}

function drawWaterfall(all) {
  const values = DATA.parts.map((_, part) => at("direct", S.position, S.candidate, part)), total = values.reduce((sum, x) => sum + x, 0);
  const { kept, rest, others } = largest(values, all);
  const steps = [...kept.map((part) => [DATA.parts[part], values[part]]), ...(others ? [[`the ${others} other parts together`, rest]] : [])];
  const ends = [0];
  for (const [, x] of steps) ends.push(ends[ends.length - 1] + x);
  const [low, high] = [Math.min(...ends), Math.max(...ends)];
  const rows = steps.map(([name, x], i) => [partElement(name), numberCell(signed(x), x), bar(ends[i], ends[i + 1], low, high)]);
  rows.push([`m of ${quoted(candidateId())}`, numberCell(signed(total), total), bar(0, total, low, high)]);
  fillTable($("waterfall"), `Direct contributions to m of ${quoted(candidateId())}`, ["part", "adds", "from here to there"], rows);
}

// Return the name of a part; that of a head is a button that selects it.
function partElement(name) {
  const found = /^layer (\d+) head (\d+)$/.exec(name);
  return found ? headButton({ layer: Number(found[1]), head: Number(found[2]) }) : name;
}

function drawSources(all) {
  const name = S.candidate === CHOSEN ? "source.chosen" : "source.runner_up";
  if (!DATA[name]) {
    $("sources").replaceChildren(el("caption", {}, "These numbers were left out to keep the file small."));
    return;
  }
  const sum = sourceSums(S.candidate), one = sum.map((_, key) => bySource(S.candidate, S.layer, S.head, S.position, key));
  const { kept, rest, others } = largest(sum, all), scale = Math.max(...sum.map(Math.abs), ...one.map(Math.abs));
  const row = (head, a, b) => [head, numberCell(signed(a), a), signedBar(a, scale), numberCell(signed(b), b), signedBar(b, scale)];
  const rows = kept.map((key) => row(placed(key), sum[key], one[key]));
  if (others) rows.push(row(`the ${others} other tokens together`, rest, one.reduce((x, y) => x + y, 0) - kept.reduce((x, key) => x + one[key], 0)));
  const heads = ["token looked at", "all heads", "as a bar", `layer ${S.layer} head ${S.head}`, "as a bar"];
  fillTable($("sources"), `What the heads add to m of ${quoted(candidateId())}, by source token`, heads, rows);
}

function drawGradient(all) {
  const row = numbers("gradient.positions").indexOf(S.position), only = S.candidate === RUNNER_UP ? " It is for the chosen token only." : "";
  if (row < 0) {
    $("gradient").replaceChildren(el("caption", {}, "For a model of this size, gradients are computed for new tokens only. Select a later token."));
    return;
  }
  const values = Array.from({ length: S.position + 1 }, (_, key) => at("gradient", row, key));
  const { kept, rest, others } = largest(values, all), scale = Math.max(...values.map(Math.abs));
  const rows = kept.map((key) => [placed(key), numberCell(signed(values[key]), values[key]), signedBar(values[key], scale)]);
  if (others) rows.push([`the ${others} other tokens together`, numberCell(signed(rest), rest), signedBar(rest, scale)]);
  fillTable($("gradient"), `Gradient × embedding of m of ${quoted(at("candidates", S.position, CHOSEN))}.${only}`, ["input token", "product", "as a bar"], rows);
}

function drawAblation() {
  if (!DATA["ablation.m"]) {
    $("ablation").replaceChildren(el("caption", {}, "The model was not run without its heads: ask for it with ablate=True, or --ablate."));
    return;
  }
  const rows = DATA.layers.map((_, layer) => [`layer ${layer}`, ...Array.from({ length: H }, (_, head) => {
    const change = at("ablation.log_prob", layer, head, S.position), cell = numberCell(signed(change), change);
    cell.classList.toggle("selected", layer === S.layer && head === S.head);
    return cell;
  })]);
  const chosen = quoted(at("candidates", S.position, CHOSEN)), m = at("ablation.m", S.layer, S.head, S.position);
  const caption = `Change of the log-probability of ${chosen} without each head. Without layer ${S.layer} head ${S.head}, m changes by ${signed(m)}.`;
  fillTable($("ablation"), caption, ["without", ...Array.from({ length: H }, (_, head) => `head ${head}`)], rows);
}

function drawWhy() {
  const all = $("all-rows").checked;
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
  fillTable($("neurons"), caption, ["neuron", "activation", `adds to m of ${quoted(candidateId())}`], rows);
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
makeAttention();
$("all-rows").addEventListener("change", drawWhy);
if (DATA.timings) fillTable($("seconds"), "Seconds of each part", ["part", "seconds"], Object.entries(DATA.timings).map(([name, s]) => [name, numberCell(s.toFixed(3))]));
select({ position: S.position });
drawTheme();
say("Point at a token or at a cell of the matrix, and this line says what it is.");
if (DATA.opening.panel !== "summary") show(DATA.opening.panel);
