//! sqlx: a pool, and a PgListener that connects again when it has lost its connection.

use drivers::{Outcome, Program, fails, run, same, sql};
use futures_util::TryStreamExt;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgListener, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, Executor, Postgres, query_as, query_scalar, raw_sql};

/// A pool, a connection of it, and a listener.
struct Sqlx {
    pool: PgPool,
    mine: PoolConnection<Postgres>,
    listener: PgListener,
}

fn main() {
    run::<Sqlx>(&["pool"]);
}

impl Program for Sqlx {
    /// Connect with libpq's environment variables.
    async fn connect() -> Outcome<Self> {
        let pool = PgPoolOptions::new().connect("postgres://").await?;
        let mut mine = pool.acquire().await?;
        same(query_scalar("SELECT 1").fetch_one(&mut *mine).await?, 1)?;
        let listener = PgListener::connect_with(&pool).await?;
        Ok(Self { pool, mine, listener })
    }

    async fn step(&mut self, name: &str) -> Outcome {
        match name {
            "listen" => self.listen().await,
            "receive" => self.receive().await,
            "own_pid" => self.own_pid().await,
            "transaction" => self.transaction().await,
            "errors" => self.errors().await,
            "prepared" => self.prepared().await,
            "cancel" => self.cancel().await,
            "large" => self.large().await,
            "copy" => self.copy().await,
            "reconnect" => self.reconnect().await,
            "pool" => self.pool().await,
            _ => Err("no such step".into()),
        }
    }
}

impl Sqlx {
    async fn listen(&mut self) -> Outcome {
        Ok(self.listener.listen(&sql::name()).await?)
    }

    async fn receive(&mut self) -> Outcome {
        execute(&mut *self.mine, sql::notify("hello")).await?;
        let pid: i32 = query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *self.mine).await?;
        same(self.next().await?, (pid as u32, "hello".into()))
    }

    /// The driver keeps the PID of its log-in to itself, so the server is asked.
    async fn own_pid(&mut self) -> Outcome {
        execute(&mut self.listener, sql::notify("own")).await?;
        let pid = self.pid().await?;
        same(self.next().await?, (pid as u32, "own".into()))
    }

    async fn transaction(&mut self) -> Outcome {
        execute(&self.pool, sql::create_table()).await?;
        for number in [1, 2] {
            let mut transaction = self.mine.begin().await?;
            execute(&mut *transaction, sql::insert(number)).await?;
            execute(&mut *transaction, sql::notify(&format!("row {number}"))).await?;
            if number == 1 { transaction.rollback().await? } else { transaction.commit().await? }
        }
        same(self.next().await?.1, "row 2".into())?;
        same(query_scalar(AssertSqlSafe(sql::rows())).fetch_all(&self.pool).await?, vec![2])?;
        execute(&self.pool, sql::drop_table()).await
    }

    async fn errors(&mut self) -> Outcome {
        self.fails(sql::SYNTAX_ERROR, "42601").await?;
        execute(&mut *self.mine, "BEGIN".into()).await?;
        self.fails(sql::DIVISION_BY_ZERO, "22012").await?;
        self.fails("SELECT 1", "25P02").await?;
        execute(&mut *self.mine, "ROLLBACK".into()).await?;
        same(query_scalar("SELECT 2").fetch_one(&mut *self.mine).await?, 2)
    }

    async fn prepared(&mut self) -> Outcome {
        for number in 0..sql::TIMES {
            let sum = query_scalar("SELECT $1 + 1").bind(number).fetch_one(&mut *self.mine).await?;
            same(sum, number + 1)?;
        }
        same(query_scalar(sql::NAMED).fetch_one(&mut *self.mine).await?, true)
    }

    /// Have the server end the query, since the driver cannot cancel.
    async fn cancel(&mut self) -> Outcome {
        execute(&mut *self.mine, "SET statement_timeout = '500ms'".into()).await?;
        self.fails(&sql::sleep(), "57014").await?;
        execute(&mut *self.mine, "RESET statement_timeout".into()).await?;
        same(query_scalar("SELECT 3").fetch_one(&mut *self.mine).await?, 3)
    }

    async fn large(&mut self) -> Outcome {
        let rows: Vec<(i32, String)> = query_as(sql::LARGE_ROWS).fetch_all(&mut *self.mine).await?;
        same(rows.len(), sql::LARGE_COUNT)?;
        same(&rows[sql::LARGE_COUNT - 1].1, &format!("row {}", sql::LARGE_COUNT))?;
        let value: String = query_scalar(sql::LARGE_VALUE).fetch_one(&mut *self.mine).await?;
        same(value.len(), sql::LARGE_SIZE)
    }

    async fn copy(&mut self) -> Outcome {
        execute(&mut *self.mine, sql::COPY_TABLE.into()).await?;
        let mut copy = self.mine.copy_in_raw(sql::COPY_IN).await?;
        copy.send(sql::copy_lines().as_bytes()).await?;
        copy.finish().await?;
        let lines: Vec<_> = self.mine.copy_out_raw(sql::COPY_OUT).await?.try_collect().await?;
        same(lines.concat() == sql::copy_lines().into_bytes(), true)
    }

    async fn reconnect(&mut self) -> Outcome {
        let pid = self.pid().await?;
        let terminated = query_scalar(AssertSqlSafe(sql::terminate(pid.into()))).fetch_one(&mut *self.mine).await?;
        same(terminated, true)?;
        same(self.listener.try_recv().await?.is_none(), true)?;
        self.receive().await
    }

    /// Have a connection that was lost in the pool replaced.
    async fn pool(&mut self) -> Outcome {
        let pool = PgPoolOptions::new().max_connections(1).connect("postgres://").await?;
        let pid: i32 = query_scalar("SELECT pg_backend_pid()").fetch_one(&pool).await?;
        execute(&mut *self.mine, sql::terminate(pid.into())).await?;
        same(query_scalar("SELECT 4").fetch_one(&pool).await?, 4)
    }

    async fn pid(&mut self) -> Outcome<i32> {
        Ok(query_scalar("SELECT pg_backend_pid()").fetch_one(&mut self.listener).await?)
    }

    async fn next(&mut self) -> Outcome<(u32, String)> {
        let notification = self.listener.recv().await?;
        Ok((notification.process_id(), notification.payload().into()))
    }

    async fn fails(&mut self, text: &str, code: &str) -> Outcome {
        let error = fails(execute(&mut *self.mine, text.into())).await?;
        let error = error.downcast::<sqlx::Error>()?;
        same(error.as_database_error().and_then(|error| error.code()).as_deref(), Some(code))
    }
}

async fn execute<'c>(executor: impl Executor<'c, Database = Postgres>, text: String) -> Outcome {
    raw_sql(AssertSqlSafe(text)).execute(executor).await?;
    Ok(())
}
