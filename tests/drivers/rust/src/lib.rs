//! What the Rust programs share: the steps in their order, a deadline for each, and a line for each.

pub mod sql;

use std::error::Error;
use std::fmt::Debug;
use std::future::Future;
use std::process::exit;
use std::time::Duration;

const STEPS: [&str; 10] =
    ["listen", "receive", "own_pid", "transaction", "errors", "prepared", "cancel", "large", "copy", "reconnect"];
const DEADLINE: Duration = Duration::from_secs(60);

pub type Failure = Box<dyn Error + Send + Sync>;
pub type Outcome<T = ()> = Result<T, Failure>;

/// One driver.
pub trait Program: Sized {
    /// Do the first step.
    fn connect() -> impl Future<Output = Outcome<Self>>;
    /// Do a step by its name.
    fn step(&mut self, name: &str) -> impl Future<Output = Outcome>;
}

/// Do the steps, with fresh connections after one that failed; exit with status 1 where one failed.
pub fn run<P: Program>(extra: &[&str]) -> ! {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    exit(i32::from(!runtime.block_on(all::<P>(extra))))
}

/// Fail unless the two are equal.
pub fn same<T: PartialEq + Debug>(actual: T, expected: T) -> Outcome {
    if actual == expected { Ok(()) } else { Err(format!("{actual:?} instead of {expected:?}").into()) }
}

/// Return the error that a future ends with.
pub async fn fails<T, E>(future: impl Future<Output = Result<T, E>>) -> Outcome<E> {
    match future.await {
        Ok(_) => Err("there was no error".into()),
        Err(error) => Ok(error),
    }
}

async fn all<P: Program>(extra: &[&str]) -> bool {
    let mut program = in_time(P::connect()).await;
    let mut passed = say("connect", &program);
    for step in STEPS.iter().chain(extra) {
        if program.is_err() {
            program = fresh(step).await;
        }
        let outcome = match &mut program {
            Ok(program) => in_time(program.step(step)).await,
            Err(failure) => Err(failure.to_string().into()),
        };
        if !say(step, &outcome) {
            passed = false;
            program = Err("after a failure".into());
        }
    }
    passed
}

/// Bring a new program to where a step begins.
async fn fresh<P: Program>(step: &str) -> Outcome<P> {
    let mut program = in_time(P::connect()).await?;
    if step != "listen" {
        in_time(program.step("listen")).await?;
    }
    Ok(program)
}

async fn in_time<T>(step: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    match tokio::time::timeout(DEADLINE, step).await {
        Ok(outcome) => outcome,
        Err(_) => Err(format!("no end after {} s", DEADLINE.as_secs()).into()),
    }
}

fn say<T>(step: &str, outcome: &Outcome<T>) -> bool {
    match outcome {
        Ok(_) => println!("ok {step}"),
        Err(failure) => println!("FAILED {step}: {}", one_line(failure)),
    }
    outcome.is_ok()
}

/// The failure with its causes, since a driver's own words are often only "db error".
fn one_line(failure: &Failure) -> String {
    let mut text = failure.to_string();
    let mut cause = failure.source();
    while let Some(error) = cause {
        if !text.contains(&error.to_string()) {
            text += &format!(": {error}");
        }
        cause = error.source();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
