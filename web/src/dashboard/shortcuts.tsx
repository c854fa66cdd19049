// Keys for who would rather not reach for the mouse. They are left alone while somebody types, and where something is open.

import { useEffect, useRef } from "preact/hooks";
import { Dialog } from "./parts/dialog";

export type Shortcuts = Partial<Record<"/" | "n" | "?" | "Escape", () => void>>;

export function useShortcuts(shortcuts: Shortcuts): void {
  const current = useRef(shortcuts);
  current.current = shortcuts;
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
      if (document.querySelector("dialog[open], :popover-open")) return;
      // Also within an editor's shadow, of which the document sees only the outside.
      const [target] = event.composedPath();
      const typing =
        target instanceof Element && target.closest("input:not([type=radio], [type=checkbox]), textarea, select, [contenteditable=true]");
      if (typing) {
        // The first Escape leaves the field.
        if (event.key === "Escape") (typing as HTMLElement).blur();
        return;
      }
      const act = current.current[event.key as keyof Shortcuts];
      if (!act) return;
      event.preventDefault();
      act();
    };
    document.addEventListener("keydown", pressed);
    return () => document.removeEventListener("keydown", pressed);
  }, []);
}

/** Has the search field of what is shown take what is typed next. */
export function search(): void {
  document.querySelector<HTMLElement>("[data-search]")?.focus();
}

const KEYS: [string[], string][] = [
  [["/"], "Search the list, the log or the keys"],
  [["n"], "Create a service"],
  [["Esc"], "Close what is open, or go back to the list"],
  [["←", "→"], "Go from tab to tab, once one has the focus"],
  [["↑", "↓"], "Go through a menu or a list of keys"],
  [["Ctrl", "Enter"], "Run the statement in the console"],
  [["?"], "Show these shortcuts"],
];

export function ShortcutHelp({ close }: { close: () => void }) {
  return (
    <Dialog class="small" title="Keyboard shortcuts" close={close}>
      <dl class="keys">
        {KEYS.map(([keys, what]) => (
          <div key={what}>
            <dt>
              {keys.map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
