import { useEffect, useState } from "preact/hooks";
import { type ApiError, watch } from "../api";
import { MetricsDocument, type MetricsSubscription } from "../generated";
import { Failure, Notice } from "../parts/failure";
import type { Service } from "../state";
import { cores, size } from "../words";

type Sample = MetricsSubscription["serviceMetrics"];

/** How many samples the charts show: about two minutes. */
const WINDOW = 120;

/** What the service takes and holds, as it is measured. */
export function Metrics({ service }: { service: Service }) {
  const [samples, setSamples] = useState<Sample[]>([]);
  const [error, setError] = useState<ApiError | null>(null);
  useEffect(
    () =>
      watch(MetricsDocument, () => ({ id: service.id }), {
        next: ({ serviceMetrics: sample }) => setSamples((samples) => [...samples, sample].slice(-WINDOW)),
        failed: setError,
      }),
    [],
  );
  const running = service.state === "RUNNING";
  useEffect(() => {
    if (!running) setSamples([]);
  }, [running]);

  if (error) return <Failure error={error} />;
  if (service.state === "DESTROYED") return <Notice level="h3" sign="boxes" title="Destroyed: nothing to measure any more" />;
  if (!running) {
    return (
      <Notice level="h3" sign="boxes" title="Nothing to measure">
        <p>Charts appear as soon as the service runs.</p>
      </Notice>
    );
  }
  const now = samples.at(-1);
  if (!now) return <p class="quiet centred">Measuring…</p>;
  const share = (figure: number, limit: number) => `${Math.round((100 * figure) / limit)} %`;
  return (
    <div class="charts">
      <p class="quiet">Since you opened this, up to two minutes; the dashed line is the limit.</p>
      <Chart
        title="CPU"
        figure={share(now.cpuMillis, now.cpuLimitMillis)}
        of={`${(now.cpuMillis / 1000).toFixed(2)} of ${cores(now.cpuLimitMillis / 1000)}`}
        limit={now.cpuLimitMillis}
        points={samples.map((sample) => sample.cpuMillis)}
      />
      <Chart
        title="Memory"
        figure={share(now.memoryMib, now.memoryLimitMib)}
        of={`${size(now.memoryMib)} of ${size(now.memoryLimitMib)}`}
        limit={now.memoryLimitMib}
        points={samples.map((sample) => sample.memoryMib)}
      />
      <Chart
        title="Storage"
        figure={now.storageMib === null ? "…" : share(now.storageMib, now.storageLimitMib)}
        of={
          now.storageMib === null
            ? "Being counted"
            : `${size(now.storageMib)} of ${size(now.storageLimitMib)}, not enforced`
        }
        limit={now.storageLimitMib}
        points={samples.map((sample) => sample.storageMib)}
      />
      <dl class="facts">
        <dt>Open connections</dt>
        <dd>{now.connections ?? "Being counted"}</dd>
      </dl>
    </div>
  );
}

interface ChartProps {
  title: string;
  figure: string;
  of: string;
  limit: number;
  points: (number | null)[];
}

const WIDE = 240;
const HIGH = 56;

/** A line below its limit. The scale is the limit's; what is above it is drawn at the top. */
function Chart({ title, figure, of, limit, points }: ChartProps) {
  const first = WINDOW - points.length;
  const at = points.flatMap((point, index) => {
    if (point === null) return [];
    const x = ((first + index) * WIDE) / (WINDOW - 1);
    const y = HIGH - (Math.min(point, limit) / limit) * (HIGH - 4) - 1;
    return [[x.toFixed(1), y.toFixed(1)] as const];
  });
  const line = at.map(([x, y]) => `${x},${y}`).join(" ");
  return (
    <figure class="chart">
      <figcaption>
        <span>{title}</span> <strong>{figure}</strong> <span class="quiet">{of}</span>
      </figcaption>
      <svg viewBox={`0 0 ${WIDE} ${HIGH}`} preserveAspectRatio="none" role="img" aria-label={`${title}: ${of}`}>
        <line class="limit" x1="0" x2={WIDE} y1="3" y2="3" />
        {at.length > 1 && <polygon points={`${at[0]?.[0]},${HIGH} ${line} ${at.at(-1)?.[0]},${HIGH}`} />}
        <polyline points={line} />
      </svg>
    </figure>
  );
}
