import { useEffect, useState } from "preact/hooks";

/** A value that tells who wants to know when it changes. */
export class Store<T> {
  #value: T;
  readonly #listeners = new Set<(value: T) => void>();

  constructor(value: T) {
    this.#value = value;
  }

  get value(): T {
    return this.#value;
  }

  set(value: T): void {
    if (Object.is(value, this.#value)) return;
    this.#value = value;
    for (const listener of [...this.#listeners]) listener(value);
  }

  subscribe(listener: (value: T) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

export function useStore<T>(store: Store<T>): T {
  const [, redraw] = useState<unknown>();
  useEffect(() => {
    // It may have changed since it was drawn.
    redraw(store.value);
    return store.subscribe(redraw);
  }, [store]);
  return store.value;
}
