// What the Node programs share: the steps in their order, a deadline for each, and a line for each.

import { isDeepStrictEqual } from "node:util";

const STEPS = [
  "connect",
  "listen",
  "receive",
  "own_pid",
  "transaction",
  "errors",
  "prepared",
  "cancel",
  "large",
  "copy",
  "reconnect",
];
const DEADLINE = 60; // Seconds for a step.

/** The driver does not have what a step is about. */
export class Absent extends Error {}

/** Notifications that have come and those that are waited for. */
export class Heard {
  #come = [];
  #waiting = [];

  /** Take a notification that comes. */
  put(notification) {
    const waiting = this.#waiting.shift();
    if (waiting) waiting(notification);
    else this.#come.push(notification);
  }

  /** Wait for the next notification. */
  async next() {
    if (this.#come.length) return this.#come.shift();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}

/** Do the steps, with fresh connections after one that failed; exit with status 1 where one failed. */
export async function run(Program, ...extra) {
  // What a step that failed has left behind must not end the next one.
  process.on("uncaughtException", (error) => console.error(error));
  let driver = null;
  let failures = 0;
  for (const step of [...STEPS, ...extra]) {
    try {
      driver ??= await begun(new Program(), step);
      await inTime(driver[step]());
      console.log(`ok ${step}`);
    } catch (error) {
      if (error instanceof Absent) {
        console.log(`absent ${step}: ${error.message}`);
        continue;
      }
      console.log(`FAILED ${step}: ${reason(error)}`);
      driver = null;
      failures += 1;
    }
  }
  process.exit(failures ? 1 : 0);
}

/** Fail unless the two are equal. */
export function same(actual, expected) {
  if (isDeepStrictEqual(actual, expected)) return;
  throw new Error(`${JSON.stringify(actual)} instead of ${JSON.stringify(expected)}`);
}

/** Return the error that a promise ends with. */
export async function fails(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("there was no error");
}

/** Bring a new program to where a step begins. */
async function begun(driver, step) {
  if (step !== "connect") await inTime(driver.connect());
  if (step !== "connect" && step !== "listen") await inTime(driver.listen());
  return driver;
}

async function inTime(promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no end after ${DEADLINE} s`)), DEADLINE * 1000);
  });
  await Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function reason(error) {
  return `${error.name}: ${error.message}`.replace(/\s+/g, " ").slice(0, 500);
}
