// The picture of the computation: boxes for nodes and for modules that unfold, edges between them, and what a step marks.

const NODE_HEIGHT = 58, GROUP_HEIGHT = 58, NARROWEST = 104, WIDEST = 196;
const ruler = document.createElement("canvas").getContext("2d");

/** The group of each node, and of each group its depth. */
function homes() {
  const home = [];
  DATA.groups.forEach((group, number) => group.boxes.forEach((box) => { if (box.node !== undefined) home[box.node] = number; }));
  return home;
}

class Graph {
  constructor(stage, onChoose, onFold) {
    this.stage = stage;
    this.onChoose = onChoose;
    this.onFold = onFold;
    this.home = homes();
    this.open = new Set(DATA.groups.flatMap((group, number) => (group.open ? [number] : [])));
    this.svg = svg("svg", { role: "group", "aria-label": "Computational graph" }, this.marker());
    this.world = svg("g", { class: "world" });
    this.layers = Object.fromEntries(["groups", "links", "titles", "boxes", "marks"].map((name) => [name, svg("g", { class: name })]));
    this.world.append(...Object.values(this.layers));
    this.svg.append(this.world);
    stage.append(this.svg);
    this.camera = { x: 0, y: 0, scale: 1 };
    this.lastOf = DATA.groups.map((group, number) => this.lastNode(number));
    this.listen();
  }

  marker() {
    const arrow = (id) => svg("marker", { id, viewBox: "0 0 8 8", refX: 6.5, refY: 4, markerWidth: 10, markerHeight: 10, markerUnits: "userSpaceOnUse", orient: "auto-start-reverse" },
      svg("path", { d: "M0 .8 7 4 0 7.2z" }));
    return svg("defs", {}, arrow("arrow"), arrow("arrow-back"));
  }

  /** The node whose value a folded group shows: the last one inside. */
  lastNode(number) {
    return Math.max(...DATA.groups[number].boxes.map((box) =>
      (box.node !== undefined ? (DATA.nodes[box.node].inputs.length ? box.node : -1) : box.group !== undefined ? this.lastNode(box.group) : -1)));
  }

  /** The groups around a node, outermost first. */
  around(node) {
    const found = [];
    for (let group = this.home[node]; group >= 0; group = DATA.groups[group].parent) found.unshift(group);
    return found;
  }

  /** The outermost folded group around a node; -1 if the node itself can be seen. */
  foldedAround(node) {
    const folded = this.around(node).find((group) => !this.open.has(group));
    return folded === undefined ? -1 : folded;
  }

  /** The key of what can be seen of a node: itself, or the folded group that it is in. */
  seen(node) {
    return this.shown[node];
  }

  fold(group) {
    if (this.open.has(group)) this.open.delete(group); else this.open.add(group);
    this.draw();
  }

  /** The label of a node without the path of the group it stands in. */
  label(node) {
    const prefix = `${DATA.groups[this.home[node]].path}.`;
    const name = DATA.nodes[node].label;
    return name.startsWith(prefix) ? name.slice(prefix.length) : name;
  }

  groupTitle(number) {
    const { label, call } = DATA.groups[number];
    return call > 1 ? `${label} (call ${call})` : label;
  }

  /** What is written large and small in the box of a node: name and operation; of one without a name the operation first. */
  names(number) {
    const node = DATA.nodes[number], name = this.label(number);
    if (!node.inputs.length) return [name, ""];
    return name.startsWith("#") ? [operation(node), name] : [name, operation(node)];
  }

  sizeOf(box) {
    if (box.group !== undefined) {
      const value = DATA.nodes[this.lastOf[box.group]];
      const widest = Math.max(this.width(this.groupTitle(box.group), "650 13px"), this.width(shortText(value.value), "12.5px"), this.width(shortText(value.gradient), "12.5px") + 16);
      const about = this.width(DATA.groups[box.group].about, "11.5px") + this.width(this.groupTitle(box.group), "650 13px") + 14;
      return [Math.min(WIDEST + 90, Math.max(140, widest + 44, about + 44)), GROUP_HEIGHT];
    }
    const node = DATA.nodes[box.node], [name, kind] = this.names(box.node);
    const first = this.width(name, "650 13px") + (kind ? this.width(kind, "11.5px") + 12 : 0);
    const second = Math.max(this.width(shortText(node.value), "12.5px"), this.width(shortText(node.gradient), "12.5px") + 16);
    return [Math.min(WIDEST, Math.max(NARROWEST, Math.max(first, second) + 24)), NODE_HEIGHT];
  }

  width(content, font) {
    ruler.font = `${font} system-ui, sans-serif`;
    return ruler.measureText(content).width;
  }

