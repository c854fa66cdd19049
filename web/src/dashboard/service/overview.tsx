import { type ComponentChildren, Fragment } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { pageOfService } from "../activity/events";
import { Timeline } from "../activity/timeline";
import type { Entry } from "../create/provision";
import { remedy, titleOf, waysOut } from "../errors";
import type { EventFragment, OperationKind, OperationPhase } from "../generated";
import { Icon, type Sign } from "../icons";
import { Copy } from "../parts/copy";
import { Failure } from "../parts/failure";
import type { Item } from "../parts/menu";
import { Meters } from "../parts/meters";
import { Ago } from "../parts/time";
import type { Project } from "../project";
import { addressOf } from "../route";
import { type Service, waits } from "../state";
import type { Sample } from "../usage";
import { atLength, cores, dayOf, health, OPERATION, size } from "../words";
import { useActions } from "./actions";

/** The way that some operations go, and what a viewer calls its parts. */
const WAYS: Partial<Record<OperationKind, readonly [OperationPhase, string][]>> = {
  PROVISION: [
    ["PULLING_IMAGE", "Image"],
    ["CREATING_VOLUME", "Volume"],
    ["CREATING_CONTAINER", "Container"],
    ["STARTING", "Start"],
    ["WAITING_FOR_READY", "Ready"],
  ],
  UPGRADE: [
    ["PULLING_IMAGE", "Image"],
    ["PREPARING", "Prepare"],
    ["COPYING_DATA", "Copy"],
    ["COMPARING", "Compare"],
    ["SWITCHING", "Switch"],
  ],
  RESTORE: [
    ["PULLING_IMAGE", "Image"],
    ["RESTORING", "Data"],
    ["CREATING_CONTAINER", "Container"],
    ["STARTING", "Start"],
    ["WAITING_FOR_READY", "Ready"],
  ],
};

/** How many of the latest events are shown. */
const LATEST = 4;

interface OverviewProps {
  project: Project;
  service: Service;
  entry: Entry | undefined;
  sample: Sample | null;
}

