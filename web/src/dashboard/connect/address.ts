// What to connect with, from either side of the project's network. Nothing here talks to anybody.

import type { Service } from "../state";

export type Side = "inside" | "outside";

/** Values by their variable's name, as far as they are known. */
export type Values = Readonly<Record<string, string>>;

export interface Variable {
  key: string;
  value: string;
  /** Whether there are dots in the value, which nobody can connect with. */
  masked: boolean;
}

/** What stands for a value, or a part of one, that is not known here. */
const DOTS = "••••••••";

export function isMasked(text: string): boolean {
  return text.includes("•");
}

/** Where a service is reached from a side; null where it is not. */
export function hostOf(service: Service, side: Side): { host: string; port: number } | null {
  if (side === "inside") return { host: service.hostname, port: service.port };
  const { externalHost, externalPort } = service;
  return externalHost && externalPort ? { host: externalHost, port: externalPort } : null;
}

/** The variables of a service for a side, in the catalog's order. */
export function variables(service: Service, keys: readonly string[], values: Values, side: Side): Variable[] {
  const at = hostOf(service, side);
  if (!at) return [];
  return keys.map((key) => {
    const value = valueOf(service, key, values, at, side);
    return { key, value, masked: isMasked(value) };
  });
}

function valueOf(
  service: Service,
  key: string,
  values: Values,
  { host, port }: { host: string; port: number },
  side: Side,
): string {
  if (key.endsWith("HOST")) return host;
  if (key.endsWith("PORT")) return String(port);
  const value = values[key];
  if (value === undefined) return DOTS;
  if (side === "inside") return value;
  // The API's own addresses are for the inside.
  return service.endpoints.reduce(
    (value, { port, externalPort }) => value.replace(`${service.hostname}:${port}`, `${host}:${externalPort}`),
    value,
  );
}

/** The variables as a file that tools read them from. */
export function envFile(variables: readonly Variable[]): string {
  return variables.map(({ key, value }) => `${key}=${value}\n`).join("");
}
