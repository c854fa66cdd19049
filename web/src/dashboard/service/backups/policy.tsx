import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { ApiError, send } from "../../api";
import { SetBackupPolicyDocument } from "../../generated";
import { Icon } from "../../icons";
import { announce } from "../../parts/announcer";
import { Dialog } from "../../parts/dialog";
import { Failure, Wrong } from "../../parts/failure";
import { useNow } from "../../parts/time";
import type { Project } from "../../project";
import type { Service } from "../../state";
import { atLength } from "../../words";
import { clockOf, type Form, formOf, inputOf, keptOf, KEEPS, offersMoments, type Policy, problemOf, remainsOf, RHYTHM, type Rhythm, rhythmOf, turnOf, WEEKDAYS } from "./rhythm";

const HOURS = Array.from({ length: 24 }, (_, hour) => hour);

/** The inputs that an error may be about. */
const FIELDS = new Set<string>(["schedule", "pointInTime", ...KEEPS.map(([field]) => field)]);

/** When a service is backed up by itself, and the way to change that. */
export function Schedule({ project, service, mayChange }: { project: Project; service: Service; mayChange: boolean }) {
  const [changing, setChanging] = useState(false);
  const { backupPolicy: policy, state } = service;
  if (state === "DESTROYING" || state === "DESTROYED") return policy && <p class="quiet">{remainsOf(policy)}</p>;
  return (
    <section class="schedule part" aria-labelledby="schedule">
      <div class="grow">
        <h3 id="schedule">Schedule</h3>
        {policy ? <Plain policy={policy} service={service} /> : <p class="quiet">It is not backed up by itself.</p>}
      </div>
      {mayChange && (
        <button type="button" onClick={() => setChanging(true)}>
          <Icon sign="clock" size={16} /> {policy ? "Change the schedule…" : "Back up by schedule…"}
        </button>
      )}
      {changing && <Change project={project} service={service} close={() => setChanging(false)} />}
    </section>
  );
}

/** A policy in words. */
function Plain({ policy, service }: { policy: Policy; service: Service }) {
  const { schedule, verify, pointInTime, nextRunAt } = policy;
  const now = useNow(10_000);
  const rhythm = rhythmOf(schedule);
  const kept = keptOf(policy);
  const turn = turnOf(policy, service, now);
  return (
    <>
      <p>
        {rhythm ?? (
          <>
            By <code>{schedule}</code> in UTC
          </>
        )}
        {verify ? ", and each is verified." : ". They are not verified."}
      </p>
      {pointInTime &&
        (policy.pointInTimeAwaitsRestart ? (
          <p>What is written in between is kept from its next start on. Restart it to begin now.</p>
        ) : (
          <p>What is written in between is kept as well.</p>
        ))}
      {kept && <p class="quiet">{kept}</p>}
      {turn && nextRunAt && (
        <p class="quiet">
          {turn[0]}
          <time dateTime={nextRunAt}>{atLength(nextRunAt)}</time>
          {turn[1]}
        </p>
      )}
    </>
  );
}

