import { connected } from "./api";
import { Renewal } from "./gate";
import type { StartQuery } from "./generated";
import { Icon } from "./icons";
import { chooseProject, leave, type Route } from "./route";
import { expired } from "./session";
import type { Service } from "./state";
import { useStore } from "./store";

interface HeaderProps {
  id: string;
  viewer: StartQuery["viewer"];
  services: readonly Service[];
  /** Whether the services are there to be shown. */
  ready: boolean;
  route: Route;
  /** Null for who may not. */
  create: (() => void) | null;
  help: () => void;
}

export function Header({ id, viewer, services, ready, route, create, help }: HeaderProps) {
  const running = services.filter((service) => service.state === "RUNNING").length;
  return (
    <>
      <Renewal expiresAt={viewer.expiresAt} />
      <header class="top">
        <div class="title">
          <h1>Services</h1>
          <p class="quiet">
            <ProjectName id={id} projects={viewer.projects} />
            {ready && services.length > 0 && (
              <span class="count">
                {running} of {services.length} running
              </span>
            )}
          </p>
        </div>
        {ready && <Connection />}
        <button type="button" class="bare help" aria-label="Keyboard shortcuts" title="Keyboard shortcuts (?)" onClick={help}>
          <Icon sign="keyboard" />
        </button>
        {create && ready && services.length > 0 && (
          <button type="button" class="primary" title="New service (n)" onClick={create}>
            <Icon sign="add" size={16} /> New service
          </button>
        )}
      </header>
      {ready && (
        <nav class="views" aria-label="Views">
          <a
            href="#"
            aria-current={route.view === "services" ? "page" : undefined}
            onClick={(event) => {
              event.preventDefault();
              leave();
            }}
          >
            Services
          </a>
          <a href="#activity" aria-current={route.view === "activity" ? "page" : undefined}>
            Activity
          </a>
        </nav>
      )}
    </>
  );
}

/** The project, and the others that the viewer may see. */
function ProjectName({ id, projects }: { id: string; projects: readonly string[] }) {
  if (projects.includes("*")) {
    return (
      <>
        {id}{" "}
        <button type="button" class="plain" onClick={() => chooseProject(null)}>
          Switch project
        </button>
      </>
    );
  }
  if (projects.length < 2) return <>{id}</>;
  return (
    <select class="switch" aria-label="Project" value={id} onChange={(event) => chooseProject(event.currentTarget.value)}>
      {(projects.includes(id) ? projects : [id, ...projects]).map((project) => (
        <option key={project}>{project}</option>
      ))}
    </select>
  );
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
