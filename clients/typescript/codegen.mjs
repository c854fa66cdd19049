// Writes src/generated.ts: the documents of src/operations.graphql with their types, as the API's schema has them.

import { readFile, writeFile } from "node:fs/promises";
import { codegen } from "@graphql-codegen/core";
import * as documents from "@graphql-codegen/typed-document-node";
import * as operations from "@graphql-codegen/typescript-operations";
import { parse } from "graphql";

const at = (path) => new URL(path, import.meta.url);
const read = async (path) => parse(await readFile(at(path), "utf8"));

const source = "src/operations.graphql";
const text = await codegen({
  filename: "src/generated.ts",
  schema: await read("../../schema.graphql"),
  documents: [{ location: source, document: await read(source) }],
  config: {
    // Texts, so that the package needs no other.
    documentMode: "string",
    dedupeFragments: true,
    useTypeImports: true,
    enumsAsTypes: true,
    strictScalars: true,
    scalars: { DateTime: "string" },
    skipTypename: true,
  },
  plugins: [{ operations: {} }, { documents: {} }],
  pluginMap: { operations, documents },
});
// The package that the types of documents come from is not needed at run time, and its one type is ours here.
const own = "export interface DocumentTypeDecoration<R, V> { __apiType?: (variables: V) => R }";
await writeFile(at("src/generated.ts"), text.replace(/^import .*typed-document-node\/core.*$/m, own));
