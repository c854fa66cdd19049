// What was measured of services, what they hold and how large they are, played to the page. It wants the server's address in
// ORIGIN, a token for the project demo in TOKEN, and in PICTURES a directory to leave screenshots in.

import { run } from "./browser.mjs";
import { consoles } from "./consoles.mjs";
import { figures } from "./figures.mjs";
import { sizes } from "./sizes.mjs";

const { TOKEN: token = "" } = process.env;

await run(async () => {
  await figures(token);
  await consoles(token);
  await sizes(token);
});
