import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { Activity } from "./activity/activity";
import type { ApiError } from "./api";
import { Provision } from "./create/provision";
import type { OperationKind, StartQuery } from "./generated";
import { Header } from "./header";
import { Icon } from "./icons";
import { lookForDestroyed, ServiceList, Skeleton } from "./list/list";
import { Rail } from "./list/rail";
import { leaving } from "./list/row";
import { announce, Announcer } from "./parts/announcer";
import { Failure, Notice } from "./parts/failure";
import { toast, Toasts, withdrawOffers } from "./parts/toasts";
import { Project } from "./project";
import { addressOf, chooseProject, leave, type Route, route } from "./route";
import { Detail, Unlisted } from "./service/detail";
import { Endings, saidOf } from "./service/endings";
import { asksForToken, embedded } from "./session";
import { search, ShortcutHelp, useShortcuts } from "./shortcuts";
import { listed, type ServiceEvent } from "./state";
import { useStore } from "./store";

/** States in which something has ended; those between go by too fast. */
const SETTLED = new Set(["RUNNING", "STOPPED", "ERROR", "DESTROYED"]);

/** A project's services. */
export function Services({ id, start }: { id: string; start: StartQuery }) {
  const project = useMemo(() => new Project(id), [id]);
  const state = useStore(project.state);
  const loaded = useStore(project.loaded);
  const error = useStore(project.error);
  const at = useStore(route);
  const [creating, setCreating] = useState(false);
  const [helping, setHelping] = useState(false);
  const [past, setPast] = useState(false);
  const opened = useRef(false);
  const before = useRef<string | null>(null);
  useEffect(() => setCreating(false), [at.id]);
  if (before.current && !at.id) leaving(before.current);
  before.current = at.id;

  useEffect(() => {
    const endings = new Endings();
    const begin = project.loaded.subscribe(() => endings.begin(project.state.value.services.values()));
    const end = project.event.subscribe((event) => event && tellOf(event, endings.endedBy(event)));
    void project.open();
    return () => {
      begin();
      end();
      withdrawOffers();
      project.close();
    };
  }, [project]);
  useEffect(() => {
    // Another token may allow other actions.
    if (opened.current && project.loaded.value) project.read().catch(() => {});
    opened.current = true;
  }, [start]);

  const services = useMemo(() => listed(state), [state]);
  const catalog = useMemo(() => new Map(start.serviceCatalog.map((entry) => [entry.kind, entry])), [start]);
  const mayCreate = start.viewer.permissions.includes("project:settings");
  const mayDelete = start.viewer.permissions.includes("project:delete");
  const chosen = at.id ? state.services.get(at.id) : undefined;
  useEffect(() => {
    document.title = chosen ? `${chosen.name} · Services` : at.view === "activity" ? "Activity · Services" : "Services";
  }, [chosen?.name, at.view]);
  useShortcuts({
    "/": search,
    "?": () => setHelping(true),
    n: () => mayCreate && loaded && setCreating(true),
    Escape: () => at.id && leave(),
  });
  const create = mayCreate ? () => setCreating(true) : null;

  return (
    <div class={at.id ? "page with-service" : "page"}>
      <Header id={id} viewer={start.viewer} services={services} ready={loaded && !error} route={at} create={create} help={() => setHelping(true)} />
      <main>
        {error ? (
          <Unreadable error={error} retry={() => project.open()} />
        ) : !loaded ? (
          <Skeleton />
        ) : at.id ? (
          <>
            <Rail services={services} open={at.id} tab={at.tab} />
            {chosen ? (
              <Detail
                project={project}
                service={chosen}
                catalog={start.serviceCatalog}
                tab={at.tab}
                mayChange={mayCreate}
                mayDelete={mayDelete}
              />
            ) : (
              <Unlisted key={at.id} project={project} id={at.id} />
            )}
          </>
        ) : at.view === "activity" ? (
          <Activity project={project} />
        ) : services.length === 0 && !past ? (
          <Empty
            create={create}
            look={() => {
              lookForDestroyed();
              setPast(true);
            }}
          />
        ) : (
          <ServiceList project={project} services={state.services} catalog={catalog} />
        )}
      </main>
      {creating && (
        <Provision
          project={project}
          catalog={start.serviceCatalog}
          close={() => setCreating(false)}
          done={(service) => {
            setCreating(false);
            location.hash = addressOf(service.id);
          }}
        />
      )}
      {helping && <ShortcutHelp close={() => setHelping(false)} />}
      <Toasts />
      <Announcer />
    </div>
  );
}

/** Says aloud what has ended, and shows it to whoever can't see it where it ended. */
function tellOf(event: ServiceEvent, ended: OperationKind | null): void {
  const { state, previousState, message, service } = event;
  const ending = ended && saidOf(ended, event);
  if (!ending && (state === previousState || !SETTLED.has(state))) return;
  const { text, bad } = ending ?? { text: message, bad: state === "ERROR" };
  if (isInSight(service.id, service.name, route.value)) return announce(text);
  toast(text.split("\n")[0] ?? text, state === "DESTROYED" ? {} : { bad, href: addressOf(service.id) });
}

function isInSight(id: string, name: string, at: Route): boolean {
  if (document.hidden) return false;
  if (at.id === id) return true;
  const place = document.querySelector(`[data-service="${CSS.escape(name)}"]`)?.getBoundingClientRect();
  return place !== undefined && place.height > 0 && place.top >= 0 && place.bottom <= innerHeight;
}

function Empty({ create, look }: { create: (() => void) | null; look: () => void }) {
  return (
    <Notice sign="boxes" title="No services yet">
      {create ? (
        <>
          <p>Give this project a database or a cache. It is ready in a few seconds.</p>
          <button type="button" class="primary" onClick={create}>
            <Icon sign="add" size={16} /> New service
          </button>
        </>
      ) : (
        <p>Somebody with the permission to change the project’s services can create the first one.</p>
      )}
      <button type="button" class="plain" onClick={look}>
        Show destroyed services
      </button>
    </Notice>
  );
}

function Unreadable({ error, retry }: { error: ApiError; retry: () => void }) {
  if (error.code === "NOT_FOUND" || error.code === "FORBIDDEN") {
    return (
      <Notice sign="lock" title="You can’t see this project">
        <p>There is no such project, or it is not yours to see.</p>
        <p>Check the address, or ask somebody who manages the project to let you in.</p>
        {asksForToken && !embedded && (
          <button type="button" onClick={() => chooseProject(null)}>
            Choose another project
          </button>
        )}
      </Notice>
    );
  }
  return <Failure error={error} retry={retry} />;
}
