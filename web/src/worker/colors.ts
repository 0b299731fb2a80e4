/** Mixing of pictures in linear light, and the colors of a photograph under a picture's light and dark. */

import type { Pixels } from "./pixels";

/** Light of each of 256 sRGB values, in [0, 1] (IEC 61966-2-1). */
const LIGHT = Float32Array.from({ length: 256 }, (_, value) => {
  const srgb = value / 255;
  return srgb <= 0.04045 ? srgb / 12.92 : ((srgb + 0.055) / 1.055) ** 2.4;
});

/** Pictures of one size mixed by their shares in linear light. */
export function mixed(pictures: [Pixels, number][]): Pixels {
  const wanted = pictures.filter(([, share]) => share !== 0);
  if (wanted.length === 1 && wanted[0][1] === 1) return wanted[0][0];
  const [{ width, height, rgb }] = wanted[0];
  const result = new Uint8Array(rgb.length);
  for (let place = 0; place < result.length; place++) {
    let light = 0;
    for (const [picture, share] of wanted) light += share * LIGHT[picture.rgb[place]];
    result[place] = Math.round(255 * toSrgb(Math.min(1, Math.max(0, light))));
  }
  return { width, height, rgb: result };
}

function toSrgb(light: number): number {
  return light <= 0.0031308 ? 12.92 * light : 1.055 * light ** (1 / 2.4) - 0.055;
}

/** Products of 0..255 (less `zero`) and a coefficient, with six bits behind the point, as Pillow keeps them. */
function products(coefficient: number, zero = 0): Int32Array {
  return Int32Array.from({ length: 256 }, (_, value) => Math.trunc((value - zero) * coefficient * 64 + 0.5));
}

const Y = [0.299, 0.587, 0.114].map((coefficient) => products(coefficient));
const CB = [-0.16874, -0.33126, 0.5].map((coefficient) => products(coefficient));
const CR = [0.5, -0.41869, -0.08131].map((coefficient) => products(coefficient));
const RED_OF_CR = products(1.402, 128);
const GREEN_OF_CB = products(-0.34414, 128);
const GREEN_OF_CR = products(-0.71414, 128);
const BLUE_OF_CB = products(1.772, 128);

/** The luminance of `picture` with the chroma of `photo` (Y and CbCr of Rec. 601). */
export function withColorsOf(picture: Pixels, photo: Pixels): Pixels {
  const result = new Uint8ClampedArray(picture.rgb.length);
  for (let place = 0; place < result.length; place += 3) {
    const y = weighted(Y, picture.rgb, place);
    const cb = 128 + weighted(CB, photo.rgb, place);
    const cr = 128 + weighted(CR, photo.rgb, place);
    result[place] = y + (RED_OF_CR[cr] >> 6);
    result[place + 1] = y + ((GREEN_OF_CB[cb] + GREEN_OF_CR[cr]) >> 6);
    result[place + 2] = y + (BLUE_OF_CB[cb] >> 6);
  }
  return { width: picture.width, height: picture.height, rgb: new Uint8Array(result.buffer) };
}

function weighted([red, green, blue]: Int32Array[], rgb: Uint8Array, place: number): number {
  return (red[rgb[place]] + green[rgb[place + 1]] + blue[rgb[place + 2]]) >> 6;
}
