/** The worker that draws: takes requests one by one, answers each, and keeps the photograph and the models. */

import type { Kind, Progress, Reply, Request, Requests } from "../messages";
import { Problem } from "../problem";
import type { Catalog, Look } from "../styles";
import { Drawing } from "./drawing";
import { Model, aboutOf, configure } from "./model";
import { bitmapFrom, decode, encode, photoOf, shown, type Photo } from "./pictures";
import { feasible } from "./sizes";

type Tell = (progress: Progress) => void;
type Handlers = { [K in Kind]: (argument: Requests[K][0], tell: Tell) => Promise<Requests[K][1]> };

let catalog: Catalog;
let folder: string;
let photo: Photo | undefined;
let drawing: Drawing | undefined;
const models = new Map<string, Promise<Model>>();

const handlers: Handlers = {
  async start(argument) {
    ({ catalog, folder } = argument);
    const threads = configure();
    void model(catalog.styles[0].model); // loads while the visitor looks around
    return { threads };
  },

  async open({ file, name }) {
    const next = await decode(file, name, catalog.limits.minSide);
    photo = next;
    drawing = new Drawing(next.pixels, catalog.limits, model);
    return { width: next.pixels.width, height: next.pixels.height, bitmap: await shown(next) };
  },

  async add({ file, id }) {
    const bytes = new Uint8Array(await file.arrayBuffer());
    const about = aboutOf(bytes, file.name);
    const added = await loaded(bytes, about.rows, file.name);
    added.check(file.name);
    models.set(id, Promise.resolve(added));
    return { id, file: file.name, ...about };
  },

  async draw({ look, draft }) {
    const [possible, limited] = within(look);
    const picture = await drawing!.view(possible, draft);
    const alpha = picture.width === photo!.pixels.width ? photo!.alpha : undefined;
    return { bitmap: await bitmapFrom(picture, alpha), limited };
  },

  async frame({ bitmap, look }) {
    const frame = new Drawing(photoOf(bitmap, "the camera's picture").pixels, catalog.limits, model);
    return { bitmap: await bitmapFrom(await frame.whole(look, () => {})) };
  },

  async save({ look, type }, tell) {
    const picture = await drawing!.whole(within(look)[0], tell);
    tell({ doing: "Writing the file" });
    const file = await encode(picture, photo!.alpha, type);
    return { file, width: picture.width, height: picture.height };
  },
};

/** A look that memory suffices for, and its stroke size where that is another than asked for. */
function within(look: Look): [Look, number | undefined] {
  const strokeSize = feasible(photo!.pixels, look.strokeSize, catalog.limits);
  return [{ ...look, strokeSize }, strokeSize === look.strokeSize ? undefined : (strokeSize as number)];
}

/** A model by its name, fetched when it is first needed. */
function model(id: string): Promise<Model> {
  const known = models.get(id) ?? fetched(id);
  models.set(id, known);
  known.catch(() => models.delete(id));
  return known;
}

async function fetched(id: string): Promise<Model> {
  const info = catalog.models.find((one) => one.id === id)!;
  const answer = await fetch(folder + info.file).catch(() => undefined);
  if (!answer?.ok) throw new Problem(`The model ${info.file} could not be loaded; check the connection and try again.`);
  return loaded(new Uint8Array(await answer.arrayBuffer()), info.rows, info.file);
}

async function loaded(bytes: Uint8Array, rows: string[], name: string): Promise<Model> {
  try {
    return await Model.load(bytes, rows);
  } catch (error) {
    console.warn(error);
    throw new Problem(`${name} is no ONNX model that this browser can run; download or export it again.`);
  }
}

async function answer({ id, kind, argument }: Request): Promise<void> {
  try {
    const handle = handlers[kind] as (argument: unknown, tell: Tell) => Promise<unknown>;
    const result = await handle(argument, (progress) => reply({ id, progress }));
    reply({ id, result });
  } catch (error) {
    reply({ id, problem: sentence(error) });
  }
}

function sentence(error: unknown): string {
  if (error instanceof Problem) return error.message;
  console.warn(error);
  return "This browser's memory does not suffice for the picture; choose larger strokes, or a smaller picture.";
}

function reply(message: Reply): void {
  const bitmap = (message.result as { bitmap?: ImageBitmap } | undefined)?.bitmap;
  self.postMessage(message, { transfer: bitmap ? [bitmap] : [] });
}

let queue = Promise.resolve();
self.onmessage = ({ data }: MessageEvent<Request>) => {
  queue = queue.then(() => answer(data));
};
