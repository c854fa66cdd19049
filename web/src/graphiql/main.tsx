/** @jsxImportSource react */
import "./workers";
import "graphiql/style.css";
import "./style.css";

import { GraphiQL } from "graphiql";
import { StrictMode, useRef } from "react";
import { createRoot } from "react-dom/client";
import { examples } from "./examples";
import { fetcherWith } from "./fetcher";

/** GraphiQL below a field for the token, which lives in this page's memory and nowhere else. */
function Page() {
  const field = useRef<HTMLInputElement>(null);
  const fetcher = useRef(fetcherWith(() => field.current?.value.trim().replace(/^Bearer\s+/i, "") ?? ""));
  return (
    <>
      <header>
        <h1>Project Services</h1>
        <label>
          <span>Token</span>
          <input
            ref={field}
            type="password"
            autoComplete="off"
            spellCheck={false}
            placeholder="Paste yours: eyJ…"
            title="Sent as Authorization: Bearer …, also with subscriptions. It is forgotten when you leave this page."
          />
        </label>
      </header>
      <main>
        <GraphiQL
          fetcher={fetcher.current}
          defaultTabs={examples}
          defaultEditorToolsVisibility="variables"
          shouldPersistHeaders={false}
          showPersistHeadersSettings={false}
        />
      </main>
    </>
  );
}

createRoot(document.getElementById("root") as HTMLElement).render(
  <StrictMode>
    <Page />
  </StrictMode>,
);
