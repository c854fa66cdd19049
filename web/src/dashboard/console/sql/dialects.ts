// How the kinds differ that speak SQL.

import { MySQL, PostgreSQL, type SQLDialect } from "@codemirror/lang-sql";
import type { ServiceKind } from "../../generated";
import { literal, quoted } from "./words";

export interface Table {
  schema: string;
  name: string;
}

export interface Dialect {
  language: SQLDialect;
  /** Gives the schema and the name of each table. */
  tables: string;
  /** Gives the name and the type of each column. */
  columnsOf: (table: Table) => string;
  /** How a statement names a table. */
  inSql: (table: Table) => string;
  inWords: (table: Table) => string;
}

const POSTGRESQL: Dialect = {
  language: PostgreSQL,
  tables: `SELECT table_schema, table_name
FROM information_schema.tables
WHERE table_schema NOT IN ('pg_catalog', 'information_schema')
ORDER BY table_schema <> 'public', table_schema, table_name`,
  columnsOf: ({ schema, name }) => `SELECT column_name, data_type
FROM information_schema.columns
WHERE table_schema = ${literal(schema)} AND table_name = ${literal(name)}
ORDER BY ordinal_position`,
  inSql: ({ schema, name }) => (schema === "public" ? quoted(name) : `${quoted(schema)}.${quoted(name)}`),
  inWords: ({ schema, name }) => (schema === "public" ? name : `${schema}.${name}`),
};

/** A service has one database, and a backslash within a text is one of two. */
const MYSQL: Dialect = {
  language: MySQL,
  tables: `SELECT table_schema, table_name
FROM information_schema.tables
WHERE table_schema = DATABASE()
ORDER BY table_name`,
  columnsOf: ({ name }) => `SELECT column_name, column_type
FROM information_schema.columns
WHERE table_schema = DATABASE() AND table_name = ${literal(name.replaceAll("\\", "\\\\"))}
ORDER BY ordinal_position`,
  inSql: ({ name }) => quoted(name, "`"),
  inWords: ({ name }) => name,
};

export const dialectOf = (kind: ServiceKind): Dialect => (kind === "MYSQL" ? MYSQL : POSTGRESQL);
