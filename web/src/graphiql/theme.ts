// The editors' colours: our own, so that all that is written can be read.

/** As GraphiQL takes their names. */
export const EDITOR_THEME = { light: "services-light", dark: "services-dark" };

const LIGHT = { text: "#1a212c", quiet: "#576172", accent: "#2f56d6", soft: "#2f56d619", card: "#ffffff" };
const DARK = { text: "#e6eaf0", quiet: "#9fabbb", accent: "#8fabff", soft: "#8fabff24", card: "#1c2027" };

const LIGHT_TOKENS = { comment: "576172", keyword: "8a1f86", string: "11693c", number: "8a5a00", name: "2f56d6", variable: "a3320b" };
const DARK_TOKENS = { comment: "9fabbb", keyword: "e0a5f5", string: "6fd59d", number: "f0c36a", name: "8fabff", variable: "ffb088" };

/** Loads the editor and gives it our colours. GraphiQL finds it loaded then. */
export async function defineThemes(): Promise<void> {
  const { editor } = await import("monaco-graphql/esm/monaco-editor.js");
  for (const [name, base, colors, tokens] of [
    [EDITOR_THEME.light, "vs", LIGHT, LIGHT_TOKENS],
    [EDITOR_THEME.dark, "vs-dark", DARK, DARK_TOKENS],
  ] as const) {
    editor.defineTheme(name, {
      base,
      inherit: true,
      rules: [
        { token: "", foreground: colors.text.slice(1) },
        { token: "comment", foreground: tokens.comment },
        { token: "keyword", foreground: tokens.keyword },
        { token: "string", foreground: tokens.string },
        { token: "number", foreground: tokens.number },
        { token: "type.identifier", foreground: tokens.name },
        { token: "argument.identifier", foreground: tokens.variable },
        { token: "string.key.json", foreground: tokens.name },
        { token: "string.value.json", foreground: tokens.string },
        { token: "keyword.json", foreground: tokens.keyword },
      ],
      colors: {
        "editor.background": "#ffffff00",
        "editor.foreground": colors.text,
        "editorLineNumber.foreground": colors.quiet,
        "editorLineNumber.activeForeground": colors.text,
        "editorLineNumber.dimmedForeground": colors.quiet,
        "scrollbar.shadow": "#ffffff00",
        "textLink.foreground": colors.accent,
        "textLink.activeForeground": colors.accent,
        "editorLink.activeForeground": colors.accent,
        "editorWidget.background": colors.card,
        "editorHoverWidget.background": colors.card,
        "editorSuggestWidget.background": colors.card,
        "editorSuggestWidget.selectedBackground": colors.soft,
        "editorSuggestWidget.selectedForeground": colors.accent,
        "quickInput.background": colors.card,
        "quickInputList.focusBackground": colors.soft,
        "quickInputList.focusForeground": colors.text,
        "menu.background": colors.card,
        "menu.selectionBackground": colors.soft,
        "menu.selectionForeground": colors.accent,
        "list.hoverBackground": colors.soft,
        "list.highlightForeground": colors.accent,
        "list.focusHighlightForeground": colors.accent,
        focusBorder: colors.accent,
      },
    });
  }
}
