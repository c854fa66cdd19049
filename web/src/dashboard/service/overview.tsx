import type { OperationPhase } from "../generated";
import { remedy, titleOf } from "../errors";
import { Icon } from "../icons";
import { Copy } from "../parts/copy";
import { Ago } from "../parts/time";
import type { Service } from "../state";
import { cores, health, size } from "../words";

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
      {error && <Fault service={service} error={error} />}
      <dl class="facts">
        <dt>Health</dt>
        <dd>{health(service)}</dd>
        <dt>Size</dt>
        <dd>
          {tier.name}: {size(tier.memoryMib)} memory, {cores(tier.cpus)}, {size(tier.storageMib)} storage
        </dd>
        {!gone && (
          <>
            <dt>Internal address</dt>
            <dd>
              <span class="copied">
                <code>{inside}</code> <Copy text={inside} what="The internal address" />
              </span>
              <span class="quiet">On the project’s network, for its containers</span>
            </dd>
            <dt>External address</dt>
            <dd>
              {outside ? (
                <>
                  <span class="copied">
                    <code>{outside}</code> <Copy text={outside} what="The external address" />
                  </span>
                  <span class="quiet">Published, for everything else</span>
                </>
              ) : (
                "None: it is not published"
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
        {log.length > 0 && (
          <pre class="excerpt" tabIndex={0} aria-label="The end of its log">
            {log.join("\n")}
          </pre>
        )}
        <p class="quiet">
          {remedy(service, error.code)} <Ago time={error.occurredAt} />
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
