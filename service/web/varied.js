// A varied choice. In the order of ids a collection begins with many of one label; take turns through the labels.

export function varied(items, count) {
  const byLabel = new Map();
  for (const item of items) {
    const group = byLabel.get(item.label) ?? [];
    group.push(item);
    byLabel.set(item.label, group);
  }
  const groups = [...byLabel.values()];
  const chosen = [];
  for (let turn = 0; chosen.length < Math.min(count, items.length); turn += 1) {
    for (const group of groups) if (turn < group.length) chosen.push(group[turn]);
  }
  return chosen.slice(0, count);
}
