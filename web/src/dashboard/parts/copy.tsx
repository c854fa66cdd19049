import { useEffect, useState } from "preact/hooks";
import { Icon } from "../icons";
import { announce } from "./announcer";

interface CopyProps {
  /** Null when there is nothing to copy after all; whoever answers that has said why. */
  text: string | (() => Promise<string | null>);
  /** As a sentence begins with it: "The id". */
  what: string;
  label?: string;
}

/** Copies a text, and says so. */
export function Copy({ text, what, label }: CopyProps) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), 2000);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = async () => {
    const copying = typeof text === "string" ? text : await text();
    if (copying === null) return;
    const done = await toClipboard(copying);
    setCopied(done);
    announce(done ? `${what} copied.` : `${what} could not be copied.`);
  };
  const named = `Copy ${what.replace(/^The /, "the ")}`;
  return (
    <button type="button" class={label ? "" : "bare"} aria-label={label ? undefined : named} title={label ? undefined : named} onClick={copy}>
      <Icon sign={copied ? "done" : "copy"} size={16} />
      {label && (copied ? "Copied" : label)}
    </button>
  );
}

async function toClipboard(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // A page within another may not have the clipboard, and a page without TLS has none.
    const field = document.createElement("textarea");
    field.value = text;
    (document.querySelector("dialog[open]") ?? document.body).append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  }
}
