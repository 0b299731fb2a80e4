/** The photograph and the picture over each other, with a line to move between them. */

import { element } from "./dom";

const frame = element<HTMLDivElement>("frame");
const before = element<HTMLCanvasElement>("photo");
const after = element<HTMLCanvasElement>("picture");
const split = element<HTMLInputElement>("split");

/** Show a photograph, without a picture of it yet. */
export function showPhoto(bitmap: ImageBitmap, width: number, height: number): void {
  frame.style.setProperty("--ratio", String(width / height));
  frame.toggleAttribute("data-drawn", false);
  frame.toggleAttribute("data-empty", false);
  paint(before, bitmap);
}

/** Show the picture of the photograph. */
export function showPicture(bitmap: ImageBitmap): void {
  paint(after, bitmap);
  frame.toggleAttribute("data-drawn", true);
}

/** Show a camera's pictures, without the photograph, or go back to that. */
export function showLive(live: boolean): void {
  frame.toggleAttribute("data-live", live);
  frame.toggleAttribute("data-drawn", false);
  if (live) frame.toggleAttribute("data-empty", false);
}

/** Fit the frame to another shape. */
export function shape(width: number, height: number): void {
  frame.style.setProperty("--ratio", String(width / height));
}

/** Name the picture for screen readers. */
export function describe(text: string): void {
  after.setAttribute("aria-label", text);
}

function paint(canvas: HTMLCanvasElement, bitmap: ImageBitmap): void {
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  const context = canvas.getContext("bitmaprenderer");
  context!.transferFromImageBitmap(bitmap);
}

function move(): void {
  frame.style.setProperty("--split", `${split.value}%`);
  split.setAttribute("aria-valuetext", `${split.value} % photograph`);
}

split.addEventListener("input", move);
move();
