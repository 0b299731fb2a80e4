/** Files that the visitor chooses, drops or pastes. */

import { element } from "./dom";

/** Call `take` with each file that comes, of whatever kind. */
export function receiveFiles(take: (file: File) => void): void {
  for (const id of ["file", "model"]) chosen(element<HTMLInputElement>(id), take);
  document.addEventListener("paste", (event) => {
    const file = event.clipboardData?.files[0];
    if (file) take(file);
  });
  dropped(take);
}

function chosen(input: HTMLInputElement, take: (file: File) => void): void {
  input.addEventListener("change", () => {
    const file = input.files?.[0];
    input.value = ""; // the same file may be chosen again
    if (file) take(file);
  });
}

function dropped(take: (file: File) => void): void {
  const over = (event: DragEvent, inside: boolean) => {
    event.preventDefault();
    document.body.toggleAttribute("data-over", inside);
  };
  document.addEventListener("dragover", (event) => over(event, true));
  document.addEventListener("dragleave", (event) => over(event, event.relatedTarget !== null));
  document.addEventListener("drop", (event) => {
    over(event, false);
    const file = event.dataTransfer?.files[0];
    if (file) take(file);
  });
}
