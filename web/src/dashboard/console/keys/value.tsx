import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, send } from "../../api";
import { type KeyFragment, ReadKeyDocument } from "../../generated";
import { Icon } from "../../icons";
import { Copy } from "../../parts/copy";
import { Failure, Notice } from "../../parts/failure";
import { bytes, expiry, partsOf, shownOf, typeOf, type Value } from "./words";

/** What a key holds, as it was when it was read. */
export function KeyValue({ id, chosen }: { id: string; chosen: KeyFragment }) {
  const [value, setValue] = useState<Value | null>(null);
  const [gone, setGone] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const [reading, setReading] = useState(true);
  const heading = useRef<HTMLHeadingElement>(null);
  const read = async () => {
    setReading(true);
    setError(null);
    try {
      const { value } = (await send(ReadKeyDocument, { input: { id, keyBase64: chosen.keyBase64 } })).readKey;
      setValue(value);
      setGone(value === null);
    } catch (reason) {
      setError(ApiError.of(reason));
    } finally {
      setReading(false);
    }
  };
  useEffect(() => {
    heading.current?.focus();
    void read();
  }, []);
  const key = value?.key ?? chosen;
  return (
    <section class="value part" aria-labelledby="key-name">
      <header>
        <h3 id="key-name" ref={heading} tabIndex={-1}>
          {key.key}
        </h3>
        <span class="copied">
          <Copy text={key.key} what="The key" />
          <button type="button" class="bare" aria-label="Read the value again" title="Read the value again" aria-disabled={reading} onClick={read}>
            <Icon sign="RESTART" size={16} />
          </button>
        </span>
      </header>
      {error && <Failure error={error} retry={read} />}
      {gone ? (
        <Notice level="h3" sign="clock" title="This key is gone">
          <p>It has expired or was removed.</p>
        </Notice>
      ) : value ? (
        <>
          <p class="quiet">
            {typeOf(key.type)} · {expiry(key)}
            {key.memoryBytes !== null && ` · ${bytes(key.memoryBytes)} of memory`}
          </p>
          <p class="shown" role="status">
            {shownOf(value)}.
          </p>
          <Entries value={value} />
        </>
      ) : (
        !error && <p class="quiet">Reading…</p>
      )}
    </section>
  );
}

function Entries({ value: { key, entries } }: { value: Value }) {
  const { field, value } = partsOf(key.type);
  const scored = key.type.toLowerCase() === "zset";
  if (key.type.toLowerCase() === "string") {
    const text = entries[0]?.value ?? "";
    return (
      <div class="copied">
        <pre tabIndex={0} aria-label="Value" role="region">
          {text === "" ? <em class="none">empty</em> : text}
        </pre>
        <Copy text={text} what="The value" />
      </div>
    );
  }
  return (
    <div class="grid" role="region" aria-label="Entries" tabIndex={0}>
      <table>
        <thead>
          <tr>
            {field && <th scope="col">{field}</th>}
            <th scope="col">{value}</th>
            {scored && <th scope="col">Score</th>}
          </tr>
        </thead>
        <tbody>
          {entries.map((entry, index) => (
            <tr key={index}>
              {field && <th scope="row">{entry.field}</th>}
              <td class="wrapped">{entry.value === "" ? <em class="none">empty</em> : entry.value}</td>
              {scored && <td>{entry.score ?? "infinite"}</td>}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
