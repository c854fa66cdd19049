// Lines to connect with, ready to be pasted.

import type { ServiceKind } from "../generated";
import type { Service } from "../state";

export interface Connection {
  title: string;
  line: string;
}

/** Lines for a shell, with the address that works from there. The password may be dots. */
export function connections(service: Service, credentials: { key: string; value: string }[]): Connection[] {
  const value = (key: string) => credentials.find((credential) => credential.key === key)?.value ?? "";
  const line = (host: string, port: number) => {
    switch (service.kind) {
      case "POSTGRESQL":
        return `psql "postgresql://${value("PGUSER")}:${value("PGPASSWORD")}@${host}:${port}/${value("PGDATABASE")}"`;
      case "REDIS":
        return `redis-cli -u "redis://:${value("REDIS_PASSWORD")}@${host}:${port}"`;
      default:
        return null;
    }
  };
  const inside = line(service.hostname, service.port);
  const outside = service.externalHost && service.externalPort && line(service.externalHost, service.externalPort);
  return [
    { title: "a container of the project", line: inside },
    { title: "outside", line: outside || null },
  ].flatMap(({ title, line }) => (line ? [{ title: `From ${title}`, line }] : []));
}

const CLIENTS: Partial<Record<ServiceKind, Connection[]>> = {
  POSTGRESQL: [
    { title: "Node.js, pg", line: "new pg.Pool({ connectionString: process.env.DATABASE_URL })" },
    { title: "Python, psycopg", line: 'psycopg.connect(os.environ["DATABASE_URL"])' },
    { title: "Go, pgx", line: 'pgxpool.New(ctx, os.Getenv("DATABASE_URL"))' },
    { title: "Rust, sqlx", line: 'PgPool::connect(&env::var("DATABASE_URL")?).await?' },
  ],
  REDIS: [
    { title: "Node.js, redis", line: "createClient({ url: process.env.REDIS_URL })" },
    { title: "Python, redis", line: 'redis.Redis.from_url(os.environ["REDIS_URL"])' },
    { title: "Go, go-redis", line: 'redis.ParseURL(os.Getenv("REDIS_URL"))' },
    { title: "Rust, redis", line: 'redis::Client::open(env::var("REDIS_URL")?)?' },
  ],
};

/** Lines of code for the usual clients. */
export function clients(kind: ServiceKind): Connection[] {
  return CLIENTS[kind] ?? [];
}
