/** What the page tells in words: what it does, how far it is, and what went wrong. */

import type { Progress } from "../messages";
import { Problem } from "../problem";
import { element } from "./dom";

const status = element<HTMLParagraphElement>("status");
const bar = element<HTMLProgressElement>("progress");
const problem = element<HTMLParagraphElement>("problem");

/** Tell what is the case, and take away a bar and a problem of before. */
export function say(text: string): void {
  status.textContent = text;
  problem.textContent = "";
  bar.hidden = true;
}

/** Tell what is being done, with a bar. */
export function work({ doing, share }: Progress): void {
  if (status.textContent !== `${doing} …`) status.textContent = `${doing} …`;
  bar.hidden = false;
  if (share === undefined) bar.removeAttribute("value");
  else bar.value = share;
}

/** Tell a problem in one sentence. */
export function complain(error: unknown): void {
  if (!(error instanceof Problem)) console.error(error);
  status.textContent = "";
  bar.hidden = true;
  const unknown = "Something went wrong in this page; reload it and try again.";
  problem.textContent = error instanceof Problem ? error.message : unknown;
}
