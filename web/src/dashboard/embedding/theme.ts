// The look that an embedding page wants. What it gives is checked, so that it can change a look and nothing else.

export interface Look {
  theme?: unknown;
  variables?: unknown;
}

/** What may be set, and what kind of value that is. */
const VARIABLES: Record<string, string> = {
  accent: "color",
  "on-accent": "color",
  page: "color",
  card: "color",
  sunk: "color",
  edge: "color",
  "edge-strong": "color",
  text: "color",
  quiet: "color",
  good: "color",
  warn: "color",
  bad: "color",
  radius: "border-radius",
  font: "font-family",
};

/** The contrast of text that everybody can read (WCAG 2.2, 1.4.3). */
const READABLE = 4.5;

const { style } = document.documentElement;

/** Whether the embedding page says what colour is written on its accent. */
let written = false;

export function wear({ theme, variables }: Look): void {
  if (theme === "light" || theme === "dark") style.colorScheme = theme;
  else if (theme === "auto") style.colorScheme = "";
  if (typeof variables !== "object" || variables === null) return;
  for (const [name, value] of Object.entries(variables)) {
    const bare = name.replace(/^--/, "");
    const property = VARIABLES[bare];
    if (!property) continue;
    if (bare === "on-accent") written = Boolean(value);
    if (typeof value === "string" && CSS.supports(property, value)) style.setProperty(`--${bare}`, value);
    else if (!value) style.removeProperty(`--${bare}`);
  }
  derive();
}

/** What goes by the accent: what is written on it, and how it is written itself, so that both can be read. */
function derive(): void {
  for (const name of ["--accent-text", "--accent-soft"]) style.removeProperty(name);
  if (!written) style.removeProperty("--on-accent");
  const given = style.getPropertyValue("--accent");
  if (!given) return;
  style.setProperty("--accent-soft", "color-mix(in srgb, var(--accent) 12%, var(--card))");
  const both = (choose: (scheme: string) => string) => `light-dark(${choose("light")}, ${choose("dark")})`;
  style.setProperty(
    "--accent-text",
    both((scheme) => {
      for (let share = 100; share > 0; share -= 10) {
        const mixed = `color-mix(in srgb, var(--accent) ${share}%, var(--text))`;
        const worst = Math.min(...["--card", "--page"].map((under) => contrast(seen(mixed, scheme), seen(`var(${under})`, scheme))));
        if (worst >= READABLE) return css(seen(mixed, scheme));
      }
      return css(seen("var(--text)", scheme));
    }),
  );
  if (written) return;
  style.setProperty(
    "--on-accent",
    both((scheme) => {
      const under = seen("var(--accent)", scheme);
      return contrast(under, [255, 255, 255]) >= contrast(under, [0, 0, 0]) ? "#ffffff" : "#000000";
    }),
  );
}

type Rgb = readonly [number, number, number];

/** A colour as the screen shows it. */
function seen(color: string, scheme: string): Rgb {
  const probe = document.createElement("i");
  probe.style.colorScheme = scheme;
  probe.style.color = color;
  document.body.append(probe);
  const painter = document.createElement("canvas").getContext("2d");
  if (!painter) return [0, 0, 0];
  painter.fillStyle = getComputedStyle(probe).color;
  painter.fillRect(0, 0, 1, 1);
  probe.remove();
  const [red = 0, green = 0, blue = 0] = painter.getImageData(0, 0, 1, 1).data;
  return [red, green, blue];
}

const css = (color: Rgb) => `rgb(${color.join(" ")})`;

function contrast(one: Rgb, other: Rgb): number {
  const [dark = 0, light = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

/** Relative luminance as WCAG 2.2 has it. */
function luminance(color: Rgb): number {
  const [red = 0, green = 0, blue = 0] = color.map((part) => {
    const share = part / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
