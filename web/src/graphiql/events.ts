/** How many of a subscription's events are kept. */
const KEPT = 500;

/** A subscription's events so far instead of the latest alone, the latest first and each with the time at which it came. */
export function gathered(events: AsyncIterable<unknown>): AsyncIterableIterator<object> {
  const source = events[Symbol.asyncIterator]();
  const past: object[] = [];
  let count = 0;
  return {
    async next() {
      const { done, value } = await source.next();
      if (done) return { done, value };
      past.unshift({ received: new Date().toISOString(), ...(value as object) });
      past.length = Math.min(past.length, KEPT);
      return { done: false, value: { events: ++count, latestFirst: past } };
    },
    // Not behind what is still waited for, as a generator would end.
    async return() {
      await source.return?.();
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
