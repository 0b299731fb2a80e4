/** The settings of a look: strength, stroke size, second style, colors. */

import { planBlend, type Catalog, type Look, type Style } from "../styles";
import { element } from "./dom";

const form = element<HTMLFormElement>("settings");
const strength = element<HTMLInputElement>("strength");
const strokes = element<HTMLInputElement>("strokes");
const second = element<HTMLSelectElement>("second");
const mix = element<HTMLInputElement>("mix");
const mixSetting = element<HTMLDivElement>("mix-setting");
const colors = element<HTMLInputElement>("colors");

const STROKE_SIZES = [0.5, 0.75, 1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 6, 8];

export class Settings {
  private readonly sizes: ("auto" | number)[];
  private readonly styles = new Map<string, Style>();
  private readonly rows: Map<string, string[]>;

  /**
   * @param catalog its limits and models.
   * @param changed called after each change.
   */
  constructor(catalog: Catalog, changed: () => void) {
    const { limits, models } = catalog;
    this.sizes = ["auto", ...STROKE_SIZES.filter((size) => size >= limits.strokes[0] && size <= limits.strokes[1])];
    this.rows = new Map(models.map((model) => [model.id, model.rows]));
    Object.assign(strength, { min: "0", max: String(limits.maxStrength), step: "0.05", value: "1" });
    Object.assign(strokes, { min: "0", max: String(this.sizes.length - 1), step: "1", value: "0" });
    second.append(new Option("no other style", ""));
    form.addEventListener("input", () => (this.tell(), changed()));
    form.addEventListener("submit", (event) => event.preventDefault());
    this.tell();
  }

  /** Offer styles for a blend. */
  add(styles: Style[], model?: { id: string; rows: string[] }): void {
    if (model) this.rows.set(model.id, model.rows);
    for (const style of styles) {
      this.styles.set(style.id, style);
      second.append(new Option(style.painter ? `${style.title} (${style.painter})` : style.title, style.id));
    }
  }

  /** How a picture of a style is to be drawn. */
  look(style: Style): Look {
    const other = this.styles.get(second.value);
    const share = other ? Number(mix.value) : 0;
    const blend: [Style, number][] = other ? [[style, 1 - share], [other, share]] : [[style, 1]];
    return {
      parts: planBlend(blend, (model) => this.rows.get(model) ?? []),
      strength: Number(strength.value),
      strokeSize: this.sizes[Number(strokes.value)],
      keepColors: colors.checked,
    };
  }

  /** Write the values beside the sliders. */
  private tell(): void {
    const size = this.sizes[Number(strokes.value)];
    write(strength, "strength-value", Number(strength.value).toFixed(2));
    write(strokes, "strokes-value", size === "auto" ? "automatic" : `× ${size}`);
    write(mix, "mix-value", `${Math.round(100 * Number(mix.value))} %`);
    mixSetting.hidden = !second.value;
  }
}

function write(slider: HTMLInputElement, output: string, text: string): void {
  element<HTMLOutputElement>(output).value = text;
  slider.setAttribute("aria-valuetext", text);
  const [low, high] = [Number(slider.min), Number(slider.max)];
  slider.style.setProperty("--filled", `${(100 * (Number(slider.value) - low)) / (high - low)}%`);
}
