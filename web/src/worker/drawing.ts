/** Photograph and look -> picture, as fast-nst stylize draws it. */

import type { Progress } from "../messages";
import { mixtureOf, type Limits, type Look, type Part } from "../styles";
import { mixed, withColorsOf } from "./colors";
import type { Model } from "./model";
import type { Pixels } from "./pixels";
import { resize } from "./resize";
import { seenSize, type Size } from "./sizes";

const KEPT = 4; // drawn pictures that are kept for the next look or the download
const DRAFT = 448; // pixels of the longer side of a draft
const WORTH = 1.5; // times larger is a picture that a draft is drawn before

/** Draws one photograph; what is drawn twice is drawn once. */
export class Drawing {
  private readonly seen = new Map<string, Pixels>();
  private readonly drawn = new Map<string, Pixels>();

  /**
   * @param photo the photograph.
   * @param load gives the model of a name.
   */
  constructor(
    readonly photo: Pixels,
    private readonly limits: Limits,
    private readonly load: (model: string) => Promise<Model>,
  ) {}

  /** The picture at the photograph's size. */
  async whole(look: Look, tell: (progress: Progress) => void): Promise<Pixels> {
    const seen = seenSize(this.photo, look.strokeSize, this.limits);
    const pictures: [Pixels, number][] = [];
    for (const part of look.parts) {
      tell({ doing: "Drawing" });
      const drawn = await this.part(part, look.strength, seen);
      const report = (share: number) => tell({ doing: "Bringing it to full size", share });
      pictures.push([resize(drawn, this.photo.width, this.photo.height, report), part.share]);
    }
    return finished(mixed(pictures), this.photo, look);
  }

  /** The picture to show: at the size that the network sees, or at the photograph's where that is smaller. */
  async view(look: Look, draft: boolean): Promise<Pixels> {
    const final = seenSize(this.photo, look.strokeSize, this.limits);
    const seen = draft ? this.draftOf(final) : final;
    if (seen.width >= this.photo.width) return this.whole(look, () => {});
    const pictures: [Pixels, number][] = [];
    for (const part of look.parts) pictures.push([await this.part(part, look.strength, seen), part.share]);
    return finished(mixed(pictures), this.at(seen), look);
  }

  /** One model's picture, at the size that it sees; without a row of the photograph, strength mixes the two. */
  private async part(part: Part, strength: number, size: Size): Promise<Pixels> {
    const model = await this.load(part.model);
    const mixes = !model.rows.includes(this.limits.identity);
    const weights = mixtureOf(part, mixes ? 1 : strength, model.rows, this.limits);
    const photo = this.at(size);
    const key = [part.model, size.width, size.height, ...weights].join(" ");
    const drawn = this.drawn.get(key) ?? (await model.draw(photo, weights));
    keep(this.drawn, key, drawn);
    return mixes ? mixed([[drawn, strength], [photo, 1 - strength]]) : drawn;
  }

  /** The size of a draft, which shows larger strokes in a fraction of the time; a small picture is its own draft. */
  private draftOf(size: Size): Size {
    const share = DRAFT / Math.max(size.width, size.height);
    if (share * WORTH > 1) return size;
    const side = (pixels: number) => Math.max(this.limits.minSide, Math.round(pixels * share));
    return { width: side(size.width), height: side(size.height) };
  }

  /** The photograph at a size. */
  private at({ width, height }: Size): Pixels {
    const key = `${width} ${height}`;
    const photo = this.seen.get(key) ?? resize(this.photo, width, height);
    keep(this.seen, key, photo);
    return photo;
  }
}

function finished(picture: Pixels, photo: Pixels, look: Look): Pixels {
  return look.keepColors ? withColorsOf(picture, photo) : picture;
}

/** Set a value as the newest, and forget the oldest of more than `KEPT`. */
function keep(values: Map<string, Pixels>, key: string, value: Pixels): void {
  values.delete(key);
  values.set(key, value);
  if (values.size > KEPT) values.delete(values.keys().next().value!);
}
