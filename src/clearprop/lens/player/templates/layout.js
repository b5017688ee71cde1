// Where boxes stand and how edges run: coordinates.py, once more, for a page whose boxes grow and shrink.
//
// Ranks, orders and bends come from Python and never change. `place` gives one group its coordinates; `layOut` does so
// for all groups that are unfolded, the innermost first, as the outer ones have to know how large the inner ones are.
// All is computed for ranks below one another; for ranks beside one another, x and y are exchanged at the end.

const GAPS = { across: 24, ports: 16, empty: 14 }; // empty: beside a rank without boxes
const BEND = 6, SWEEPS = 6, STRAIGHTNESS = [1, 3, 12], NO_WISH = 1e-3;
const NO_PULLS = [];

/** Coordinates for one group of boxes of these sizes, [across, along]: corners, routes of the edges, size. */
function place(group, sizes, gap) {
  const widths = sizes.map((size) => size[0]);
  const rank = [];
  group.ranks.forEach((items, level) => items.forEach((item) => { rank[item] = level; }));
  while (widths.length < rank.length) widths.push(BEND);
  const x = across(group, widths);
  const left = Math.min(...x.map((middle, item) => middle - widths[item] / 2));
  x.forEach((middle, item) => { x[item] = middle - left; });
  const bands = along(group, sizes, x, rank, gap);
  const corners = sizes.map(([width, height], box) => {
    const [top, bottom] = bands[rank[box]];
    return [x[box] - width / 2, top + (bottom - top - height) / 2];
  });
  const size = [Math.max(...x.map((middle, item) => middle + widths[item] / 2)), bands[bands.length - 1][1]];
  return { corners, size, routes: routes(group, sizes, corners, x, bands, rank) };
}

/** The middle of each item, as near to those that it is joined to as the order and the sizes allow. */
function across(group, widths) {
  const [above, below] = pulls(group, widths.length);
  const both = above.map((some, item) => some.concat(below[item]));
  const x = widths.map(() => 0);
  const down = (wishes) => group.ranks.forEach((items) => settle(items, x, widths, wishes));
  const up = (wishes) => [...group.ranks].reverse().forEach((items) => settle(items, x, widths, wishes));
  down(null);
  for (let i = 0; i < SWEEPS; i++) { down(above); up(below); }
  for (let i = 0; i < SWEEPS; i++) { down(both); up(both); }
  return x;
}

/** For each item those that it is joined to in the rank above, with the weight of the link, and those below. */
function pulls(group, count) {
  const above = Array.from({ length: count }, () => []);
  const below = Array.from({ length: count }, () => []);
  const seen = new Set();
  for (const chain of group.chains) {
    for (let i = 1; i < chain.length; i++) {
      const [a, b] = [chain[i - 1], chain[i]];
      if (seen.has(a * count + b)) continue;
      seen.add(a * count + b);
      const weight = STRAIGHTNESS[(a >= group.boxes.length) + (b >= group.boxes.length)];
      above[b].push([a, weight]);
      below[a].push([b, weight]);
    }
  }
  return [above, below];
}

/** Put the items of a rank as near as possible to where they are pulled, without overlap (isotonic regression). */
function settle(items, x, widths, wishes) {
  const pools = [], offsets = [];
  items.forEach((item, i) => {
    offsets.push(i ? offsets[i - 1] + (widths[items[i - 1]] + widths[item]) / 2 + GAPS.across : 0);
    let wish = 0, weight = 0;
    for (const [other, w] of wishes ? wishes[item] : NO_PULLS) { wish += x[other] * w; weight += w; }
    let pool = [(weight ? wish / weight : x[item]) - offsets[i], weight || NO_WISH, 1];
    while (pools.length && pools[pools.length - 1][0] >= pool[0]) {
      const before = pools.pop(), total = before[1] + pool[1];
      pool = [(before[0] * before[1] + pool[0] * pool[1]) / total, total, before[2] + pool[2]];
    }
    pools.push(pool);
  });
  let i = 0;
  for (const [wish, , count] of pools) {
    for (let n = 0; n < count; n++, i++) x[items[i]] = wish + offsets[i];
  }
}

/** Top and bottom of each rank. Where edges go far to the side there is more space, so that they are not flat. */
function along(group, sizes, x, rank, gap) {
  const aside = group.ranks.map(() => 0);
  for (const chain of group.chains) {
    for (let i = 1; i < chain.length; i++) {
      const level = rank[chain[i - 1]];
      aside[level] = Math.max(aside[level], Math.abs(x[chain[i]] - x[chain[i - 1]]));
    }
  }
  const heights = group.ranks.map((items) => Math.max(0, ...items.map((item) => (sizes[item] ? sizes[item][1] : 0))));
  let y = 0;
  return heights.map((height, level) => {
    const band = [y, y + height], isEmpty = !height || !heights[level + 1];
    y += height + (isEmpty ? GAPS.empty : Math.min(2 * gap, gap + 0.06 * aside[level]));
    return band;
  });
}

