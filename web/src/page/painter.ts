/** The worker that draws, as functions that give promises. */

import type { Kind, Progress, Reply, Requests } from "../messages";
import { Problem } from "../problem";

interface Waiting {
  resolve: (result: never) => void;
  reject: (problem: Problem) => void;
  tell?: (progress: Progress) => void;
}

export class Painter {
  private readonly worker = new Worker(new URL("../worker/worker.ts", import.meta.url), { type: "module" });
  private readonly waiting = new Map<number, Waiting>();
  private last = 0;

  constructor() {
    this.worker.onmessage = ({ data }: MessageEvent<Reply>) => this.take(data);
    this.worker.onerror = () => this.fail("The page could not start its drawing worker; reload it, or use another browser.");
  }

  /** The result of a request; `transfer` moves to the worker instead of being copied. */
  ask<K extends Kind>(
    kind: K,
    argument: Requests[K][0],
    tell?: (progress: Progress) => void,
    transfer: Transferable[] = [],
  ): Promise<Requests[K][1]> {
    const id = ++this.last;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject, tell });
      this.worker.postMessage({ id, kind, argument }, transfer);
    });
  }

  private take({ id, result, progress, problem }: Reply): void {
    const waiting = this.waiting.get(id);
    if (!waiting) return;
    if (progress) return waiting.tell?.(progress);
    this.waiting.delete(id);
    if (problem === undefined) waiting.resolve(result as never);
    else waiting.reject(new Problem(problem));
  }

  private fail(sentence: string): void {
    for (const { reject } of this.waiting.values()) reject(new Problem(sentence));
    this.waiting.clear();
  }
}
