// Filters between three forms: the JSON that the service takes, the rows of the form, and words.

export const OPERATORS = {
  is: "is",
  gte: "is at least",
  lte: "is at most",
  gt: "is more than",
  lt: "is less than",
};
const BOUNDS = ["gte", "lte", "gt", "lt"];

// What a text means as the value of an attribute: a number, true, false, null, or the text. Quotes make it a text.
export function typed(text) {
  const trimmed = text.trim();
  if (/^".*"$/.test(trimmed)) return trimmed.slice(1, -1);
  if (trimmed === "true" || trimmed === "false") return trimmed === "true";
  if (trimmed === "null") return null;
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(trimmed) ? Number(trimmed) : trimmed;
}

// The text that means a value.
export function textOf(value) {
  return typeof value === "string" && typed(value) !== value ? `"${value}"` : String(value);
}

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const oneOf = (values) => (values.length === 1 ? values[0] : { in: values });

// { labels: ["a"], rows: [{ name, operator, value }] } -> the filter; null where nothing is asked.
export function filterOf({ labels, rows }) {
  const filter = {};
  if (labels.length) filter.label = oneOf(labels);
  const attributes = new Map();
  for (const { name, operator, value } of rows) {
    const condition = attributes.get(name) ?? { equal: [], bounds: {} };
    if (operator === "is") condition.equal.push(value);
    else condition.bounds[operator] = value;
    attributes.set(name, condition);
  }
  for (const [name, { equal, bounds }] of attributes) {
    const bounded = Object.keys(bounds).length > 0;
    filter.attributes ??= {};
    filter.attributes[name] = bounded ? { ...(equal.length ? { in: equal } : {}), ...bounds } : oneOf(equal);
  }
  return Object.keys(filter).length ? filter : null;
}

// The other way; undefined for a filter that the form has no rows for.
export function rowsOf(filter) {
  if (filter === null) return { labels: [], rows: [] };
  if (!isObject(filter) || Object.keys(filter).some((key) => key !== "label" && key !== "attributes")) return undefined;
  const labels = "label" in filter ? valuesOf(filter.label) : [];
  if (!labels?.every((label) => typeof label === "string")) return undefined;
  const rows = [];
  for (const [name, condition] of Object.entries(filter.attributes ?? {})) {
    if (!isObject(condition)) {
      rows.push({ name, operator: "is", value: condition });
      continue;
    }
    for (const [key, value] of Object.entries(condition)) {
      if (key === "in" && Array.isArray(value)) rows.push(...value.map((each) => ({ name, operator: "is", value: each })));
      else if (BOUNDS.includes(key)) rows.push({ name, operator: key, value });
      else return undefined;
    }
  }
  return { labels, rows };
}

function valuesOf(condition) {
  if (!isObject(condition)) return [condition];
  return Object.keys(condition).length === 1 && Array.isArray(condition.in) ? condition.in : undefined;
}

// "label is vase-03 or vase-04, price is at least 10"
export function describe(filter) {
  const found = rowsOf(filter);
  if (found === undefined) {
    const text = JSON.stringify(filter);
    return text.length > 80 ? `${text.slice(0, 77)}…` : text;
  }
  const parts = found.labels.length ? [`label is ${found.labels.join(" or ")}`] : [];
  const equal = new Map();
  for (const { name, operator, value } of found.rows) {
    if (operator === "is") equal.set(name, [...(equal.get(name) ?? []), textOf(value)]);
    else parts.push(`${name} ${OPERATORS[operator]} ${textOf(value)}`);
  }
  for (const [name, values] of equal) parts.push(`${name} is ${values.join(" or ")}`);
  return parts.join(", ");
}
