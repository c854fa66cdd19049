import "./backups.css";

import { Fragment } from "preact";
import { useState } from "preact/hooks";
import { ApiError, send } from "../../api";
import type { Entry } from "../../create/provision";
import { CreateBackupDocument, DeleteBackupDocument, VerifyBackupDocument } from "../../generated";
import { Icon } from "../../icons";
import { announce } from "../../parts/announcer";
import { Confirm } from "../../parts/dialog";
import { Failure, Notice } from "../../parts/failure";
import { Ago, Elapsed } from "../../parts/time";
import type { Project } from "../../project";
import { addressOf } from "../../route";
import type { Service } from "../../state";
import { atLength } from "../../words";
import { Clone } from "./clone";
import { useBackups } from "./list";
import { Moments } from "./moment";
import { Schedule } from "./policy";
import { Restore } from "./restore";
import { type Backup, durationOf, fateOf, isOpen, MARK, nameOf, obstacle, ORIGIN, PHASE, possible, sizeOf, STATE, timeOf, troubleOf } from "./telling";

/** The longest note that the API takes, in characters. */
const LONGEST = 200;

interface BackupsProps {
  project: Project;
  service: Service;
  entry: Entry | undefined;
  mayChange: boolean;
  mayDelete: boolean;
}

/** What a service held at some moments, to be taken, verified, restored and deleted. */
export function Backups({ project, service, entry, mayChange, mayDelete }: BackupsProps) {
  const { backups, more, window, error, again, showMore, take } = useBackups(project, service.id);
  const blocked = obstacle(service, mayChange);
  // A new one is shown.
  const shown = ({ id }: Service) => {
    if (id !== service.id) location.hash = addressOf(id);
  };
  const shared = { project, service, entry, mayChange, done: shown };
  return (
    <div class="backups">
      {blocked ? <p class="quiet">{blocked}</p> : <Take id={service.id} open={backups?.some(isOpen) ?? false} take={take} />}
      <Schedule project={project} service={service} mayChange={mayChange} />
      {window && <Moments {...shared} window={window} again={again} />}
      {entry && <Clone project={project} service={service} entry={entry} offered={mayChange && !blocked} done={shown} />}
      {error && <Failure error={error} retry={again} />}
      {!backups && !error && <p class="quiet centred">Reading the backups…</p>}
      {backups?.length === 0 && (
        <Notice level="h3" sign="backups" title="No backups yet">
          <p>A backup holds all that the service does at that moment, and can be restored into a new service.</p>
        </Notice>
      )}
      {backups && backups.length > 0 && (
        <ul aria-label="Backups, newest first">
          {backups.map((backup) => (
            <One
              key={backup.id}
              backup={backup}
              project={project}
              service={service}
              entry={entry}
              mayChange={mayChange}
              mayDelete={mayDelete}
              take={take}
            />
          ))}
        </ul>
      )}
      {more && (
        <button type="button" onClick={showMore}>
          Show earlier backups
        </button>
      )}
    </div>
  );
}

/** Has a backup taken, with what is to be remembered about it. */
function Take({ id, open, take }: { id: string; open: boolean; take: (backup: Backup) => void }) {
  const [note, setNote] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const submit = async () => {
    if (busy || open) return;
    setBusy(true);
    setError(null);
    try {
      const { createBackup } = await send(CreateBackupDocument, { input: { id, note: note.trim() || null } });
      take(createBackup.backup);
      setNote("");
      announce("A backup was requested.");
    } catch (reason) {
      setError(ApiError.of(reason));
    } finally {
      setBusy(false);
    }
  };
  return (
    <form
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        void submit();
      }}
    >
      <label>
        Note <span class="quiet">(optional)</span>
        <input
          value={note}
          maxLength={LONGEST}
          placeholder="Before the migration"
          autoComplete="off"
          onInput={(event) => {
            setNote(event.currentTarget.value);
            setError(null);
          }}
        />
      </label>
      <button type="submit" class="primary" aria-disabled={busy || open}>
        <Icon sign="backups" size={16} /> Back up now
      </button>
      <p class="quiet">{open ? "A backup is under way; another can follow it." : "The service runs on meanwhile."}</p>
      {error && <Failure error={error} />}
    </form>
  );
}

interface OneProps extends BackupsProps {
  backup: Backup;
  take: (backup: Backup) => void;
}

