// Writes src/dashboard/generated.ts: the types of the dashboard's operations, as the API's schema has them. An operation
// that the schema does not allow fails the build here, and a page that expects another answer fails it at the types.

import { readFile, writeFile } from "node:fs/promises";
import { codegen } from "@graphql-codegen/core";
import * as documents from "@graphql-codegen/typed-document-node";
import * as operations from "@graphql-codegen/typescript-operations";
import { Kind, parse, visit } from "graphql";

const at = (/** @type {string} */ path) => new URL(path, import.meta.url);
const read = async (/** @type {string} */ path) => parse(await readFile(at(path), "utf8"));

// A mutation's field is null where it failed. The page's `send` throws then, so that nobody there reads that null.
const schema = visit(await read("../schema.graphql"), {
  FieldDefinition: (field, _key, _parent, _path, ancestors) => {
    const owner = ancestors.findLast((node) => "kind" in node && node.kind === Kind.OBJECT_TYPE_DEFINITION);
    if (!owner || !("name" in owner) || owner.name?.value !== "Mutation") return undefined;
    return { ...field, type: { kind: Kind.NON_NULL_TYPE, type: field.type } };
  },
});
const output = "src/dashboard/generated.ts";
const source = "src/dashboard/operations.graphql";
const text = await codegen({
  filename: output,
  schema,
  documents: [{ location: source, document: await read(source) }],
  config: {
    // Texts instead of syntax trees, so that the page needs no library to print them.
    documentMode: "string",
    dedupeFragments: true,
    useTypeImports: true,
    enumsAsTypes: true,
    strictScalars: true,
    scalars: { DateTime: "string" },
    skipTypename: true,
    // What no part of the page asks for is left out of it.
    pureMagicComment: true,
  },
  plugins: [{ operations: {} }, { documents: {} }],
  pluginMap: { operations, documents },
});

/** Without what only the eye needs, and with what many operations select in one place. */
function condensed(/** @type {string} */ text) {
  /** @type {Map<string, string>} */
  const fragments = new Map();
  const shared = (/** @type {string} */ fragment) => {
    const name = `fragment${/^fragment (\w+)/.exec(fragment)?.[1]}`;
    fragments.set(name, fragment);
    return `\${${name}}`;
  };
  const documents = text.replace(/(?<=TypedDocumentString\(`)[^`]*/g, (document) => {
    const [first = "", ...rest] = document.trim().replace(/\s+/g, " ").split(/ (?=fragment \w+ on )/);
    return [first, ...rest.map(shared)].join("");
  });
  const definitions = [...fragments].map(([name, fragment]) => `const ${name} = "${fragment}";\n`).join("");
  return documents.replace(/^(?=export const )/m, definitions);
}

await writeFile(at(output), condensed(text));
