// What services take and hold, as it is measured. Whoever shows a service's figures shares one subscription with the others.

import type { RefObject } from "preact";
import { useEffect, useState } from "preact/hooks";
import { ApiError, watch } from "./api";
import { MetricsDocument, type MetricsSubscription } from "./generated";
import type { Service } from "./state";
import { Store, useStore } from "./store";

export type Sample = MetricsSubscription["serviceMetrics"];

/** How many services are measured at once; a list may be longer, and no screen is. */
const MOST = 40;

/** How long to go on when nobody shows the figures any more, in milliseconds: they may be on their way to another place. */
const LINGER = 3_000;

class Usage {
  readonly sample = new Store<Sample | null>(null);
  readonly error = new Store<ApiError | null>(null);
  #users = 0;
  #end: (() => void) | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    readonly key: string,
    readonly id: string,
  ) {}

  use(): () => void {
    this.#users++;
    clearTimeout(this.#timer);
    this.#end ??= watch(MetricsDocument, () => ({ id: this.id }), {
      next: ({ serviceMetrics: sample }) => this.sample.set(sample),
      failed: (error) => this.error.set(error),
    });
    return () => {
      if (--this.#users === 0) this.#timer = setTimeout(() => this.#stop(), LINGER);
    };
  }

  #stop(): void {
    this.#end?.();
    this.#end = null;
    this.sample.set(null);
    all.delete(this.key);
  }
}

const all = new Map<string, Usage>();
const NONE = { sample: new Store<Sample | null>(null), error: new Store<ApiError | null>(null) };

/** A service's latest figures, while it runs and somebody wants them. */
export function useUsage(service: Service, wanted = true) {
  const running = service.state === "RUNNING";
  // A subscription keeps to the limits that it began with.
  const key = `${service.id} ${service.tier.tier}`;
  const [usage, setUsage] = useState<Usage | null>(null);
  useEffect(() => {
    if (!running || !wanted || (all.size >= MOST && !all.has(key))) return setUsage(null);
    const usage = all.get(key) ?? new Usage(key, service.id);
    all.set(key, usage);
    setUsage(usage);
    return usage.use();
  }, [key, running, wanted]);
  const { sample, error } = usage ?? NONE;
  return { sample: useStore(sample), error: useStore(error) };
}

/** Whether something is on the screen, or almost. */
export function useInSight(ref: RefObject<Element | null>): boolean {
  const [inSight, setInSight] = useState(false);
  useEffect(() => {
    const observer = new IntersectionObserver((entries) => setInSight(entries.at(-1)?.isIntersecting ?? false), { rootMargin: "80px" });
    if (ref.current) observer.observe(ref.current);
    return () => observer.disconnect();
  }, []);
  return inSight;
}
