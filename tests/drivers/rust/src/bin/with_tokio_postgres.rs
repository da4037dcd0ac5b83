//! tokio-postgres: a connection that hands on what comes, and a client that asks.

use std::env;
use std::future::poll_fn;
use std::pin::pin;

use bytes::Bytes;
use drivers::{Failure, Outcome, Program, fails, run, same, sql};
use futures_util::future::{join, try_join3};
use futures_util::{SinkExt, TryStreamExt};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_postgres::types::FromSqlOwned;
use tokio_postgres::{AsyncMessage, Client, Config, NoTls, Notification};

/// Two connections; the first one listens.
struct TokioPostgres {
    mine: Client,
    heard: UnboundedReceiver<Notification>,
    other: Client,
}

fn main() {
    run::<TokioPostgres>(&["portal", "pipeline"]);
}

impl Program for TokioPostgres {
    async fn connect() -> Outcome<Self> {
        let (mine, heard) = open().await?;
        let (other, _) = open().await?;
        same(fetch(&mine, "SELECT 1").await?, 1)?;
        Ok(Self { mine, heard, other })
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
            "portal" => self.portal().await,
            "pipeline" => self.pipeline().await,
            _ => Err("no such step".into()),
        }
    }
}

impl TokioPostgres {
    async fn listen(&mut self) -> Outcome {
        Ok(self.mine.batch_execute(&sql::listen()).await?)
    }

    async fn receive(&mut self) -> Outcome {
        self.other.batch_execute(&sql::notify("hello")).await?;
        let pid = fetch(&self.other, "SELECT pg_backend_pid()").await?;
        same(self.next().await?, (pid, "hello".into()))
    }

    /// The driver keeps the PID of its log-in to itself, so the server is asked.
    async fn own_pid(&mut self) -> Outcome {
        self.mine.execute("SELECT pg_notify($1, $2)", &[&sql::name(), &"own"]).await?;
        let pid = fetch(&self.mine, "SELECT pg_backend_pid()").await?;
        same(self.next().await?, (pid, "own".into()))
    }

    async fn transaction(&mut self) -> Outcome {
        self.other.batch_execute(&sql::create_table()).await?;
        for number in [1, 2] {
            let transaction = self.mine.transaction().await?;
            transaction.execute(&sql::insert(number), &[]).await?;
            transaction.execute(&sql::notify(&format!("row {number}")), &[]).await?;
            if number == 1 { transaction.rollback().await? } else { transaction.commit().await? }
        }
        same(self.next().await?.1, "row 2".into())?;
        same(fetch(&self.other, &sql::rows()).await?, 2)?;
        Ok(self.other.batch_execute(&sql::drop_table()).await?)
    }

    async fn errors(&mut self) -> Outcome {
        self.fails(sql::SYNTAX_ERROR, "42601").await?;
        self.mine.batch_execute("BEGIN").await?;
        self.fails(sql::DIVISION_BY_ZERO, "22012").await?;
        self.fails("SELECT 1", "25P02").await?;
        self.mine.batch_execute("ROLLBACK").await?;
        same(fetch(&self.mine, "SELECT 2").await?, 2)
    }

    async fn prepared(&mut self) -> Outcome {
        let statement = self.mine.prepare("SELECT $1::int + 1").await?;
        for number in 0..sql::TIMES {
            same(self.mine.query_one(&statement, &[&number]).await?.get(0), number + 1)?;
        }
        same(fetch(&self.mine, sql::NAMED).await?, true)
    }

    async fn cancel(&mut self) -> Outcome {
        let sleep = sql::sleep();
        let cancelling = async {
            self.other.batch_execute(&sql::until_sleeping()).await?;
            self.mine.cancel_token().cancel_query(NoTls).await
        };
        let (slept, cancelled) = join(self.fails(&sleep, "57014"), cancelling).await;
        cancelled?;
        slept?;
        same(fetch(&self.mine, "SELECT 3").await?, 3)
    }

    async fn large(&mut self) -> Outcome {
        let rows = self.mine.query(sql::LARGE_ROWS, &[]).await?;
        same(rows.len(), sql::LARGE_COUNT)?;
        same(rows[sql::LARGE_COUNT - 1].get(1), format!("row {}", sql::LARGE_COUNT))?;
        same(fetch::<String>(&self.mine, sql::LARGE_VALUE).await?.len(), sql::LARGE_SIZE)
    }

    async fn copy(&mut self) -> Outcome {
        self.mine.batch_execute(sql::COPY_TABLE).await?;
        let mut sink = pin!(self.mine.copy_in(sql::COPY_IN).await?);
        sink.send(Bytes::from(sql::copy_lines())).await?;
        sink.finish().await?;
        let lines: Vec<Bytes> = self.mine.copy_out(sql::COPY_OUT).await?.try_collect().await?;
        same(lines.concat() == sql::copy_lines().into_bytes(), true)
    }

    async fn reconnect(&mut self) -> Outcome {
        let pid: i32 = fetch(&self.mine, "SELECT pg_backend_pid()").await?;
        same(fetch(&self.other, &sql::terminate(pid.into())).await?, true)?;
        same(self.heard.recv().await.is_none(), true)?;
        same(self.mine.is_closed(), true)?;
        (self.mine, self.heard) = open().await?;
        self.listen().await?;
        self.receive().await
    }

    /// Fetch in pieces, from a portal that is executed again and again.
    async fn portal(&mut self) -> Outcome {
        let transaction = self.mine.transaction().await?;
        let portal = transaction.bind(sql::LARGE_ROWS, &[]).await?;
        let mut count = 0;
        loop {
            let rows = transaction.query_portal(&portal, 1000).await?;
            count += rows.len();
            if rows.is_empty() {
                break;
            }
        }
        same(count, sql::LARGE_COUNT)?;
        Ok(transaction.commit().await?)
    }

    /// Send statements, and a NOTIFY among them, before the first answer is there.
    async fn pipeline(&mut self) -> Outcome {
        let notify = sql::notify("pipeline");
        let (one, _, two) = try_join3(
            self.mine.query_one("SELECT 1", &[]),
            self.mine.execute(&notify, &[]),
            self.mine.query_one("SELECT 2", &[]),
        )
        .await?;
        same((one.get(0), two.get(0)), (1, 2))?;
        same(self.next().await?.1, "pipeline".into())
    }

    async fn next(&mut self) -> Outcome<(i32, String)> {
        let notification = self.heard.recv().await.ok_or("the connection is lost")?;
        Ok((notification.process_id(), notification.payload().into()))
    }

    async fn fails(&self, query: &str, code: &str) -> Outcome {
        let error = fails(self.mine.simple_query(query)).await?;
        same(error.code().map(|state| state.code()), Some(code))
    }
}

async fn open() -> Outcome<(Client, UnboundedReceiver<Notification>)> {
    let (client, mut connection) = config()?.connect(NoTls).await?;
    let (sender, receiver) = unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(notification) = message {
                let _ = sender.send(notification);
            }
        }
    });
    Ok((client, receiver))
}

fn config() -> Result<Config, Failure> {
    let mut config = Config::new();
    config.host(env::var("PGHOST")?).port(env::var("PGPORT")?.parse()?);
    config.user(env::var("PGUSER")?).dbname(env::var("PGDATABASE")?);
    Ok(config)
}

async fn fetch<T: FromSqlOwned>(client: &Client, query: &str) -> Outcome<T> {
    Ok(client.query_one(query, &[]).await?.get(0))
}
