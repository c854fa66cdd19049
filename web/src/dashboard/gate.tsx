// What stands there as long as there is no token, or no project.

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Icon } from "./icons";
import { Dialog } from "./parts/dialog";
import { Notice } from "./parts/failure";
import { useNow } from "./parts/time";
import { chooseProject, route } from "./route";
import { asksForToken, embedded, expired, session, signIn } from "./session";
import { useStore } from "./store";

/** How long an embedding page usually takes to send a token, in milliseconds. */
const SOON = 5_000;

/** Asks for a token, or says who has to give one. */
export function Gate() {
  if (embedded) return <Waiting />;
  return asksForToken ? <SignIn /> : <Elsewhere />;
}

function Waiting() {
  const [late, setLate] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLate(true), SOON);
    return () => clearTimeout(timer);
  }, []);
  return (
    <main class="alone">
      <Notice level="h1" sign="lock" title="Signing you in…">
        {late && (
          <p>
            The page around this one has not sent a token yet. Its origin has to be among the server’s allowed ones;
            reload it, or tell whoever runs the platform.
          </p>
        )}
      </Notice>
    </main>
  );
}

function Elsewhere() {
  return (
    <main class="alone">
      <Notice level="h1" sign="lock" title="Open this page from your platform">
        <p>It shows the services of a project, and the platform’s page around it signs you in.</p>
      </Notice>
    </main>
  );
}

function SignIn() {
  const refused = useStore(expired);
  const [project, setProject] = useState(route.value.project ?? "");
  return (
    <main class="alone">
      <h1>Project Services</h1>
      <p>Paste the token that the development server has printed. It is forgotten when you leave this page.</p>
      {refused && (
        <p class="failure" role="alert">
          This token is not valid, or has expired.
        </p>
      )}
      <TokenForm project={project}>
        <label>
          Project
          <input
            autoComplete="off"
            autoCapitalize="none"
            spellcheck={false}
            placeholder="The token’s own"
            value={project}
            onInput={(event) => setProject(event.currentTarget.value)}
          />
        </label>
      </TokenForm>
    </main>
  );
}

function TokenForm({ project, children }: { project: string; children?: ComponentChildren }) {
  const refused = useStore(expired);
  const [token, setToken] = useState("");
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), [refused]);
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        signIn(token.trim().replace(/^Bearer\s+/i, ""), project.trim());
      }}
    >
      <label>
        Token
        <input
          ref={field}
          type="password"
          autoComplete="off"
          spellcheck={false}
          required
          placeholder="eyJ…"
          value={token}
          onInput={(event) => setToken(event.currentTarget.value)}
        />
      </label>
      {children}
      <button type="submit" class="primary">
        {children ? "Show the services" : "Stay signed in"}
      </button>
    </form>
  );
}

/** How long before a token expires somebody is told, in milliseconds. */
const AHEAD = 5 * 60_000;

/** Tells whoever pasted a token that it ends, and takes a newer one; what is on the page stays meanwhile. */
export function Renewal({ expiresAt }: { expiresAt: string }) {
  const refused = useStore(expired);
  const token = useStore(session)?.token;
  const left = Date.parse(expiresAt) - useNow();
  const [renewing, setRenewing] = useState(false);
  useEffect(() => setRenewing(refused), [refused]);
  useEffect(() => setRenewing(false), [token]);
  if (embedded || !asksForToken || (left > AHEAD && !refused)) return null;
  const over = refused || left <= 0;
  return (
    <>
      <div class="renewal" role="alert">
        <Icon sign="clock" />
        <p>{over ? "Your token has expired." : `Your token expires in ${left < 60_000 ? "less than a minute" : `${Math.ceil(left / 60_000)} min`}.`}</p>
        <button type="button" onClick={() => setRenewing(true)}>
          Sign in again
        </button>
      </div>
      {renewing && (
        <Dialog class="small" title={over ? "Your token has expired" : "Sign in again"} close={() => setRenewing(false)}>
          <p>Paste a newer token. What you have entered on this page is kept.</p>
          <TokenForm project="" />
        </Dialog>
      )}
    </>
  );
}

/** Asks for the project, of those that the token is good for; `*` stands for all. */
export function ChooseProject({ projects }: { projects: string[] }) {
  const [typed, setTyped] = useState("");
  if (projects.length === 0) {
    return (
      <main class="alone">
        <Notice level="h1" sign="lock" title="No project to show">
          <p>You are signed in, but for no project. Ask somebody who manages one to let you in.</p>
        </Notice>
      </main>
    );
  }
  return (
    <main class="alone">
      <h1>Which project?</h1>
      {projects.includes("*") ? (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            chooseProject(typed.trim());
          }}
        >
          <label>
            Project
            <input required value={typed} onInput={(event) => setTyped(event.currentTarget.value)} />
          </label>
          <button type="submit" class="primary">
            Show its services
          </button>
        </form>
      ) : (
        <ul class="choices">
          {projects.map((project) => (
            <li key={project}>
              <button type="button" onClick={() => chooseProject(project)}>
                {project}
              </button>
            </li>
          ))}
        </ul>
      )}
    </main>
  );
}
