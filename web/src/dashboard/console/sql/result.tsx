import { useState } from "preact/hooks";
import { Icon } from "../../icons";
import { Copy } from "../../parts/copy";
import { Dialog } from "../../parts/dialog";
import { save } from "../../parts/save";
import { csv } from "./csv";
import { type Result, rowsIn } from "./words";

/** How much of a value stands in its cell, in characters. */
const SHOWN = 80;

/** The rows that a statement gave. */
export function ResultTable({ result, name }: { result: Result; name: string }) {
  const { columns, rows, truncated, durationMs } = result;
  const [whole, setWhole] = useState<{ column: string; value: string } | null>(null);
  return (
    <section aria-label="Result">
      <div class="bar">
        <p class="grow" role="status">
          <strong>{rowsIn(result)}.</strong> <span class="quiet">It took {durationMs} ms.</span>
        </p>
        {columns.length > 0 && (
          <button type="button" onClick={() => save(csv(columns, rows), name, "csv")}>
            <Icon sign="download" size={16} /> Download as CSV
          </button>
        )}
      </div>
      {truncated && <p class="quiet below">A result is cut at 200 rows or 1 MiB. Add a LIMIT or a WHERE to see what you look for.</p>}
      {columns.length > 0 && (
        <div class="grid" role="region" aria-label="Rows" tabIndex={0}>
          <table>
            <thead>
              <tr>
                {columns.map((column, index) => (
                  <th key={index} scope="col">
                    {column}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {rows.map((row, number) => (
                <tr key={number}>
                  {row.map((value, index) => (
                    <td key={index}>
                      <Cell
                        value={value}
                        expand={(value) => setWhole({ column: columns[index] ?? "", value })}
                        named={`${columns[index]} in row ${number + 1}`}
                      />
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {whole && (
        <Dialog
          title={whole.column}
          close={() => setWhole(null)}
          footer={
            <>
              <Copy text={whole.value} what="The value" label="Copy" />
              <button type="button" data-first onClick={() => setWhole(null)}>
                Close
              </button>
            </>
          }
        >
          <pre tabIndex={0}>{whole.value}</pre>
        </Dialog>
      )}
    </section>
  );
}

interface CellProps {
  value: string | null;
  expand: (value: string) => void;
  named: string;
}

function Cell({ value, expand, named }: CellProps) {
  if (value === null) return <em class="none">NULL</em>;
  if (value === "") return <em class="none">empty</em>;
  if (value.length <= SHOWN && !value.includes("\n")) return <>{value}</>;
  const [line = ""] = value.slice(0, SHOWN).split("\n");
  return (
    <>
      {line}…{" "}
      <button type="button" class="plain" aria-label={`Show all of ${named}`} onClick={() => expand(value)}>
        all
      </button>
    </>
  );
}
