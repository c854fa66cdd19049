import { useId, useRef, useState } from "preact/hooks";
import { Copy } from "../parts/copy";
import { DOTS } from "./address";
import type { Client } from "./clients";
import { Value } from "./value";

interface SnippetsProps {
  clients: readonly Client[];
  /** The address, which may have dots in it; null where there is none from this side. */
  url: string | null;
  /** Makes what is copied of a line that has dots in it. */
  copied: (code: (url: string) => string) => () => Promise<string | null>;
  copyable: boolean;
}

/** Lines for the usual clients, one at a time. */
export function Snippets({ clients, url, copied, copyable }: SnippetsProps) {
  const [name, setName] = useState(clients[0]?.name);
  const list = useRef<HTMLDivElement>(null);
  const id = useId();
  const client = clients.find((client) => client.name === name) ?? clients[0];
  if (!client) return null;
  const go = (event: KeyboardEvent) => {
    const at = clients.indexOf(client);
    const next = { ArrowRight: at + 1, ArrowLeft: at - 1 + clients.length, Home: 0, End: clients.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    setName(clients[next % clients.length]?.name);
    list.current?.querySelectorAll<HTMLElement>("[role=tab]")[next % clients.length]?.focus();
  };
  const { code, needs } = client;
  const line = typeof code === "string" ? code : url && code(url);
  return (
    <section class="snippets" aria-label="Clients">
      <div class="tabs" role="tablist" aria-label="Clients" ref={list} onKeyDown={go}>
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
        {line ? (
          <div class="copied">
            <pre>
              <Value text={line} />
            </pre>
            {(copyable || !line.includes(DOTS)) && (
              <Copy
                key={client.name}
                text={typeof code === "function" && line.includes(DOTS) ? copied(code) : line}
                what={`The lines for ${client.name}`}
              />
            )}
          </div>
        ) : (
          <p class="quiet">There is no address from outside to put into this line.</p>
        )}
        <p class="quiet">
          Needs <code>{needs}</code>
          {typeof code === "string" && ", and the variables above in its environment."}
        </p>
      </div>
    </section>
  );
}
