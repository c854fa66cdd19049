import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, send } from "../../api";
import { Name, problemOf, unnamed } from "../../create/name";
import { useOnce } from "../../create/once";
import type { Entry } from "../../create/provision";
import { RestoreServiceDocument, type RestoreServiceInput, type SizeTier } from "../../generated";
import { announce } from "../../parts/announcer";
import { Dialog } from "../../parts/dialog";
import { Failure, Wrong } from "../../parts/failure";
import { type Tier, Tiers } from "../../parts/tiers";
import { Typed } from "../../parts/typed";
import type { Project } from "../../project";
import { listed, type Service } from "../../state";
import { useStore } from "../../store";
import { atLength } from "../../words";
import { Moment } from "./moment";
import { boundsOf, problemOf as problemWith, type RecoveryWindow, timeIn } from "./moments";
import { type Backup, course, courseInPlace, hindrance, isLost, misfit, timeOf } from "./telling";

/** The inputs that an error may be about. */
const FIELDS = new Set(["name", "tier"]);

type Target = "NEW" | "IN_PLACE";

interface RestoreProps {
  project: Project;
  /** Whose data it is. */
  service: Service;
  entry: Entry;
  /** A backup, or the moments that there are to choose from. */
  from: Backup | RecoveryWindow;
  /** Whether a new service may be made of it. */
  mayChange: boolean;
  close: () => void;
  /** It is to be in this one. */
  done: (service: Service) => void;
}

/** Asks what a backup, or a moment, is to be restored into, and says what happens. */
export function Restore(props: RestoreProps) {
  const { service, mayChange, from } = props;
  const [moment, setMoment] = useState(() => ("latest" in from ? boundsOf(from).max : ""));
  const [error, setError] = useState<ApiError | null>(null);
  // Those that there were when this was opened, so that nothing goes away under somebody's hands.
  const [offered] = useState<readonly Target[]>(() => [
    ...(mayChange ? (["NEW"] as const) : []),
    ...(service.viewerActions.includes("RESTORE") ? (["IN_PLACE"] as const) : []),
  ]);
  const [chosen, setChosen] = useState<Target>(offered[0] ?? "NEW");
  const choose = (target: Target) => {
    setChosen(target);
    setError(null);
  };
  const card = (target: Target, label: string, text: string) => (
    <label class="card">
      <input type="radio" name="into" data-first={target === chosen || undefined} checked={target === chosen} onChange={() => choose(target)} />
      <span>
        <strong>{label}</strong>
        <span class="quiet">{text}</span>
      </span>
    </label>
  );
  const choice = offered.length > 1 && (
    <fieldset>
      <legend>Into</legend>
      <div class="choices">
        {card("NEW", "A new service", `${service.name} stays as it is.`)}
        {card("IN_PLACE", "This service", `${service.name} is again what it was then.`)}
      </div>
    </fieldset>
  );
  const source = sourceOf(service, from, moment);
  const about =
    "latest" in from ? (
      <Moment
        first={!choice}
        window={from}
        moment={moment}
        change={(moment) => {
          setMoment(moment);
          setError(null);
        }}
        error={error?.field === "at" ? error : null}
      />
    ) : (
      <p>What was committed before {source.time} is in it.</p>
    );
  const into = { ...props, source, about, choice, error, setError };
  return chosen === "NEW" ? <IntoNew {...into} /> : <InPlace {...into} />;
}

/** What is restored. */
interface Source {
  title: string;
  /** None of a moment. */
  backup: Backup | null;
  /** The moment that it was so, in words. */
  time: string;
  /** What the API is asked for. */
  asked: Omit<RestoreServiceInput, "into">;
  problem: string | null;
}

function sourceOf(service: Service, from: Backup | RecoveryWindow, moment: string): Source {
  if ("latest" in from) {
    const at = timeIn(moment);
    const time = at ? atLength(at) : "then";
    return { title: `Restore a moment of ${service.name}`, backup: null, time, asked: { id: service.id, at }, problem: problemWith(moment, from) };
  }
  const title = `Restore a backup of ${from.serviceName}`;
  return { title, backup: from, time: atLength(timeOf(from)), asked: { backupId: from.id }, problem: null };
}

