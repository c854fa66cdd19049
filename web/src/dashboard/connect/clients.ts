// Lines that connect, ready to be pasted.

import type { ServiceKind } from "../generated";
import { envFile, type Variable } from "./address";

export interface Client {
  name: string;
  /** What has to be installed for it. */
  needs?: string;
  /** What has the values in it, or code that reads them from its environment. */
  code: string | ((variables: readonly Variable[]) => string);
}

const ENVIRONMENT: Client = { name: ".env", code: envFile };

const CLIENTS: Partial<Record<ServiceKind, Client[]>> = {
  POSTGRESQL: [
    { name: "psql", needs: "apt install postgresql-client", code: (list) => `psql "${urlIn(list)}"` },
    {
      name: "Node",
      needs: "npm install pg",
      code: `import pg from "pg";

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL });
const { rows } = await pool.query("SELECT now()");`,
    },
    {
      name: "Python",
      needs: 'pip install "psycopg[binary]"',
      code: `import os
import psycopg

with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
    print(connection.execute("SELECT now()").fetchone())`,
    },
    {
      name: "Rust",
      needs: "cargo add sqlx --features postgres,runtime-tokio",
      code: `let pool = sqlx::PgPool::connect(&std::env::var("DATABASE_URL")?).await?;
let (one,): (i32,) = sqlx::query_as("SELECT 1").fetch_one(&pool).await?;`,
    },
    {
      name: "Go",
      needs: "go get github.com/jackc/pgx/v5",
      code: `pool, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
if err != nil {
    log.Fatal(err)
}
defer pool.Close()`,
    },
    {
      name: "Prisma",
      needs: "npm install prisma@6 @prisma/client@6",
      code: `// schema.prisma
datasource db {
  provider = "postgresql"
  url      = env("DATABASE_URL")
}`,
    },
    {
      name: "Django",
      needs: 'pip install django "psycopg[binary]"',
      code: `# settings.py
import os

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": os.environ["PGHOST"],
        "PORT": os.environ["PGPORT"],
        "NAME": os.environ["PGDATABASE"],
        "USER": os.environ["PGUSER"],
        "PASSWORD": os.environ["PGPASSWORD"],
    }
}`,
    },
  ],
  REDIS: [
    { name: "redis-cli", needs: "apt install redis-tools", code: (list) => `redis-cli -u "${urlIn(list)}"` },
    {
      name: "Node",
      needs: "npm install redis",
      code: `import { createClient } from "redis";

const client = await createClient({ url: process.env.REDIS_URL }).connect();
await client.set("greeting", "hello");`,
    },
    {
      name: "Python",
      needs: "pip install redis",
      code: `import os
import redis

client = redis.Redis.from_url(os.environ["REDIS_URL"])
client.set("greeting", "hello")`,
    },
    {
      name: "Rust",
      needs: "cargo add redis",
      code: `let client = redis::Client::open(std::env::var("REDIS_URL")?)?;
let mut connection = client.get_connection()?;`,
    },
    {
      name: "Go",
      needs: "go get github.com/redis/go-redis/v9",
      code: `options, err := redis.ParseURL(os.Getenv("REDIS_URL"))
if err != nil {
    log.Fatal(err)
}
client := redis.NewClient(options)`,
    },
    {
      name: "Django",
      needs: "pip install django redis",
      code: `# settings.py
import os

CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": os.environ["REDIS_URL"],
    }
}`,
    },
  ],
};

/** The usual clients of a kind. */
export function clientsOf(kind: ServiceKind): Client[] {
  return [...(CLIENTS[kind] ?? []), ENVIRONMENT];
}

/** The variables that some code reads. */
export function readBy(code: string, variables: readonly Variable[]): Variable[] {
  return variables.filter(({ key }) => new RegExp(`\\b${key}\\b`).test(code));
}

function urlIn(variables: readonly Variable[]): string {
  return variables.find(({ key }) => key.endsWith("_URL"))?.value ?? "";
}
