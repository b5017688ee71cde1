// What a step marks in the graph: the box it is about, edges that carry something, and numbers on their way.

const MOST_PILLS = 12; // of a weight with a thousand users the latest contributions: more would cover the graph
const calm = matchMedia("(prefers-reduced-motion: reduce)");

class Marks {
  constructor(graph, course) {
    this.graph = graph;
    this.course = course;
    this.frame = 0;
  }

  /** Show the state after a visible step; if it moves, the numbers travel to where they belong in so many milliseconds. */
  show(view, duration) {
    cancelAnimationFrame(this.frame);
    const step = DATA.steps[view.last];
    this.graph.layers.marks.replaceChildren();
    this.state(view.last, step, view);
    const travels = this.travels(view, step);
    if (!duration || calm.matches || !travels.length) { travels.forEach((travel) => travel(1)); return; }
    const start = performance.now();
    const tick = (now) => {
      const share = Math.min(1, (now - start) / duration);
      travels.forEach((travel) => travel(share));
      if (share < 1) this.frame = requestAnimationFrame(tick);
    };
    tick(start);
  }

  /** Values, gradients and the colours of boxes and edges. */
  state(reached, step, view) {
    const { graph, course } = this;
    const current = view.group >= 0 ? `g${view.group}` : step.node >= 0 ? graph.seen(step.node) : "";
    for (const [key, parts] of graph.boxes) {
      const number = Number(key.slice(1)), isNode = key[0] === "n";
      const node = isNode ? number : graph.lastOf[number];
      const isComputed = node >= 0 && course.computed[node] <= reached;
      const gradient = node >= 0 ? course.gradient(node, reached) : null;
      parts.element.classList.toggle("computed", isComputed);
      parts.element.classList.toggle("current", key === current);
      if (parts.value) parts.value.textContent = isComputed ? graph.cut(shortText(DATA.nodes[node].value), parts.width - 24, "12.5px") : "";
      if (parts.count) parts.count.textContent = isComputed ? "" : countWords(graph.count(number));
      if (parts.gradient) parts.gradient.textContent = gradient === null ? "" : `∂ ${graph.cut(shortText(gradient), parts.width - 38, "12.5px")}`;
      parts.element.setAttribute("aria-label", isNode ? this.nodeWords(node, isComputed, gradient) : `Module ${DATA.groups[number].path}`);
      if (key === current) parts.element.setAttribute("aria-current", "step"); else parts.element.removeAttribute("aria-current");
    }
    this.colourLinks(reached, view);
  }

  nodeWords(node, isComputed, gradient) {
    const { label, primitive, inputs, value } = DATA.nodes[node];
    return [label, inputs.length ? primitive : "input", isComputed ? `value ${text(value)}` : "not yet computed",
      gradient === null ? "" : `gradient ${text(gradient)}`].filter(Boolean).join(", ");
  }

  colourLinks(reached, view) {
    const { graph, course } = this;
    for (const path of graph.links.values()) { path.setAttribute("class", "link"); path.setAttribute("marker-end", "url(#arrow)"); }
    DATA.nodes.forEach((node, target) => {
      if (course.computed[target] > reached) return;
      node.inputs.forEach(([source]) => { if (source >= 0) this.colour(source, target, "flowed"); });
    });
    DATA.edges.forEach((edge, i) => { if (course.passed[i] <= reached) this.colour(edge.target, edge.source, "returned"); });
    for (let i = view.first; i <= view.last; i++) {
      const step = DATA.steps[i];
      if (step.kind === "forward") DATA.nodes[step.node].inputs.forEach(([source]) => { if (source >= 0) this.colour(source, step.node, "feeding"); });
      if (view.first === view.last || step.kind === "edge") {
        step.edges.forEach((edge) => this.colour(DATA.edges[edge].target, DATA.edges[edge].source, "carrying"));
      }
    }
  }

  colour(source, target, kind) {
    const path = this.graph.link(source, target);
    if (!path) return;
    path.classList.add(kind);
    if (kind === "returned" || kind === "carrying") { path.removeAttribute("marker-end"); path.setAttribute("marker-start", "url(#arrow-back)"); }
    if (kind === "feeding" || kind === "carrying") path.parentNode.append(path); // above the others
  }

  /** What moves in a step: functions of the share of its time that has passed. */
  travels(view, step) {
    const waiting = this.course.waiting(view.last).filter((edge) => !(view.first === view.last && step.edges.includes(edge)));
    waiting.slice(-MOST_PILLS).forEach((edge) => this.rest(edge));
    if (view.first !== view.last) {
      const leaving = DATA.steps.slice(view.first, view.last + 1).flatMap((one) => (one.kind === "edge" ? one.edges : []));
      return leaving.slice(-MOST_PILLS).map((edge) => this.handed(edge)).filter(Boolean);
    }
    if (step.kind === "edge") return [this.product(step.edges[0])].filter(Boolean);
    if (step.kind === "sum") return [this.added(step)];
    return [];
  }

