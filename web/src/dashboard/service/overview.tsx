import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { pageOfService } from "../activity/events";
import { Timeline } from "../activity/timeline";
import type { Entry } from "../create/provision";
import { remedy, titleOf } from "../errors";
import type { EventFragment, OperationPhase } from "../generated";
import { Icon } from "../icons";
import { Copy } from "../parts/copy";
import { Failure } from "../parts/failure";
import { Meters } from "../parts/meters";
import { Ago } from "../parts/time";
import type { Project } from "../project";
import { addressOf } from "../route";
import type { Service } from "../state";
import type { Sample } from "../usage";
import { cores, health, size } from "../words";
import { useActions } from "./actions";
import { waits } from "./sizing";

/** The way to RUNNING, and what a viewer calls its parts. */
const WAY: [OperationPhase, string][] = [
  ["PULLING_IMAGE", "Image"],
  ["CREATING_VOLUME", "Volume"],
  ["CREATING_CONTAINER", "Container"],
  ["STARTING", "Start"],
  ["WAITING_FOR_READY", "Ready"],
];

/** How many of the latest events are shown. */
const LATEST = 4;

interface OverviewProps {
  project: Project;
  service: Service;
  entry: Entry | undefined;
  sample: Sample | null;
}

export function Overview({ project, service, entry, sample }: OverviewProps) {
  const { operation, error } = service;
  const gone = service.state === "DESTROYED";
  return (
    <>
      {operation?.kind === "PROVISION" && <Way phase={operation.phase} />}
      {waits(service) && <Outgrown project={project} service={service} entry={entry} />}
      {error && <Fault service={service} error={error} />}
      <div class="cards">
        <div>
          {!gone && (
            <Card title="Usage" more={service.state === "RUNNING" ? ["Charts", addressOf(service.id, "metrics")] : undefined}>
              {service.state === "RUNNING" ? (
                <Meters sample={sample} long />
              ) : (
                <p class="quiet">CPU, memory and storage are measured while it runs.</p>
              )}
            </Card>
          )}
          {!gone && (
            <Card title="Addresses" more={["Connect", addressOf(service.id, "connect")]}>
              <Addresses service={service} />
            </Card>
          )}
          {gone && (
            <Card title="Details">
              <Details service={service} />
            </Card>
          )}
        </div>
        <div>
          {!gone && (
            <Card title="Details">
              <Details service={service} />
            </Card>
          )}
          <Card title="Latest events" more={["History", addressOf(service.id, "history")]}>
            <Latest project={project} service={service} />
          </Card>
        </div>
      </div>
    </>
  );
}

function Card({ title, more, children }: { title: string; more?: [string, string] | undefined; children: ComponentChildren }) {
  return (
    <section class="part">
      <header>
        <h3>{title}</h3>
        {more && <a href={more[1]}>{more[0]}</a>}
      </header>
      {children}
    </section>
  );
}

function Addresses({ service }: { service: Service }) {
  const inside = `${service.hostname}:${service.port}`;
  const outside = service.externalHost && `${service.externalHost}:${service.externalPort}`;
  return (
    <dl class="facts">
      <dt>Inside</dt>
      <dd>
        <span class="copied">
          <code>{inside}</code> <Copy text={inside} what="The address inside" />
        </span>
        <span class="quiet">On the project’s network</span>
      </dd>
      <dt>Outside</dt>
      <dd>
        {outside ? (
          <>
            <span class="copied">
              <code>{outside}</code> <Copy text={outside} what="The address outside" />
            </span>
            <span class="quiet">For everything else</span>
          </>
        ) : (
          <span class="quiet">Not reachable from outside now</span>
        )}
      </dd>
    </dl>
  );
}

function Details({ service }: { service: Service }) {
  const { tier } = service;
  return (
    <dl class="facts">
      <dt>Health</dt>
      <dd>{health(service)}</dd>
      <dt>Size</dt>
      <dd>
        {tier.name}
        <span class="quiet together">
          {size(tier.memoryMib)} memory, {cores(tier.cpus)}
        </span>
        <span class="quiet together">{size(tier.storageMib)} storage</span>
      </dd>
      <dt>Created</dt>
      <dd>
        <Ago time={service.createdAt} />
      </dd>
      <dt>Last change</dt>
      <dd>
        <Ago time={service.updatedAt} />
      </dd>
      <dt>Id</dt>
      <dd class="copied">
        <code>{service.id}</code> <Copy text={service.id} what="The id" />
      </dd>
    </dl>
  );
}

/** The last few things that happened. */
function Latest({ project, service }: { project: Project; service: Service }) {
  const [events, setEvents] = useState<readonly EventFragment[] | null>(null);
  useEffect(() => {
    const add = (more: readonly EventFragment[]) =>
      setEvents((events) => {
        const known = new Map([...more, ...(events ?? [])].map((event) => [event.cursor, event]));
        return [...known.values()].sort((a, b) => (a.cursor < b.cursor ? 1 : -1));
      });
    const end = project.event.subscribe((event) => event?.serviceId === service.id && add([event]));
    // The history itself says why it can't be read.
    pageOfService(service.id, null)
      .then((page) => add(page.events))
      .catch(() => setEvents([]));
    return end;
  }, []);
  if (!events) return <p class="quiet">Reading…</p>;
  if (events.length === 0) return <p class="quiet">None yet.</p>;
  return <Timeline events={events} label="Latest events" busy={false} most={LATEST} />;
}

/** Some of its new size waits for a restart. */
function Outgrown({ project, service, entry }: Omit<OverviewProps, "sample">) {
  const { items, dialog, error } = useActions(project, service, entry);
  const restart = items.find(({ sign }) => sign === "RESTART");
  return (
    <div class="failure mild">
      <Icon sign="clock" />
      <div>
        <p>Some of its new size, {service.tier.name}, waits for a restart.</p>
        <p class="quiet">
          {entry?.name} takes what it plans with, such as its number of connections, only when it starts. Memory that shrinks
          waits as well.
        </p>
      </div>
      {restart && (
        <button type="button" onClick={restart.act}>
          {restart.label}
        </button>
      )}
      {error && <Failure error={error} />}
      {dialog}
    </div>
  );
}

/** Why the service does not do what it should. Below the reason there may be the end of a log. */
function Fault({ service, error }: { service: Service; error: NonNullable<Service["error"]> }) {
  const [reason, ...log] = error.message.split("\n");
  return (
    <div class="failure">
      <Icon sign="warning" />
      <div>
        <p>
          <strong>{titleOf(error.code)}.</strong> {reason}
        </p>
        {log.length > 0 && <pre class="excerpt">{log.join("\n")}</pre>}
        <p class="quiet">
          {remedy(service, error.code)} <span class="together">Noticed <Ago time={error.occurredAt} />.</span>
        </p>
      </div>
    </div>
  );
}

function Way({ phase }: { phase: OperationPhase }) {
  const at = WAY.findIndex(([step]) => step === phase);
  return (
    <ol class="way" aria-label="Provisioning">
      {WAY.map(([step, name], index) => (
        <li key={step} class={index < at ? "past" : ""} aria-current={index === at ? "step" : undefined}>
          {name}
          {index < at && <span class="unseen"> (done)</span>}
        </li>
      ))}
    </ol>
  );
}
