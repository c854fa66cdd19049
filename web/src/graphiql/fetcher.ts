import { createGraphiQLFetcher, type Fetcher, isAsyncIterable } from "@graphiql/toolkit";
import { createClient } from "graphql-ws";
import { gathered } from "./events";

const endpoint = new URL("graphql", document.baseURI);

/** The close code of a server that refuses the token; it would refuse it again. */
const FORBIDDEN = 4403;

/**
 * Sends operations over HTTP and subscriptions over a WebSocket. Both carry what the headers editor holds, and the token
 * unless there is an Authorization among it. `answered` gets what a query or a mutation answers.
 */
export function fetcherWith(token: () => string, answered: (answer: unknown) => void): Fetcher {
  return async (params, options) => {
    const headers = authorized(options?.headers ?? {}, token());
    const fetcher = createGraphiQLFetcher({
      url: endpoint.href,
      enableIncrementalDelivery: false,
      // One a subscription, since a connection keeps the token that it was opened with. It opens when it is needed.
      wsClient: createClient({
        url: endpoint.href.replace(/^http/, "ws"),
        connectionParams: headers,
        shouldRetry: (event) => event instanceof CloseEvent && event.code !== FORBIDDEN,
      }),
    });
    const answer = await fetcher(params, { ...options, headers });
    if (isAsyncIterable(answer)) return gathered(answer) as typeof answer;
    answered(answer);
    return answer;
  };
}

function authorized(headers: Record<string, unknown>, token: string): Record<string, unknown> {
  const given = Object.keys(headers).some((name) => name.toLowerCase() === "authorization");
  return given || token === "" ? headers : { ...headers, Authorization: `Bearer ${token}` };
}