interface IntoProps extends RestoreProps {
  source: Source;
  /** Says or asks which data it is. */
  about: ComponentChildren;
  /** What else it could be restored into. */
  choice: ComponentChildren;
  error: ApiError | null;
  setError: (error: ApiError | null) => void;
}

function IntoNew({ project, service, entry, source, about, close, done, choice, error, setError }: IntoProps) {
  const { backup } = source;
  const [name, setName] = useState("");
  const [tier, setTier] = useState<SizeTier | null>(null);
  const [busy, setBusy] = useState(false);
  const once = useOnce();
  const body = useRef<HTMLDivElement>(null);
  const names = new Set(listed(useStore(project.state)).map(({ name }) => name));
  // A size that is not on offer any more can't be given.
  const small = (spec: Tier) => backup && misfit(backup, spec);
  const before = (backup ?? service).tier.tier;
  const usual = entry.tiers.find((spec) => spec.tier === before && !small(spec)) ?? entry.tiers.find((spec) => !small(spec));
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
    if (source.problem) return setError(new ApiError(source.problem, "BAD_USER_INPUT", "at"));
    setBusy(true);
    setError(null);
    const wanted = { projectId: project.id, name: name || null, tier: chosen.tier };
    try {
      const answer = await once({ ...source.asked, ...wanted }, (idempotencyKey) =>
        send(RestoreServiceDocument, { input: { ...source.asked, into: { newService: { ...wanted, idempotencyKey } } } }),
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
    const text = small(spec);
    return text && <span class="caution">{text}</span>;
  };
  return (
    <Dialog
      title={source.title}
      close={close}
      submit={submit}
      footer={
        <>
          {error && !wrong && error.field !== "at" && <Failure error={error} />}
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
        {choice}
        {about}
        <Name first={!choice && backup !== null} name={name} change={changed(setName)} unnamed={unnamed((backup ?? service).kind, names)} error={wrong === "name" ? error : null} />
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

/** Has the name typed before what was written since is not in the service any more. */
function InPlace({ project, service, source, about, close, done, choice, error, setError }: IntoProps) {
  const { name } = service;
  const { backup, time, problem } = source;
  const [typed, setTyped] = useState("");
  const [busy, setBusy] = useState(false);
  const hindered = busy ? null : hindrance(backup, service);
  const ready = typed === name && hindered === null;
  const submit = async () => {
    if (!ready || busy) return;
    if (problem) return setError(new ApiError(problem, "BAD_USER_INPUT", "at"));
    setBusy(true);
    setError(null);
    try {
      const { restoreService } = await send(RestoreServiceDocument, { input: { ...source.asked, into: { inPlace: true } } });
      project.answered(restoreService.service);
      announce(`${name} is being restored.`);
      done(restoreService.service);
    } catch (reason) {
      setError(ApiError.of(reason));
      setBusy(false);
    }
  };
  return (
    <Dialog
      title={source.title}
      close={close}
      submit={submit}
      footer={
        <>
          {error && error.field !== "at" && <Failure error={error} />}
          <button type="button" onClick={close}>
            Cancel
          </button>
          <button type="submit" class="danger solid" disabled={busy || !ready}>
            {busy ? "Restoring…" : `Restore ${name}`}
          </button>
        </>
      }
    >
      <div class="restore">
        {choice}
        {about}
        <ol class="happens" aria-label="What happens">
          {courseInPlace(backup, service).map((step) => (
            <li key={step}>{step}</li>
          ))}
        </ol>
        {!isLost(service) && (
          <p>
            <strong>What was written to {name} since {time} is not in it any more</strong>, and comes back only by going back.
          </p>
        )}
        <p class="quiet">If it fails, or the service is stopped or restarted meanwhile, {name} is what it was.</p>
        <div role="status">{hindered && <p class="wrong">{hindered}</p>}</div>
        <Typed first={!choice && backup !== null} name={name} typed={typed} change={setTyped} />
      </div>
    </Dialog>
  );
}
