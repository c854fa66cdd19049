import { filling, level, percent, prospectOf } from "../service/storage";
import type { Service } from "../state";
import type { Sample } from "../usage";
import { cores, size } from "../words";

interface Figure {
  name: string;
  /** Of its limit; null while it is not known. */
  share: number | null;
  /** Both in full. */
  text: string;
  /** From which share on it is marked as almost full. */
  almost: number;
}

/** What a sample says of each thing that a size gives; of storage there may be a figure without one. */
function figures(service: Service, sample: Sample | null, alone: boolean): Figure[] {
  const share = (used: number | null, limit: number) => (used === null ? null : used / limit);
  const figure = (name: string, used: number | null, limit: number, text: string, almost = 0.95): Figure => ({
    name,
    share: share(used, limit),
    text: used === null ? "Counting…" : text,
    almost,
  });
  const waiting = (name: string): Figure => ({ name, share: null, text: "Measuring…", almost: 1 });
  const { usedMib, limitMib } = filling(service, sample);
  const storage = figure("Storage", usedMib, limitMib, `${size(usedMib ?? 0)} of ${size(limitMib)}`, 0.9);
  if (alone) return [storage];
  if (!sample) return [waiting("CPU"), waiting("Memory"), storage];
  const { cpuMillis, cpuLimitMillis, memoryMib, memoryLimitMib, connections, connectionsLimit } = sample;
  const shown = [
    figure("CPU", cpuMillis, cpuLimitMillis, `${(cpuMillis / 1000).toFixed(2)} of ${cores(cpuLimitMillis / 1000)}`),
    figure("Memory", memoryMib, memoryLimitMib, `${size(memoryMib)} of ${size(memoryLimitMib)}`),
    storage,
  ];
  // Without a limit there is nothing that it could be a share of.
  if (connectionsLimit !== null) shown.push(figure("Connections", connections, connectionsLimit, `${connections} of ${connectionsLimit}`));
  return shown;
}

interface MetersProps {
  service: Service;
  sample: Sample | null;
  /** In full, with what comes of it. */
  long?: boolean;
  /** Only what is known of a service that does not run. */
  alone?: boolean;
}

/** Bars, each as full as the service is. */
export function Meters({ service, sample, long, alone = false }: MetersProps) {
  return (
    <div class={long ? "meters long" : "meters"}>
      {figures(service, sample, alone).map(({ name, share, text, almost }) => (
        <div key={name} title={`${name}: ${text}`}>
          <span class="quiet">{name}</span>
          <strong>{share === null ? "…" : `${percent(share)} %`}</strong>
          <div
            class={`meter ${level(share, almost)}`}
            role="meter"
            aria-label={name}
            aria-valuemin={0}
            aria-valuemax={100}
            aria-valuenow={Math.min(100, percent(share ?? 0))}
            aria-valuetext={text}
          >
            <span style={{ width: `${100 * Math.min(share ?? 0, 1)}%` }} />
          </div>
          {long && <span class="quiet">{text}</span>}
          {long && name === "Storage" && <Enforced service={service} share={share} />}
        </div>
      ))}
    </div>
  );
}

/** What becomes of a storage that is too full. */
function Enforced({ service, share }: { service: Service; share: number | null }) {
  const { text, warning } = prospectOf(service, share);
  return (
    <>
      <span class="quiet">{text}</span>
      {warning && <span class="caution">{warning}</span>}
    </>
  );
}