export function Overview({ project, service, entry, sample }: OverviewProps) {
  const { operation, error, replaced } = service;
  const { of, dialog, error: refused } = useActions(project, service, entry);
  const gone = service.state === "DESTROYED";
  const runs = service.state === "RUNNING";
  return (
    <>
      {operation && <Way key={operation.startedAt} operation={operation} />}
      {refused && <Failure error={refused} />}
      {waits(service) && <Outgrown service={service} kind={entry?.name} ways={[of("RESTART")]} />}
      {error && <Fault service={service} error={error} ways={waysOut(service, error.code).map(of)} />}
      {replaced && <Kept replaced={replaced} now={service.version} way={of("REVERT")} />}
      {dialog}
      <div class="cards">
        <div>
          {!gone && (
            <Card title="Usage" more={runs ? ["Charts", addressOf(service.id, "metrics")] : undefined}>
              {(runs || service.storage.usedMib !== null) && <Meters service={service} sample={sample} alone={!runs} long />}
              {!runs && <p class="quiet">CPU and memory are measured while it runs.</p>}
            </Card>
          )}
          {!gone && (
            <Card title="Addresses" more={["Connect", addressOf(service.id, "connect")]}>
              <Addresses service={service} />
            </Card>
          )}
          {gone && (
            <Card title="Details">
              <Details service={service} kind={entry?.name} upgrade={null} />
            </Card>
          )}
        </div>
        <div>
          {!gone && (
            <Card title="Details">
              <Details service={service} kind={entry?.name} upgrade={of("UPGRADE")} />
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
  const { hostname, externalHost, endpoints } = service;
  const address = (at: string, what: string) => (
    <span class="copied">
      <code>{at}</code> <Copy text={at} what={what} />
    </span>
  );
  /** Of several each is told apart by its name. */
  const named = (name: string, what: string) => (endpoints.length > 1 ? `${what}, ${name}` : what);
  const published = externalHost ? endpoints.filter(({ externalPort }) => externalPort) : [];
  return (
    <dl class="facts">
      {endpoints.map(({ name, port }) => (
        <Fragment key={name}>
          <dt>{named(name, "Inside")}</dt>
          <dd>
            {address(`${hostname}:${port}`, named(name, "The address inside"))}
            <span class="quiet">On the project’s network</span>
          </dd>
        </Fragment>
      ))}
      {published.map(({ name, externalPort }) => (
        <Fragment key={name}>
          <dt>{named(name, "Outside")}</dt>
          <dd>
            {address(`${externalHost}:${externalPort}`, named(name, "The address outside"))}
            {name === "web" ? (
              <a href={`http://${externalHost}:${externalPort}/`} target="_blank" rel="noreferrer">
                Open the inbox
              </a>
            ) : (
              <span class="quiet">For everything else</span>
            )}
          </dd>
        </Fragment>
      ))}
      {published.length === 0 && (
        <>
          <dt>Outside</dt>
          <dd>
            <span class="quiet">Not reachable from outside now</span>
          </dd>
        </>
      )}
    </dl>
  );
}

function Details({ service, kind, upgrade }: { service: Service; kind: string | undefined; upgrade: Item | null }) {
  const { tier, upgradesTo } = service;
  const [newest] = upgradesTo;
  return (
    <dl class="facts">
      <dt>Health</dt>
      <dd>{health(service)}</dd>
      <dt>Version</dt>
      <dd>
        {kind ?? service.kind} {service.version}
        {upgrade && newest && (
          <span class="quiet">
            There is {newest}.{" "}
            <button type="button" class="plain" onClick={upgrade.act}>
              {upgrade.label}
            </button>
          </span>
        )}
      </dd>
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

interface ToldProps {
  sign: Sign;
  /** How grave it is; what is worst has none. */
  tone?: "mild" | "calm";
  ways: readonly (Item | null)[];
  children: ComponentChildren;
}

/** What is to be known before all else, and what can be done about it. */
function Told({ sign, tone, ways, children }: ToldProps) {
  return (
    <div class={`failure ${tone ?? ""}`}>
      <Icon sign={sign} />
      <div>{children}</div>
      {ways.map(
        (way) =>
          way && (
            <button key={way.label} type="button" onClick={way.act}>
              {way.label}
            </button>
          ),
      )}
    </div>
  );
}

/** Some of its new size waits for a restart. */
function Outgrown({ service, kind, ways }: { service: Service; kind: string | undefined; ways: ToldProps["ways"] }) {
  return (
    <Told sign="clock" tone="mild" ways={ways}>
      <p>Some of its new size, {service.tier.name}, waits for a restart.</p>
      <p class="quiet">
        {kind} takes what it plans with, such as its number of connections, only when it starts. Memory that shrinks waits as well.
      </p>
    </Told>
  );
}

/** Why the service does not do what it should. Below the reason there may be the end of a log. */
function Fault({ service, error, ways }: { service: Service; error: NonNullable<Service["error"]>; ways: ToldProps["ways"] }) {
  const [reason, ...log] = error.message.split("\n");
  const locked = error.code === "STORAGE_FULL" && service.state === "RUNNING";
  return (
    <Told sign="warning" ways={ways}>
      <p>
        <strong>{titleOf(error.code)}.</strong> {reason}
      </p>
      {log.length > 0 && <pre class="excerpt">{log.join("\n")}</pre>}
      <p class="quiet">
        {remedy(service, error.code)} <span class="together">Noticed <Ago time={error.occurredAt} />.</span>
      </p>
      {locked && service.kind === "POSTGRESQL" && <Unlock />}
      {locked && service.kind === "REDIS" && <p class="quiet">Keys can be deleted all the same.</p>}
    </Told>
  );
}

/** What lets a session write that makes room. */
const UNLOCK = "SET default_transaction_read_only = off;";

function Unlock() {
  return (
    <>
      <p class="quiet">A session that deletes has to begin with this:</p>
      <p class="copied">
        <code>{UNLOCK}</code> <Copy text={UNLOCK} what="The statement" />
      </p>
      <p class="quiet">DROP and TRUNCATE make room at once, DELETE does only after VACUUM FULL.</p>
    </>
  );
}

/** What an upgrade or a restore has replaced, for as long as it is there. */
function Kept({ replaced, now, way }: { replaced: NonNullable<Service["replaced"]>; now: string; way: Item | null }) {
  const { version, replacedAt, keptUntil } = replaced;
  return (
    <Told sign="REVERT" tone="calm" ways={[way]}>
      <p>
        {version === now ? "What it was" : `Version ${version}`} is kept until{" "}
        <time dateTime={keptUntil} title={atLength(keptUntil)}>
          {dayOf(keptUntil)}
        </time>
        .
      </p>
      <p class="quiet">
        It was replaced <Ago time={replacedAt} />. {way && "You can go back to it until then, without what was written since."}
      </p>
    </Told>
  );
}

/** How far an operation is on its way. A phase that is no part of the way leaves it where it was. */
function Way({ operation: { kind, phase } }: { operation: NonNullable<Service["operation"]> }) {
  const furthest = useRef(-1);
  const way = WAYS[kind];
  if (!way) return null;
  const at = Math.max(
    furthest.current,
    way.findIndex(([step]) => step === phase),
  );
  furthest.current = at;
  return (
    <ol class="way" aria-label={OPERATION[kind]}>
      {way.map(([step, name], index) => (
        <li key={step} class={index < at ? "past" : ""} aria-current={index === at ? "step" : undefined}>
          {name}
          {index < at && <span class="unseen"> (done)</span>}
        </li>
      ))}
    </ol>
  );
}
