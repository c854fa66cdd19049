import { useEffect, useState } from "preact/hooks";
import { useAction } from "../actions";
import { ApiError, send } from "../api";
import { type Connection, clients, connections } from "./snippets";
import { RevealDocument } from "../generated";
import { Icon } from "../icons";
import { announce } from "../parts/announcer";
import { Copy } from "../parts/copy";
import { Confirm } from "../parts/dialog";
import { Failure, Notice } from "../parts/failure";
import type { Project } from "../project";
import type { Catalog } from "../create/provision";
import type { Service } from "../state";

/** How long credentials stay in sight, in seconds. */
const IN_SIGHT = 60;

const DOTS = "••••••••";

interface CredentialsProps {
  project: Project;
  service: Service;
  entry: Catalog[number];
}

/** The credentials, in clear for as long as somebody looks at them. They are in this component's memory and nowhere else. */
export function Credentials({ project, service, entry }: CredentialsProps) {
  const [revealed, setRevealed] = useState<{ key: string; value: string }[] | null>(null);
  const [left, setLeft] = useState(IN_SIGHT);
  const [error, setError] = useState<ApiError | null>(null);
  const [busy, setBusy] = useState(false);

  const hide = () => {
    setRevealed(null);
    announce("The credentials are hidden.");
  };
  useEffect(() => {
    if (!revealed) return;
    const until = Date.now() + IN_SIGHT * 1000;
    const tick = () => {
      const left = Math.ceil((until - Date.now()) / 1000);
      setLeft(left);
      if (left <= 0) hide();
    };
    const look = () => document.hidden && hide();
    tick();
    const timer = setInterval(tick, 1000);
    document.addEventListener("visibilitychange", look);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", look);
    };
  }, [revealed]);

  // What was shown before or during a change is no longer what lets anybody in.
  const changing = service.operation?.kind === "ROTATE_CREDENTIALS";
  useEffect(() => setRevealed(null), [changing]);

  const reveal = async () => {
    if (busy) return;
    setBusy(true);
    setError(null);
    try {
      const { credentials } = (await send(RevealDocument, { id: service.id })).revealCredentials;
      if (document.hidden) return;
      setRevealed(credentials);
      announce("The credentials are shown.");
    } catch (reason) {
      setError(ApiError.of(reason));
    } finally {
      setBusy(false);
    }
  };

  const mayReveal = service.viewerActions.includes("REVEAL_CREDENTIALS");
  if (service.state === "DESTROYED") {
    return <Notice level="h3" sign="lock" title="Destroyed, and its credentials with it" />;
  }
  const credentials = revealed ?? entry.credentialKeys.map((key) => ({ key, value: DOTS }));
  return (
    <>
      <div class="bar">
        {revealed ? (
          <>
            <button type="button" onClick={hide}>
              Hide
            </button>
            <Copy
              text={credentials.map(({ key, value }) => `${key}=${value}\n`).join("")}
              what="The credentials"
              label="Copy as .env"
            />
            <span class="quiet">Hidden again in {left} s</span>
          </>
        ) : mayReveal ? (
          <>
            <button type="button" class="primary" aria-disabled={busy} onClick={reveal}>
              <Icon sign="eye" size={16} /> Reveal
            </button>
            <span class="quiet">The history will say that you did.</span>
          </>
        ) : (
          <p class="quiet">
            <Icon sign="lock" size={16} /> To reveal these you need the permission <code>project:settings</code>.
          </p>
        )}
      </div>
      {error && <Failure error={error} />}
      <dl class="credentials">
        {credentials.map(({ key, value }) => (
          <div key={key}>
            <dt>{key}</dt>
            <dd class="copied">
              <code>
                {revealed ? (
                  value
                ) : (
                  <>
                    <span aria-hidden="true">{value}</span>
                    <span class="unseen">hidden</span>
                  </>
                )}
              </code>
              {revealed && <Copy text={value} what={key} />}
            </dd>
          </div>
        ))}
      </dl>
      <h3>Connect</h3>
      {connections(service, credentials).map((connection) => (
        <Line key={connection.title} connection={connection} copyable={revealed !== null} />
      ))}
      <h3>In your code</h3>
      <p class="quiet">With the variables above in its environment.</p>
      {clients(service.kind).map((connection) => (
        <Line key={connection.title} connection={connection} copyable />
      ))}
      <Rotation project={project} service={service} hide={() => setRevealed(null)} />
    </>
  );
}

/** Changes the password, which clients have to be given then. */
function Rotation({ project, service, hide }: { project: Project; service: Service; hide: () => void }) {
  const { ask, asking, error } = useAction(project, service);
  const [sure, setSure] = useState(false);
  if (!service.viewerActions.includes("ROTATE_CREDENTIALS")) return null;
  const rotate = async () => {
    hide();
    await ask("ROTATE_CREDENTIALS");
    setSure(false);
  };
  return (
    <>
      <h3>Change the password</h3>
      <p class="quiet">If it became known, or from time to time. Nothing else changes.</p>
      <div class="actions">
        <button type="button" onClick={() => setSure(true)}>
          Change the password…
        </button>
      </div>
      {error && <Failure error={error} />}
      {sure && (
        <Confirm
          title={`Change the password of ${service.name}?`}
          yes="Change the password"
          busy={asking !== null}
          close={() => setSure(false)}
          confirmed={rotate}
        >
          <p>
            Connections that are open stay open. New ones need the new password: reveal it once this is done, and give
            it to whatever connects.
          </p>
        </Confirm>
      )}
    </>
  );
}

function Line({ connection: { title, line }, copyable }: { connection: Connection; copyable: boolean }) {
  return (
    <figure class="line">
      <figcaption>{title}</figcaption>
      <div class="copied">
        <pre tabIndex={0} aria-label={title}>
          {line}
        </pre>
        {copyable && <Copy text={line} what={`The line for ${title}`} />}
      </div>
    </figure>
  );
}
