import { useEffect, useState } from "preact/hooks";
import { ApiError } from "../api";

/** A part of the page that is loaded only when somebody wants it: what there is to it until then, and after. */
export function usePart<T extends object>(load: () => Promise<T>, wanted: boolean) {
  const [part, setPart] = useState<T | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const again = () => {
    if (!wanted || part) return;
    setError(null);
    load()
      // A component would be taken for what makes the next state.
      .then((part) => setPart(() => part))
      .catch(() => setError(new ApiError("This part of the page could not be loaded.", "OFFLINE")));
  };
  useEffect(again, [wanted]);
  return { part, error, again };
}
