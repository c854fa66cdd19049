import { alarm } from "../service/storage";
import { type Service, waits } from "../state";
import { capital, OPERATION, PHASE, STATE } from "../words";
import { Elapsed } from "./time";

export function StateBadge({ state }: { state: Service["state"] }) {
  return <span class={`badge state-${state.toLowerCase()}`}>{STATE[state]}</span>;
}

/** Marks on what has some of its new size only after a restart, and on what is almost full. */
export function Marks({ service }: { service: Service }) {
  const full = alarm(service);
  return (
    <>
      {waits(service) && <span class="waiting">Restart pending</span>}
      {full !== null && <span class="waiting">Storage {full} % full</span>}
    </>
  );
}

/** What is being done about a service, how far it is and for how long. */
export function Underway({ service }: { service: Service }) {
  const { operation } = service;
  if (!operation) return null;
  const { kind, phase, progressPercent, startedAt } = operation;
  // The badge beside it may say the same.
  const what = OPERATION[kind] === STATE[service.state] ? null : OPERATION[kind];
  return (
    <span class="underway">
      <span class="spinner" aria-hidden="true" />
      <span>
        {what ? `${what}: ${PHASE[phase]}` : capital(PHASE[phase])}
        {progressPercent !== null && (
          <>
            {" "}
            <span class="together">
              <progress max={100} value={progressPercent} aria-label="How much is here" /> {progressPercent} %
            </span>
          </>
        )}{" "}
        <span class="together">
          · <Elapsed since={startedAt} />
        </span>
      </span>
    </span>
  );
}