function One({ backup, project, service, entry, mayChange, mayDelete, take }: OneProps) {
  const [asked, setAsked] = useState<"restore" | "delete" | null>(null);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const can = possible(backup);
  const { state, phase, origin, note, verification } = backup;
  const time = timeOf(backup);
  const fate = fateOf(backup, service);
  // Who may not make a new service of it may still put it in place.
  const mayRestore = mayChange || service.viewerActions.includes("RESTORE");
  const facts = [ORIGIN[origin], sizeOf(backup), durationOf(backup)].filter((fact) => fact !== null);
  const run = async (request: () => Promise<Backup>) => {
    if (busy) return;
    setBusy(true);
    setError(null);
    try {
      take(await request());
      setAsked(null);
    } catch (reason) {
      setError(ApiError.of(reason));
    } finally {
      setBusy(false);
    }
  };
  const verify = () => run(async () => (await send(VerifyBackupDocument, { id: backup.id })).verifyBackup.backup);
  const remove = () => run(async () => (await send(DeleteBackupDocument, { id: backup.id })).deleteBackup.backup);
  const ask = (what: typeof asked) => {
    setError(null);
    setAsked(what);
  };
  const of = <span class="unseen"> {nameOf(backup)}</span>;
  return (
    <li>
      <header>
        <h3>
          <time dateTime={time}>{atLength(time)}</time>
        </h3>
        <span class={`badge state-${MARK[state]}`}>{STATE[state]}</span>
        {phase && (
          <span class="underway">
            <span class="spinner" aria-hidden="true" />
            <span>
              {PHASE[phase]}
              {phase === "COPYING" && backup.begunAt && (
                <span class="together">
                  {" · "}
                  <Elapsed since={backup.begunAt} />
                </span>
              )}
            </span>
          </span>
        )}
      </header>
      {note && <p class="note">{note}</p>}
      <p class="quiet">
        {facts.map((fact, index) => (
          <Fragment key={index}>
            {index > 0 && " · "}
            <span class="together">{fact}</span>
          </Fragment>
        ))}
      </p>
      {fate && <p class="fate">{fate}</p>}
      {backup.error && <Trouble backup={backup} />}
      {verification && (
        <details>
          <summary>
            Restored and read <Ago time={verification.verifiedAt} />
          </summary>
          <dl class="found">
            {verification.facts.map(({ name, value }) => (
              <div key={name}>
                <dt>{name}</dt>
                <dd>{value}</dd>
              </div>
            ))}
          </dl>
        </details>
      )}
      <div class="ways-on">
        {mayChange && can.verify && (
          <button type="button" aria-disabled={busy} onClick={verify}>
            Verify{of}
          </button>
        )}
        {mayRestore && can.restore && entry && (
          <button type="button" onClick={() => ask("restore")}>
            Restore…{of}
          </button>
        )}
        {mayDelete && can.delete && (
          <button type="button" class="danger" onClick={() => ask("delete")}>
            Delete…{of}
          </button>
        )}
      </div>
      {error && asked !== "delete" && <Failure error={error} />}
      {asked === "restore" && entry && (
        <Restore
          project={project}
          service={service}
          entry={entry}
          from={backup}
          mayChange={mayChange}
          close={() => setAsked(null)}
          done={({ id }) => {
            setAsked(null);
            // A new one is shown.
            if (id !== service.id) location.hash = addressOf(id);
          }}
        />
      )}
      {asked === "delete" && (
        <Confirm title="Delete this backup?" yes="Delete for good" danger busy={busy} close={() => ask(null)} confirmed={remove}>
          <p>
            It is {nameOf(backup)}. What the service held at that moment <strong>can’t be restored any more</strong>. The service itself, if
            it is still there, stays as it is.
          </p>
          {error && <Failure error={error} />}
        </Confirm>
      )}
    </li>
  );
}

/** Why it has failed, or what it has to wait for. */
function Trouble({ backup }: { backup: Backup }) {
  const trouble = troubleOf(backup);
  if (!trouble || !backup.error) return null;
  return (
    <div class={trouble.final ? "failure" : "failure mild"}>
      <Icon sign="warning" />
      <div>
        <p>
          <strong>{trouble.title}</strong> {backup.error.message}
        </p>
        <p class="quiet">
          Noticed <Ago time={backup.error.occurredAt} />.
        </p>
      </div>
    </div>
  );
}
