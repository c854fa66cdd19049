import { useState } from "preact/hooks";
import { ApiError, send } from "../../api";
import { RunSqlDocument } from "../../generated";
import type { Dialect, Table } from "./dialects";
import { refusal } from "./words";

interface Answer<T> {
  items: readonly T[];
  truncated: boolean;
}

async function ask<T>(id: string, statement: string, of: (first: string, second: string) => T): Promise<Answer<T>> {
  const { result } = (await send(RunSqlDocument, { input: { id, statement } })).runSql;
  if (!result) throw new ApiError("There was no answer.", "UNAVAILABLE");
  return { items: result.rows.map(([first, second]) => of(first ?? "", second ?? "")), truncated: result.truncated };
}

/** Reads something once its place is opened, and again each time. */
function useAnswer<T>(read: () => Promise<Answer<T>>) {
  const [answer, setAnswer] = useState<Answer<T> | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const opened = (event: Event) => {
    if (!(event.currentTarget as HTMLDetailsElement).open) return;
    setError(null);
    read()
      .then(setAnswer)
      .catch((reason) => setError(ApiError.of(reason)));
  };
  return { answer, error, opened };
}

/** The tables that there are, to start from. They are asked for only when somebody looks: that is a statement as well. */
export function Tables({ id, dialect, take }: { id: string; dialect: Dialect; take: (statement: string) => void }) {
  const { inSql, inWords } = dialect;
  const { answer, error, opened } = useAnswer(() => ask(id, dialect.tables, (schema, name): Table => ({ schema, name })));
  return (
    <details class="aside" onToggle={opened}>
      <summary>Tables</summary>
      {error ? (
        <p class="wrong">{refusal(error).title}</p>
      ) : !answer ? (
        <p class="quiet">Reading…</p>
      ) : answer.items.length === 0 ? (
        <p class="quiet">There is none yet.</p>
      ) : (
        <ul>
          {answer.items.map((table) => (
            <li key={inWords(table)}>
              <button type="button" class="plain" onClick={() => take(`SELECT *\nFROM ${inSql(table)}\nLIMIT 50`)}>
                {inWords(table)}
              </button>
              <Columns id={id} dialect={dialect} table={table} />
            </li>
          ))}
        </ul>
      )}
      {answer?.truncated && <p class="quiet">There are more than fit here.</p>}
    </details>
  );
}

function Columns({ id, dialect, table }: { id: string; dialect: Dialect; table: Table }) {
  const { answer, error, opened } = useAnswer(() => ask(id, dialect.columnsOf(table), (name, type) => ({ name, type })));
  return (
    <details onToggle={opened}>
      <summary>
        Columns<span class="unseen"> of {dialect.inWords(table)}</span>
      </summary>
      {error ? (
        <p class="wrong">{refusal(error).title}</p>
      ) : answer ? (
        <dl>
          {answer.items.map(({ name, type }) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd class="quiet">{type}</dd>
            </div>
          ))}
        </dl>
      ) : (
        <p class="quiet">Reading…</p>
      )}
    </details>
  );
}
