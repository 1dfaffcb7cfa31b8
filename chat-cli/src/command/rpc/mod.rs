//! `rpc`: the client for other programs, as JSON lines on standard input and output.

mod lines;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _, TryStreamExt as _};
use serde::Deserialize;
use serde_json::{Value, json};
use waku_chat::methods::{self, Call, Kind, MethodError};

use crate::error::CliError;
use crate::global::Global;
use crate::out::Out;
use crate::session::{Need, Session};
use crate::signals::stop_requested;
use lines::{Line, Lines, MAX_LINE};

/// The long help: the protocol, and the methods from their one list.
pub(crate) fn help() -> String {
    let (protocol, methods) = (include_str!("help.txt").trim_ascii_end(), methods::help());
    format!(
        "{protocol}\n\nMethods and their parameters; those in brackets may be left out:\n{methods}  \
         shutdown\n      Ends the program."
    )
}

/// How many waits may be pending at one time.
const MAX_WAITS: usize = 64;

/// The arguments of `rpc`.
#[derive(Debug, clap::Args)]
pub(crate) struct Rpc {
    /// Send the events after this cursor
    #[arg(long, value_name = "CURSOR", default_value = "0")]
    after: u64,
}

/// One request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    #[serde(default)]
    id: Value,
    method: String,
    #[serde(default)]
    params: Value,
}

/// Why a line was not carried out.
#[derive(Debug)]
enum Refusal {
    /// The line is not a request.
    BadRequest(String),
    /// The method failed.
    Method(MethodError),
}

impl Refusal {
    fn to_json(&self) -> Value {
        match self {
            Refusal::BadRequest(why) => {
                json!({"code": "bad_request", "message": why, "retryable": false})
            }
            Refusal::Method(error) => error.to_json(),
        }
    }
}

/// Runs `rpc`, until standard input ends.
pub(crate) async fn run(global: &Global, out: Out, args: Rpc) -> Result<(), CliError> {
    let out = Out { json: true, ..out };
    let session = Session::open(global, out, Need::Eventually).await?;
    let served = tokio::select! {
        served = serve(&session, args.after) => served,
        stopped = stop_requested() => stopped,
    };
    session.finish(served).await
}

async fn serve(session: &Session, after: u64) -> Result<(), CliError> {
    let (client, out) = (&session.client, session.out);
    let patience = session.global().timeout;
    let identity = client.identity().await?;
    let write = |value: Value| out.line(&value.to_string());
    write(json!({"ready": identity}))?;
    let mut events = client.events(after);
    let mut lines = Lines::new(tokio::io::stdin());
    let mut waits: FuturesUnordered<BoxFuture<'_, Value>> = FuturesUnordered::new();
    loop {
        tokio::select! {
            line = lines.next(), if waits.len() < MAX_WAITS => {
                let request = match line {
                    Err(source) => {
                        return Err(CliError::System { what: "cannot read standard input", source });
                    }
                    Ok(Line::End) => return Ok(()),
                    Ok(Line::TooLong) => Err(format!("a line is longer than {MAX_LINE} bytes")),
                    Ok(Line::Text(line)) if line.iter().all(u8::is_ascii_whitespace) => continue,
                    Ok(Line::Text(line)) => {
                        serde_json::from_slice::<Request>(&line).map_err(|e| e.to_string())
                    }
                };
                match request {
                    Err(reason) => {
                        write(answer(Value::Null, Err(Refusal::BadRequest(reason))))?;
                    }
                    Ok(request) if request.method == "shutdown" => {
                        return write(answer(request.id, Ok(Value::Null)));
                    }
                    Ok(Request { id, method, params }) => {
                        let call = Call::read(&method, params);
                        let waits_for =
                            call.as_ref().is_ok_and(|call| call.method().kind() == Kind::Wait);
                        let answered = async move {
                            let result = match call {
                                Ok(call) => call.run(client, patience).await,
                                Err(error) => Err(error),
                            };
                            answer(id, result.map_err(Refusal::Method))
                        };
                        if waits_for {
                            waits.push(Box::pin(answered));
                        } else {
                            write(answered.await)?;
                        }
                    }
                }
            }
            Some(value) = waits.next() => write(value)?,
            event = events.try_next() => match event? {
                Some((cursor, event)) => write(json!({"event": event, "cursor": cursor}))?,
                None => return Ok(()),
            },
        }
    }
}

fn answer(id: Value, result: Result<Value, Refusal>) -> Value {
    match result {
        Ok(result) => json!({"id": id, "result": result}),
        Err(refusal) => json!({"id": id, "error": refusal.to_json()}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn requests_are_read_strictly() {
        let read = |text: &str| serde_json::from_str::<Request>(text);
        assert!(read(r#"{"id":1,"method":"groups"}"#).is_ok());
        assert!(read(r#"{"method":"groups","params":{}}"#).is_ok());
        for bad in ["", "1", "{}", r#"{"method":1}"#, r#"{"method":"a","param":{}}"#] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_request_or_not(
            input in prop_oneof!["\\PC{0,200}".prop_map(String::into_bytes), proptest::collection::vec(any::<u8>(), 0..200)],
        ) {
            let _ = serde_json::from_slice::<Request>(&input);
        }
    }
}
