import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { ApiError, connected, send } from "./api";
import { Detail, Unlisted } from "./service/detail";
import { ChooseProject, Gate } from "./gate";
import { StartDocument, type StartQuery } from "./generated";
import { Icon } from "./icons";
import { ServiceList, Skeleton } from "./list/list";
import { Announcer, announce } from "./parts/announcer";
import { Failure, Notice } from "./parts/failure";
import { Project } from "./project";
import { Provision } from "./create/provision";
import { addressOf, route } from "./route";
import { asksForToken, embedded, expired, session } from "./session";
import { listed } from "./state";
import { useStore } from "./store";

/** States that are worth saying aloud; those between go by too fast. */
const SETTLED = new Set(["RUNNING", "STOPPED", "ERROR", "DESTROYED"]);

/** The whole page: who is there decides what it shows. */
export function Page() {
  const current = useStore(session);
  const refused = useStore(expired);
  const [start, setStart] = useState<StartQuery | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const read = () => {
    setError(null);
    send(StartDocument, {})
      .then(setStart)
      .catch((reason) => setError(ApiError.of(reason)));
  };
  useEffect(() => {
    if (current) read();
  }, [current?.token]);

  // A page that is there stays while its token is renewed.
  if (!current || (refused && (asksForToken || !start) && !embedded)) return <Gate />;
  if (error && !start && error.code !== "UNAUTHENTICATED") {
    return (
      <main class="alone">
        <h1>Services</h1>
        <Failure error={error} retry={read} />
      </main>
    );
  }
  if (!start) return refused ? <Gate /> : <Loading />;
  const [only, ...more] = start.viewer.projects;
  const project = current.project ?? (only !== "*" && more.length === 0 ? only : null);
  if (!project) return <ChooseProject projects={start.viewer.projects} />;
  return <Services key={project} id={project} start={start} />;
}

function Loading() {
  return (
    <div class="page">
      <header class="top">
        <h1>Services</h1>
      </header>
      <main>
        <Skeleton />
      </main>
    </div>
  );
}

/** A project's services. */
function Services({ id, start }: { id: string; start: StartQuery }) {
  const project = useMemo(() => new Project(id), [id]);
  const state = useStore(project.state);
  const loaded = useStore(project.loaded);
  const error = useStore(project.error);
  const at = useStore(route);
  const [provisioning, setProvisioning] = useState(false);
  const opened = useRef(false);
  useEffect(() => setProvisioning(false), [at.id]);

  useEffect(() => {
    void project.open();
    const end = project.event.subscribe((event) => {
      if (event && event.state !== event.previousState && SETTLED.has(event.state)) announce(event.message);
    });
    return () => {
      end();
      project.close();
    };
  }, [project]);
  useEffect(() => {
    // Another token may allow other actions.
    if (opened.current && project.loaded.value) project.read().catch(() => {});
    opened.current = true;
  }, [start]);

  const services = useMemo(() => listed(state), [state]);
  const kindNames = useMemo(() => new Map(start.serviceCatalog.map(({ kind, name }) => [kind, name])), [start]);
  const running = services.filter((service) => service.state === "RUNNING").length;
  const maySettings = start.viewer.permissions.includes("project:settings");
  const chosen = at.id ? state.services.get(at.id) : undefined;
  useEffect(() => {
    document.title = chosen ? `${chosen.name} · Services` : "Services";
  }, [chosen?.name]);
  const newService = maySettings && (
    <button type="button" class="primary" onClick={() => setProvisioning(true)}>
      <Icon sign="add" size={16} /> New service
    </button>
  );

  return (
    <div class={at.id ? "page with-detail" : "page"}>
      <header class="top">
        <div>
          <h1>Services</h1>
          <p class="quiet">
            {id}
            {loaded && services.length > 0 && <span class="count">{running} of {services.length} running</span>}
          </p>
        </div>
        {loaded && !error && <Connection />}
        {loaded && services.length > 0 && newService}
      </header>
      <main>
        <div class="list">
          {error ? (
            <Unreadable error={error} retry={() => project.open()} />
          ) : !loaded ? (
            <Skeleton />
          ) : services.length === 0 ? (
            <Notice sign="boxes" title="No services yet">
              {maySettings ? (
                <>
                  <p>Give this project a database or a cache. It is ready in a few seconds.</p>
                  {newService}
                </>
              ) : (
                <p>Somebody with the permission to change the project’s settings can create the first one.</p>
              )}
            </Notice>
          ) : (
            <ServiceList project={project} services={services} kindNames={kindNames} route={at} />
          )}
        </div>
        {loaded &&
          at.id &&
          (chosen ? (
            <Detail project={project} service={chosen} catalog={start.serviceCatalog} tab={at.tab} mayReadLogs={maySettings} />
          ) : (
            <Unlisted project={project} route={at} />
          ))}
      </main>
      {provisioning && (
        <Provision
          project={project}
          catalog={start.serviceCatalog}
          close={() => setProvisioning(false)}
          done={(service) => {
            setProvisioning(false);
            location.hash = addressOf(service.id);
          }}
        />
      )}
      <Announcer />
    </div>
  );
}

function Unreadable({ error, retry }: { error: ApiError; retry: () => void }) {
  if (error.code === "NOT_FOUND" || error.code === "FORBIDDEN") {
    return (
      <Notice sign="lock" title="You can’t see this project">
        <p>{error.message}</p>
        <p>Check the address, or ask somebody who manages the project to let you in.</p>
        {asksForToken && !embedded && (
          <button type="button" onClick={() => session.value && session.set({ ...session.value, project: null })}>
            Choose another project
          </button>
        )}
      </Notice>
    );
  }
  return <Failure error={error} retry={retry} />;
}

/** Whether what is shown is what is true. */
function Connection() {
  const live = useStore(connected);
  const refused = useStore(expired);
  return (
    <p class={live ? "connection live" : "connection"} role="status">
      {live ? "Live" : refused ? "Signing you in again…" : "Reconnecting… Changes will show once it is back."}
    </p>
  );
}
