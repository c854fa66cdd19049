// What the platform does: it signs tokens, by what it shares with the server (SECRET), and asks the API by itself.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { origin } from "./browser.mjs";

const { SECRET: secret = "" } = process.env;

/** How long a token is still good for when it has expired, in seconds. */
export const LEEWAY = 30;

const ALL = ["project:settings", "project:delete"];

/** A token as the platform would give it. @param {{ permissions?: string[], projects?: string[], lasts?: number }} claims */
export function tokenFor({ permissions = ALL, projects = ["demo"], lasts = 3600 }) {
  const exp = Math.floor(Date.now() / 1000) + lasts;
  const encoded = (/** @type {object} */ part) => Buffer.from(JSON.stringify(part)).toString("base64url");
  const signed = `${encoded({ alg: "HS256" })}.${encoded({ sub: "e2e", exp, projects, permissions })}`;
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}

/** Sends a document to the API, apart from any page. @param {string} query @param {object} variables */
export async function ask(query, variables = {}) {
  const response = await fetch(`${origin}/graphql`, {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${tokenFor({})}` },
    body: JSON.stringify({ query, variables }),
  });
  const answer = /** @type {any} */ (await response.json());
  assert.equal(answer.errors, undefined);
  return answer.data;
}
