// pg (node-postgres): an event for each notification; COPY with pg-copy-streams.

import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import pg from "pg";
import { from as copyFrom, to as copyTo } from "pg-copy-streams";
import * as sql from "./sql.mjs";
import { Heard, fails, run, same } from "./steps.mjs";

/** Two connections; the first one listens. */
class Pg {
  async connect() {
    this.mine = await open();
    this.other = await open();
    same(await fetch(this.mine, "SELECT 1 AS one"), [{ one: 1 }]);
  }

  async listen() {
    this.heard = new Heard();
    this.mine.on("notification", ({ processId, payload }) => this.heard.put([processId, payload]));
    await this.mine.query(sql.LISTEN);
  }

  async receive() {
    await this.other.query(sql.notify("hello"));
    same(await this.heard.next(), [this.other.processID, "hello"]);
  }

  async own_pid() {
    await this.mine.query("SELECT pg_notify($1, $2)", [sql.NAME, "own"]);
    same(await this.heard.next(), [this.mine.processID, "own"]);
  }

  async transaction() {
    await this.other.query(sql.CREATE_TABLE);
    for (const [number, end] of [[1, "ROLLBACK"], [2, "COMMIT"]]) {
      await this.mine.query("BEGIN");
      await this.mine.query(sql.insert(number));
      await this.mine.query(sql.notify(`row ${number}`));
      await this.mine.query(end);
    }
    same(await this.heard.next(), [this.mine.processID, "row 2"]);
    same(await fetch(this.other, sql.ROWS), [{ id: 2 }]);
    await this.other.query(sql.DROP_TABLE);
  }

  async errors() {
    same((await fails(this.mine.query(sql.SYNTAX_ERROR))).code, "42601");
    await this.mine.query("BEGIN");
    same((await fails(this.mine.query(sql.DIVISION_BY_ZERO))).code, "22012");
    same((await fails(this.mine.query("SELECT 1"))).code, "25P02");
    await this.mine.query("ROLLBACK");
    same(await fetch(this.mine, "SELECT 2 AS two"), [{ two: 2 }]);
  }

  async prepared() {
    for (let number = 0; number < sql.TIMES; number++) {
      const query = { name: "plus one", text: "SELECT $1::int + 1 AS sum", values: [number] };
      same((await this.mine.query(query)).rows, [{ sum: number + 1 }]);
    }
    same(await fetch(this.mine, sql.NAMED), [{ named: true }]);
  }

  async cancel() {
    const query = new pg.Query(sql.SLEEP);
    const cancelled = new Promise((resolve) => query.on("error", resolve));
    this.mine.query(query);
    await this.other.query(sql.UNTIL_SLEEPING);
    new pg.Client().cancel(this.mine, query);
    same((await cancelled).code, "57014");
    same(await fetch(this.mine, "SELECT 3 AS three"), [{ three: 3 }]);
  }

  async large() {
    const rows = await fetch(this.mine, sql.LARGE_ROWS);
    same([rows.length, rows.at(-1)], [sql.LARGE_COUNT, { n: sql.LARGE_COUNT, word: `row ${sql.LARGE_COUNT}` }]);
    same((await fetch(this.mine, sql.LARGE_VALUE))[0].value.length, sql.LARGE_SIZE);
  }

  async copy() {
    await this.mine.query(sql.COPY_TABLE);
    await pipeline(Readable.from([sql.COPY_LINES]), this.mine.query(copyFrom(sql.COPY_IN)));
    same((await text(this.mine.query(copyTo(sql.COPY_OUT)))) === sql.COPY_LINES, true);
  }

  async reconnect() {
    const lost = new Promise((resolve) => this.mine.once("error", resolve));
    same(await fetch(this.other, sql.terminate(this.mine.processID)), [{ done: true }]);
    same((await lost).code, "57P01");
    this.mine = await open();
    await this.listen();
    await this.receive();
  }

  // Give a connection back to the pool, and get it again.
  async pool() {
    const pool = new pg.Pool({ max: 1 });
    const connection = await pool.connect();
    await connection.query(sql.notify("pool"));
    same(await this.heard.next(), [connection.processID, "pool"]);
    connection.release();
    same((await pool.query("SELECT 4 AS four")).rows, [{ four: 4 }]);
    await pool.end();
  }
}

async function open() {
  const client = new pg.Client();
  client.on("error", () => {}); // Without a listener, a connection that is lost ends the process.
  await client.connect();
  return client;
}

async function fetch(client, query) {
  return (await client.query(query)).rows;
}

await run(Pg, "pool");
