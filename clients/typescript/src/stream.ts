import { ConnectionError } from "./errors.js";

/**
 * The results in an event stream (graphql-sse, distinct connections mode), as JSON. It returns where the server says that
 * there are no more, and throws a `ConnectionError` where the stream breaks off before.
 */
export async function* results(body: ReadableStream<Uint8Array>): AsyncGenerator<string, void> {
  const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read().catch((cause) => {
        throw new ConnectionError("The stream was lost", { cause });
      });
      if (done) throw new ConnectionError("The stream was broken off");
      const events = (rest + value).split("\n\n");
      rest = events.pop() ?? "";
      for (const event of events) {
        const fields = new Map(event.split("\n").map((line) => line.split(/: ?(.*)/s, 2) as [string, string]));
        if (fields.get("event") === "complete") return;
        if (fields.get("event") === "next") yield fields.get("data") ?? "";
      }
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}
