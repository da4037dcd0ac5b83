// pg-listen: only listens and notifies, over pg; makes its connection again when it is lost, and asks whether it lives.

import { once } from "node:events";
import pg from "pg";
import createSubscriber from "pg-listen";
import * as sql from "./sql.mjs";
import { Absent, Heard, run, same } from "./steps.mjs";

const PARANOID = 100; // Milliseconds between two questions.

/** Two subscribers; the first one listens. */
class PgListen {
  async connect() {
    this.mine = createSubscriber({}, { paranoidChecking: PARANOID });
    this.other = createSubscriber({});
    await this.mine.connect();
    await this.other.connect();
  }

  async listen() {
    this.heard = new Heard();
    this.mine.events.on("notification", ({ processId, payload }) => this.heard.put([processId, payload]));
    await this.mine.listenTo(sql.NAME);
  }

  async receive() {
    await this.other.notify(sql.NAME, { words: "it's a hello" });
    same((await this.heard.next())[1], { words: "it's a hello" });
  }

  own_pid = absent("does not show the connection's PID");
  transaction = absent("has no SQL");
  errors = absent("has no SQL");
  prepared = absent("has no SQL");
  cancel = absent("has no SQL");
  large = absent("has no SQL");
  copy = absent("has no SQL");

  // The PID is that of a notification of one's own, and pg ends it.
  async reconnect() {
    await this.mine.notify(sql.NAME, "own");
    const [pid] = await this.heard.next();
    const again = once(this.mine.events, "connected");
    await terminate(pid);
    await again;
    await this.receive();
  }
}

function absent(reason) {
  return async () => {
    throw new Absent(reason);
  };
}

async function terminate(pid) {
  const client = new pg.Client();
  await client.connect();
  same((await client.query(sql.terminate(pid))).rows, [{ done: true }]);
  await client.end();
}

await run(PgListen);
