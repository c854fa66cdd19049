import { type ComponentType } from "preact";
import type { ServiceAction, ServiceKind } from "../generated";
import { Failure, Notice } from "../parts/failure";
import { usePart } from "../parts/part";
import type { Service } from "../state";
import { IS } from "../words";

/** What a console does, by the kinds that have one. */
const ACTIONS: Partial<Record<ServiceKind, ServiceAction>> = { POSTGRESQL: "RUN_SQL", MYSQL: "RUN_SQL", REDIS: "BROWSE_KEYS" };

/** What is loaded only when somebody opens it: editor and browser are larger than all the rest. */
const LOAD = {
  RUN_SQL: async () => (await import("./sql/sql")).Sql,
  BROWSE_KEYS: async () => (await import("./keys/keys")).Keys,
};

type Loaded = ComponentType<{ service: Service }>;

/** Whether to offer a service's console: where it can be used, and where it could be if the service ran. */
export function hasConsole({ kind, state, viewerActions }: Service, mayChange: boolean): boolean {
  const action = ACTIONS[kind];
  if (!action || state === "DESTROYED") return false;
  return viewerActions.includes(action) || (mayChange && state !== "RUNNING");
}

/** A look into what a service holds. */
export function Console({ service, mayChange }: { service: Service; mayChange: boolean }) {
  const action = ACTIONS[service.kind];
  const usable = action !== undefined && service.viewerActions.includes(action);
  const { part: Part, error, again } = usePart<Loaded>(() => LOAD[action as keyof typeof LOAD](), usable);
  if (!usable) return <Unusable service={service} mayChange={mayChange} />;
  if (error) return <Failure error={error} retry={again} />;
  return Part ? <Part service={service} /> : <p class="quiet centred">Opening the console…</p>;
}

function Unusable({ service, mayChange }: { service: Service; mayChange: boolean }) {
  if (!mayChange) {
    return (
      <Notice level="h3" sign="lock" title="You can’t use this console">
        <p>You need the permission to change this project’s services. Ask somebody who manages the project for it.</p>
      </Notice>
    );
  }
  if (!ACTIONS[service.kind]) return <Notice level="h3" sign="terminal" title="This kind of service has no console" />;
  if (service.state === "DESTROYED") return <Notice level="h3" sign="terminal" title="Destroyed, and what it held with it" />;
  return (
    <Notice level="h3" sign="terminal" title="The console can’t be used now">
      <p>
        {service.state === "RUNNING"
          ? "Something is being done about the service. Wait a moment."
          : `The service is ${IS[service.state]}, and the console needs it to run.`}
      </p>
    </Notice>
  );
}
