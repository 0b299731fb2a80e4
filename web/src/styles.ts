/** Styles of the page: rows of models, from the package and from files of the visitor. */

/** Limits and names that the Python package defines. */
export interface Limits {
  minSide: number;
  autoSide: number;
  strokes: [number, number];
  maxStrength: number;
  identity: string;
  strongSuffix: string;
}

/** An exported model: its file and the names of its rows. */
export interface ModelInfo {
  id: string;
  file: string;
  rows: string[];
}

/** A row of a model under a title. `added` is true for styles of the visitor. */
export interface Style {
  id: string;
  title: string;
  painter: string;
  year: string;
  license: string;
  row: string;
  model: string;
  thumbnail: string;
  added?: boolean;
}

/** What `scripts/collect.py` wrote. */
export interface Catalog {
  version: string;
  limits: Limits;
  models: ModelInfo[];
  styles: Style[];
  sample: string;
}

/** Weights of a model's rows, and the share of its picture in the result. Shares of all parts sum to 1. */
export interface Part {
  model: string;
  rows: Record<string, number>;
  share: number;
}

/** How a picture is to be drawn. `strokeSize` is a divisor of its sides, or "auto". */
export interface Look {
  parts: Part[];
  strength: number;
  strokeSize: number | "auto";
  keepColors: boolean;
}

/**
 * Models that draw a blend of styles: one that has all of their rows, or each style's own, to be mixed as pictures.
 *
 * @param blend styles with their shares, which sum to 1.
 * @param rowsOf names of a model's rows.
 */
export function planBlend(blend: [Style, number][], rowsOf: (model: string) => string[]): Part[] {
  const wanted = blend.filter(([, share]) => share > 0);
  const host = wanted.find(([style]) => wanted.every(([other]) => draws(style, other, rowsOf)));
  if (!host) return wanted.map(([style, share]) => ({ model: style.model, rows: { [style.row]: 1 }, share }));
  const rows: Record<string, number> = {};
  for (const [style, share] of wanted) rows[style.row] = (rows[style.row] ?? 0) + share;
  return [{ model: host[0].model, rows, share: 1 }];
}

/** Whether the model of `style` has the row of `other`; a model trained from the base has all rows of the base. */
function draws(style: Style, other: Style, rowsOf: (model: string) => string[]): boolean {
  return other.model === style.model || (!other.added && rowsOf(style.model).includes(other.row));
}

/** Whether a row is a style, neither the photograph itself nor a strong row. */
export function isStyle(row: string, rows: string[], limits: Limits): boolean {
  const strong = row.endsWith(limits.strongSuffix) && rows.includes(row.slice(0, -limits.strongSuffix.length));
  return row !== limits.identity && !strong;
}

/**
 * A weight for each row that draws `style` at `strength`; they sum to 1.
 *
 * From 0 to 1 the row of the photograph and that of the style mix; beyond 1 the style's own and its strong row. Without a
 * strong row the line from the photograph through the style goes on. Without a row of the photograph, `strength` is 1.
 */
export function rowWeights(style: string, strength: number, rows: string[], limits: Limits): number[] {
  const weights = new Map(rows.map((row) => [row, 0]));
  const strong = style + limits.strongSuffix;
  if (strength > 1 && weights.has(strong)) {
    const beyond = (strength - 1) / (limits.maxStrength - 1);
    weights.set(style, 1 - beyond).set(strong, beyond);
  } else if (weights.has(limits.identity)) {
    weights.set(limits.identity, 1 - strength);
    weights.set(style, weights.get(style)! + strength);
  } else {
    weights.set(style, 1);
  }
  return [...weights.values()];
}

/** A weight for each row of a model: the mixture of a part's rows at a strength. */
export function mixtureOf(part: Part, strength: number, rows: string[], limits: Limits): Float32Array {
  const total = new Float32Array(rows.length);
  for (const [row, share] of Object.entries(part.rows)) {
    rowWeights(row, strength, rows, limits).forEach((weight, place) => {
      total[place] += Math.fround(Math.fround(share) * Math.fround(weight));
    });
  }
  return total;
}
