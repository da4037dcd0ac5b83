//! The SQL of the steps, the same for every driver.

use std::env;

/// How often a statement is repeated, so that drivers make a named one of it, and whether they have.
pub const TIMES: i32 = 20;
pub const NAMED: &str = "SELECT count(*) > 0 FROM pg_prepared_statements";

pub const SYNTAX_ERROR: &str = "SELEC 1";
pub const DIVISION_BY_ZERO: &str = "SELECT 1/0";

pub const LARGE_COUNT: usize = 100_000;
pub const LARGE_ROWS: &str = "SELECT n, 'row ' || n AS word FROM generate_series(1, 100000) AS n";
pub const LARGE_SIZE: usize = 20 * 1024 * 1024;
pub const LARGE_VALUE: &str = "SELECT repeat('x', 20 * 1024 * 1024)";

pub const COPY_TABLE: &str = "CREATE TEMPORARY TABLE copied (id int, word text)";
pub const COPY_IN: &str = "COPY copied FROM STDIN";
pub const COPY_OUT: &str = "COPY copied TO STDOUT";

/// Channel and table of this run.
pub fn name() -> String {
    env::var("DRIVERS_NAME").expect("DRIVERS_NAME names the channel and the table")
}

pub fn listen() -> String {
    format!("LISTEN {}", name())
}

pub fn notify(payload: &str) -> String {
    format!("NOTIFY {}, '{payload}'", name())
}

pub fn create_table() -> String {
    format!("CREATE TABLE {} (id int PRIMARY KEY)", name())
}

pub fn insert(number: i32) -> String {
    format!("INSERT INTO {} VALUES ({number})", name())
}

pub fn rows() -> String {
    format!("SELECT id FROM {}", name())
}

pub fn drop_table() -> String {
    format!("DROP TABLE {}", name())
}

pub fn sleep() -> String {
    format!("SELECT pg_sleep(30)::text AS {}", name())
}

/// Ends when the other connection's sleep runs, so that a cancel does not come too early.
pub fn until_sleeping() -> String {
    format!(
        "DO $$ BEGIN
            WHILE NOT EXISTS (SELECT FROM pg_stat_activity WHERE starts_with(query, '{}') AND state = 'active') LOOP
                PERFORM pg_sleep(0.01), pg_stat_clear_snapshot();
            END LOOP;
        END $$",
        sleep()
    )
}

pub fn terminate(pid: i64) -> String {
    format!("SELECT pg_terminate_backend({pid})")
}

pub fn copy_lines() -> String {
    (0..1000).map(|number| format!("{number}\tword {number}\n")).collect()
}
