import type { Sample } from "../usage";
import { cores, size } from "../words";

interface Figure {
  name: string;
  /** Of its limit; null while it is not known. */
  share: number | null;
  /** Both in full. */
  text: string;
}

/** What a sample says of each thing that a size gives. */
function figures(sample: Sample): Figure[] {
  const { cpuMillis, cpuLimitMillis, memoryMib, memoryLimitMib, storageMib, storageLimitMib, connections, connectionsLimit } = sample;
  const shown: Figure[] = [
    { name: "CPU", share: cpuMillis / cpuLimitMillis, text: `${(cpuMillis / 1000).toFixed(2)} of ${cores(cpuLimitMillis / 1000)}` },
    { name: "Memory", share: memoryMib / memoryLimitMib, text: `${size(memoryMib)} of ${size(memoryLimitMib)}` },
    {
      name: "Storage",
      share: storageMib === null ? null : storageMib / storageLimitMib,
      text: storageMib === null ? "Counting…" : `${size(storageMib)} of ${size(storageLimitMib)}`,
    },
  ];
  // Without a limit there is nothing that it could be a share of.
  if (connectionsLimit !== null) {
    shown.push({
      name: "Connections",
      share: connections === null ? null : connections / connectionsLimit,
      text: connections === null ? "Counting…" : `${connections} of ${connectionsLimit}`,
    });
  }
  return shown;
}

function percent(share: number | null): string {
  return share === null ? "…" : `${Math.round(100 * share)} %`;
}

/** Bars, each as full as the service is. */
export function Meters({ sample, long }: { sample: Sample | null; long?: boolean }) {
  const shown = sample ? figures(sample) : ["CPU", "Memory", "Storage"].map((name) => ({ name, share: null, text: "Measuring…" }));
  return (
    <div class={long ? "meters long" : "meters"}>
      {shown.map(({ name, share, text }) => (
        <div key={name} title={`${name}: ${text}`}>
          <span class="quiet">{name}</span>
          <strong>{percent(share)}</strong>
          <div
            class={`meter ${share !== null && share >= 0.95 ? "full" : share !== null && share >= 0.8 ? "high" : ""}`}
            role="meter"
            aria-label={name}
            aria-valuemin={0}
            aria-valuemax={100}
            aria-valuenow={Math.round(100 * Math.min(share ?? 0, 1))}
            aria-valuetext={text}
          >
            <span style={{ width: `${100 * Math.min(share ?? 0, 1)}%` }} />
          </div>
          {long && <span class="quiet">{text}</span>}
        </div>
      ))}
    </div>
  );
}
