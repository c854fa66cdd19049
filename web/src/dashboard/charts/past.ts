import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { ApiError, connected, send } from "../api";
import { MetricsHistoryDocument, type MetricsRange } from "../generated";
import type { Service } from "../state";
import type { Sample } from "../usage";
import { pastOf, RANGES, type Read, taken } from "./ranges";
import { COUNTED_EVERY } from "./series";

/** How often a range is read again, in milliseconds: an hour for its counts, a longer one step by step. */
function every(range: MetricsRange): number {
  return range === "HOUR" ? COUNTED_EVERY : RANGES[range].milliseconds / 180;
}

/** A range of what was measured of a service. */
export function usePast(service: Service, range: MetricsRange, sample: Sample | null) {
  const [read, setRead] = useState<Read | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const wanted = useRef(range);
  wanted.current = range;

  const again = () => {
    setError(null);
    send(MetricsHistoryDocument, { id: service.id, range })
      .then(({ serviceMetricsHistory: history }) => {
        if (wanted.current !== range) return;
        if (!history) throw new ApiError("There is no such service, or it is not yours to see.", "NOT_FOUND");
        setRead((before) => taken(before, range, history));
      })
      .catch((reason) => wanted.current === range && setError(ApiError.of(reason)));
  };
  useEffect(() => {
    again();
    const timer = setInterval(again, every(range));
    // What was measured while this page was away.
    const end = connected.subscribe((live) => live && again());
    return () => {
      clearInterval(timer);
      end();
    };
    // Its limits are among what is read.
  }, [service.id, service.tier.tier, range]);

  return { past: useMemo(() => pastOf(read, range, sample), [read, range, sample]), error, again };
}
