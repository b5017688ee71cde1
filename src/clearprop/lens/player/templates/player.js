// Controls: buttons, slider, keys, wheel and clicks move through the visible steps.

const WHEEL_STEP = 60, FORWARD = 900, BACKWARD = 1800;

class Player {
  constructor() {
    const find = (id) => document.getElementById(id);
    this.course = new Course();
    this.graph = new Graph(find("stage"), (node) => this.jump(node), (group) => this.fold(group));
    this.marks = new Marks(this.graph, this.course);
    this.panel = new Panel(find("step"), find("words"), this.graph, this.course, (node) => this.jump(node), (group) => this.fold(group));
    this.controls = Object.fromEntries(["first", "back", "play", "next", "last", "scrub", "count", "speed", "jump", "turn", "fit", "closer", "farther", "folds"].map((id) => [id, find(id)]));
    this.at = 0;
    this.timer = 0;
    this.connect();
    this.fillJumps();
    this.redraw(0);
  }

  // Moving -------------------------------------------------------------------------------------------------------------

  go(index, isMoving = false) {
    this.at = Math.max(0, Math.min(this.views.length - 1, index));
    const view = this.views[this.at];
    this.panel.show(view);
    this.graph.follow(this.keys(view));
    this.marks.show(view, isMoving ? this.duration(view) * 0.8 : 0);
    this.showPlace();
  }

  step(by) {
    this.pause();
    this.go(this.at + by, by > 0);
  }

  /** To the step about a node; what it lies in is unfolded. */
  jump(node) {
    const panel = document.querySelector(".panel"), wasInPanel = panel.contains(document.activeElement);
    this.pause();
    const step = this.course.about(node, this.views[this.at].last >= this.course.turn);
    const folded = this.graph.around(node).filter((group) => !this.graph.open.has(group));
    folded.forEach((group) => this.graph.open.add(group));
    if (folded.length) this.redraw(step); else this.go(this.viewOf(step));
    if (wasInPanel) panel.focus({ preventScroll: true }); // the button that had the focus is gone
  }

  fold(group) {
    this.pause();
    const step = this.graph.open.has(group) ? this.views[this.at].last : this.views[this.at].first;
    const active = document.activeElement;
    const focused = active.closest(".panel") ? `g${group}` : active.dataset.key; // keeps the focus, though the box is another
    this.graph.fold(group);
    this.redraw(step);
    const box = focused && this.graph.boxes.get(focused);
    if (box) box.element.focus();
  }

  foldAll() {
    const inner = DATA.groups.map((_, number) => number).filter((number) => number), isAnyOpen = this.graph.open.size > 1;
    const step = this.views[this.at].first;
    this.pause();
    this.graph.open = new Set([0, ...(isAnyOpen ? [] : inner)]);
    this.redraw(step);
  }

  /** Draw the graph anew and stay at a step. */
  redraw(step) {
    this.graph.draw();
    this.views = visibleSteps(this.graph);
    this.controls.scrub.max = this.views.length - 1;
    this.controls.folds.hidden = DATA.groups.length < 2;
    this.controls.folds.textContent = this.graph.open.size > 1 ? "Fold all" : "Unfold all";
    this.graph.free = false;
    this.go(this.viewOf(step));
  }

  viewOf(step) {
    return this.views.findIndex((view) => view.last >= step);
  }

  keys(view) {
    if (view.group >= 0) return [`g${view.group}`];
    const step = DATA.steps[view.last];
    const nodes = step.edges.flatMap((edge) => [DATA.edges[edge].source, DATA.edges[edge].target]);
    return [...(step.node < 0 ? [] : [step.node]), ...nodes].map((node) => this.graph.seen(node));
  }

  // Playing ------------------------------------------------------------------------------------------------------------

  play() {
    if (this.at === this.views.length - 1) this.go(0);
    this.controls.play.setAttribute("aria-pressed", "true");
    const next = () => {
      this.go(this.at + 1, true);
      if (this.at === this.views.length - 1) this.pause();
      else this.timer = setTimeout(next, this.duration(this.views[this.at]));
    };
    this.timer = setTimeout(next, 150);
  }

