//! `rpc`: the client for other programs, as JSON lines on standard input and output.

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _, TryStreamExt as _};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use waku_chat::methods::{self, Call, Kind, MethodError};

use crate::args::Global;
use crate::error::CliError;
use crate::out::Out;
use crate::session::{Need, Session};

/// The long help: the protocol and the methods.
pub(crate) fn help() -> String {
    let methods = methods::help();
    format!(
        "{PROTOCOL}\n\nMethods and their parameters; those in brackets may be left out:\n{methods}  shutdown\n      Ends the program."
    )
}

const PROTOCOL: &str = r#"Serve requests of another program: JSON lines on standard input and output.

A request is one line: {"id": 1, "method": "send", "params": {"group": "wkg1…", "text": "hi"}}.
It is answered with {"id": 1, "result": …} or
{"id": 1, "error": {"code": "not_member", "message": "…", "retryable": false}}.
Requests are carried out in their order, and answered so; only the waits are answered when they
are over. Events come as {"event": {"type": …}, "cursor": 7} and are told again the next time until
they are acknowledged. The first line is {"ready": {"account": …, "installation": …}}.
The end of standard input ends the program, after what waits to be sent was given a few seconds."#;

/// Longest request line, in bytes: the longest message, escaped, fits.
const MAX_LINE: usize = 1024 * 1024;
/// Waits at one time.
const MAX_WAITS: usize = 64;

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
    /// It is no request.
    BadRequest(String),
    /// The method was refused.
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

/// Serves until standard input ends.
pub(crate) async fn rpc(global: &Global, out: Out, after: u64) -> Result<(), CliError> {
    let out = Out { json: true, ..out };
    let session = Session::open(global, out, Need::Eventually).await?;
    let served = tokio::select! {
        served = serve(&session, after) => served,
        stopped = crate::signal() => stopped,
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
                        let waits_for = call.as_ref().is_ok_and(|c| c.method().kind() == Kind::Wait);
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

/// One line of input.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Text(Vec<u8>),
    /// Its bytes were passed over.
    TooLong,
    End,
}

/// Lines of a bounded length. Reading can be given up at any time and taken up again.
struct Lines<R> {
    input: BufReader<R>,
    line: Vec<u8>,
    too_long: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    fn new(input: R) -> Self {
        Self { input: BufReader::new(input), line: Vec::new(), too_long: false }
    }

    async fn next(&mut self) -> std::io::Result<Line> {
        loop {
            let buffer = self.input.fill_buf().await?;
            if buffer.is_empty() {
                // What has no line break was cut off, and is no request.
                return Ok(Line::End);
            }
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let part = &buffer[..end.unwrap_or(buffer.len())];
            if self.line.len() + part.len() > MAX_LINE {
                self.too_long = true;
                self.line = Vec::new();
            }
            if !self.too_long {
                self.line.extend_from_slice(part);
            }
            let used = end.map_or(buffer.len(), |end| end + 1);
            self.input.consume(used);
            if end.is_some() {
                let line = std::mem::take(&mut self.line);
                return Ok(if std::mem::take(&mut self.too_long) {
                    Line::TooLong
                } else {
                    Line::Text(line)
                });
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    async fn all(input: &[u8]) -> Vec<Line> {
        let mut lines = Lines::new(input);
        let mut out = Vec::new();
        loop {
            match lines.next().await.unwrap() {
                Line::End => return out,
                line => out.push(line),
            }
        }
    }

    #[tokio::test]
    async fn lines_are_bounded_and_a_cut_one_is_none() {
        let mut input = b"one\n\n".to_vec();
        input.extend(vec![b'x'; MAX_LINE + 1]);
        input.extend(b"\ntwo\ncut off");
        let text = |text: &str| Line::Text(text.as_bytes().to_vec());
        assert_eq!(all(&input).await, [text("one"), text(""), Line::TooLong, text("two")]);
    }

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
        fn any_bytes_are_lines(input in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let lines = runtime.block_on(all(&input));
            prop_assert_eq!(lines.len(), input.iter().filter(|byte| **byte == b'\n').count());
            for line in lines {
                if let Line::Text(line) = line {
                    let _ = serde_json::from_slice::<Request>(&line);
                }
            }
        }
    }
}