  /** Lay everything out anew and draw it; called at the beginning and whenever something is folded or unfolded. */
  draw() {
    this.room = [this.stage.clientWidth, this.stage.clientHeight]; // asked once: it costs a layout of the page
    const lay = (sideways, gap) => layOut(DATA.groups, { sizeOf: (box) => this.sizeOf(box), isOpen: (group) => this.open.has(group),
      titleWidth: (group) => Math.min(280, this.width(this.groupTitle(group), "650 13px") + this.width(DATA.groups[group].about, "11.5px") + 52), sideways, gap });
    const [down, right] = [lay(false, 66), lay(true, 118)]; // room for an upstream gradient, a contribution, a local derivative
    this.layout = this.fit(right.size) > this.fit(down.size) * 1.05 ? right : down;
    this.shown = DATA.nodes.map((_, node) => {
      const group = this.foldedAround(node);
      return group < 0 ? `n${node}` : `g${group}`;
    });
    for (const layer of Object.values(this.layers)) layer.replaceChildren();
    this.boxes = new Map();
    for (const [key, rectangle] of this.layout.rectangles) this.boxes.set(key, this.box(key, rectangle));
    this.links = this.allLinks();
  }

  box(key, { x, y, width, height, box }) {
    const isGroup = box.group !== undefined, isOpen = isGroup && this.open.has(box.group);
    const kind = isGroup ? (isOpen ? "group open" : "group") : DATA.nodes[box.node].inputs.length ? "node" : "node leaf";
    const element = svg("g", { class: `box ${kind}`, "data-key": key, role: "button", tabindex: 0,
      "aria-expanded": isGroup ? String(isOpen) : null, transform: `translate(${tenth(x)} ${tenth(y)})` });
    element.append(svg("rect", { class: "frame", width: tenth(width), height: tenth(height), rx: isGroup ? 10 : 7 }));
    const parts = { element, width, value: null, gradient: null };
    if (isGroup) this.drawGroup(parts, box.group, isOpen); else this.drawNode(parts, box.node);
    element.addEventListener("click", () => { if (!this.dragged) this.choose(box); });
    element.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); event.stopPropagation(); this.choose(box); }
    });
    (isOpen ? this.layers.groups : this.layers.boxes).append(element);
    return parts;
  }

  choose(box) {
    if (box.group !== undefined) this.onFold(box.group); else this.onChoose(box.node);
  }

  drawGroup(parts, group, isOpen) {
    const { element, width } = parts;
    element.append(svg("title", {}, [DATA.groups[group].path, DATA.groups[group].about, isOpen ? "click to fold" : "click to unfold"].filter(Boolean).join("\n")));
    element.append(svg("path", { class: "sign", d: isOpen ? "M10 16l5 5 5-5" : "M13 13l5 5-5 5" }));
    const title = this.cut(this.groupTitle(group), width - 40, "650 13px"), end = 28 + this.width(title, "650 13px") + 8;
    const texts = [svg("text", { class: "label", x: 28, y: 23 }, title)];
    if (width - end > 48) texts.push(svg("text", { class: "kind", x: end, y: 23 }, this.cut(DATA.groups[group].about, width - end - 10, "11.5px")));
    if (isOpen) this.layers.titles.append(svg("g", { transform: element.getAttribute("transform"), "aria-hidden": true }, texts)); // above the edges
    else element.append(...texts);
    if (isOpen) return;
    parts.count = svg("text", { class: "kind", x: 28, y: 39 });
    parts.value = svg("text", { class: "value", x: 28, y: 39 });
    parts.gradient = svg("text", { class: "gradient", x: 28, y: 54 });
    element.append(parts.count, parts.value, parts.gradient);
  }

  count(group) {
    return DATA.groups[group].boxes.reduce((sum, box) => sum +
      (box.group !== undefined ? this.count(box.group) : box.node !== undefined && DATA.nodes[box.node].inputs.length ? 1 : 0), 0);
  }

  drawNode(parts, number) {
    const { element, width } = parts, node = DATA.nodes[number];
    const [name, kind] = this.names(number);
    const room = width - 24 - (kind ? this.width(kind, "11.5px") + 8 : 0);
    element.append(svg("title", {}, node.label));
    element.append(svg("text", { class: "label", x: 12, y: 20 }, this.cut(name, Math.max(room, 40), "650 13px")));
    element.append(svg("text", { class: "kind", x: width - 12, y: 20, "text-anchor": "end" }, kind));
    parts.value = svg("text", { class: "value", x: 12, y: 36 });
    parts.gradient = svg("text", { class: "gradient", x: 12, y: 51 });
    element.append(parts.value, parts.gradient);
  }

  /** A text that fits, cut in the middle if need be: the end of a path says more than its beginning. */
  cut(content, room, font) {
    if (this.width(content, font) <= room) return content;
    let kept = content.length - 1;
    const shortened = () => `${content.slice(0, Math.floor(kept / 3))}…${content.slice(content.length - Math.ceil(kept * 2 / 3))}`;
    while (kept > 2 && this.width(shortened(), font) > room) kept--;
    return shortened();
  }

  /** The edges that can be seen: for each pair of visible boxes one path, whatever the number of edges between them. */
  allLinks() {
    const links = new Map();
    DATA.nodes.forEach((node, target) => node.inputs.forEach(([source]) => {
      if (source < 0) return;
      const [from, to] = [this.seen(source), this.seen(target)], key = `${from}>${to}`;
      if (from === to || links.has(key)) return;
      const d = pathData(this.route(source, target), this.layout.sideways);
      const path = svg("path", { class: "link", d, "marker-end": "url(#arrow)" });
      this.layers.links.append(path);
      links.set(key, path);
    }));
    return links;
  }

  /** The points of an edge on its way through the groups: out of those that hold its source, into those of its target. */
  route(source, target) {
    const [out, into] = [this.opened(source), this.opened(target)];
    let common = 0;
    while (common + 1 < Math.min(out.length, into.length) && out[common + 1] === into[common + 1]) common++;
    const points = [];
    for (let level = out.length - 1; level > common; level--) {
      points.push(...this.leg(out[level], this.boxAt(out, level, source), this.port(out[level], "out")));
    }
    points.push(...this.leg(out[common], this.boxAt(out, common, source), this.boxAt(into, common, target)));
    for (let level = common + 1; level < into.length; level++) {
      points.push(...this.leg(into[level], this.port(into[level], "in"), this.boxAt(into, level, target)));
    }
    return points;
  }

  /** The unfolded groups around a node, outermost first. */
  opened(node) {
    const around = this.around(node), end = around.findIndex((group) => !this.open.has(group));
    return end < 0 ? around : around.slice(0, end);
  }

  /** The box of a group in which a node is. */
  boxAt(opened, level, node) {
    const inner = this.around(node)[level + 1];
    return DATA.groups[opened[level]].boxes.findIndex((box) => (inner === undefined ? box.node === node : box.group === inner));
  }

  port(group, name) {
    return DATA.groups[group].boxes.findIndex((box) => box.port === name);
  }

  leg(group, from, to) {
    return this.layout.paths.get(`${group}:${from}:${to}`) || [];
  }

  link(source, target) {
    return this.links.get(`${this.seen(source)}>${this.seen(target)}`);
  }

  // The camera ---------------------------------------------------------------------------------------------------------

  fit([width, height]) {
    const margin = 48;
    return Math.min(1.35, (this.room[0] - margin) / width, (this.room[1] - margin) / height);
  }

  /** All of it, in the middle. */
  showAll() {
    const [width, height] = this.layout.size, scale = this.fit(this.layout.size);
    this.look({ scale, x: (this.room[0] - width * scale) / 2, y: (this.room[1] - height * scale) / 2 });
    this.free = false;
  }

  /** Bring boxes into view; if all of it can be read at once, it stays where it is. */
  follow(keys) {
    if (this.free) return;
    const all = this.fit(this.layout.size);
    if (all >= 0.72) { this.showAll(); return; }
    const first = [...this.layout.rectangles.values()].reduce((a, b) => (b.x + b.y < a.x + a.y ? b : a));
    const found = keys.length ? keys.map((key) => this.layout.rectangles.get(key)).filter(Boolean) : [first];
    const scale = Math.min(1, Math.max(0.8, all));
    const box = bounds(found);
    const [width, height] = this.room, [w, h] = this.layout.size;
    const within = (middle, room, whole) => (whole * scale <= room - 24 ? (room - whole * scale) / 2
      : Math.min(20, Math.max(room - whole * scale - 20, room / 2 - middle * scale)));
    this.look({ scale, x: within(box.x + box.width / 2, width, w), y: within(box.y + box.height / 2, height, h) });
  }

  look(camera) {
    this.camera = camera;
    this.world.style.transform = `translate(${tenth(camera.x)}px, ${tenth(camera.y)}px) scale(${camera.scale.toFixed(4)})`;
  }

  zoom(factor, cx = this.room[0] / 2, cy = this.room[1] / 2) {
    const scale = Math.min(3, Math.max(0.08, this.camera.scale * factor)), ratio = scale / this.camera.scale;
    this.free = true;
    this.look({ scale, x: cx - (cx - this.camera.x) * ratio, y: cy - (cy - this.camera.y) * ratio });
  }

  /** Drag to move; a click without a drag chooses a box. */
  listen() {
    let from = null;
    this.stage.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      from = { px: event.clientX, py: event.clientY, ...this.camera };
      this.dragged = false;
    });
    addEventListener("pointermove", (event) => {
      if (!from) return;
      const [dx, dy] = [event.clientX - from.px, event.clientY - from.py];
      if (!this.dragged && Math.hypot(dx, dy) < 5) return;
      this.dragged = this.free = true;
      this.stage.classList.add("dragging");
      this.look({ scale: from.scale, x: from.x + dx, y: from.y + dy });
    });
    const release = () => { from = null; this.stage.classList.remove("dragging"); };
    addEventListener("pointerup", release);
    addEventListener("pointercancel", release);
  }
}

/** The smallest rectangle around some. */
function bounds(rectangles) {
  const x = Math.min(...rectangles.map((one) => one.x)), y = Math.min(...rectangles.map((one) => one.y));
  return { x, y, width: Math.max(...rectangles.map((one) => one.x + one.width)) - x,
    height: Math.max(...rectangles.map((one) => one.y + one.height)) - y };
}

const SIGNS = { add: "+", subtract: "−", multiply: "×", divide: "÷", negative: "−", power: "xʸ", sqrt: "√", sum: "∑", prod: "∏" };

/** What a box says that its node does. */
function operation(node) {
  return SIGNS[node.primitive] || node.primitive;
}
