import { Store, useStore } from "../store";

const announcement = new Store("");

/** Has screen readers say something. */
export function announce(text: string): void {
  // The same text once more has to differ to be said once more.
  announcement.set(text === announcement.value ? `${text}\u00a0` : text);
}

export function Announcer() {
  return (
    <p class="unseen" role="status" aria-live="polite">
      {useStore(announcement)}
    </p>
  );
}
