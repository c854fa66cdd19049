import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { connected } from "../api";
import { Icon } from "../icons";
import { Failure, Notice } from "../parts/failure";
import { save } from "../parts/save";
import type { Service } from "../state";
import { useStore } from "../store";
import { atLength, logTime } from "../words";
import { type Level, said } from "./lines";
import { type Line, useLines } from "./stream";

const SHOWN: Record<string, readonly Level[]> = {
  "": ["error", "warning", "notice", "plain"],
  warning: ["error", "warning"],
  error: ["error"],
};

/** What the server inside writes, as it comes. */
export function Logs({ service }: { service: Service }) {
  const live = useStore(connected);
  const { lines, error } = useLines(service.id);
  const [text, setText] = useState("");
  const [level, setLevel] = useState("");
  const [following, setFollowing] = useState(true);
  const box = useRef<HTMLDivElement>(null);
  const whole = useRef<HTMLDivElement>(null);
  const [large, toggle] = useFullScreen(whole);

  const wanted = text.trim().toLowerCase();
  const shown = useMemo(
    () =>
      lines
        .map((line) => ({ ...line, ...said(line.text) }))
        .filter((line) => SHOWN[level]?.includes(line.level) && line.text.toLowerCase().includes(wanted)),
    [lines, wanted, level],
  );
  useLayoutEffect(() => {
    if (following && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [shown, following]);
  useEffect(() => {
    if (!box.current || !following) return;
    const resized = new ResizeObserver(([entry]) => entry?.target.scrollTo(0, entry.target.scrollHeight));
    resized.observe(box.current);
    return () => resized.disconnect();
  }, [following]);

  if (error) return <Failure error={error} />;
  if (service.state === "DESTROYED") return <Notice level="h3" sign="boxes" title="Destroyed, and its log with it" />;
  return (
    <div class={large ? "logs large" : "logs"} ref={whole}>
      <div class="toolbar">
        <input
          type="search"
          data-search
          aria-label="Only lines with"
          placeholder="Search…"
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
        />
        <select aria-label="Level" value={level} onChange={(event) => setLevel(event.currentTarget.value)}>
          <option value="">All levels</option>
          <option value="warning">Warnings and errors</option>
          <option value="error">Errors</option>
        </select>
        <label class="check">
          <input type="checkbox" checked={following} onChange={(event) => setFollowing(event.currentTarget.checked)} />
          Follow
        </label>
        <button type="button" onClick={() => save(written(lines), service.name, "log")}>
          <Icon sign="download" size={16} /> Download
        </button>
        <button type="button" aria-pressed={large} onClick={toggle}>
          <Icon sign={large ? "smaller" : "larger"} size={16} /> {large ? "Leave full screen" : "Full screen"}
        </button>
      </div>
      <div
        class="log"
        ref={box}
        role="log"
        aria-live="off"
        aria-label="Log"
        tabIndex={0}
        onScroll={({ currentTarget: at }) => setFollowing(at.scrollHeight - at.scrollTop - at.clientHeight < 24)}
      >
        {shown.map((line) => (
          <p key={line.number} class={`level-${line.level}`}>
            <time dateTime={line.occurredAt} title={atLength(line.occurredAt)}>
              {logTime(line.occurredAt)}
            </time>
            <span>
              <Found text={line.text} wanted={wanted} />
            </span>
          </p>
        ))}
        {shown.length === 0 && (
          <p class="quiet">
            {lines.length > 0
              ? "No line matches."
              : live
                ? "Nothing has been written yet. Lines show here as they come."
                : "The log can’t be read while the connection is away."}
          </p>
        )}
      </div>
    </div>
  );
}

/** A text with what is searched for marked in it. */
function Found({ text, wanted }: { text: string; wanted: string }) {
  if (wanted === "") return <>{text}</>;
  const parts = [];
  const lower = text.toLowerCase();
  let from = 0;
  for (let at = lower.indexOf(wanted); at >= 0; at = lower.indexOf(wanted, from)) {
    parts.push(text.slice(from, at), <mark key={at}>{text.slice(at, at + wanted.length)}</mark>);
    from = at + wanted.length;
  }
  return (
    <>
      {parts}
      {text.slice(from)}
    </>
  );
}

/** Whether an element fills the screen, and what changes that. Where a page within another may not, it fills the page. */
function useFullScreen(of: { current: HTMLElement | null }): [boolean, () => void] {
  const [large, setLarge] = useState(false);
  useEffect(() => {
    const changed = () => setLarge(document.fullscreenElement !== null);
    const pressed = (event: KeyboardEvent) => {
      if (event.key !== "Escape" || !large) return;
      event.preventDefault();
      if (document.fullscreenElement) void document.exitFullscreen();
      else setLarge(false);
    };
    document.addEventListener("fullscreenchange", changed);
    document.addEventListener("keydown", pressed, true);
    return () => {
      document.removeEventListener("fullscreenchange", changed);
      document.removeEventListener("keydown", pressed, true);
    };
  }, [large]);
  const toggle = () => {
    if (document.fullscreenElement) void document.exitFullscreen();
    else if (large) setLarge(false);
    else if (document.fullscreenEnabled) of.current?.requestFullscreen().catch(() => setLarge(true));
    else setLarge(true);
  };
  return [large, toggle];
}

/** The lines that are here as they were written, each behind its time. */
function written(lines: readonly Line[]): string {
  return lines.map(({ occurredAt, text }) => `${occurredAt} ${text}\n`).join("");
}

/** Instead of the log for who may not read it: asking all the same would stand in the history as refused. */
export function NoLogs() {
  return (
    <Notice level="h3" sign="lock" title="You can’t read this log">
      <p>You need the permission to change this project’s services. Ask somebody who manages the project for it.</p>
    </Notice>
  );
}
