import { useMemo, useState } from "preact/hooks";
import { Chart, type ChartProps } from "../charts/chart";
import { usePast } from "../charts/past";
import { type Past, RANGES } from "../charts/ranges";
import { COUNTED_EVERY, figure, type Measured } from "../charts/series";
import { FigureTable } from "../charts/table";
import type { MetricsRange } from "../generated";
import { Failure, Notice } from "../parts/failure";
import type { Service } from "../state";
import { Store, useStore } from "../store";
import type { Sample, useUsage } from "../usage";
import { cores, IS, size } from "../words";

/** They stay while somebody goes from service to service. */
const range = new Store<MetricsRange>("HOUR");
const zoomed = new Store(false);

/** What there is a chart of. */
interface Kind extends Pick<ChartProps, "title" | "unit" | "tick" | "exact" | "dotted"> {
  of: (step: Measured | Sample) => number | null;
  limit: (limits: Past["limits"]) => number | null;
}

const KINDS: readonly Kind[] = [
  {
    title: "CPU",
    unit: "decimal",
    of: ({ cpuMillis }) => cpuMillis / 1000,
    limit: ({ cpuLimitMillis }) => cpuLimitMillis / 1000,
    tick: (value) => (value === 0 ? "0" : `${Number(value.toPrecision(2))} CPU`),
    exact: (value) => (Number.isInteger(value * 10) ? cores(value) : `${value.toFixed(value < 0.01 ? 3 : 2)} CPU`),
  },
  {
    title: "Memory",
    unit: "binary",
    of: ({ memoryMib }) => memoryMib,
    limit: ({ memoryLimitMib }) => memoryLimitMib,
    tick: (value) => (value === 0 ? "0" : size(value)),
    exact: size,
  },
  {
    title: "Storage",
    unit: "binary",
    of: ({ storageMib }) => storageMib,
    limit: ({ storageLimitMib }) => storageLimitMib,
    tick: (value) => (value === 0 ? "0" : size(value)),
    exact: size,
    dotted: true,
  },
  {
    title: "Connections",
    unit: "whole",
    of: ({ connections }) => connections,
    limit: ({ connectionsLimit }) => connectionsLimit,
    tick: String,
    exact: String,
    dotted: true,
  },
];

/** What the service takes and holds, now and over a time. */
export function Metrics({ service, usage: { sample, error } }: { service: Service; usage: ReturnType<typeof useUsage> }) {
  const chosen = useStore(range);
  const close = useStore(zoomed);
  const [asTable, setAsTable] = useState(false);
  const { past, error: unread, again } = usePast(service, chosen, sample);
  if (service.state === "DESTROYED") return <Notice level="h3" sign="boxes" title="Destroyed: nothing to measure any more" />;
  return (
    <>
      <div class="bar">
        <fieldset class="sides">
          <legend class="unseen">Time range</legend>
          {(Object.keys(RANGES) as MetricsRange[]).map((name) => (
            <label key={name}>
              <input type="radio" name="range" value={name} checked={name === chosen} onChange={() => range.set(name)} />
              {RANGES[name].name}
            </label>
          ))}
        </fieldset>
        <label class="check">
          <input type="checkbox" checked={close} disabled={asTable} onChange={(event) => zoomed.set(event.currentTarget.checked)} />
          Zoom to the values
        </label>
        <span class="grow" />
        <button type="button" aria-pressed={asTable} onClick={() => setAsTable(!asTable)}>
          Show as table
        </button>
      </div>
      {(error ?? unread) && <Failure error={(error ?? unread) as NonNullable<typeof error>} retry={again} />}
      {service.state !== "RUNNING" && <p class="quiet">The service is {IS[service.state]}: nothing is measured until it runs.</p>}
      {past ? (
        past.steps.length === 0 ? (
          <Notice level="h3" sign="clock" title="Nothing was measured in this time">
            <p>{service.state === "RUNNING" ? "The first values come within a minute." : "Choose a longer time to look further back."}</p>
          </Notice>
        ) : asTable ? (
          <FigureTable
            steps={past.steps}
            columns={KINDS.map(({ title, of, exact }) => ({
              title,
              text: (step) => {
                const value = of(step);
                return value === null ? null : exact(value);
              },
            }))}
          />
        ) : (
          <Charts past={past} sample={sample} close={close} />
        )
      ) : (
        !unread && <p class="quiet centred">Reading what was measured…</p>
      )}
    </>
  );
}

function Charts({ past, sample, close }: { past: Past; sample: Sample | null; close: boolean }) {
  return (
    <>
      <div class="charts">
        {KINDS.map((kind) => (
          <One key={kind.title} kind={kind} past={past} sample={sample} close={close} />
        ))}
      </div>
      <p class="quiet legend">
        The dashed line is the limit. Where it is shaded, nothing was measured. Storage and connections are counted every five minutes,
        and each count is a dot where there is room for it.
      </p>
    </>
  );
}

function One({ kind, past, sample, close }: { kind: Kind; past: Past; sample: Sample | null; close: boolean }) {
  const { title, unit, tick, exact, dotted, of } = kind;
  const points = useMemo(() => (figure(past.steps, of)), [past.steps]);
  const now = (sample && of(sample)) ?? null;
  return (
    <Chart
      title={title}
      now={now !== null ? exact(now) : "–"}
      points={points}
      from={past.from}
      to={past.to}
      // A count is told at the beginning of the step that it was made in.
      every={dotted ? COUNTED_EVERY + past.step : past.step}
      limit={kind.limit(past.limits)}
      unit={unit}
      tick={tick}
      exact={exact}
      dotted={dotted ?? false}
      close={close}
    />
  );
}
