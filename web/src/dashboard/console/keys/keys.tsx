import "../console.css";

import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, send } from "../../api";
import { type KeyFragment, ScanKeysDocument } from "../../generated";
import { Icon } from "../../icons";
import { Failure } from "../../parts/failure";
import type { Service } from "../../state";
import { span } from "../../words";
import { type Found, PAGE, patternOf, readOn } from "./paging";
import { KeyValue } from "./value";
import { bytes, many, typeOf } from "./words";

/** The keys of a service, and what each holds. */
export function Keys({ service }: { service: Service }) {
  const [text, setText] = useState("");
  const [found, setFound] = useState<Found | null>(null);
  const [chosen, setChosen] = useState<{ key: KeyFragment; time: number } | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const [reading, setReading] = useState(false);
  /** Counts what was looked for: what comes of an earlier search is not shown. */
  const search = useRef(0);
  const match = useRef("*");

  const read = async (from: Found | null) => {
    const number = from ? search.current : ++search.current;
    const isCurrent = () => number === search.current;
    setReading(true);
    setError(null);
    const scan = async (cursor: string | null) =>
      (await send(ScanKeysDocument, { input: { id: service.id, match: match.current, cursor, first: PAGE } })).scanKeys;
    try {
      await readOn(from, scan, (found) => isCurrent() && setFound(found));
    } catch (reason) {
      if (isCurrent()) setError(ApiError.of(reason));
    } finally {
      if (isCurrent()) setReading(false);
    }
  };
  const begin = () => {
    match.current = patternOf(text);
    void read(null);
  };
  useEffect(begin, []);

  return (
    <div>
      <search>
        <form
          class="toolbar"
          onSubmit={(event) => {
            event.preventDefault();
            begin();
          }}
        >
          <input
            type="search"
            data-search
            aria-label="Search the keys"
            maxLength={900}
            placeholder="A part of the key, or a pattern such as user:*"
            value={text}
            onInput={(event) => setText(event.currentTarget.value)}
          />
          <button type="submit">
            <Icon sign="search" size={16} /> Search
          </button>
          <button type="button" aria-disabled={reading} onClick={() => read(null)}>
            <Icon sign="RESTART" size={16} /> Refresh
          </button>
        </form>
      </search>
      <p class="quiet rules">Read only. That you look is recorded with your name; what you look at is not.</p>
      {error && <Failure error={error} retry={() => read(found)} />}
      <div class={chosen ? "browser with-value" : "browser"}>
        <div>
          {found && (
            <p class="quiet count-found" role="status">
              {many(found.keys.length, "key")} found{found.cursor && " so far"}, {found.total.toLocaleString()} in all.
              {reading && " Looking for more…"}
            </p>
          )}
          {found && found.keys.length > 0 && (
            <KeyList keys={found.keys} chosen={chosen?.key ?? null} choose={(key) => setChosen({ key, time: Date.now() })} />
          )}
          {found && found.keys.length === 0 && !reading && (
            <p class="quiet centred">
              {found.total === 0 ? "There are no keys yet." : found.cursor ? "No key among those looked at matches." : "No key matches."}
            </p>
          )}
          {!found && !error && <p class="quiet centred">Reading the keys…</p>}
          {found?.cursor && !reading && (
            <button type="button" class="more" onClick={() => read(found)}>
              Load more
            </button>
          )}
        </div>
        {chosen && <KeyValue key={`${chosen.key.keyBase64} ${chosen.time}`} id={service.id} chosen={chosen.key} />}
      </div>
    </div>
  );
}

interface KeyListProps {
  keys: readonly KeyFragment[];
  chosen: KeyFragment | null;
  choose: (key: KeyFragment) => void;
}

/** A list of which one can be chosen: the arrow keys go through it, Enter chooses. */
function KeyList({ keys, chosen, choose }: KeyListProps) {
  const [at, setAt] = useState(0);
  const list = useRef<HTMLUListElement>(null);
  const here = Math.min(at, keys.length - 1);
  const go = (event: KeyboardEvent) => {
    const key = keys[here];
    const next = { ArrowDown: here + 1, ArrowUp: here - 1, PageDown: here + 10, PageUp: here - 10, Home: 0, End: keys.length - 1 }[event.key];
    if (next !== undefined) {
      const index = Math.max(0, Math.min(next, keys.length - 1));
      setAt(index);
      list.current?.querySelectorAll<HTMLElement>("[role=option]")[index]?.focus();
    } else if (key && (event.key === "Enter" || event.key === " ")) choose(key);
    else return;
    event.preventDefault();
  };
  return (
    <ul class="keys-found" role="listbox" aria-label="Keys" ref={list} onKeyDown={go}>
      {keys.map((key, index) => (
        <li
          key={key.keyBase64}
          role="option"
          aria-selected={key.keyBase64 === chosen?.keyBase64}
          tabIndex={index === here ? 0 : -1}
          onClick={() => {
            setAt(index);
            choose(key);
          }}
        >
          <span class="key-name">{key.key}</span>
          <span class="quiet">
            {typeOf(key.type)}
            {key.ttlSeconds !== null && ` · ${span(key.ttlSeconds * 1000)} left`}
            {key.memoryBytes !== null && ` · ${bytes(key.memoryBytes)}`}
          </span>
        </li>
      ))}
    </ul>
  );
}
