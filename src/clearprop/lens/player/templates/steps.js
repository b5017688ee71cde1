// What has happened up to a step, and which steps there are when modules are folded.

const isBackward = (step) => ["begin", "edge", "sum", "again"].includes(step.kind);

/** Everything that can be asked about the course of the play; steps are those of Python, numbered from 0. */
class Course {
  constructor() {
    this.computed = DATA.nodes.map((node) => (node.inputs.length ? Infinity : 0)); // at which step a value is there
    this.gradients = DATA.nodes.map(() => []); // by node, [step, value] whenever its gradient is complete
    this.passed = DATA.edges.map(() => Infinity); // at which step an edge's contribution is handed on
    this.summed = DATA.edges.map(() => -1); // and at which step it is added to others; -1 if it is the only one
    DATA.steps.forEach((step, i) => { if (step.kind === "sum") step.edges.forEach((edge) => { this.summed[edge] = i; }); });
    DATA.steps.forEach((step, i) => this.note(step, i));
    const first = DATA.steps.findIndex(isBackward);
    this.turn = first < 0 ? DATA.steps.length : first;
  }

  note(step, i) {
    if (step.kind === "forward") this.computed[step.node] = i;
    if (["begin", "sum", "again"].includes(step.kind)) this.gradients[step.node].push([i, step.value]);
    if (step.kind !== "edge") return;
    const [edge] = step.edges;
    this.passed[edge] = i;
    if (this.summed[edge] < 0) this.gradients[DATA.edges[edge].target].push([i, step.value]);
  }

  /** The gradient of a node as it is after a step; null before one has arrived. */
  gradient(node, step) {
    const known = this.gradients[node].filter(([at]) => at <= step);
    return known.length ? known[known.length - 1][1] : null;
  }

  /** Contributions that have been handed on and not been added up yet. */
  waiting(step) {
    return DATA.edges.flatMap((edge, i) => (this.passed[i] <= step && this.summed[i] > step ? [i] : []));
  }

  /** The edges that are added up with this one. */
  together(edge) {
    return this.summed[edge] < 0 ? [edge] : DATA.steps[this.summed[edge]].edges;
  }

  /** The step that is about a node: before the turn where it is computed, after it where its gradient is handed on. */
  about(node, isAfterTurn) {
    const kinds = isAfterTurn ? ["edge", "begin", "sum"] : ["forward"];
    for (const kind of kinds) {
      const found = DATA.steps.findIndex((step) => step.kind === kind && step.node === node);
      if (found >= 0) return found;
    }
    const arriving = this.gradients[node];
    return isAfterTurn && arriving.length ? arriving[arriving.length - 1][0] : DATA.nodes[node].inputs.length ? this.computed[node] : 0;
  }
}

/** The steps that can be seen: all that happens inside a folded group, one after the other, is one step. */
function visibleSteps(graph) {
  const found = [];
  DATA.steps.forEach((step, i) => {
    const group = step.node < 0 ? -1 : graph.foldedAround(step.node);
    const last = found[found.length - 1];
    if (last && group >= 0 && last.group === group && isBackward(DATA.steps[last.last]) === isBackward(step)) last.last = i;
    else found.push({ first: i, last: i, group });
  });
  return found;
}
