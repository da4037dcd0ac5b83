// postgres (postgres.js): a pool; one more connection that listens, and is made again when it is lost.

import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import postgres from "postgres";
import * as sql from "./sql.mjs";
import { Absent, Heard, fails, run, same } from "./steps.mjs";

/** A pool of two, and the connection that listens. */
class Postgres {
  async connect() {
    this.pool = postgres({ max: 2 });
    same([...(await this.pool`SELECT 1 AS one`)], [{ one: 1 }]);
  }

  async listen() {
    this.heard = new Heard();
    this.listening = new Heard();
    const hear = (payload) => this.heard.put(payload);
    this.listener = await this.pool.listen(sql.NAME, hear, () => this.listening.put(true));
    await this.listening.next();
  }

  async receive() {
    await this.pool.notify(sql.NAME, "hello");
    same(await this.heard.next(), "hello");
  }

  async own_pid() {
    throw new Absent("shows the payload only");
  }

  async transaction() {
    await this.pool.unsafe(sql.CREATE_TABLE);
    for (const number of [1, 2]) {
      const transaction = this.pool.begin(async (mine) => {
        await mine.unsafe(sql.insert(number));
        await mine`SELECT pg_notify(${sql.NAME}, ${`row ${number}`})`; // Its own notify() is not in the transaction.
        if (number === 1) throw new Error("roll back");
      });
      if (number === 1) same((await fails(transaction)).message, "roll back");
      else await transaction;
    }
    same(await this.heard.next(), "row 2");
    same([...(await this.pool.unsafe(sql.ROWS))], [{ id: 2 }]);
    await this.pool.unsafe(sql.DROP_TABLE);
  }

  async errors() {
    const mine = await this.pool.reserve();
    same((await fails(mine.unsafe(sql.SYNTAX_ERROR))).code, "42601");
    await mine.unsafe("BEGIN");
    same((await fails(mine.unsafe(sql.DIVISION_BY_ZERO))).code, "22012");
    same((await fails(mine.unsafe("SELECT 1"))).code, "25P02");
    await mine.unsafe("ROLLBACK");
    same([...(await mine`SELECT 2 AS two`)], [{ two: 2 }]);
    mine.release();
  }

  async prepared() {
    const mine = await this.pool.reserve();
    for (let number = 0; number < sql.TIMES; number++) {
      same([...(await mine`SELECT ${number}::int + 1 AS sum`)], [{ sum: number + 1 }]);
    }
    same([...(await mine.unsafe(sql.NAMED))], [{ named: true }]);
    mine.release();
  }

  async cancel() {
    const mine = await this.pool.reserve();
    const sleeping = mine.unsafe(sql.SLEEP).execute();
    await this.pool.unsafe(sql.UNTIL_SLEEPING);
    await sleeping.cancel();
    same((await fails(sleeping)).code, "57014");
    same([...(await mine`SELECT 3 AS three`)], [{ three: 3 }]);
    mine.release();
  }

  async large() {
    const rows = await this.pool.unsafe(sql.LARGE_ROWS);
    same([rows.length, rows.at(-1)], [sql.LARGE_COUNT, { n: sql.LARGE_COUNT, word: `row ${sql.LARGE_COUNT}` }]);
    same((await this.pool.unsafe(sql.LARGE_VALUE))[0].value.length, sql.LARGE_SIZE);
  }

  async copy() {
    const mine = await this.pool.reserve();
    await mine.unsafe(sql.COPY_TABLE);
    await pipeline(Readable.from([sql.COPY_LINES]), await mine.unsafe(sql.COPY_IN).writable());
    same((await text(await mine.unsafe(sql.COPY_OUT).readable())) === sql.COPY_LINES, true);
    mine.release();
  }

  async reconnect() {
    same([...(await this.pool.unsafe(sql.terminate(this.listener.state.pid)))], [{ done: true }]);
    await this.listening.next();
    await this.receive();
  }

  // Fetch in pieces, with a portal that is executed again and again.
  async cursor() {
    let sum = 0;
    await this.pool.unsafe(sql.LARGE_ROWS).cursor(1000, (rows) => {
      for (const { n } of rows) sum += n;
    });
    same(sum, sql.LARGE_SUM);
  }
}

await run(Postgres, "cursor");