/** Asks when a service is to be backed up by itself, and what to keep of that. */
function Change({ project, service, close }: { project: Project; service: Service; close: () => void }) {
  const [form, setForm] = useState<Form>(() => formOf(service.backupPolicy ?? null));
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const body = useRef<HTMLDivElement>(null);
  const ids = { schedule: useId(), keep: useId(), moments: useId() };
  // One that was offered when this was opened stays under somebody's hands.
  const [moments] = useState(() => offersMoments(service));
  const wrong = error?.field && FIELDS.has(error.field) ? error.field : null;
  const told = wrong && error ? <Wrong error={error} /> : null;
  const { rhythm } = form;
  useEffect(() => {
    if (!wrong) return;
    // A schedule that is not typed is wrong where it was chosen.
    const within = body.current;
    const field = within?.querySelector<HTMLElement>(`[name="${wrong}"]`) ?? within?.querySelector<HTMLElement>(":checked");
    field?.focus({ preventScroll: true });
    field?.closest("fieldset, label")?.scrollIntoView({ block: "nearest" });
  }, [error]);

  const change = (change: Partial<Form>) => {
    setForm((form) => ({ ...form, ...change }));
    setError(null);
  };
  const submit = async () => {
    if (busy) return;
    const problem = problemOf(form);
    if (problem) return setError(new ApiError(problem.message, "BAD_USER_INPUT", problem.field));
    setBusy(true);
    setError(null);
    try {
      const { setBackupPolicy } = await send(SetBackupPolicyDocument, { input: inputOf(service.id, form) });
      project.answered(setBackupPolicy.service);
      announce(rhythm === "OFF" ? `${service.name} is not backed up by itself any more.` : `${service.name} has a new schedule.`);
      close();
    } catch (reason) {
      setError(ApiError.of(reason));
      setBusy(false);
    }
  };
  const at = (
    <label>
      At
      <select value={form.hour} onChange={(event) => change({ hour: Number(event.currentTarget.value) })}>
        {HOURS.map((hour) => (
          <option key={hour} value={hour}>
            {clockOf(hour)} UTC
          </option>
        ))}
      </select>
    </label>
  );
  const details: Record<Rhythm, ComponentChildren> = {
    HOURLY: null,
    DAILY: <div class="when">{at}</div>,
    WEEKLY: (
      <div class="when">
        <label>
          On
          <select value={form.weekday} onChange={(event) => change({ weekday: Number(event.currentTarget.value) })}>
            {[1, 2, 3, 4, 5, 6, 0].map((day) => (
              <option key={day} value={day}>
                {WEEKDAYS[day]}
              </option>
            ))}
          </select>
        </label>
        {at}
      </div>
    ),
    CUSTOM: (
      <label>
        Cron expression
        <input
          name="schedule"
          class="cron"
          value={form.custom}
          maxLength={100}
          placeholder="0 3 * * *"
          onInput={(event) => change({ custom: event.currentTarget.value })}
          autoComplete="off"
          autoCapitalize="none"
          spellcheck={false}
          aria-describedby={ids.schedule}
          aria-invalid={wrong === "schedule"}
        />
      </label>
    ),
    OFF: null,
  };
  return (
    <Dialog
      title={`When ${service.name} is backed up`}
      close={close}
      submit={submit}
      footer={
        <>
          {error && !wrong && <Failure error={error} />}
          <button type="button" onClick={close}>
            Cancel
          </button>
          <button type="submit" class="primary" aria-disabled={busy}>
            {busy ? "Saving…" : "Save"}
          </button>
        </>
      }
    >
      <div class="policy" ref={body}>
        <fieldset>
          <legend>When</legend>
          <div class="choices">
            {(Object.keys(RHYTHM) as Rhythm[]).map((each) => (
              <label key={each} class="card">
                <input
                  type="radio"
                  name="rhythm"
                  value={each}
                  data-first={each === rhythm || undefined}
                  checked={each === rhythm}
                  onChange={() => change({ rhythm: each })}
                />
                <strong>{RHYTHM[each]}</strong>
              </label>
            ))}
          </div>
          {details[rhythm]}
          <div id={ids.schedule} class="hint">
            {wrong === "schedule" ? told : <p class="quiet">{hintOf(form)}</p>}
          </div>
        </fieldset>
        {rhythm !== "OFF" && (
          <>
            <fieldset aria-describedby={ids.keep}>
              <legend>How many to keep</legend>
              <div class="keeps">
                {KEEPS.map(([field, name]) => (
                  <label key={field}>
                    {name}
                    <input
                      name={field}
                      inputMode="numeric"
                      value={form.keep[field]}
                      maxLength={5}
                      onInput={(event) => change({ keep: { ...form.keep, [field]: event.currentTarget.value } })}
                      autoComplete="off"
                      aria-describedby={ids.keep}
                      aria-invalid={wrong === field}
                    />
                  </label>
                ))}
              </div>
              <div id={ids.keep} class="hint">
                {wrong && wrong !== "schedule" && wrong !== "pointInTime" ? (
                  told
                ) : (
                  <p class="quiet">
                    What any of these keeps stays, and the newest that is verified. What somebody asked for stays until somebody deletes it.
                  </p>
                )}
              </div>
            </fieldset>
            <label class="card">
              <input type="checkbox" checked={form.verify} onChange={(event) => change({ verify: event.currentTarget.checked })} />
              <span>
                <strong>Verify each</strong>
                <span class="quiet">It is restored once, where nobody reaches it, to see that it can be.</span>
              </span>
            </label>
            {moments && (
              <div>
                <label class="card">
                  <input
                    type="checkbox"
                    name="pointInTime"
                    checked={form.pointInTime}
                    onChange={(event) => change({ pointInTime: event.currentTarget.checked })}
                    aria-describedby={wrong === "pointInTime" ? ids.moments : undefined}
                    aria-invalid={wrong === "pointInTime"}
                  />
                  <span>
                    <strong>Any moment in between</strong>
                    <span class="quiet">What is written between two backups is kept as well, so that it can be brought back to any moment.</span>
                  </span>
                </label>
                <div id={ids.moments} class="hint">
                  {wrong === "pointInTime" && told}
                </div>
              </div>
            )}
          </>
        )}
      </div>
    </Dialog>
  );
}

/** What a choice comes to. */
function hintOf({ rhythm, custom }: Form): string {
  if (rhythm === "OFF") return "The backups that are there stay. Others can be taken by hand.";
  const spread = "The service has a moment of its own within the half hour after that.";
  if (rhythm === "HOURLY") return "The service has a moment of its own within the quarter of an hour after that.";
  if (rhythm !== "CUSTOM") return spread;
  const plain = rhythmOf(custom);
  return plain ? `${plain}. ${spread}` : "Minute, hour, day, month and weekday, in UTC; at most every 15 minutes.";
}
