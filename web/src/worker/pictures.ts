/** Picture files -> pixels and back, by the browser's own decoders: upright, in sRGB, eight bits. */

import { Problem } from "../problem";
import { alphaOf, fromRgba, toRgba, type Pixels } from "./pixels";

const MOST_PIXELS = 50_000_000;
const MOST_SHOWN = 1600; // pixels of the longer side of the photograph as it is shown
const QUALITY = 0.95; // of JPEG

/** A photograph in memory. `alpha` is its transparency, if it has any. */
export interface Photo {
  pixels: Pixels;
  alpha?: Uint8Array;
}

/** Decode a picture file. */
export async function decode(file: Blob, name: string, minSide: number): Promise<Photo> {
  const bitmap = await bitmapOf(file, name);
  const { width, height } = bitmap;
  if (Math.min(width, height) < minSide) {
    const least = `it takes at least ${minSide} x ${minSide}`;
    throw new Problem(`${name} has ${width} x ${height} pixels; ${least}, so enlarge it first.`);
  }
  if (width * height > MOST_PIXELS) {
    const sizes = `${Math.round((width * height) / 1e6)} megapixels, and this page takes up to ${MOST_PIXELS / 1e6}`;
    throw new Problem(`${name} has ${sizes}; reduce it first, or use fast-nst stylize.`);
  }
  return photoOf(bitmap, name);
}

async function bitmapOf(file: Blob, name: string): Promise<ImageBitmap> {
  try {
    return await createImageBitmap(file, { imageOrientation: "from-image", premultiplyAlpha: "none" });
  } catch {
    throw new Problem(`${name} is no picture that this browser can read; choose a JPEG, PNG, WebP, GIF or AVIF file.`);
  }
}

/** A bitmap's pixels; the bitmap is closed. */
export function photoOf(bitmap: ImageBitmap, name: string): Photo {
  try {
    const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d", { willReadFrequently: true })!;
    context.drawImage(bitmap, 0, 0);
    const image = context.getImageData(0, 0, bitmap.width, bitmap.height);
    return { pixels: fromRgba(image), alpha: alphaOf(image) };
  } catch {
    throw new Problem(`${name} is too large for this browser's memory; reduce it first.`);
  } finally {
    bitmap.close();
  }
}

/** Pixels as a bitmap to show. */
export function bitmapFrom(pixels: Pixels, alpha?: Uint8Array): Promise<ImageBitmap> {
  return createImageBitmap(toRgba(pixels, alpha));
}

/** A photograph as a bitmap to show, reduced if it is large. */
export async function shown({ pixels, alpha }: Photo): Promise<ImageBitmap> {
  const share = Math.min(1, MOST_SHOWN / Math.max(pixels.width, pixels.height));
  const [resizeWidth, resizeHeight] = [pixels.width, pixels.height].map((side) => Math.max(1, Math.round(side * share)));
  return createImageBitmap(toRgba(pixels, alpha), { resizeWidth, resizeHeight, resizeQuality: "high" });
}

/** A picture as a file of a type; where that has no transparency, it is laid on white. */
export async function encode(pixels: Pixels, alpha: Uint8Array | undefined, type: string): Promise<Blob> {
  const canvas = new OffscreenCanvas(pixels.width, pixels.height);
  const context = canvas.getContext("2d")!;
  context.putImageData(toRgba(pixels, alpha), 0, 0);
  if (alpha && type === "image/jpeg") {
    context.globalCompositeOperation = "destination-over";
    context.fillStyle = "white";
    context.fillRect(0, 0, canvas.width, canvas.height);
  }
  return canvas.convertToBlob({ type, quality: QUALITY });
}
