import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";
import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";

/** The best quality, 11, takes ten times as long for a tenth less. */
const BROTLI = { [constants.BROTLI_PARAM_QUALITY]: 9 };

/** Writes what compresses well twice more, for the server to hand out as it is. */
function compressed(): Plugin {
  return {
    name: "compressed",
    apply: "build",
    async writeBundle({ dir = "" }, bundle) {
      const names = Object.keys(bundle).filter((name) => /\.(html|js|css|svg|ttf)$/.test(name));
      const write = async (file: string) => {
        const content = await readFile(file);
        await writeFile(`${file}.br`, await promisify(brotliCompress)(content, { params: BROTLI }));
        await writeFile(`${file}.gzip`, await promisify(gzip)(content));
      };
      await Promise.all(names.map((name) => write(join(dir, name))));
    },
  };
}

export default defineConfig({
  plugins: [react(), compressed()],
  // Relative, so that the pages also work behind a proxy that gives the server a folder.
  base: "./",
  build: {
    target: "es2023",
    // One entry a page.
    rolldownOptions: {
      input: ["graphiql.html"],
      // Directives for a compiler that does not run here.
      checks: { moduleLevelDirective: false },
    },
    // Monaco, which is loaded once and cached for good.
    chunkSizeWarningLimit: 4000,
  },
  worker: { format: "es" },
  // `npm run dev` serves the pages beside a server that runs already.
  server: { proxy: { "/graphql": { target: "http://127.0.0.1:8080", ws: true } } },
});
