// The panel beside the graph: the step in formulas, numbers and words.

class Panel {
  constructor(element, words, graph, course, onJump, onFold) {
    Object.assign(this, { element, words, graph, course, onJump, onFold });
  }

  show(view) {
    const step = DATA.steps[view.last];
    const parts = view.first !== view.last ? this.folded(view) : this[step.kind](step);
    this.element.replaceChildren(...parts.filter(Boolean));
    const told = view.first !== view.last ? this.foldedWords(view) : step.words;
    this.words.textContent = told.replace(/(^|[\s(])-(?=\d)/g, "$1−");
  }

  // Steps --------------------------------------------------------------------------------------------------------------

  given() {
    const leaves = DATA.nodes.flatMap((node, number) => (node.inputs.length ? [] : [number]));
    return [heading("Before the run", "What is given"),
      this.table(["input", "value"], leaves.map((number) => [this.button(number), text(DATA.nodes[number].value)]))];
  }

  forward(step) {
    const node = DATA.nodes[step.node];
    const equals = (tree) => (tree ? math(["mo", "="], tree) : null);
    return [heading(this.place("Forward", step), breakable(node.label)),
      html("div", { class: "equation" }, math(["mi", brief(node.label)], ["mo", "="], node.formula), equals(node.numbers)),
      this.card("value", "Value", ["mi", node.label], step.value),
      this.facts(step.node)];
  }

  begin(step) {
    const { label } = DATA.nodes[step.node];
    return [heading(this.place("Backward", step), `Start at ${label}`),
      this.card("upstream", "Upstream gradient", partial(label, label), step.value),
      html("p", {}, "From here the chain rule goes back over every edge: upstream gradient times local derivative is the contribution to the input."),
      this.facts(step.node)];
  }

  edge(step) {
    const edge = DATA.edges[step.edges[0]], source = DATA.nodes[edge.source], target = DATA.nodes[edge.target];
    const root = this.rootAt(step), several = this.course.together(step.edges[0]).length > 1;
    const isProduct = edge.local !== null;
    const arrow = html("span", {}, breakable(source.label), " → ", breakable(target.label), this.which(step.edges[0]));
    return [heading(this.place("Backward", step), arrow), this.pattern(source.pattern),
      html("div", { class: "equation" }, isProduct ? this.chainRule(edge, root, several) : math(...this.left(root, target, several), edge.rule)),
      html("div", { class: isArray(edge.contribution) || isArray(edge.upstream) ? "factors tall" : "factors" },
        this.card("upstream", "Upstream gradient", isProduct ? partial(root, source.label) : ["mrow", ["mi.upstream", "g"], ["mo", "="], partial(root, source.label)], edge.upstream),
        html("span", { class: "sign" }, isProduct ? "×" : "→"),
        isProduct ? this.card("local", "Local derivative", this.localFormula(edge, source, target), edge.local) : this.ruleCard(edge),
        html("span", { class: "sign" }, "="),
        this.card("contribution", "Contribution", several ? ["mrow", ["mtext", "to\u00a0"], ["mi", brief(target.label)]] : partial(root, target.label), edge.contribution)),
      several ? html("p", { class: "quiet" }, `${target.label} has several users: this contribution waits until all have arrived.`) : null,
      this.facts(edge.source)];
  }

  sum(step) {
    const { label } = DATA.nodes[step.node], root = this.rootAt(step);
    const summands = step.edges.map((number) => [this.button(DATA.edges[number].source, "from "), text(DATA.edges[number].contribution)]);
    const isShort = !isArray(step.value) && step.edges.length <= 6;
    const terms = step.edges.flatMap((number, i) => [i ? ["mo", "+"] : null, this.term(DATA.edges[number].contribution, i)]).filter(Boolean);
    return [heading(this.place("Backward", step), breakable(label)), this.pattern("fan-out adds"),
      isShort ? html("div", { class: "equation" }, math(partial(root, label), ["mo", "="], ["mrow.contribution", ...terms], ["mo", "="], ["mrow.upstream", numeral(text(step.value))])) : null,
      this.table(["contribution", "value"], summands, "contributions"),
      this.card("upstream", "Gradient: their sum", partial(root, label), step.value),
      this.facts(step.node)];
  }

  again(step) {
    const { label } = DATA.nodes[step.node];
    return [heading(this.place("Backward", step), breakable(label)), html("p", {}, step.words),
      this.card("upstream", "Gradient so far", ["mi", label], step.value), this.facts(step.node)];
  }

  end(step) {
    const reached = DATA.nodes.flatMap((node, number) => (!node.inputs.length && node.gradient !== null ? [number] : []));
    const root = DATA.roots.length ? DATA.nodes[DATA.roots[DATA.roots.length - 1]].label : "";
    return [heading("After the run", DATA.error ? "It ended with an error" : reached.length ? "The gradients" : "The values"),
      DATA.error ? html("p", { class: "error" }, DATA.error) : null,
      reached.length ? this.table(["input", `gradient of ${root}`], reached.map((number) => [this.button(number), text(DATA.nodes[number].gradient)]), "gradients") : null,
      reached.length || DATA.error ? null : html("p", {}, step.words)];
  }

  // Folded modules -----------------------------------------------------------------------------------------------------

  folded(view) {
    const group = DATA.groups[view.group], backward = isBackward(DATA.steps[view.last]);
    const unfold = html("button", { type: "button", class: "wide" }, "Unfold this module");
    unfold.addEventListener("click", () => this.onFold(view.group));
    const title = heading(`${backward ? "Backward" : "Forward"}, ${view.last - view.first + 1} steps`, breakable(group.path || group.label));
    return backward ? [title, ...this.foldedBackward(view), unfold] : [title, this.foldedValue(view), unfold];
  }

  foldedValue(view) {
    const node = DATA.steps[view.last].node;
    return this.card("value", "Value that comes out", ["mi", DATA.nodes[node].label], DATA.nodes[node].value);
  }

  foldedBackward(view) {
    const edges = this.edgesOf(view), inside = (node) => this.graph.foldedAround(node) === view.group;
    const first = DATA.steps[view.first];
    const gradient = this.course.gradient(first.node, view.first);
    const row = (number) => [this.button(DATA.edges[number].target), text(DATA.edges[number].contribution)];
    const out = edges.filter((number) => !inside(DATA.edges[number].target));
    const leaves = [...new Set(edges.map((number) => DATA.edges[number].target))].filter((node) => inside(node) && !DATA.nodes[node].inputs.length);
    return [this.card("upstream", "Upstream gradient that arrives", partial(this.rootAt(first), DATA.nodes[first.node].label), gradient),
      out.length ? this.table(["handed on to", "contribution"], out.map(row), "contributions") : null,
      leaves.length ? this.table(["parameter", "gradient"], leaves.map((node) => [this.button(node), text(this.course.gradient(node, view.last))]), "gradients") : null];
  }

  edgesOf(view) {
    return DATA.steps.slice(view.first, view.last + 1).flatMap((step) => (step.kind === "edge" ? step.edges : []));
  }

  foldedWords(view) {
    const { path } = DATA.groups[view.group], backward = isBackward(DATA.steps[view.last]);
    const last = DATA.nodes[DATA.steps[view.last].node];
    if (!backward) return `${path} is computed: ${view.last - view.first + 1} steps; ${last.label} = ${text(last.value)}.`;
    const out = this.edgesOf(view).filter((number) => this.graph.foldedAround(DATA.edges[number].target) !== view.group);
    return `Backward through ${path}: ${view.last - view.first + 1} steps.${out.length ? ` It hands contributions on to ${[...new Set(out.map((number) => DATA.nodes[DATA.edges[number].target].label))].slice(0, 4).join(", ")}.` : ""}`;
  }

  // Parts --------------------------------------------------------------------------------------------------------------

  place(phase, step) {
    const kind = step.kind === "forward" ? (one) => one.kind === "forward" : isBackward;
    const all = DATA.steps.filter(kind);
    return `${phase}, step ${all.indexOf(step) + 1} of ${all.length}`;
  }

  /** What the pass of a step differentiates: where it began. */
  rootAt(step) {
    for (let i = DATA.steps.indexOf(step); i >= 0; i--) if (DATA.steps[i].kind === "begin") return DATA.nodes[DATA.steps[i].node].label;
    return "L";
  }

  /** ∂f/∂x = ∂f/∂q · ∂q/∂x = -4 · 1 = -4; of arrays without the numbers. */
  chainRule(edge, root, several) {
    const source = DATA.nodes[edge.source], target = DATA.nodes[edge.target];
    const product = [["mrow.upstream", partial(root, source.label)], ["mo", isArray(edge.local) ? "⊙" : "·"], ["mrow.local", partial(source.label, target.label)]];
    if (isArray(edge.local)) return math(...this.left(root, target, several), ...product);
    return math(...this.left(root, target, several), ...product, ["mo", "="], ["mrow.upstream", numeral(text(edge.upstream))], ["mo", "·"],
      ["mrow.local", this.term(edge.local, 1)], ["mo", "="], ["mrow.contribution", numeral(text(edge.contribution))]);
  }

  /** Of several edges between the same two nodes, as x · x has them, which one this is. */
  which(number) {
    const { source, target } = DATA.edges[number];
    const same = this.course.together(number).filter((other) => DATA.edges[other].source === source && DATA.edges[other].target === target);
    return same.length > 1 ? html("span", { class: "quiet" }, ` ${same.indexOf(number) + 1} of ${same.length}`) : null;
  }

  /** What a single contribution is equal to; one of several is only a part of it. */
  left(root, target, several) {
    return several ? [] : [["mrow.contribution", partial(root, target.label)], ["mo", "="]];
  }

  localFormula(edge, source, target) {
    const known = edge.formula && edge.formula[0] !== "mn" ? [["mo", "="], edge.formula] : [];
    return ["mrow", partial(source.label, target.label), ...known];
  }

  ruleCard(edge) {
    return html("div", { class: "card local" }, html("h3", {}, "Rule"), edge.formula ? math(edge.formula) : math(edge.rule),
      html("p", { class: "quiet" }, edge.formula ? "the operand that plays the part of the local derivative" : "what this operation does with the upstream gradient g"));
  }

  term(number, i) {
    const content = text(number);
    return content.startsWith("−") && i ? ["mrow", ["mo.fence", "("], numeral(content), ["mo.fence", ")"]] : numeral(content);
  }

  card(kind, title, formula, value) {
    return html("div", { class: `card ${kind}` }, html("h3", {}, title), math(formula), picture(value, title));
  }

  pattern(name) {
    return name ? html("p", { class: "pattern" }, name) : null;
  }

  table(head, rows, kind = "") {
    return html("div", { class: "scroll" }, html("table", { class: `list ${kind}` },
      html("thead", {}, html("tr", {}, head.map((name) => html("th", { scope: "col" }, name)))),
      html("tbody", {}, rows.map(([name, value]) => html("tr", {}, html("th", { scope: "row" }, name), html("td", {}, value))))));
  }

  button(node, before = "") {
    const button = html("button", { type: "button", class: "jump" }, breakable(DATA.nodes[node].label));
    button.addEventListener("click", () => this.onJump(node));
    return before ? html("span", {}, before, button) : button;
  }

  facts(number) {
    const node = DATA.nodes[number];
    const inputs = node.inputs.map(([source, label]) => (source < 0 ? html("span", { class: "constant" }, label) : this.button(source)));
    const pairs = [["operation", node.inputs.length ? node.primitive : "given"], ["inputs", inputs.length ? inputs : null],
      ["module", node.module], ["source", node.where]].filter(([, content]) => content && content.length);
    return html("dl", { class: "facts" }, pairs.map(([name, content]) => html("div", {}, html("dt", {}, name), html("dd", {}, content))));
  }
}

function heading(kind, title) {
  return html("header", {}, html("p", { class: "kind" }, kind), html("h2", {}, title));
}
