import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";
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

/** Fails the build when what a page loads at first is larger than it should be, in bytes of gzip. */
function frugal(page: string, most: number): Plugin {
  return {
    name: "frugal",
    apply: "build",
    async writeBundle({ dir = "" }, bundle) {
      const text = String((bundle[page] as { source?: string | Uint8Array }).source);
      const loaded = Array.from(text.matchAll(/(?:src|href)="\.\/([^"]+)"/g), ([, name = ""]) => name);
      const sizes = [page, ...loaded].map(async (name) => (await promisify(gzip)(await readFile(join(dir, name)))).length);
      const size = (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
      if (size > most) this.error(`${page} loads ${size} bytes at first, and should load at most ${most}`);
      console.log(`${page} loads ${size} bytes at first`);
    },
  };
}

export default defineConfig({
  plugins: [compressed(), frugal("index.html", 60_000)],
  // Relative, so that the pages also work behind a proxy that gives the server a folder.
  base: "./",
  build: {
    target: "es2023",
    // Those that have light-dark() and popovers: what stood in for it would not follow a theme that a platform chooses.
    cssTarget: ["chrome123", "firefox125", "safari17.5"],
    // One entry a page.
    rolldownOptions: {
      input: ["index.html", "graphiql.html"],
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
