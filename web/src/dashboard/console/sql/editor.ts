// CodeMirror, set up for SQL.

import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { type SQLDialect, sql } from "@codemirror/lang-sql";
import { bracketMatching, HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { EditorState } from "@codemirror/state";
import { EditorView, keymap, placeholder } from "@codemirror/view";
import { tags } from "@lezer/highlight";

interface Wishes {
  language: SQLDialect;
  text: string;
  changed: (text: string) => void;
  run: () => void;
}

/** The page's colours are also within the editor's shadow. */
const theme = EditorView.theme({
  "&": { color: "var(--text)", fontSize: "13px" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: 'ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace', lineHeight: "1.55" },
  ".cm-content": { minHeight: "92px", padding: "10px 0", caretColor: "var(--text)" },
  ".cm-line": { padding: "0 12px" },
  ".cm-placeholder": { color: "var(--quiet)" },
  "&.cm-focused .cm-matchingBracket": { backgroundColor: "var(--accent-soft)", outline: "1px solid var(--accent)" },
});

const colours = HighlightStyle.define([
  { tag: [tags.keyword, tags.operatorKeyword], color: "var(--accent-text)", fontWeight: "600" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--good)" },
  { tag: [tags.number, tags.bool, tags.null], color: "var(--warn)" },
  { tag: tags.typeName, color: "var(--busy)" },
  { tag: tags.comment, color: "var(--quiet)", fontStyle: "italic" },
]);

/** What is typed over a selection. The browser would give it a style of its own, which the page's policy forbids as well. */
const overSelection = EditorView.domEventHandlers({
  beforeinput(event, view) {
    if (event.inputType !== "insertText" || !event.data || event.isComposing || view.state.selection.main.empty) return false;
    event.preventDefault();
    view.dispatch({ ...view.state.replaceSelection(event.data), userEvent: "input.type", scrollIntoView: true });
    return true;
  },
});

/**
 * Puts an editor into an element. It lives in a shadow of its own: there its styles are no style elements, which the page's
 * Content-Security-Policy forbids. Tab is not taken, so that it leads out as everywhere.
 */
export function edit(place: HTMLElement, { language, text, changed, run }: Wishes): EditorView {
  const root = place.shadowRoot ?? place.attachShadow({ mode: "open" });
  const parent = root.appendChild(document.createElement("div"));
  return new EditorView({
    root,
    parent,
    state: EditorState.create({
      doc: text,
      extensions: [
        keymap.of([{ key: "Mod-Enter", run: () => (run(), true) }]),
        overSelection,
        history(),
        keymap.of([...defaultKeymap, ...historyKeymap]),
        sql({ dialect: language }),
        syntaxHighlighting(colours),
        bracketMatching(),
        EditorView.lineWrapping,
        placeholder("SELECT …"),
        theme,
        EditorView.contentAttributes.of({
          "aria-label": "SQL statement. Control Enter runs it, Tab leaves the editor.",
          autocapitalize: "off",
          spellcheck: "false",
        }),
        EditorView.updateListener.of((update) => update.docChanged && changed(update.state.doc.toString())),
      ],
    }),
  });
}

/** Has another text in the editor, which can be undone. */
export function replace(editor: EditorView, text: string): void {
  editor.dispatch({ changes: { from: 0, to: editor.state.doc.length, insert: text }, selection: { anchor: text.length } });
}
