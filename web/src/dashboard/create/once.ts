import { useRef } from "preact/hooks";
import { ApiError } from "../api";

/** After these nobody knows whether the request was taken. */
const UNCLEAR = new Set(["OFFLINE", "UNAVAILABLE", "INTERNAL_SERVER_ERROR"]);

/** Asks for something new: the same once more, where nobody knows whether the request arrived, is the same request. */
export function useOnce() {
  const unclear = useRef<{ asked: string; key: string } | null>(null);
  return async <T,>(wanted: object, request: (key: string) => Promise<T>): Promise<T> => {
    const asked = JSON.stringify(wanted);
    const key = unclear.current?.asked === asked ? unclear.current.key : newKey();
    try {
      return await request(key);
    } catch (reason) {
      unclear.current = UNCLEAR.has(ApiError.of(reason).code) ? { asked, key } : null;
      throw reason;
    }
  };
}

/** Makes a request that is sent twice the same request. */
function newKey(): string {
  return [...crypto.getRandomValues(new Uint32Array(4))].map((part) => part.toString(36)).join("-");
}
