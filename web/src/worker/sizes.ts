/** The size at which the network sees a picture. */

import type { Limits } from "../styles";

export interface Size {
  width: number;
  height: number;
}

/** Pixels that the network draws at once; more take too much of a browser's memory. */
export const MOST_SEEN = 4_000_000;

/** Stroke size in numbers: "auto" makes strokes of a large picture as large as those of one of `autoSide` pixels. */
function divisor(size: Size, strokeSize: number | "auto", limits: Limits): number {
  if (strokeSize !== "auto") return strokeSize;
  return Math.min(Math.max(1, Math.max(size.width, size.height) / limits.autoSide), limits.strokes[1]);
}

/** The size at which the network sees a picture; its result is brought back to that of the picture. */
export function seenSize(size: Size, strokeSize: number | "auto", limits: Limits): Size {
  const by = divisor(size, strokeSize, limits);
  const side = (pixels: number) => Math.max(limits.minSide, roundHalfEven(pixels / by));
  return { width: side(size.width), height: side(size.height) };
}

/** The smallest stroke size from `strokeSize` up that the network can draw at once, in tenths where it is another. */
export function feasible(size: Size, strokeSize: number | "auto", limits: Limits): number | "auto" {
  const seen = seenSize(size, strokeSize, limits);
  if (seen.width * seen.height <= MOST_SEEN) return strokeSize;
  return Math.ceil(10 * Math.sqrt((size.width * size.height) / MOST_SEEN)) / 10;
}

/** The nearest integer; the even one of two, as Python rounds. */
function roundHalfEven(value: number): number {
  const low = Math.floor(value);
  if (value - low !== 0.5) return Math.round(value);
  return low % 2 === 0 ? low : low + 1;
}
