import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { ApiError, connected, send } from "../api";
import { MetricsHistoryDocument, type MetricsRange } from "../generated";
import type { Service } from "../state";
import type { Sample } from "../usage";
import { COUNTED_EVERY, Live, type Measured, measured, type MetricsHistory, RANGES } from "./series";

export interface Past {
  /** Oldest first. */
  steps: readonly Measured[];
  from: number;
  to: number;
  /** How long a step is, in milliseconds. */
  step: number;
  limits: Pick<MetricsHistory, "cpuLimitMillis" | "memoryLimitMib" | "storageLimitMib" | "connectionsLimit">;
}

/** A range of what was measured of a service. An hour goes on with each sample; longer ones are read again step by step. */
export function usePast(service: Service, range: MetricsRange, sample: Sample | undefined) {
  const [read, setRead] = useState<{ range: MetricsRange; history: MetricsHistory; live: Live } | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const wanted = useRef(range);
  wanted.current = range;

  const again = () => {
    setError(null);
    send(MetricsHistoryDocument, { id: service.id, range })
      .then(({ serviceMetricsHistory: history }) => {
        if (wanted.current !== range) return;
        if (!history) throw new ApiError("There is no such service, or it is not yours to see.", "NOT_FOUND");
        const step = history.stepSeconds * 1000;
        // What was seen since the last step of before is not lost by reading again.
        setRead((read) => ({ range, history, live: read?.live.step === step ? read.live : new Live(step) }));
      })
      .catch((reason) => wanted.current === range && setError(ApiError.of(reason)));
  };
  useEffect(() => {
    again();
    const every = range === "HOUR" ? COUNTED_EVERY : RANGES[range].milliseconds / 180;
    const timer = setInterval(again, Math.max(every, 60_000));
    // What was measured while this page was away.
    const end = connected.subscribe((live) => live && again());
    return () => {
      clearInterval(timer);
      end();
    };
  }, [service.id, range]);

  const past = useMemo((): Past | null => {
    if (read?.range !== range) return null;
    const { history, live } = read;
    if (sample) live.add(sample);
    const before = measured(history);
    const steps = range === "HOUR" ? live.behind(before) : before;
    const to = Math.max(Date.parse(history.to), (steps.at(-1)?.at ?? 0) + live.step);
    const from = to - (Date.parse(history.to) - Date.parse(history.from));
    return { steps: steps.filter(({ at }) => at >= from), from, to, step: live.step, limits: history };
  }, [read, range, sample]);
  return { past, error, again };
}