  /** A contribution that waits beside the node where it will be added to others. */
  rest(edge) {
    const path = this.pathOf(edge);
    if (!path) return;
    const pill = this.pill("contribution", shortText(DATA.edges[edge].contribution));
    this.put(pill, path, 0, edge);
  }

  /** A contribution that leaves a folded module. */
  handed(edge) {
    const path = this.pathOf(edge);
    if (!path) return null;
    const pill = this.pill("contribution", shortText(DATA.edges[edge].contribution));
    return (share) => this.put(pill, path, 1 - ease(share), edge);
  }

  /** Upstream gradient and local derivative, apart; then their product, on its way to the input. */
  product(number) {
    const edge = DATA.edges[number], path = this.pathOf(number);
    if (!path) return null;
    const local = this.pill("local", edge.local === null ? edge.factor : shortText(edge.local));
    const upstream = this.pill("upstream", shortText(edge.upstream));
    const contribution = this.pill("contribution", shortText(edge.contribution));
    this.put(local, path, 0.5, number, true);
    return (share) => {
      this.put(upstream, path, share < 0.4 ? 1 - 0.5 * ease(share / 0.4) : 1, number);
      this.put(contribution, path, share < 0.5 ? 0.5 : 0.5 - 0.5 * ease((share - 0.5) / 0.5), number);
      upstream.classList.toggle("away", share >= 0.4 && share < 1);
      contribution.classList.toggle("away", share < 0.4);
    };
  }

  /** Contributions move into the node and become one number: fan-out adds. */
  added(step) {
    const { graph } = this, key = graph.seen(step.node), rectangle = graph.layout.rectangles.get(key);
    const shown = graph.boxes.get(key).gradient, total = shown ? shown.textContent : "";
    const middle = { x: rectangle.x + rectangle.width / 2, y: rectangle.y + rectangle.height - 10 };
    const pills = step.edges.slice(-MOST_PILLS).flatMap((edge) => {
      const path = this.pathOf(edge);
      return path ? [[this.pill("contribution", shortText(DATA.edges[edge].contribution)), this.point(path, 0, edge)]] : [];
    });
    return (share) => {
      const way = ease(share);
      pills.forEach(([pill, from]) => {
        pill.setAttribute("transform", `translate(${tenth(from.x + (middle.x - from.x) * way)} ${tenth(from.y + (middle.y - from.y) * way)})`);
        pill.classList.toggle("away", share >= 1);
      });
      if (shown) shown.textContent = share < 0.9 ? "" : total;
    };
  }

  pathOf(edge) {
    const { source, target } = DATA.edges[edge];
    return this.graph.link(target, source);
  }

  pill(kind, content) {
    const shown = this.graph.cut(content, 180, "600 12px");
    const width = this.graph.width(shown, "600 12px") + 16;
    const pill = svg("g", { class: `pill ${kind}` }, svg("rect", { x: -width / 2, y: -10, width, height: 20, rx: 10 }),
      svg("text", { "text-anchor": "middle", y: 4.2 }, shown));
    pill.width = width;
    this.graph.layers.marks.append(pill);
    return pill;
  }

  /** Put a pill on a path, or beside it; 0 is at the input, 1 at the operation. Edges side by side keep their distance. */
  put(pill, path, share, edge, isBeside = false) {
    const { x, y } = this.point(path, share, edge);
    const { x: x0, y: y0 } = this.point(path, 0, edge), slant = (distance) => Math.max(-12, Math.min(12, distance / 3)); // away from the line
    const aside = this.graph.layout.sideways ? [slant(y0 - y), -24] : [pill.width / 2 + 14, slant(x0 - x)];
    pill.setAttribute("transform", `translate(${tenth(x + (isBeside ? aside[0] : 0))} ${tenth(y + (isBeside ? aside[1] : 0))})`);
  }

  point(path, share, edge) {
    const length = path.getTotalLength(), sideways = this.graph.layout.sideways, end = Math.min(sideways ? 30 : 14, length / 3);
    const others = this.course.together(edge), sources = [...new Set(others.map((other) => DATA.edges[other].source))];
    const turn = sources.indexOf(DATA.edges[edge].source) % 3;
    const start = Math.min(end + turn * (sideways ? 0 : 23), length / 2); // those that wait at one node stand behind one another
    const { x, y } = path.getPointAtLength(start + (length - start - end) * share);
    const twice = others.filter((other) => DATA.edges[other].source === DATA.edges[edge].source);
    const shift = twice.length > 1 ? twice.indexOf(edge) - (twice.length - 1) / 2 : 0; // and x · x has two edges on one path
    return sideways ? { x, y: y + shift * 24 } : { x: x + shift * 40, y };
  }
}

const ease = (share) => (share < 0.5 ? 2 * share * share : 1 - (2 - 2 * share) ** 2 / 2);

function countWords(count) {
  return `${count} operation${count === 1 ? "" : "s"}`;
}
