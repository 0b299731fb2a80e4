/** The page: what the visitor chooses goes to the worker that draws, and what it draws is shown. */

import type { Drawn } from "./messages";
import { Camera } from "./page/camera";
import { element } from "./page/dom";
import { receiveFiles } from "./page/files";
import { Gallery } from "./page/gallery";
import { Painter } from "./page/painter";
import { complain, say, work } from "./page/report";
import { Settings } from "./page/settings";
import { describe, shape, showLive, showPhoto, showPicture } from "./page/stage";
import { Problem } from "./problem";
import { isStyle, type Catalog, type Style } from "./styles";

const FOLDER = new URL("styles/", document.baseURI).href;
const PAUSE = 300; // milliseconds without a change, after which the picture follows its draft

const painter = new Painter();
const saveButton = element<HTMLButtonElement>("save");
const cameraButton = element<HTMLButtonElement>("camera");
const snapButton = element<HTMLButtonElement>("snap");

let catalog: Catalog;
let gallery: Gallery;
let settings: Settings;
let style: Style | undefined;
let photo: { name: string; width: number; height: number } | undefined;
let added = 0;

/** The newest change of the look; what is drawn of older ones is not shown. */
let change = 0;
let drawing: Promise<void> = Promise.resolve();

async function begin(): Promise<void> {
  catalog = await loadCatalog();
  gallery = new Gallery(FOLDER, chooseStyle);
  settings = new Settings(catalog, redraw);
  gallery.add(catalog.styles);
  settings.add(catalog.styles);
  await painter.ask("start", { catalog, folder: FOLDER });
  gallery.choose(catalog.styles[0].id);
  const sample = await fetch(FOLDER + catalog.sample);
  if (!photo) await openPicture(new File([await sample.blob()], "astronaut.jpg"));
}

async function loadCatalog(): Promise<Catalog> {
  const answer = await fetch(FOLDER + "styles.json", { cache: "no-cache" }).catch(() => undefined);
  if (!answer?.ok) throw new Problem("The styles could not be loaded; check the connection and reload the page.");
  return answer.json();
}

async function take(file: File): Promise<void> {
  try {
    await (/\.onnx$/i.test(file.name) ? addModel(file) : openPicture(file));
  } catch (error) {
    complain(error);
  }
}

async function openPicture(file: File): Promise<void> {
  work({ doing: "Opening the picture" });
  const { width, height, bitmap } = await painter.ask("open", { file, name: file.name });
  stopCamera();
  photo = { name: file.name, width, height };
  showPhoto(bitmap, width, height);
  redraw();
}

async function addModel(file: File): Promise<void> {
  work({ doing: "Reading the model" });
  const model = await painter.ask("add", { file, id: `added ${++added}` });
  const shipped = new Set(catalog.styles.map((one) => one.row));
  const isNew = (row: string) => isStyle(row, model.rows, catalog.limits) && !shipped.has(row);
  const rows = model.rows.filter((row) => row === model.own || isNew(row));
  const styles = rows.map((row) => ({
    ...{ id: `${model.id} ${row}`, title: row, painter: file.name, year: "", license: "" },
    ...{ row, model: model.id, thumbnail: "", added: true },
  }));
  gallery.add(styles, true);
  settings.add(styles, model);
  gallery.choose(`${model.id} ${model.own}`);
}

function chooseStyle(chosen: Style): void {
  style = chosen;
  const { title, painter: by, year, license } = chosen;
  element("credit").textContent = [title, by, year, license].filter(Boolean).join(", ");
  redraw();
}

/** Draw a draft of the newest look, and the picture itself when the visitor pauses. */
function redraw(): void {
  const own = ++change;
  if (!photo || !style || camera.on) return;
  saveButton.disabled = false;
  drawing = drawing.then(() => draw(own, true));
  setTimeout(() => own === change && (drawing = drawing.then(() => draw(own, false))), PAUSE);
}

async function draw(own: number, draft: boolean): Promise<void> {
  if (own !== change || camera.on) return;
  work({ doing: "Drawing" });
  try {
    const drawn = await painter.ask("draw", { look: settings.look(style!), draft });
    if (camera.on) return;
    showPicture(drawn.bitmap);
    describe(`${photo!.name} in the manner of ${style!.title}`);
    if (own === change && !draft) say(resultText(drawn));
  } catch (error) {
    if (own === change) complain(error);
  }
}

function resultText({ limited }: Drawn): string {
  const size = `${photo!.width} × ${photo!.height}`;
  if (limited === undefined) return size;
  const finest = `Strokes are × ${limited} here, the finest that this page draws in so large a picture`;
  return `${size}. ${finest}; fast-nst stylize --stroke_size draws finer ones.`;
}

async function save(): Promise<void> {
  saveButton.disabled = true;
  try {
    const type = element<HTMLSelectElement>("type").value;
    const { file, width, height } = await painter.ask("save", { look: settings.look(style!), type }, work);
    const name = `${photo!.name.replace(/\.[^.]*$/, "")}.${style!.row}.${type === "image/png" ? "png" : "jpg"}`;
    download(file, name);
    say(`${name}, ${width} × ${height}`);
  } catch (error) {
    complain(error);
  } finally {
    saveButton.disabled = false;
  }
}

function download(file: Blob, name: string): void {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(file), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

const camera = new Camera(async (bitmap) => {
  const drawn = await painter.ask("frame", { bitmap, look: settings.look(style!) }, undefined, [bitmap]);
  if (camera.on) showPicture(drawn.bitmap);
});

async function toggleCamera(): Promise<void> {
  if (camera.on) return endCamera();
  work({ doing: "Waiting for the camera" });
  try {
    shape(...(await camera.start(endCamera)));
    showCamera(true);
    say("Live");
    await camera.run();
  } catch (error) {
    stopCamera();
    complain(error);
  }
}

/** Back to the photograph. */
function endCamera(): void {
  stopCamera();
  redraw();
}

async function takePhoto(): Promise<void> {
  await take(await camera.take());
}

function stopCamera(): void {
  if (!camera.on) return;
  camera.stop();
  showCamera(false);
  if (photo) shape(photo.width, photo.height);
}

function showCamera(live: boolean): void {
  cameraButton.textContent = live ? "Stop the camera" : "Camera";
  snapButton.hidden = !live;
  saveButton.disabled = live || !photo;
  showLive(live);
}

receiveFiles(take);
saveButton.addEventListener("click", save);
cameraButton.addEventListener("click", toggleCamera);
snapButton.addEventListener("click", takePhoto);
begin().catch(complain);
