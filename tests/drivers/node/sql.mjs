// The SQL of the steps, the same for every driver.

export const NAME = process.env.DRIVERS_NAME; // Channel and table of this run.
export const LISTEN = `LISTEN ${NAME}`;

export const CREATE_TABLE = `CREATE TABLE ${NAME} (id int PRIMARY KEY)`;
export const ROWS = `SELECT id FROM ${NAME}`;
export const DROP_TABLE = `DROP TABLE ${NAME}`;

export const SYNTAX_ERROR = "SELEC 1";
export const DIVISION_BY_ZERO = "SELECT 1/0";

// How often a statement is repeated, so that drivers make a named one of it, and whether they have.
export const TIMES = 20;
export const NAMED = "SELECT count(*) > 0 AS named FROM pg_prepared_statements";

// The second ends when the other connection's first one runs, so that a cancel does not come too early.
export const SLEEP = `SELECT pg_sleep(30) AS ${NAME}`;
export const UNTIL_SLEEPING = `DO $$ BEGIN
    WHILE NOT EXISTS (SELECT FROM pg_stat_activity WHERE starts_with(query, '${SLEEP}') AND state = 'active') LOOP
        PERFORM pg_sleep(0.01), pg_stat_clear_snapshot();
    END LOOP;
END $$`;

export const LARGE_COUNT = 100_000;
export const LARGE_ROWS = `SELECT n, 'row ' || n AS word FROM generate_series(1, ${LARGE_COUNT}) AS n`;
export const LARGE_SUM = (LARGE_COUNT * (LARGE_COUNT + 1)) / 2;
export const LARGE_SIZE = 20 * 1024 * 1024;
export const LARGE_VALUE = `SELECT repeat('x', ${LARGE_SIZE}) AS value`;

export const COPY_TABLE = "CREATE TEMPORARY TABLE copied (id int, word text)";
export const COPY_LINES = Array.from({ length: 1000 }, (_, number) => `${number}\tword ${number}\n`).join("");
export const COPY_IN = "COPY copied FROM STDIN";
export const COPY_OUT = "COPY copied TO STDOUT";

export const notify = (payload) => `NOTIFY ${NAME}, '${payload}'`;
export const insert = (number) => `INSERT INTO ${NAME} VALUES (${number})`;
export const terminate = (pid) => `SELECT pg_terminate_backend(${pid}) AS done`;
