import type { ComponentType } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { History } from "../activity/history";
import { ApiError, send } from "../api";
import { Connect } from "../connect/connect";
import { Console, hasConsole } from "../console/console";
import type { Catalog, Entry } from "../create/provision";
import { OneServiceDocument } from "../generated";
import { Icon } from "../icons";
import { KindIcon } from "../marks";
import { Failure, Notice } from "../parts/failure";
import { Menu } from "../parts/menu";
import { usePart } from "../parts/part";
import { Marks, StateBadge, Underway } from "../parts/state";
import type { Project } from "../project";
import { addressOf, leave, TABS, type Tab } from "../route";
import type { Service } from "../state";
import { useUsage } from "../usage";
import { health } from "../words";
import { useActions } from "./actions";
import { Logs, NoLogs } from "./logs";
import { Overview } from "./overview";

const TAB_NAMES: Record<Tab, string> = {
  overview: "Overview",
  connect: "Connect",
  logs: "Logs",
  metrics: "Metrics",
  console: "Console",
  backups: "Backups",
  history: "History",
};

interface DetailProps {
  project: Project;
  service: Service;
  catalog: Catalog;
  tab: Tab;
  mayChange: boolean;
  mayDelete: boolean;
}

/** All that there is about one service. */
export function Detail({ project, service, catalog, tab, mayChange, mayDelete }: DetailProps) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus(), [service.id]);
  const entry = catalog.find(({ kind }) => kind === service.kind);
  const usage = useUsage(service);
  // The one that is open stays, and says why it can't be used.
  const tabs = TABS.filter((name) => name !== "console" || name === tab || hasConsole(service, mayChange));
  return (
    <section class="service" aria-labelledby="service-name">
      <header>
        <button type="button" class="bare back" aria-label="Back to the list" onClick={leave}>
          <Icon sign="back" />
        </button>
        <KindIcon kind={service.kind} size={24} />
        <div class="service-title">
          <h2 id="service-name" ref={heading} tabIndex={-1}>
            {service.name}
          </h2>
          <p class="quiet version">
            {entry?.name} <span class="chip">{service.version}</span> {service.tier.name}
          </p>
        </div>
        <div class="service-state" role="group" aria-label="State">
          <StateBadge state={service.state} />
          {!service.operation && <span class="quiet">{health(service)}</span>}
          <Marks service={service} />
          <Underway service={service} />
        </div>
        <Actions key={service.id} project={project} service={service} entry={entry} />
        <button type="button" class="bare close" aria-label="Close the details" title="Close (Esc)" onClick={leave}>
          <Icon sign="close" />
        </button>
      </header>
      <Tabs id={service.id} tab={tab} tabs={tabs} />
      <div class="panel" role="tabpanel" id="panel" aria-labelledby={`tab-${tab}`} key={service.id}>
        {tab === "overview" && <Overview project={project} service={service} entry={entry} sample={usage.sample} />}
        {tab === "connect" && entry && <Connect project={project} service={service} entry={entry} />}
        {tab === "logs" && (mayChange ? <Logs service={service} /> : <NoLogs />)}
        {tab === "metrics" && <Later load={LOAD.metrics} props={{ service, usage }} />}
        {tab === "console" && <Console service={service} mayChange={mayChange} />}
        {tab === "backups" && <Later load={LOAD.backups} props={{ project, service, entry, mayChange, mayDelete }} />}
        {tab === "history" && <History project={project} service={service} />}
      </div>
    </section>
  );
}

/** What is loaded only when somebody opens it. */
const LOAD = {
  metrics: async () => (await import("./metrics")).Metrics,
  backups: async () => (await import("./backups/backups")).Backups,
};

function Later<P extends object>({ load, props }: { load: () => Promise<ComponentType<P>>; props: P }) {
  const { part: Part, error, again } = usePart<ComponentType<P>>(load, true);
  if (error) return <Failure error={error} retry={again} />;
  return Part ? <Part {...props} /> : <p class="quiet centred">Opening…</p>;
}

function Actions({ project, service, entry }: { project: Project; service: Service; entry: Entry | undefined }) {
  const { usual, rare, dialog, error } = useActions(project, service, entry);
  return (
    <>
      {usual.length + rare.length > 0 && (
        <div class="actions">
          {usual.map(({ label, sign, danger, act }) => (
            <button key={label} type="button" class={danger ? "danger" : ""} onClick={act}>
              <Icon sign={sign} size={16} /> {label}
            </button>
          ))}
          {rare.length > 0 && <Menu label="More" of={service.name} groups={[rare]} />}
        </div>
      )}
      {error && <Failure error={error} />}
      {dialog}
    </>
  );
}

/** Tabs as WAI-ARIA has them: the arrow keys go from one to the next. */
function Tabs({ id, tab, tabs }: { id: string; tab: Tab; tabs: readonly Tab[] }) {
  const list = useRef<HTMLDivElement>(null);
  useEffect(() => list.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" }), [tab]);
  const go = (event: KeyboardEvent) => {
    const at = tabs.indexOf(tab);
    const next = { ArrowRight: at + 1, ArrowLeft: at - 1 + tabs.length, Home: 0, End: tabs.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    list.current?.querySelectorAll<HTMLElement>("[role=tab]")[next % tabs.length]?.focus();
    location.replace(addressOf(id, tabs[next % tabs.length]));
  };
  return (
    <div class="tabs" role="tablist" aria-label="About this service" ref={list} onKeyDown={go}>
      {tabs.map((name) => (
        <a
          key={name}
          id={`tab-${name}`}
          role="tab"
          href={addressOf(id, name)}
          aria-selected={name === tab}
          aria-controls={name === tab ? "panel" : undefined}
          tabIndex={name === tab ? 0 : -1}
        >
          {TAB_NAMES[name]}
        </a>
      ))}
    </div>
  );
}

/** A service that is not in the list: it may be destroyed, and then is there as history. */
export function Unlisted({ project, id }: { project: Project; id: string }) {
  const [error, setError] = useState<ApiError | null>(null);
  const [missing, setMissing] = useState(false);
  const read = () => {
    setError(null);
    send(OneServiceDocument, { id })
      .then(({ service }) => (service?.projectId === project.id ? project.answered(service) : setMissing(true)))
      .catch((reason) => setError(ApiError.of(reason)));
  };
  useEffect(read, []);
  return (
    <section class="service">
      {error && error.code !== "BAD_USER_INPUT" && <Failure error={error} retry={read} />}
      {(missing || error?.code === "BAD_USER_INPUT") && (
        <Notice sign="boxes" title="There is no such service">
          <p>The project has none at this address, or it is not yours to see.</p>
          <button type="button" onClick={leave}>
            Back to the list
          </button>
        </Notice>
      )}
    </section>
  );
}
