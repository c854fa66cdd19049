interface TypedProps {
  name: string;
  typed: string;
  change: (typed: string) => void;
  /** Whether it has the focus when a dialog opens. */
  first?: boolean;
}

/** Has a service's name typed by who means it. */
export function Typed({ name, typed, change, first }: TypedProps) {
  return (
    <label>
      <span>
        Type <code>{name}</code> to confirm
      </span>
      <input
        data-first={first || undefined}
        value={typed}
        onInput={(event) => change(event.currentTarget.value)}
        autoComplete="off"
        autoCapitalize="none"
        spellcheck={false}
      />
    </label>
  );
}
