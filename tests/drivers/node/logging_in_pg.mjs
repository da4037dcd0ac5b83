// pg (node-postgres) logs in: binds SCRAM to the TLS connection if it is told to, but cannot insist on it.
// What comes in and goes out is described in ../python/attempts.py.

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import pg from "pg";

const FIELDS = [
  "host",
  "port",
  "user",
  "password",
  "database",
  "sslmode",
  "sslrootcert",
  "sslcert",
  "sslkey",
  "channelBinding",
  "requireAuth",
  "sslnegotiation",
];
const LIMIT = 20; // Seconds that a connection may take.

// What a connection says that was given up already must not end the program.
process.on("uncaughtException", (error) => console.error(error));
for await (const line of createInterface({ input: process.stdin })) {
  const values = line.split("\t").map((value) => value || undefined);
  const attempt = Object.fromEntries(FIELDS.map((name, number) => [name, values[number]]));
  console.log(lacks(attempt) ? "absent" : await answer(attempt));
}

function lacks({ channelBinding, requireAuth, sslmode }) {
  return requireAuth || sslmode === "prefer" || ["require", "disable"].includes(channelBinding);
}

async function answer({ host, port, user, password, database, sslnegotiation, ...attempt }) {
  const client = new pg.Client({
    ...{ host, port, user, password, database, sslnegotiation },
    ssl: tls(attempt),
    enableChannelBinding: attempt.channelBinding === "prefer",
    connectionTimeoutMillis: LIMIT * 1000,
  });
  client.on("error", () => {}); // It is told to connect(), too.
  let before = "";
  try {
    await client.connect();
    before = "then ";
    await client.query("LISTEN logging_in");
    const { rows } = await client.query("SELECT current_user");
    return `ok ${rows[0].current_user} ${client.connection.stream.encrypted ? "yes" : "no"}`;
  } catch (error) {
    return before + reason(error);
  } finally {
    client.end(); // Not awaited: of a connection that was never made there is no end.
  }
}

/** Return what pg calls sslmode. */
function tls({ sslmode, sslrootcert, sslcert, sslkey }) {
  if (sslmode === "disable") return false;
  return {
    rejectUnauthorized: sslmode === "verify-full",
    ca: sslrootcert && readFileSync(sslrootcert),
    cert: sslcert && readFileSync(sslcert),
    key: sslkey && readFileSync(sslkey),
  };
}

function reason(error) {
  if (error instanceof pg.DatabaseError) return error.code;
  return `driver: ${error.name}: ${error.message}`.replace(/\s+/g, " ");
}
