// What was measured of services and what they hold, played to the page. It wants the server's address in ORIGIN, a token for the
// project demo in TOKEN, and in PICTURES a directory to leave screenshots in.

import { run } from "./browser.mjs";
import { consoles } from "./consoles.mjs";
import { figures } from "./figures.mjs";

const { TOKEN: token = "" } = process.env;

await run(async () => {
  await figures(token);
  await consoles(token);
});
