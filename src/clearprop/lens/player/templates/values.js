// Formulas, numbers and arrays as elements of the page. All text goes in as text, never as markup.

const HTML = "http://www.w3.org/1999/xhtml";
const SVG = "http://www.w3.org/2000/svg";
const MATHML = "http://www.w3.org/1998/Math/MathML";

/** An element with attributes and children; texts become text nodes, what is null is left out. */
function make(namespace, tag, attributes, ...children) {
  const element = document.createElementNS(namespace, tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value !== null && value !== false && value !== undefined) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}
const html = (tag, attributes, ...children) => make(HTML, tag, attributes, ...children);
const svg = (tag, attributes, ...children) => make(SVG, tag, attributes, ...children);

/** A formula: trees as mathml.py makes them, one after the other. */
function math(...trees) {
  return make(MATHML, "math", { displaystyle: "true" }, make(MATHML, "mrow", {}, trees.filter(Boolean).map(mathElement)));
}

function mathElement([tag, ...children]) {
  const [name, kind] = tag.split(".");
  const attributes = DATA.mathAttributes[tag] || (kind ? { class: kind } : {});
  return make(MATHML, name, attributes, children.map((child) => (Array.isArray(child) ? mathElement(child) : child)));
}

/** A path that can be broken after its dots. */
function breakable(label) {
  return label.split(/(?<=[._])/).flatMap((part, i) => (i ? [html("wbr"), part] : [part]));
}

/** A path that fits into a formula: its end says most. */
function brief(label) {
  const parts = label.split(".");
  return label.length > 22 && parts.length > 2 ? `…${parts.slice(-2).join(".")}` : label;
}

/** ∂y/∂x as a fraction. */
function partial(y, x) {
  const part = (name) => ["mrow", ["mi", "∂"], ["mi", brief(name)]];
  return ["mfrac", part(y), part(x)];
}

/** A number as a formula; minus signs are those of formulas. */
function numeral(text) {
  return ["mn", text.replace(/-/g, "−")];
}

/** The text of a value, with true minus signs; a dash for what was not recorded. */
function text(number) {
  return number === null || number === undefined ? "–" : DATA.values[number].text.replace(/-/g, "−");
}

/** The same as short as a box of the graph wants it: of an array its range. */
function shortText(number) {
  if (number === null || number === undefined) return "";
  const value = DATA.values[number];
  return (value.short || value.text).replace(/-/g, "−");
}

const isArray = (number) => number !== null && number !== undefined && DATA.values[number].shape !== undefined;

/** A value as the panel shows it: a number in full; an array with its elements, as heat map or as histogram. */
function picture(number, what) {
  if (number === null || number === undefined) return html("p", { class: "quiet" }, "not recorded");
  const value = DATA.values[number];
  if (value.shape === undefined) {
    return html("div", { class: "number" }, html("strong", {}, text(number)), value.full ? html("small", {}, value.full) : null);
  }
  const facts = [value.shape.replace(/^(\d+)$/, "$1 elements"), value.dtype];
  if (value.mean !== undefined) facts.push(`mean ${value.mean.replace(/-/g, "−")}`);
  if (value.bad) facts.push(`${value.bad} not finite`);
  return html("div", { class: "array" }, drawing(value, what), html("p", { class: value.bad ? "facts bad" : "facts" }, facts.join(" · ")));
}

function drawing(value, what) {
  if (value.numbers) return elements(value, what);
  if (value.heat) return heatMap(value, what);
  if (value.bars) return histogram(value, what);
  return html("p", { class: "range" }, value.text.replace(/-/g, "−"));
}

/** All elements of a small array, coloured by sign and size. */
function elements(value, what) {
  const largest = Math.max(...value.numbers.flat().map((x) => Math.abs(Number(x))).filter(Number.isFinite), 0) || 1;
  const cell = (x) => {
    const element = html("td", {}, x.replace(/-/g, "−"));
    tint(element, Number(x) / largest);
    return element;
  };
  const table = html("table", { class: "elements", "aria-label": `${what}: ${value.text}` },
    html("tbody", {}, value.numbers.map((row) => html("tr", {}, row.map(cell)))));
  return html("div", { class: "scroll", tabindex: value.numbers[0].length > 4 ? 0 : null }, table);
}

function tint(element, share) {
  element.className = Number.isFinite(share) ? (share < 0 ? "negative" : "positive") : "broken";
  element.style.setProperty("--share", Number.isFinite(share) ? Math.abs(share).toFixed(3) : 1);
}

/** One small square for each element: orange below zero, blue above, the stronger the farther. */
function heatMap(value, what) {
  const bytes = Uint8Array.from(atob(value.heat), (character) => character.charCodeAt(0));
  const levels = new Int8Array(bytes.buffer);
  const columns = value.columns, rows = levels.length / columns;
  const map = svg("svg", { class: "heat", viewBox: `0 0 ${columns} ${rows}`, preserveAspectRatio: "none", role: "img",
    "aria-label": `${what}: heat map of ${value.text}` });
  map.style.aspectRatio = `${columns} / ${rows}`;
  levels.forEach((level, i) => {
    const square = svg("rect", { x: i % columns, y: Math.floor(i / columns), width: 1.02, height: 1.02 });
    square.setAttribute("class", level === -128 ? "broken" : level < 0 ? "negative" : "positive");
    if (level !== -128) square.style.setProperty("--share", (Math.abs(level) / 127).toFixed(3));
    map.append(square);
  });
  return html("div", {}, map, html("p", { class: "scale" }, `${value.text.replace(/^.*: /, "").replace(/-/g, "−")}`));
}

/** How the elements of a large array are distributed over their range. */
function histogram(value, what) {
  const chart = svg("svg", { class: "bars", viewBox: `0 0 ${value.bars.length} 100`, preserveAspectRatio: "none", role: "img",
    "aria-label": `${what}: histogram of ${value.text}` });
  value.bars.forEach((height, i) => chart.append(svg("rect", { x: i + 0.06, y: 100 - height, width: 0.88, height })));
  const [low, high] = [value.low, value.high].map((x) => x.replace(/-/g, "−"));
  return html("div", {}, chart, html("p", { class: "scale ends" }, html("span", {}, low), html("span", {}, high)));
}
