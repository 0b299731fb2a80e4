/** Pixels in memory: RGB, eight bits, row by row. */

export interface Pixels {
  width: number;
  height: number;
  rgb: Uint8Array;
}

/** Pixels of a size, all black. */
export function blank(width: number, height: number): Pixels {
  return { width, height, rgb: new Uint8Array(width * height * 3) };
}

/** RGB of a canvas's RGBA; what cannot be seen is white. */
export function fromRgba(image: ImageData): Pixels {
  const { data, width, height } = image;
  const pixels = blank(width, height);
  for (let from = 0, to = 0; from < data.length; from += 4, to += 3) {
    const seen = data[from + 3] > 0;
    for (let channel = 0; channel < 3; channel++) pixels.rgb[to + channel] = seen ? data[from + channel] : 255;
  }
  return pixels;
}

/** RGBA of pixels, opaque or with the given transparency. */
export function toRgba(pixels: Pixels, alpha?: Uint8Array): ImageData {
  const image = new ImageData(pixels.width, pixels.height);
  const { rgb } = pixels;
  for (let from = 0, to = 0, place = 0; from < rgb.length; from += 3, to += 4, place++) {
    image.data[to] = rgb[from];
    image.data[to + 1] = rgb[from + 1];
    image.data[to + 2] = rgb[from + 2];
    image.data[to + 3] = alpha ? alpha[place] : 255;
  }
  return image;
}

/** The transparency of a canvas's RGBA; nothing if all of it is opaque. */
export function alphaOf(image: ImageData): Uint8Array | undefined {
  const alpha = new Uint8Array(image.width * image.height);
  let opaque = 255;
  for (let place = 0; place < alpha.length; place++) {
    alpha[place] = image.data[4 * place + 3];
    opaque &= alpha[place];
  }
  return opaque === 255 ? undefined : alpha;
}
