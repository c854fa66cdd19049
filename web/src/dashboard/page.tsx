import { useEffect, useState } from "preact/hooks";
import { ApiError, send } from "./api";
import { ChooseProject, Gate } from "./gate";
import { StartDocument, type StartQuery } from "./generated";
import { Skeleton } from "./list/list";
import { Failure } from "./parts/failure";
import { route } from "./route";
import { Services } from "./services";
import { expired, session } from "./session";
import { useStore } from "./store";

/** The whole page: who is there decides what it shows. */
export function Page() {
  const current = useStore(session);
  const refused = useStore(expired);
  const at = useStore(route);
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

  if (!current) return <Gate />;
  if (error && !start && error.code !== "UNAUTHENTICATED") {
    return (
      <main class="alone">
        <h1>Services</h1>
        <Failure error={error} retry={read} />
      </main>
    );
  }
  // A page that is there stays while its token is renewed, and with it what somebody has typed.
  if (!start) return refused ? <Gate /> : <Loading />;
  const { projects } = start.viewer;
  const project = at.project ?? (projects.length === 1 && projects[0] !== "*" ? projects[0] : null);
  if (!project) return <ChooseProject projects={projects} />;
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
