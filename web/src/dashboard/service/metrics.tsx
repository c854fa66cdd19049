import { Failure, Notice } from "../parts/failure";
import { figures, percent } from "../parts/meters";
import type { Service } from "../state";
import { useUsage, WINDOW } from "../usage";

/** What the service takes and holds, as it is measured. */
export function Metrics({ service, usage: { samples, error } }: { service: Service; usage: ReturnType<typeof useUsage> }) {
  if (error) return <Failure error={error} />;
  if (service.state === "DESTROYED") return <Notice level="h3" sign="boxes" title="Destroyed: nothing to measure any more" />;
  if (service.state !== "RUNNING") {
    return (
      <Notice level="h3" sign="boxes" title="Nothing to measure">
        <p>Charts appear as soon as the service runs.</p>
      </Notice>
    );
  }
  const now = samples.at(-1);
  if (!now) return <p class="quiet centred">Measuring…</p>;
  const points = {
    CPU: samples.map((sample) => sample.cpuMillis / sample.cpuLimitMillis),
    Memory: samples.map((sample) => sample.memoryMib / sample.memoryLimitMib),
    Storage: samples.map(({ storageMib, storageLimitMib }) => (storageMib === null ? null : storageMib / storageLimitMib)),
  };
  return (
    <>
      <p class="quiet">The last two minutes, as far as this page has seen them. The dashed line is the limit.</p>
      <div class="charts">
        {figures(now).map(({ name, share, text }) => (
          <Chart key={name} title={name} figure={percent(share)} of={text} points={points[name as keyof typeof points]} />
        ))}
        <section class="part">
          <header>
            <h3>Open connections</h3>
          </header>
          <strong class="figure">{now.connections ?? "…"}</strong>
        </section>
      </div>
    </>
  );
}

interface ChartProps {
  title: string;
  figure: string;
  of: string;
  /** Shares of the limit; null where nobody knows. */
  points: readonly (number | null)[];
}

const WIDE = 240;
const HIGH = 56;

/** A line below its limit. What is above it is drawn at the top. */
function Chart({ title, figure, of, points }: ChartProps) {
  const first = WINDOW - points.length;
  const at = points.flatMap((point, index) => {
    if (point === null) return [];
    const x = ((first + index) * WIDE) / (WINDOW - 1);
    const y = HIGH - Math.min(point, 1) * (HIGH - 4) - 1;
    return [[x.toFixed(1), y.toFixed(1)] as const];
  });
  const line = at.map(([x, y]) => `${x},${y}`).join(" ");
  return (
    <figure class="chart part">
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
