import "../console.css";

import type { EditorView } from "@codemirror/view";
import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, send } from "../../api";
import { RunSqlDocument } from "../../generated";
import { Icon } from "../../icons";
import { announce } from "../../parts/announcer";
import type { Service } from "../../state";
import { useStore } from "../../store";
import { timeOfDay } from "../../words";
import { dialectOf } from "./dialects";
import { edit, replace } from "./editor";
import { ResultTable } from "./result";
import { type Ran, remember, workOn } from "./statements";
import { Tables } from "./tables";
import { LONGEST, refusal, type Result, rowsIn } from "./words";

/** Statements for a service's database, one at a time. */
export function Sql({ service }: { service: Service }) {
  const work = workOn(service.id);
  const dialect = dialectOf(service.kind);
  const place = useRef<HTMLDivElement>(null);
  const editor = useRef<EditorView | null>(null);
  const [result, setResult] = useState<Result | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const [busy, setBusy] = useState(false);

  const run = async () => {
    const statement = work.draft.trim();
    if (busy || statement === "") return;
    if (statement.length > LONGEST) {
      return setError(new ApiError(`It has ${statement.length} characters, and may have ${LONGEST}.`, "BAD_USER_INPUT"));
    }
    setBusy(true);
    setError(null);
    const at = Date.now();
    try {
      const { result } = (await send(RunSqlDocument, { input: { id: service.id, statement } })).runSql;
      setResult(result);
      remember(work, { statement, at, outcome: result ? rowsIn(result) : "Done", failed: false });
    } catch (reason) {
      const error = ApiError.of(reason);
      setResult(null);
      setError(error);
      remember(work, { statement, at, outcome: refusal(error).title, failed: true });
    } finally {
      setBusy(false);
    }
  };
  // The editor is made once, and runs what there is by then.
  const current = useRef(run);
  current.current = run;
  useEffect(() => {
    if (!place.current) return;
    const view = edit(place.current, {
      language: dialect.language,
      text: work.draft,
      changed: (text) => {
        work.draft = text;
        setError(null);
      },
      run: () => void current.current(),
    });
    editor.current = view;
    return () => {
      view.dom.parentElement?.remove();
      view.destroy();
    };
  }, []);
  const take = (statement: string) => {
    if (!editor.current) return;
    replace(editor.current, statement);
    editor.current.focus();
    announce("The statement is in the editor.");
  };

  return (
    <div class="console">
      <aside aria-label="Where to start">
        <Tables id={service.id} dialect={dialect} take={take} />
        <Earlier ran={useStore(work.ran)} take={take} />
      </aside>
      <div class="work">
        <div ref={place} class={error ? "editor wrong-in" : "editor"} />
        <div class="bar">
          <button type="button" class="primary" aria-disabled={busy} onClick={run}>
            <Icon sign="START" size={16} /> {busy ? "Running…" : "Run"}
          </button>
          <p class="quiet grow hints">
            <kbd>Ctrl</kbd> or <kbd>⌘</kbd> <kbd>Enter</kbd> runs it, <kbd>Tab</kbd> leaves the editor.
          </p>
        </div>
        <p class="quiet rules">
          Read only, one statement at a time, at most 200 rows and 10 s. That you run one is recorded with your name; what it
          says is not.
        </p>
        {error && <Refused error={error} />}
        {result && <ResultTable result={result} name={service.name} />}
      </div>
    </div>
  );
}

function Refused({ error }: { error: ApiError }) {
  const { title, text } = refusal(error);
  return (
    <div class="failure" role="alert">
      <Icon sign="warning" />
      <div>
        <p>
          <strong>{title}</strong>
        </p>
        {/* What PostgreSQL points at in a statement stands below it. */}
        {text.includes("\n") ? <pre class="excerpt">{text}</pre> : text && <p>{text}</p>}
      </div>
    </div>
  );
}

/** What was run here before, as long as the page is open. */
function Earlier({ ran, take }: { ran: readonly Ran[]; take: (statement: string) => void }) {
  return (
    <details class="aside">
      <summary>Earlier statements{ran.length > 0 && ` (${ran.length})`}</summary>
      {ran.length === 0 && <p class="quiet">None yet. They are kept until you close this page.</p>}
      <ul>
        {ran.map(({ number, statement, at, outcome, failed }) => (
          <li key={number}>
            <button type="button" class="plain statement" onClick={() => take(statement)}>
              {statement.length > 120 ? `${statement.slice(0, 120)}…` : statement}
            </button>
            <p class={failed ? "wrong" : "quiet"}>
              {timeOfDay(new Date(at).toISOString())} · {outcome}
            </p>
          </li>
        ))}
      </ul>
    </details>
  );
}
