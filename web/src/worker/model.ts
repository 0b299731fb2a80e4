/** Exported models in onnxruntime-web: loaded when first used, drawing one picture at a time. */

import * as ort from "onnxruntime-web/wasm";
import factory from "onnxruntime-web/ort-wasm-simd-threaded.mjs?url";
import binary from "onnxruntime-web/ort-wasm-simd-threaded.wasm?url";
import { Problem } from "../problem";
import { metadataOf } from "./onnx_file";
import type { Pixels } from "./pixels";

const MOST_THREADS = 4;
const MOST_ROWS = 1024;

/** Threads that models draw with: one, unless the page is isolated from other origins. */
export function configure(): number {
  const threads = self.crossOriginIsolated ? Math.min(MOST_THREADS, navigator.hardwareConcurrency || 1) : 1;
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.wasmPaths = { mjs: new URL(factory, import.meta.url).href, wasm: new URL(binary, import.meta.url).href };
  ort.env.logLevel = "error";
  return threads;
}

/** A model that draws pictures under weights of its rows. */
export class Model {
  constructor(private readonly session: ort.InferenceSession, readonly rows: string[]) {}

  /** Load a model; its rows are read from its metadata, unless they are known. */
  static async load(file: Uint8Array, rows: string[]): Promise<Model> {
    const session = await ort.InferenceSession.create(file, { enableCpuMemArena: false, enableMemPattern: false });
    return new Model(session, rows);
  }

  /** A picture drawn under `weights`, of the same size. */
  async draw(picture: Pixels, weights: Float32Array): Promise<Pixels> {
    const { width, height, rgb } = picture;
    const image = new ort.Tensor("uint8", rgb, [1, height, width, 3]);
    const style = new ort.Tensor("float32", weights, [weights.length]);
    const found = await this.session.run({ image, style });
    return { width, height, rgb: found.picture.data as Uint8Array };
  }

  /** Raise a problem unless a picture of any size and weights of the rows go in, and a picture comes out. */
  check(name: string): void {
    const inputs = new Map(this.session.inputMetadata.map((one) => [one.name, one]));
    const image = inputs.get("image"), style = inputs.get("style");
    if (image?.isTensor && image.type === "float32") {
      throw new Problem(`${name} takes float32 pixels, for other programs; export it with --pixels uint8.`);
    }
    const drawsPictures = this.session.outputNames.includes("picture");
    if (!drawsPictures || !image?.isTensor || image.type !== "uint8" || image.shape.length !== 4) {
      throw new Problem(`${name} is no model of styles; choose one that fast-nst train or fast-nst export wrote.`);
    }
    const [, height, width] = image.shape;
    if (typeof height === "number" || typeof width === "number") {
      throw new Problem(`${name} draws pictures of ${width} x ${height} alone; export it without --size.`);
    }
    if (!style?.isTensor || style.shape[0] !== this.rows.length || inputs.size !== 2) {
      throw new Problem(`${name} was written by another version of fast-nst; export it again with this one.`);
    }
  }
}

/** Rows, own row and titles of the paintings that a model file tells of itself. */
export interface About {
  rows: string[];
  own: string;
  titles: Record<string, string>;
}

/** What the metadata of a model file say. */
export function aboutOf(file: Uint8Array, name: string): About {
  const refusal = new Problem(`${name} is no model of styles; choose one that fast-nst train or fast-nst export wrote.`);
  try {
    const texts = metadataOf(file);
    const rows: unknown = JSON.parse(texts.get("rows") ?? "[]");
    const own = texts.get("own") ?? "";
    if (!areRows(rows) || !rows.includes(own)) throw refusal;
    return { rows, own, titles: titlesOf(texts.get("credits")) };
  } catch {
    throw refusal;
  }
}

function areRows(rows: unknown): rows is string[] {
  const named = Array.isArray(rows) && rows.every((row) => typeof row === "string" && row);
  return named && rows.length > 0 && rows.length <= MOST_ROWS && new Set(rows).size === rows.length;
}

/** Titles of paintings by row; none where the credits cannot be read. */
function titlesOf(credits = "{}"): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [row, about] of Object.entries(JSON.parse(credits) as Record<string, { title?: unknown }>)) {
    if (typeof about?.title === "string") found[row] = about.title.slice(0, 120);
  }
  return found;
}
