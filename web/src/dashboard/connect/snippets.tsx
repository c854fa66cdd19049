import { useId, useRef, useState } from "preact/hooks";
import { Copy } from "../parts/copy";
import { envFile, isMasked, type Variable } from "./address";
import { type Client, readBy } from "./clients";
import { Value } from "./value";

interface SnippetsProps {
  clients: readonly Client[];
  /** The values, which may have dots in them; none where there is no address from this side. */
  list: readonly Variable[];
  /** Makes what is copied of a text that has dots in it. */
  copied: (text: (list: readonly Variable[]) => string) => () => Promise<string | null>;
  copyable: boolean;
}

/** Lines for the usual clients, one at a time. */
export function Snippets({ clients, list, copied, copyable }: SnippetsProps) {
  const [name, setName] = useState(clients[0]?.name);
  const tabs = useRef<HTMLDivElement>(null);
  const id = useId();
  const client = clients.find((client) => client.name === name) ?? clients[0];
  if (!client) return null;
  const go = (event: KeyboardEvent) => {
    const at = clients.indexOf(client);
    const next = { ArrowRight: at + 1, ArrowLeft: at - 1 + clients.length, Home: 0, End: clients.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    setName(clients[next % clients.length]?.name);
    tabs.current?.querySelectorAll<HTMLElement>("[role=tab]")[next % clients.length]?.focus();
  };
  const { code, needs } = client;
  const block = (text: (list: readonly Variable[]) => string, what: string) => (
    <Block key={what} text={text(list)} copied={copied(text)} what={what} copyable={copyable} />
  );
  return (
    <section class="snippets" aria-label="Clients">
      <div class="tabs" role="tablist" aria-label="Clients" ref={tabs} onKeyDown={go}>
        {clients.map(({ name }) => (
          <button
            key={name}
            id={`${id}-${name}`}
            type="button"
            role="tab"
            aria-selected={name === client.name}
            aria-controls={name === client.name ? `${id}-panel` : undefined}
            tabIndex={name === client.name ? 0 : -1}
            onClick={() => setName(name)}
          >
            {name}
          </button>
        ))}
      </div>
      <div role="tabpanel" id={`${id}-panel`} aria-labelledby={`${id}-${client.name}`}>
        {list.length === 0 ? (
          <p class="quiet">There is no address from outside to put in here.</p>
        ) : typeof code === "function" ? (
          block(code, `The lines for ${client.name}`)
        ) : (
          <>
            {block((list) => envFile(readBy(code, list)), `The environment for ${client.name}`)}
            {block(() => code, `The lines for ${client.name}`)}
          </>
        )}
        {needs && (
          <p class="quiet">
            Needs <code>{needs}</code>
            {typeof code === "string" && ", and the variables above it in its environment."}
          </p>
        )}
      </div>
    </section>
  );
}

interface BlockProps {
  text: string;
  copied: () => Promise<string | null>;
  what: string;
  copyable: boolean;
}

/** Some lines to paste. What is copied of them has no dots in it. */
function Block({ text, copied, what, copyable }: BlockProps) {
  const masked = isMasked(text);
  return (
    <div class="copied">
      <pre>
        <Value text={text.trimEnd()} />
      </pre>
      {(copyable || !masked) && <Copy text={masked ? copied : text} what={what} />}
    </div>
  );
}
