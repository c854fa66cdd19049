import { useEffect, useRef, useState } from "preact/hooks";
import { simpleActions, useAction } from "../actions";
import { ApiError, send } from "../api";
import { Credentials } from "../connect/credentials";
import { OneServiceDocument } from "../generated";
import { History } from "./history";
import { Icon, KindIcon } from "../icons";
import { Logs, NoLogs } from "./logs";
import { Metrics } from "./metrics";
import { Overview } from "./overview";
import { Dialog } from "../parts/dialog";
import { Failure, Notice } from "../parts/failure";
import { StateBadge, Underway } from "../parts/state";
import type { Project } from "../project";
import type { Catalog } from "../create/provision";
import { addressOf, leave, type Route, TABS, type Tab } from "../route";
import type { Service } from "../state";
import { ACTION } from "../words";

const TAB_NAMES: Record<Tab, string> = {
  overview: "Overview",
  credentials: "Credentials",
  history: "History",
  logs: "Logs",
  metrics: "Metrics",
};

interface DetailProps {
  project: Project;
  service: Service;
  catalog: Catalog;
  tab: Tab;
  mayReadLogs: boolean;
}

/** All that there is about one service. */
export function Detail({ project, service, catalog, tab, mayReadLogs }: DetailProps) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus(), [service.id]);
  const entry = catalog.find(({ kind }) => kind === service.kind);
  return (
    <section class="detail" aria-labelledby="detail-name">
      <header>
        <button type="button" class="bare back" aria-label="Back to the list" onClick={leave}>
          <Icon sign="back" />
        </button>
        <KindIcon kind={service.kind} size={24} />
        <div class="detail-title">
          <h2 id="detail-name" ref={heading} tabIndex={-1}>
            {service.name}
          </h2>
          <span class="quiet">
            {entry?.name} {service.version} · {service.tier.name}
          </span>
        </div>
        <button type="button" class="bare close" aria-label="Close the details" onClick={leave}>
          <Icon sign="close" />
        </button>
      </header>
      <div class="detail-state" role="group" aria-label="State">
        <StateBadge state={service.state} />
        <Underway service={service} />
      </div>
      <Actions key={service.id} project={project} service={service} />
      <Tabs id={service.id} tab={tab} />
      <div class="panel" role="tabpanel" id="panel" aria-labelledby={`tab-${tab}`}>
        {tab === "overview" && <Overview service={service} />}
        {tab === "credentials" && entry && <Credentials key={service.id} project={project} service={service} entry={entry} />}
        {tab === "history" && <History key={service.id} project={project} service={service} />}
        {tab === "logs" && (mayReadLogs ? <Logs key={service.id} service={service} /> : <NoLogs />)}
        {tab === "metrics" && <Metrics key={service.id} service={service} />}
      </div>
    </section>
  );
}

function Actions({ project, service }: { project: Project; service: Service }) {
  const { ask, asking, error } = useAction(project, service);
  const [destroying, setDestroying] = useState(false);
  const actions = simpleActions(service);
  const mayDestroy = service.viewerActions.includes("DESTROY");
  return (
    <>
      {(actions.length > 0 || mayDestroy) && (
        <div class="actions">
          {actions.map((action) => (
            <button key={action} type="button" aria-disabled={asking !== null} onClick={() => ask(action)}>
              <Icon sign={action} size={16} /> {ACTION[action]}
            </button>
          ))}
          {mayDestroy && (
            <button type="button" class="danger" onClick={() => setDestroying(true)}>
              <Icon sign="DESTROY" size={16} /> Destroy…
            </button>
          )}
        </div>
      )}
      {error && !destroying && <Failure error={error} />}
      {destroying && (
        <Destroy
          service={service}
          busy={asking !== null}
          error={error}
          close={() => setDestroying(false)}
          destroy={async () => (await ask("DESTROY")) && setDestroying(false)}
        />
      )}
    </>
  );
}

interface DestroyProps {
  service: Service;
  busy: boolean;
  error: ApiError | null;
  close: () => void;
  destroy: () => void;
}

/** Has the name typed before the data is gone. */
function Destroy({ service, busy, error, close, destroy }: DestroyProps) {
  const [typed, setTyped] = useState("");
  return (
    <Dialog
      class="small"
      title={`Destroy ${service.name}?`}
      close={close}
      submit={() => typed === service.name && destroy()}
      footer={
        <>
          {error && <Failure error={error} />}
          <button type="button" onClick={close}>
            Keep it
          </button>
          <button type="submit" class="danger solid" disabled={busy || typed !== service.name}>
            Destroy for good
          </button>
        </>
      }
    >
      <p>
        This removes the service <strong>and all its data, for good</strong>. Nobody can bring it back. Its history
        stays.
      </p>
      <label>
        <span>
          Type <code>{service.name}</code> to confirm
        </span>
        <input
          autoFocus
          value={typed}
          onInput={(event) => setTyped(event.currentTarget.value)}
          autoComplete="off"
          autoCapitalize="none"
          spellcheck={false}
        />
      </label>
    </Dialog>
  );
}

/** Tabs as WAI-ARIA has them: the arrow keys go from one to the next. */
function Tabs({ id, tab }: { id: string; tab: Tab }) {
  const list = useRef<HTMLDivElement>(null);
  useEffect(() => list.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" }), [tab]);
  const go = (event: KeyboardEvent) => {
    const at = TABS.indexOf(tab);
    const next = { ArrowRight: at + 1, ArrowLeft: at - 1 + TABS.length, Home: 0, End: TABS.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    list.current?.querySelectorAll<HTMLElement>("[role=tab]")[next % TABS.length]?.focus();
    location.replace(addressOf(id, TABS[next % TABS.length]));
  };
  return (
    <div class="tabs" role="tablist" aria-label="About this service" ref={list} onKeyDown={go}>
      {TABS.map((name) => (
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
export function Unlisted({ project, route: { id } }: { project: Project; route: Route }) {
  const [error, setError] = useState<ApiError | null>(null);
  const [missing, setMissing] = useState(false);
  useEffect(() => {
    setMissing(false);
    setError(null);
    send(OneServiceDocument, { id: id ?? "" })
      .then(({ service }) => (service?.projectId === project.id ? project.answered(service) : setMissing(true)))
      .catch((reason) => setError(ApiError.of(reason)));
  }, [id]);
  return (
    <section class="detail">
      {error && error.code !== "BAD_USER_INPUT" && <Failure error={error} />}
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
