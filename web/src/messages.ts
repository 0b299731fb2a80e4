/** Messages between the page and the worker that draws. */

import type { Catalog, Look, ModelInfo } from "./styles";

/** A model of the visitor, as its file tells. */
export interface AddedModel extends ModelInfo {
  own: string;
  titles: Record<string, string>;
}

/** A photograph that was opened: its size, and a picture of it to show. */
export interface Opened {
  width: number;
  height: number;
  bitmap: ImageBitmap;
}

/** A drawn picture to show. `limited` is the stroke size that was drawn, where the one asked for takes too much memory. */
export interface Drawn {
  bitmap: ImageBitmap;
  limited?: number;
}

/** A file to download. */
export interface Saved {
  file: Blob;
  width: number;
  height: number;
}

/** What the worker does: arguments and result of each request. */
export interface Requests {
  start: [{ catalog: Catalog; folder: string }, { threads: number }];
  open: [{ file: Blob; name: string }, Opened];
  add: [{ file: File; id: string }, AddedModel];
  draw: [{ look: Look; draft: boolean }, Drawn];
  frame: [{ bitmap: ImageBitmap; look: Look }, Drawn];
  save: [{ look: Look; type: string }, Saved];
}

export type Kind = keyof Requests;

/** How far a request is: what is being done, and the share of it that is done, if known. */
export interface Progress {
  doing: string;
  share?: number;
}

export interface Request {
  id: number;
  kind: Kind;
  argument: unknown;
}

export interface Reply {
  id: number;
  result?: unknown;
  progress?: Progress;
  problem?: string;
}
