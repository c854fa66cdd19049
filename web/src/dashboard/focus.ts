// Focus that is not lost. Where what has it goes away, its nearest neighbour gets it, so that nobody who works with the
// keyboard or a screen reader is sent back to the top of the page.

/** What had the focus last, and what that stands in, from the inside out. */
let path: Element[] = [];

/** Begins to look after the focus of the whole page. */
export function keepFocus(): void {
  document.addEventListener("focusin", ({ target }) => {
    path = [];
    for (let at = target instanceof Element ? target : null; at; at = at.parentElement) path.push(at);
  });
  new MutationObserver(() => {
    if (!path[0] || path[0].isConnected || document.activeElement !== document.body) return;
    // What is nearest may have nothing to focus any more.
    for (const around of [...path, document.body].filter((element) => element.isConnected)) {
      for (const next of around.querySelectorAll<HTMLElement>("button, a[href], input, [tabindex]")) {
        next.focus({ preventScroll: true });
        if (document.activeElement === next) return;
      }
    }
  }).observe(document.body, { childList: true, subtree: true });
}
