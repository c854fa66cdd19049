import type { OperationPhase } from "./generated";
import { Icon } from "./icons";
import { Ago, Copy } from "./parts";
import type { Service } from "./state";
import { cores, health, size } from "./words";

/** The way to RUNNING, and what a viewer calls its parts. */
const WAY: [OperationPhase, string][] = [
  ["PULLING_IMAGE", "Image"],
  ["CREATING_VOLUME", "Volume"],
  ["CREATING_CONTAINER", "Container"],
  ["STARTING", "Start"],
  ["WAITING_FOR_READY", "Ready"],
];

export function Overview({ service }: { service: Service }) {
  const { tier, operation, error, externalHost } = service;
  const inside = `${service.hostname}:${service.port}`;
  const outside = externalHost && `${externalHost}:${service.externalPort}`;
  const gone = service.state === "DESTROYED";
  return (
    <>
      {operation?.kind === "PROVISION" && <Way phase={operation.phase} />}
      {error && (
        <div class="failure">
          <Icon sign="warning" />
          <div>
            <p class="lines">{error.message}</p>
            <p class="quiet">
              <code>{error.code}</code> · <Ago time={error.occurredAt} />
            </p>
          </div>
        </div>
      )}
      <dl class="facts">
        <dt>Health</dt>
        <dd>{health(service)}</dd>
        <dt>Size</dt>
        <dd>
          {tier.name}: {size(tier.memoryMib)} memory, {cores(tier.cpus)}, {size(tier.storageMib)} storage
        </dd>
        {!gone && (
          <>
            <dt>For containers of the project</dt>
            <dd class="copied">
              <code>{inside}</code> <Copy text={inside} what="The address for containers" />
            </dd>
            <dt>From outside</dt>
            <dd class="copied">
              {outside ? (
                <>
                  <code>{outside}</code> <Copy text={outside} what="The address from outside" />
                </>
              ) : (
                "Not reachable: it is not published"
              )}
            </dd>
          </>
        )}
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
    </>
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
