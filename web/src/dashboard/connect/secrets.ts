import { useEffect, useState } from "preact/hooks";
import { ApiError, send } from "../api";
import { CredentialsDocument, RevealDocument } from "../generated";
import { announce } from "../parts/announcer";
import type { Service } from "../state";
import type { Values } from "./address";

/** How long a password stays in sight, in seconds. */
const IN_SIGHT = 60;

/**
 * A service's values, in clear for as long as somebody looks at them. They are in this component's memory and nowhere else.
 * What is no secret among them, such as the user's name, is there from the start.
 */
export function useSecrets(service: Service) {
  const [known, setKnown] = useState<Values>({});
  const [secret, setSecret] = useState<Values | null>(null);
  const [left, setLeft] = useState(IN_SIGHT);
  const [error, setError] = useState<ApiError | null>(null);
  const [busy, setBusy] = useState(false);

  useEffect(() => {
    send(CredentialsDocument, { id: service.id })
      .then(({ service }) => setKnown(byKey(service?.credentials ?? [])))
      // They stay masked, which they are anyway.
      .catch(() => {});
  }, []);

  const hide = () => {
    setSecret(null);
    announce("The password is hidden.");
  };
  useEffect(() => {
    if (!secret) return;
    const until = Date.now() + IN_SIGHT * 1000;
    const tick = () => {
      const left = Math.ceil((until - Date.now()) / 1000);
      setLeft(left);
      if (left <= 0) hide();
    };
    const look = () => document.hidden && hide();
    tick();
    const timer = setInterval(tick, 1000);
    document.addEventListener("visibilitychange", look);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", look);
    };
  }, [secret]);

  // What was shown before or during a change is no longer what lets anybody in.
  const changing = service.operation?.kind === "ROTATE_CREDENTIALS";
  useEffect(() => setSecret(null), [changing]);

  /** All values in clear, or null and an error. */
  const read = async (): Promise<Values | null> => {
    if (busy) return null;
    setBusy(true);
    setError(null);
    try {
      const { credentials } = (await send(RevealDocument, { id: service.id })).revealCredentials;
      return byKey(credentials);
    } catch (reason) {
      setError(ApiError.of(reason));
      return null;
    } finally {
      setBusy(false);
    }
  };
  const reveal = async () => {
    const values = await read();
    if (!values || document.hidden) return;
    setSecret(values);
    announce("The password is shown.");
  };
  return {
    values: { ...known, ...secret },
    shown: secret !== null,
    left,
    error,
    busy,
    mayReveal: service.viewerActions.includes("REVEAL_CREDENTIALS"),
    reveal,
    hide,
    /** For what is copied without being shown. */
    read: async () => secret ?? (await read()),
  };
}

function byKey(credentials: readonly { key: string; value: string }[]): Values {
  return Object.fromEntries(credentials.map(({ key, value }) => [key, value]));
}
