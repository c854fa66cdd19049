import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, send } from "../../api";
import { Name, problemOf, unnamed } from "../../create/name";
import { useOnce } from "../../create/once";
import type { Entry } from "../../create/provision";
import { RestoreServiceDocument, type SizeTier } from "../../generated";
import { Dialog } from "../../parts/dialog";
import { Failure, Wrong } from "../../parts/failure";
import { type Tier, Tiers } from "../../parts/tiers";
import type { Project } from "../../project";
import { listed, type Service } from "../../state";
import { useStore } from "../../store";
import { atLength } from "../../words";
import { type Backup, course, misfit, timeOf } from "./telling";

/** The inputs that an error may be about. */
const FIELDS = new Set(["name", "tier"]);

interface RestoreProps {
  project: Project;
  /** Whose backup it is. */
  service: Service;
  entry: Entry;
  backup: Backup;
  close: () => void;
  done: (service: Service) => void;
}

/** Asks what is to be made of a backup, and says what happens. */
export function Restore({ project, service, entry, backup, close, done }: RestoreProps) {
  const [name, setName] = useState("");
  const [tier, setTier] = useState<SizeTier | null>(null);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const once = useOnce();
  const body = useRef<HTMLDivElement>(null);
  const names = new Set(listed(useStore(project.state)).map(({ name }) => name));
  // A size that is not on offer any more can't be given.
  const usual = entry.tiers.find((spec) => spec.tier === backup.tier.tier && !misfit(backup, spec)) ?? entry.tiers.find((spec) => !misfit(backup, spec));
  const chosen = entry.tiers.find((spec) => spec.tier === tier) ?? usual ?? entry.tiers[0];
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
    setBusy(true);
    setError(null);
    const wanted = { projectId: project.id, name: name || null, tier: chosen.tier };
    try {
      const answer = await once(wanted, (idempotencyKey) =>
        send(RestoreServiceDocument, { input: { backupId: backup.id, into: { newService: { ...wanted, idempotencyKey } } } }),
      );
      project.answered(answer.restoreService.service);
      done(answer.restoreService.service);
    } catch (reason) {
      setError(ApiError.of(reason));
      setBusy(false);
    }
  };
  const changed = <T,>(set: (value: T) => void) => (value: T) => {
    set(value);
    setError(null);
  };
  const remark = (spec: Tier) => {
    if (wrong === "tier" && spec === chosen) return null;
    const text = misfit(backup, spec);
    return text && <span class="caution">{text}</span>;
  };
  return (
    <Dialog
      title={`Restore a backup of ${backup.serviceName}`}
      close={close}
      submit={submit}
      footer={
        <>
          {error && !wrong && <Failure error={error} />}
          <button type="button" onClick={close}>
            Cancel
          </button>
          <button type="submit" class="primary" aria-disabled={busy} disabled={!chosen}>
            {busy ? "Restoring…" : "Restore into a new service"}
          </button>
        </>
      }
    >
      <div class="restore" ref={body}>
        <p>What was committed before {atLength(timeOf(backup))} is in it.</p>
        <Name first name={name} change={changed(setName)} unnamed={unnamed(backup.kind, names)} error={wrong === "name" ? error : null} />
        <Tiers tiers={entry.tiers} chosen={chosen?.tier} choose={changed(setTier)} remark={remark}>
          {wrong === "tier" && error && <Wrong error={error} />}
        </Tiers>
        <ol class="happens" aria-label="What happens">
          {course(backup, entry.name, service).map((step) => (
            <li key={step}>{step}</li>
          ))}
        </ol>
      </div>
    </Dialog>
  );
}
