/** @jsxImportSource react */
import "./workers";
import "graphiql/style.css";
import "./style.css";

import { GraphiQL } from "graphiql";
import { StrictMode, useEffect, useRef, useState } from "react";
import { createRoot } from "react-dom/client";
import { Choices } from "./choices";
import { examples } from "./examples";
import { fetcherWith } from "./fetcher";
import { defineThemes, EDITOR_THEME } from "./theme";

/** GraphiQL below a field for the token, which lives in this page's memory and nowhere else. */
function Page() {
  const [token, setToken] = useState("");
  const [answer, setAnswer] = useState<unknown>(null);
  const [ready, setReady] = useState(false);
  const [place, setPlace] = useState<HTMLElement | null>(null);
  const current = useRef("");
  const fetcher = useRef(fetcherWith(() => current.current, setAnswer));
  useEffect(() => {
    void defineThemes().then(() => setReady(true));
  }, []);
  return (
    <>
      <header>
        <h1>Project Services</h1>
        <a href="./">Dashboard</a>
        <div className="choices" ref={setPlace} />
        <label className="token">
          <span>Token</span>
          <input
            type="password"
            autoComplete="off"
            spellCheck={false}
            placeholder="Paste yours: eyJ…"
            title="Sent as Authorization: Bearer …, also with subscriptions. It is forgotten when you leave this page."
            onChange={({ target }) => {
              current.current = target.value.trim().replace(/^Bearer\s+/i, "");
              setToken(current.current);
            }}
          />
        </label>
      </header>
      <main>
        {ready && (
          <GraphiQL
            fetcher={fetcher.current}
            defaultTabs={examples}
            defaultEditorToolsVisibility="variables"
            editorTheme={EDITOR_THEME}
            shouldPersistHeaders={false}
            showPersistHeadersSettings={false}
          >
            <GraphiQL.Footer>
              <Choices token={token} answer={answer} place={place} />
            </GraphiQL.Footer>
          </GraphiQL>
        )}
      </main>
    </>
  );
}

createRoot(document.getElementById("root") as HTMLElement).render(
  <StrictMode>
    <Page />
  </StrictMode>,
);
