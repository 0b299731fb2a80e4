/**
 * Resampling with a Lanczos window of three lobes, in the fixed-point arithmetic of Pillow, so that both give the same.
 *
 * Columns first, then rows; in between, values are rounded to eight bits. A weight has 22 bits behind the point.
 */

import { blank, type Pixels } from "./pixels";

const LOBES = 3;
const BITS = 22;
const HALF = 1 << (BITS - 1);

/** Source pixels of each target pixel along one axis: `count[i]` of them from `first[i]`, weights at `i * most`. */
interface Kernels {
  first: Int32Array;
  count: Int32Array;
  weights: Int32Array;
  most: number;
}

/** `pixels` at another size. `progress` is called with the share that is done. */
export function resize(pixels: Pixels, width: number, height: number, progress?: (share: number) => void): Pixels {
  const both = width !== pixels.width && height !== pixels.height;
  const tell = (share: number, from: number) => progress?.(both ? (from + share) / 2 : share);
  const wide = width === pixels.width ? pixels : resizeColumns(pixels, width, (share) => tell(share, 0));
  return height === wide.height ? wide : resizeRows(wide, height, (share) => tell(share, 1));
}

function lanczos(x: number): number {
  if (x === 0) return 1;
  if (Math.abs(x) >= LOBES) return 0;
  const angle = Math.PI * x;
  return (Math.sin(angle) / angle) * (Math.sin(angle / LOBES) / (angle / LOBES));
}

function kernelsOf(source: number, target: number): Kernels {
  const scale = source / target;
  const stretch = Math.max(scale, 1);
  const support = LOBES * stretch;
  const most = Math.ceil(support) * 2 + 1;
  const [first, count] = [new Int32Array(target), new Int32Array(target)];
  const kernels = { first, count, weights: new Int32Array(target * most), most };
  for (let place = 0; place < target; place++) {
    const center = (place + 0.5) * scale;
    const start = Math.max(0, Math.trunc(center - support + 0.5));
    const length = Math.min(source, Math.trunc(center + support + 0.5)) - start;
    const weights = Array.from({ length }, (_, k) => lanczos((k + start - center + 0.5) / stretch));
    const sum = weights.reduce((total, weight) => total + weight, 0);
    first[place] = start;
    count[place] = length;
    weights.forEach((weight, k) => (kernels.weights[place * most + k] = fixed(weight / sum)));
  }
  return kernels;
}

/** A number with `BITS` bits behind the point, halves away from zero. */
function fixed(value: number): number {
  return Math.trunc(value * (1 << BITS) + (value < 0 ? -0.5 : 0.5));
}

/** A sum of weighted bytes as a byte. */
function byte(sum: number): number {
  const value = sum >> BITS;
  return value < 0 ? 0 : value > 255 ? 255 : value;
}

function resizeColumns(pixels: Pixels, width: number, progress: (share: number) => void): Pixels {
  const { first, count, weights, most } = kernelsOf(pixels.width, width);
  const result = blank(width, pixels.height);
  const from = pixels.rgb;
  for (let y = 0, to = 0; y < pixels.height; y++) {
    for (let x = 0; x < width; x++, to += 3) {
      let red = HALF, green = HALF, blue = HALF;
      let place = (y * pixels.width + first[x]) * 3;
      for (let k = x * most, end = k + count[x]; k < end; k++, place += 3) {
        red += from[place] * weights[k];
        green += from[place + 1] * weights[k];
        blue += from[place + 2] * weights[k];
      }
      result.rgb[to] = byte(red);
      result.rgb[to + 1] = byte(green);
      result.rgb[to + 2] = byte(blue);
    }
    if (y % 64 === 0) progress(y / pixels.height);
  }
  return result;
}

function resizeRows(pixels: Pixels, height: number, progress: (share: number) => void): Pixels {
  const { first, count, weights, most } = kernelsOf(pixels.height, height);
  const result = blank(pixels.width, height);
  const stride = pixels.width * 3;
  const sums = new Int32Array(stride);
  for (let y = 0; y < height; y++) {
    sums.fill(HALF);
    for (let k = 0; k < count[y]; k++) {
      const weight = weights[y * most + k];
      const start = (first[y] + k) * stride;
      for (let x = 0; x < stride; x++) sums[x] += pixels.rgb[start + x] * weight;
    }
    for (let x = 0, to = y * stride; x < stride; x++, to++) result.rgb[to] = byte(sums[x]);
    if (y % 64 === 0) progress(y / height);
  }
  return result;
}