  pause() {
    clearTimeout(this.timer);
    this.timer = 0;
    this.controls.play.setAttribute("aria-pressed", "false");
  }

  toggle() {
    if (this.timer) this.pause(); else this.play();
  }

  duration(view) {
    return (isBackward(DATA.steps[view.last]) ? BACKWARD : FORWARD) / Number(this.controls.speed.value);
  }

  // Controls -----------------------------------------------------------------------------------------------------------

  connect() {
    const { first, back, play, next, last, scrub, jump, turn, fit, closer, farther, folds } = this.controls;
    const onClick = (button, act) => button.addEventListener("click", act);
    onClick(first, () => { this.pause(); this.go(0); });
    onClick(last, () => { this.pause(); this.go(this.views.length - 1); });
    onClick(back, () => this.step(-1));
    onClick(next, () => this.step(1));
    onClick(play, () => this.toggle());
    onClick(turn, () => { this.pause(); this.go(this.viewOf(this.course.turn)); });
    onClick(fit, () => this.graph.showAll());
    onClick(closer, () => this.graph.zoom(1.3));
    onClick(farther, () => this.graph.zoom(1 / 1.3));
    onClick(folds, () => this.foldAll());
    scrub.addEventListener("input", () => { this.pause(); this.go(Number(scrub.value)); });
    jump.addEventListener("change", () => this.jumpTo(jump.value));
    turn.hidden = this.course.turn >= DATA.steps.length;
    document.addEventListener("keydown", (event) => this.key(event));
    document.getElementById("stage").addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    let wait = 0;
    addEventListener("resize", () => { clearTimeout(wait); wait = setTimeout(() => this.redraw(this.views[this.at].last), 120); });
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input[list], select")) return;
    const moves = { ArrowRight: () => this.step(1), ArrowLeft: () => this.step(-1), Home: () => this.step(-this.views.length), End: () => this.step(this.views.length) };
    const isPressed = event.target.closest("button, summary, a, [role=button]");
    const act = event.key === " " && !isPressed ? () => this.toggle() : event.target === this.controls.scrub ? null : moves[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  /** The wheel moves through the steps; with Ctrl it zooms. */
  wheel(event) {
    event.preventDefault();
    const box = event.currentTarget.getBoundingClientRect();
    if (event.ctrlKey) { this.graph.zoom(Math.exp(-event.deltaY / 300), event.clientX - box.left, event.clientY - box.top); return; }
    this.rolled = (this.rolled || 0) + (event.deltaMode ? event.deltaY * WHEEL_STEP : event.deltaY);
    const steps = Math.trunc(this.rolled / WHEEL_STEP);
    if (!steps) return;
    this.rolled -= steps * WHEEL_STEP;
    this.pause();
    this.go(this.at + steps);
  }

  fillJumps() {
    const names = new Map();
    DATA.nodes.forEach((node, number) => { if (!names.has(node.label)) names.set(node.label, number); });
    document.getElementById("labels").append(...[...names.keys()].map((label) => html("option", { value: label })));
    this.names = names;
  }

  jumpTo(label) {
    const { jump } = this.controls, known = this.names.has(label);
    jump.setAttribute("aria-invalid", String(!known && label !== ""));
    if (known) this.jump(this.names.get(label));
  }

  showPlace() {
    const { scrub, count, first, back, next, last } = this.controls, end = this.views.length - 1;
    scrub.value = this.at;
    scrub.setAttribute("aria-valuetext", `Step ${this.at} of ${end}`);
    scrub.style.setProperty("--done", end ? this.at / end : 1);
    scrub.style.setProperty("--turn", end ? Math.min(1, this.views.findIndex((view) => view.last >= this.course.turn) / end) : 1);
    count.textContent = `${this.at} / ${end}`;
    for (const [button, isOff] of [[first, this.at === 0], [back, this.at === 0], [next, this.at === end], [last, this.at === end]]) {
      button.setAttribute("aria-disabled", String(isOff));
    }
  }
}

document.querySelectorAll("body > [hidden]").forEach((element) => { element.hidden = false; }); // of no use without this script
new Player();
