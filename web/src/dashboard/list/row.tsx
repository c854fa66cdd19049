import { memo } from "preact/compat";
import { useLayoutEffect, useRef } from "preact/hooks";
import type { Entry } from "../create/provision";
import { explained, titleOf } from "../errors";
import { KindIcon } from "../marks";
import { Menu } from "../parts/menu";
import { Meters } from "../parts/meters";
import { Marks, StateBadge, Underway } from "../parts/state";
import { Ago } from "../parts/time";
import type { Project } from "../project";
import { addressOf } from "../route";
import { useActions } from "../service/actions";
import type { Service } from "../state";
import { useInSight, useUsage } from "../usage";
import { cores, health, size } from "../words";

/** The service that was looked at last: coming back from it, the focus is where it was before. */
let left: string | null = null;

export function leaving(id: string): void {
  left = id;
}

interface RowProps {
  project: Project;
  service: Service;
  entry: Entry | undefined;
}

/** A service in the list. Drawn anew only when it changes itself. */
export const Row = memo(function Row({ project, service, entry }: RowProps) {
  const { usual, rare, dialog, error } = useActions(project, service, entry);
  const { tier } = service;
  const gone = service.state === "DESTROYED";
  const link = useRef<HTMLAnchorElement>(null);
  useLayoutEffect(() => {
    if (left !== service.id) return;
    left = null;
    link.current?.focus();
  }, []);
  const looks = [
    { label: "Open", sign: "boxes" as const, href: addressOf(service.id) },
    { label: "Connect", sign: "connect" as const, href: addressOf(service.id, "connect") },
    { label: "Logs", sign: "logs" as const, href: addressOf(service.id, "logs") },
  ];
  return (
    <li class="row" data-service={service.name}>
      <KindIcon kind={service.kind} size={20} />
      <div class="row-name">
        <a ref={link} href={addressOf(service.id)}>
          {service.name}
        </a>
        <Version service={service} kindName={entry?.name ?? service.kind} />
      </div>
      <div class="row-state">
        <span>
          <StateBadge state={service.state} />
          {!service.operation && !gone && <span class="quiet">{health(service)}</span>}
          <Marks service={service} />
          {gone && (
            <span class="quiet">
              <Ago time={service.updatedAt} />
            </span>
          )}
        </span>
        <Underway service={service} />
        {error ? (
          <span class="trouble" role="alert">
            {explained(error).text}
          </span>
        ) : (
          service.error && <span class="trouble">{titleOf(service.error.code)}.</span>
        )}
      </div>
      <Usage service={service} />
      <div class="row-tier">
        <span>{tier.name}</span>
        <span class="quiet">
          {size(tier.memoryMib)} · {cores(tier.cpus)}
        </span>
      </div>
      <div class="row-actions">
        {!gone && <Menu label="Actions" of={service.name} groups={[looks, usual.filter(({ danger }) => !danger), rare, usual.filter(({ danger }) => danger)]} />}
      </div>
      {dialog}
    </li>
  );
});

/** What a service is, and its version. */
export function Version({ service, kindName }: { service: Service; kindName: string }) {
  return (
    <span class="quiet version">
      {kindName} <span class="chip">{service.version}</span>
    </span>
  );
}

/** Measured only while somebody can see it. */
function Usage({ service }: { service: Service }) {
  const place = useRef<HTMLDivElement>(null);
  const { sample } = useUsage(service, useInSight(place));
  return (
    <div class="row-usage" ref={place}>
      {service.state === "RUNNING" && <Meters service={service} sample={sample} />}
    </div>
  );
}
