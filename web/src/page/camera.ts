/** The camera: its pictures drawn as they come, and one of them taken as a photograph. */

import { Problem } from "../problem";
import { element } from "./dom";

const video = element<HTMLVideoElement>("video");

const SIDES = { first: 256, least: 128, most: 640 }; // pixels of the longer side of a picture that is drawn
const WANTED = 120; // milliseconds that a picture may take; larger ones are drawn if it is less

export class Camera {
  private stream?: MediaStream;
  private side = SIDES.first;

  /** @param draw draws a picture and shows it. */
  constructor(private readonly draw: (bitmap: ImageBitmap) => Promise<void>) {}

  get on(): boolean {
    return this.stream !== undefined;
  }

  /** Start; gives the width and height of its pictures. `lost` is called if the camera is taken away. */
  async start(lost: () => void): Promise<[number, number]> {
    this.stream = await open();
    this.stream.getVideoTracks()[0].addEventListener("ended", lost);
    video.srcObject = this.stream;
    await video.play();
    return [video.videoWidth, video.videoHeight];
  }

  /** Draw the newest picture, again and again, until it is stopped. */
  async run(): Promise<void> {
    while (this.stream) {
      const start = performance.now();
      const frame = await this.frame(this.side).catch(() => undefined); // none if it was stopped just now
      if (frame) await this.draw(frame);
      this.adapt(performance.now() - start);
      await new Promise(requestAnimationFrame);
    }
  }

  /** Larger pictures after a quick one, smaller ones after a slow one. */
  private adapt(milliseconds: number): void {
    const factor = Math.min(1.25, Math.max(0.7, Math.sqrt(WANTED / milliseconds)));
    const side = Math.round((this.side * factor) / 16) * 16;
    this.side = Math.min(SIDES.most, Math.max(SIDES.least, side));
  }

  /** The picture of now as a file. */
  async take(): Promise<File> {
    const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
    canvas.getContext("2d")!.drawImage(video, 0, 0);
    return new File([await canvas.convertToBlob({ type: "image/png" })], "camera.png", { type: "image/png" });
  }

  stop(): void {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = undefined;
    video.srcObject = null;
  }

  private frame(side: number): Promise<ImageBitmap> {
    const share = side / Math.max(video.videoWidth, video.videoHeight);
    const scaled = (pixels: number) => Math.max(16, Math.round(pixels * share));
    const [resizeWidth, resizeHeight] = [scaled(video.videoWidth), scaled(video.videoHeight)];
    return createImageBitmap(video, { resizeWidth, resizeHeight, resizeQuality: "medium" });
  }
}

async function open(): Promise<MediaStream> {
  try {
    return await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 1280 } } });
  } catch (error) {
    const refused = error instanceof DOMException && error.name === "NotAllowedError";
    if (refused) throw new Problem("The camera was not allowed; allow it for this page and try again.");
    throw new Problem("There is no camera that this page can use; choose a picture instead.");
  }
}
