import { useId } from "preact/hooks";
import type { ApiError } from "../api";
import type { ServiceKind } from "../generated";
import { Wrong } from "../parts/failure";

/** What the API takes as a name. */
const NAME = /^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$/;

interface NameProps {
  name: string;
  change: (name: string) => void;
  /** What it is called when it gets no name. */
  unnamed: string;
  error: ApiError | null;
  /** Whether it has the focus when a dialog opens. */
  first?: boolean;
}

/** Asks what a new service is to be called. */
export function Name({ name, change, unnamed, error, first }: NameProps) {
  const hint = useId();
  return (
    <div>
      <label>
        Name
        <input
          name="name"
          data-first={first || undefined}
          value={name}
          onInput={(event) => change(event.currentTarget.value)}
          maxLength={40}
          placeholder={unnamed}
          autoComplete="off"
          autoCapitalize="none"
          spellcheck={false}
          aria-describedby={hint}
          aria-invalid={error !== null}
        />
      </label>
      <div id={hint} class="hint">
        {error ? <Wrong error={error} /> : <span class="quiet">Lower-case letters, digits and hyphens. Optional.</span>}
      </div>
    </div>
  );
}

/** What is wrong with a name, before the API has to say so. */
export function problemOf(name: string, taken: ReadonlySet<string>): string | null {
  if (name === "") return null;
  if (taken.has(name)) return `This project already has a service called “${name}”. Choose another name.`;
  if (NAME.test(name)) return null;
  if (/[A-Z]/.test(name)) return "Use lower-case letters only.";
  if (/^-|-$/.test(name)) return "A name can’t begin or end with a hyphen.";
  return "Use lower-case letters, digits and hyphens only.";
}

/** The name that the API makes from a kind. */
export function unnamed(kind: ServiceKind | undefined, taken: ReadonlySet<string>): string {
  const base = kind?.toLowerCase() ?? "";
  for (let number = 1; ; number++) {
    const name = number === 1 ? base : `${base}-${number}`;
    if (!taken.has(name)) return name;
  }
}
