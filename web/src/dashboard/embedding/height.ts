import { embedded, tell } from "../session";

/** What lies above and below a dialog, in pixels. */
const AROUND = 48;

let told = 0;

/** Tells the embedding page how high this one is, and again whenever that changes. */
export function announceHeight(): void {
  new ResizeObserver(measure).observe(document.body);
}

function measure(): void {
  const heights = [document.body.offsetHeight];
  for (const dialog of document.querySelectorAll<HTMLElement>("dialog[open]")) {
    // All of it, also what it has to scroll now.
    const body = dialog.querySelector(".body");
    heights.push(dialog.offsetHeight + (body ? body.scrollHeight - body.clientHeight : 0) + AROUND);
  }
  const height = Math.ceil(Math.max(...heights));
  if (height === told) return;
  told = height;
  tell("resize", { height });
}

/** Has a dialog stand where somebody sees it, also in a frame that is higher than the screen, and fit into its frame. */
export function placeDialog(dialog: HTMLElement): () => void {
  if (!embedded) return () => {};
  const resized = new ResizeObserver(measure);
  for (const part of [dialog, ...dialog.querySelectorAll(".body > *")]) resized.observe(part);
  const leave = whereSeen((seen) => {
    if (seen.height < 240 || seen.height > window.innerHeight - 8) return;
    dialog.style.marginTop = `${seen.top + AROUND / 2}px`;
    dialog.style.maxHeight = `${seen.height - AROUND}px`;
  });
  return () => {
    resized.disconnect();
    leave();
    requestAnimationFrame(measure);
  };
}

/** Has what stands at the page's lower end stand at the lower end of what somebody sees of it. */
export function placeBelow(element: HTMLElement, distance: number): () => void {
  if (!embedded) return () => {};
  return whereSeen((seen) => {
    element.style.bottom = `${window.innerHeight - seen.bottom + distance}px`;
  });
}

/** Looks once which part of this page's frame is on the screen. */
function whereSeen(then: (seen: DOMRectReadOnly) => void): () => void {
  const observer = new IntersectionObserver(([entry]) => {
    observer.disconnect();
    if (entry && entry.intersectionRect.height > 0) then(entry.intersectionRect);
  });
  observer.observe(document.documentElement);
  return () => observer.disconnect();
}
