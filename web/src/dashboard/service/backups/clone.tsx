import { useEffect, useId, useRef, useState } from "preact/hooks";
import { ApiError, send } from "../../api";
import { Name, problemOf, unnamed } from "../../create/name";
import { useOnce } from "../../create/once";
import type { Entry } from "../../create/provision";
import { CloneServiceDocument, type SizeTier } from "../../generated";
import { Icon } from "../../icons";
import { Dialog } from "../../parts/dialog";
import { Failure, Wrong } from "../../parts/failure";
import { type Tier, Tiers } from "../../parts/tiers";
import type { Project } from "../../project";
import { listed, type Service } from "../../state";
import { useStore } from "../../store";
import { size } from "../../words";
import { soonest, timeIn } from "./moments";

/** The inputs that an error may be about. */
const FIELDS = new Set(["name", "tier", "expiresAt"]);

interface CloneProps {
  project: Project;
  service: Service;
  entry: Entry;
  /** Whether that can be done now. */
  offered: boolean;
  done: (service: Service) => void;
}

/** The way to another service that has what this one holds now. */
export function Clone(props: CloneProps) {
  const [asked, setAsked] = useState(false);
  const { service, offered, done } = props;
  // A dialog that is open stays, and says why it is refused.
  if (!offered && !asked) return null;
  return (
    <section class="schedule part" aria-labelledby="clone">
      <div class="grow">
        <h3 id="clone">Clone</h3>
        <p class="quiet">A new service with what {service.name} holds now, for a preview or to try something out.</p>
      </div>
      <button type="button" onClick={() => setAsked(true)}>
        <Icon sign="copy" size={16} /> Clone…
      </button>
      {asked && (
        <Ask
          {...props}
          close={() => setAsked(false)}
          done={(clone) => {
            setAsked(false);
            done(clone);
          }}
        />
      )}
    </section>
  );
}

/** Asks what the clone is to be. */
function Ask({ project, service, entry, close, done }: CloneProps & { close: () => void }) {
  const [name, setName] = useState("");
  const [tier, setTier] = useState<SizeTier | null>(null);
  const [expiry, setExpiry] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const once = useOnce();
  const body = useRef<HTMLDivElement>(null);
  const hint = useId();
  const names = new Set(listed(useStore(project.state)).map(({ name }) => name));
  const chosen = entry.tiers.find((spec) => spec.tier === (tier ?? service.tier.tier)) ?? entry.tiers[0];
  const wrong = error?.field && FIELDS.has(error.field) ? error.field : null;
  useEffect(() => {
    if (!wrong) return;
    const field = body.current?.querySelector<HTMLElement>(`[name="${wrong}"]:checked, [name="${wrong}"]:not([type="radio"])`);
    field?.focus({ preventScroll: true });
    field?.closest("label, fieldset")?.scrollIntoView({ block: "center" });
  }, [error]);

  const submit = async () => {
    if (!chosen || busy) return;
    const problem = problemOf(name, names);
    if (problem) return setError(new ApiError(problem, "BAD_USER_INPUT", "name"));
    // The browser gives a time that is typed by half as none; it must not be taken for never.
    const half = body.current?.querySelector<HTMLInputElement>("[name=expiresAt]")?.validity.badInput;
    if (half) return setError(new ApiError("Write day and time, or leave it empty.", "BAD_USER_INPUT", "expiresAt"));
    setBusy(true);
    setError(null);
    const wanted = { id: service.id, projectId: project.id, name: name || null, tier: chosen.tier, expiresAt: timeIn(expiry) };
    try {
      const answer = await once(wanted, (idempotencyKey) => send(CloneServiceDocument, { input: { ...wanted, idempotencyKey } }));
      project.answered(answer.cloneService.service);
      done(answer.cloneService.service);
    } catch (reason) {
      setError(ApiError.of(reason));
      setBusy(false);
    }
  };
  const changed = <T,>(set: (value: T) => void) => (value: T) => {
    set(value);
    setError(null);
  };
  const used = service.storage.usedMib ?? 0;
  const remark = ({ tier, storageMib }: Tier) => {
    if (storageMib >= used || (wrong === "tier" && tier === chosen?.tier)) return null;
    return <span class="caution">Too small: {service.name} holds {size(used)}.</span>;
  };
  return (
    <Dialog
      title={`Clone ${service.name}`}
      close={close}
      submit={submit}
      footer={
        <>
          {error && !wrong && <Failure error={error} />}
          <button type="button" onClick={close}>
            Cancel
          </button>
          <button type="submit" class="primary" aria-disabled={busy} disabled={!chosen}>
            {busy ? "Cloning…" : "Make the clone"}
          </button>
        </>
      }
    >
      <div class="restore" ref={body}>
        <p>
          A new service is made, with {entry.name} {service.version} and a password and an address of its own. It has what {service.name} holds
          now, and runs once all of it is there. {service.name} serves on.
        </p>
        <Name first name={name} change={changed(setName)} unnamed={unnamed(service.kind, names)} error={wrong === "name" ? error : null} />
        <Tiers tiers={entry.tiers} chosen={chosen?.tier} choose={changed(setTier)} remark={remark}>
          {wrong === "tier" && error && <Wrong error={error} />}
        </Tiers>
        <div>
          <label>
            Destroy it by itself at
            <input
              type="datetime-local"
              name="expiresAt"
              min={soonest(Date.now())}
              value={expiry}
              onInput={(event) => changed(setExpiry)(event.currentTarget.value)}
              aria-describedby={hint}
              aria-invalid={wrong === "expiresAt"}
            />
          </label>
          <div id={hint} class="hint">
            {wrong === "expiresAt" && error ? (
              <Wrong error={error} />
            ) : (
              <p class="quiet">With its data, in your own time zone. Optional: without it the clone stays until somebody destroys it.</p>
            )}
          </div>
        </div>
      </div>
    </Dialog>
  );
}
