/** The gallery: a radio button with thumbnail, title and painter for each style, and a search. */

import type { Style } from "../styles";
import { element } from "./dom";

const gallery = element<HTMLDivElement>("gallery");
const search = element<HTMLInputElement>("search");
const none = element<HTMLParagraphElement>("none");
const count = element<HTMLElement>("count");

interface Entry {
  style: Style;
  label: HTMLLabelElement;
  words: string;
}

export class Gallery {
  private readonly entries: Entry[] = [];

  /**
   * @param folder where thumbnails lie.
   * @param chosen called with a style that the visitor chooses.
   */
  constructor(private readonly folder: string, private readonly chosen: (style: Style) => void) {
    search.addEventListener("input", () => this.filter());
    search.addEventListener("keydown", (event) => event.key === "Enter" && this.focusFirst(event));
    gallery.addEventListener("change", (event) => this.choose((event.target as HTMLInputElement).value));
  }

  /** Add styles, at the end or at the beginning. */
  add(styles: Style[], first = false): void {
    const entries = styles.map((style) => {
      return { style, label: this.label(style), words: plain(`${style.title} ${style.painter}`) };
    });
    if (first) this.entries.unshift(...entries);
    else this.entries.push(...entries);
    gallery[first ? "prepend" : "append"](...entries.map((entry) => entry.label));
    this.filter();
  }

  /** Choose a style as if the visitor had. */
  choose(id: string): void {
    const entry = this.entries.find((one) => one.style.id === id)!;
    entry.label.querySelector("input")!.checked = true;
    this.scrollTo(entry.label);
    this.chosen(entry.style);
  }

  private label(style: Style): HTMLLabelElement {
    const label = document.createElement("label");
    const radio = Object.assign(document.createElement("input"), { type: "radio", name: "style", value: style.id });
    const words = document.createElement("span");
    words.append(piece("b", style.title), piece("i", style.painter));
    label.title = [style.title, style.painter, style.year].filter(Boolean).join(", ");
    radio.setAttribute("aria-label", label.title);
    label.append(radio, this.thumbnail(style), words);
    return label;
  }

  private thumbnail(style: Style): HTMLElement {
    if (!style.thumbnail) return piece("em", style.title.slice(0, 1));
    const image = { src: this.folder + style.thumbnail, alt: "", loading: "lazy" as const, decoding: "async" as const };
    return Object.assign(document.createElement("img"), { ...image, width: 88, height: 88 });
  }

  /** Show the styles whose title or painter has all words of the search. */
  private filter(): void {
    const words = plain(search.value).split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const entry of this.entries) {
      entry.label.hidden = !words.every((word) => entry.words.includes(word));
      shown += entry.label.hidden ? 0 : 1;
    }
    none.hidden = shown > 0;
    count.textContent = words.length ? `${shown} of ${this.entries.length}` : String(this.entries.length);
  }

  private focusFirst(event: Event): void {
    event.preventDefault();
    this.entries.find((entry) => !entry.label.hidden)?.label.querySelector("input")!.focus();
  }

  /** Scroll the gallery alone, not the page, until a label is seen. */
  private scrollTo(label: HTMLElement): void {
    const inside = gallery.getBoundingClientRect(), own = label.getBoundingClientRect();
    const x = Math.min(0, own.left - inside.left) + Math.max(0, own.right - inside.right);
    const y = Math.min(0, own.top - inside.top) + Math.max(0, own.bottom - inside.bottom);
    gallery.scrollBy(x, y);
  }
}

function piece(tag: string, text: string): HTMLElement {
  return Object.assign(document.createElement(tag), { textContent: text });
}

/** Letters without accents and case. */
function plain(text: string): string {
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
}