/** For each edge an even number of points: straight from the first to the second, in a curve to the third, … */
function routes(group, sizes, corners, x, bands, rank) {
  const [leaving, entering] = ports(group, sizes, x);
  return group.edges.map(([source, target], i) => {
    const points = [[leaving[i], corners[source][1] + sizes[source][1]], [leaving[i], bands[rank[source]][1]]];
    for (const bend of group.chains[i].slice(1, -1)) {
      points.push([x[bend], bands[rank[bend]][0]], [x[bend], bands[rank[bend]][1]]);
    }
    points.push([entering[i], bands[rank[target]][0]], [entering[i], corners[target][1]]);
    return points;
  });
}

/** For each edge where it leaves its source and where it enters its target, in an order without crossings. */
function ports(group, sizes, x) {
  const leaving = [], entering = [];
  const shared = (chain) => chain[1] >= group.boxes.length;
  sizes.forEach(([width], box) => {
    const out = [], into = [];
    group.edges.forEach(([source, target], i) => {
      const chain = group.chains[i];
      if (source === box) out.push([x[chain[1]], shared(chain) ? -chain[1] : i, i]);
      if (target === box) into.push([x[chain[chain.length - 2]], i, i]);
    });
    const inOrder = (a, b) => a[0] - b[0] || a[1] - b[1];
    const ways = [...new Set(out.sort(inOrder).map((way) => way[1]))];
    const spread = (place, count) => x[box] + (place - (count - 1) / 2) * Math.min(GAPS.ports, width / Math.max(1, count));
    out.forEach(([, way, i]) => { leaving[i] = spread(ways.indexOf(way), ways.length); });
    into.sort(inOrder).forEach(([, , i], at) => { entering[i] = spread(at, into.length); });
  });
  return [leaving, entering];
}

/**
 * Coordinates for everything that is visible.
 *
 * sizeOf(box) gives [width, height] of a node or a folded group; titleWidth(group) what an unfolded one needs for its
 * title; isOpen(group) says what is unfolded; gap is the space between ranks. The result has
 * the rectangle of each visible box by its key ("n3" for a node, "g2" for a group), the edges of each group that is
 * laid out with their routes, and the whole size.
 */
function layOut(groups, { sizeOf, titleWidth, isOpen, sideways, gap }) {
  const swap = (pair) => (sideways ? [pair[1], pair[0]] : pair);
  const padding = sideways ? { before: 30, across: 40, start: 12, end: 12 } : { before: 12, across: 24, start: 36, end: 12 };
  const inner = new Map();
  const measure = (number) => {
    const sizes = groups[number].boxes.map((box) => {
      if (box.port) return [0, 0];
      if (box.group !== undefined && isOpen(box.group)) {
        const [w, h] = measure(box.group), title = titleWidth(box.group);
        if (sideways) return [w + padding.across, Math.max(h + padding.start + padding.end, title)];
        return [Math.max(w + padding.across, 2 * title), h + padding.start + padding.end]; // beside the edge that enters
      }
      return swap(sizeOf(box));
    });
    inner.set(number, { sizes, ...place(groups[number], sizes, gap) });
    return inner.get(number).size;
  };
  const size = measure(0);
  const rectangles = new Map(), paths = new Map();
  const settleIn = (number, dx, dy) => {
    const { sizes, corners, routes: found } = inner.get(number);
    const moved = (points) => points.map(([px, py]) => swap([px + dx, py + dy]));
    groups[number].edges.forEach(([a, b], i) => paths.set(`${number}:${a}:${b}`, moved(found[i])));
    groups[number].boxes.forEach((box, i) => {
      const [cx, cy] = [corners[i][0] + dx, corners[i][1] + dy];
      if (box.port) return;
      const [x, y] = swap([cx, cy]), [width, height] = swap(sizes[i]);
      rectangles.set(keyOf(box), { x, y, width, height, box });
      if (box.group === undefined || !isOpen(box.group)) return;
      const spare = sizes[i][0] - padding.across - inner.get(box.group).size[0];
      settleIn(box.group, cx + padding.before + spare / 2, cy + padding.start);
    });
  };
  settleIn(0, 0, 0);
  return { rectangles, paths, size: swap(size), sideways };
}

/** What a box is called: "n3" for node 3, "g2" for group 2. */
function keyOf(box) {
  return box.group === undefined ? `n${box.node}` : `g${box.group}`;
}

/** A route as path data: straight within ranks, curves between them. */
function pathData(points, sideways) {
  const steps = [`M${points[0].map(tenth)}`];
  for (let i = 1; i < points.length; i++) {
    const [x0, y0] = points[i - 1], [x1, y1] = points[i];
    if (x0 === x1 && y0 === y1) continue; // it would leave an arrow without a direction
    if (i % 2 || (sideways ? y0 === y1 : x0 === x1)) { steps.push(`L${points[i].map(tenth)}`); continue; }
    const [mx, my] = [(x0 + x1) / 2, (y0 + y1) / 2];
    const bent = sideways ? [mx, y0, mx, y1, x1, y1] : [x0, my, x1, my, x1, y1];
    steps.push(`C${bent.map(tenth).join(" ")}`);
  }
  return steps.join("");
}

/** A coordinate to a tenth of a pixel. */
function tenth(value) {
  return Math.round(value * 10) / 10;
}
