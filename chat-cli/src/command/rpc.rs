//! `rpc`: the client for other programs, as JSON lines on standard input and output.

use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _, TryStreamExt as _};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use waku_chat::{AccountId, Client, Error as ClientError, GroupId, RequestId};

use crate::args::Global;
use crate::error::CliError;
use crate::out::Out;
use crate::session::{Need, Session};

/// The long help: the protocol.
pub(crate) const HELP: &str = r#"Serve requests of another program: JSON lines on standard input and output.

A request is one line: {"id": 1, "method": "send", "params": {"group": "wkg1…", "text": "hi"}}.
It is answered with {"id": 1, "result": …} or
{"id": 1, "error": {"code": "not_member", "message": "…", "retryable": false}}.
Requests are carried out in their order, and answered so; only the waits are answered when they
are over. Events come as {"event": {"type": …}, "cursor": 7} and are told again the next time until
they are acknowledged. The first line is {"ready": {"account": …, "installation": …}}.
The end of standard input ends the program, after what waits to be sent was given a few seconds.

Methods and their parameters:
  identity, status, groups, contacts, requests, counters
  group, members, missing            group
  history                            group, before (optional), limit (optional)
  contact_link, short_contact_link
  add_contact                        link, name (optional)
  remove_contact                     account
  create_group                       name, description (optional), members (optional)
  add_members, remove_members        group, accounts
  leave_group                        group
  describe_group                     group, name (optional), description (optional)
  set_admin                          group, account, admin
  send                               group, text
  accept_request, decline_request, block_request    request
  acknowledge                        cursor
  wait_connected, wait_caught_up, wait_published    timeout_ms (optional)
  shutdown"#;

/// Longest request line, in bytes: the longest message, escaped, fits.
const MAX_LINE: usize = 1024 * 1024;
/// Waits at one time.
const MAX_WAITS: usize = 64;
/// Messages in an answer, unless asked for otherwise.
const HISTORY: u32 = 100;

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

/// Why a request was not carried out.
struct Refusal {
    code: &'static str,
    message: String,
    retryable: bool,
}

impl From<ClientError> for Refusal {
    fn from(error: ClientError) -> Self {
        Self { code: error.code(), message: error.to_string(), retryable: error.is_retryable() }
    }
}

fn refusal(code: &'static str, message: impl Into<String>) -> Refusal {
    Refusal { code, message: message.into(), retryable: false }
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
                        write(answer(Value::Null, Err(refusal("bad_request", reason))))?;
                    }
                    Ok(request) if request.method.starts_with("wait_") => {
                        waits.push(Box::pin(async move {
                            let result = wait(client, &request, patience).await;
                            answer(request.id, result)
                        }));
                    }
                    Ok(request) if request.method == "shutdown" => {
                        return write(answer(request.id, Ok(Value::Null)));
                    }
                    Ok(request) => {
                        let result = carry_out(client, &request.method, request.params).await;
                        write(answer(request.id, result))?;
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
        Err(Refusal { code, message, retryable }) => json!({
            "id": id,
            "error": {"code": code, "message": message, "retryable": retryable},
        }),
    }
}

async fn wait(client: &Client, request: &Request, patience: Duration) -> Result<Value, Refusal> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wait {
        timeout_ms: Option<u64>,
    }
    let Wait { timeout_ms } = params(request.params.clone())?;
    let patience = timeout_ms.map_or(patience, Duration::from_millis);
    match request.method.as_str() {
        "wait_connected" => client.wait_connected(patience).await?,
        "wait_caught_up" => client.wait_caught_up(patience).await?,
        "wait_published" => client.wait_published(patience).await?,
        other => return Err(unknown(other)),
    }
    Ok(Value::Null)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InGroup {
    group: GroupId,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Accounts {
    group: GroupId,
    accounts: Vec<AccountId>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OneRequest {
    request: RequestId,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

async fn carry_out(client: &Client, method: &str, given: Value) -> Result<Value, Refusal> {
    match method {
        "identity" => {
            let Nothing {} = params(given)?;
            value(client.identity().await?)
        }
        "status" => {
            let Nothing {} = params(given)?;
            let status = client.status().await;
            Ok(json!({
                "connected": status.connected,
                "peers": status.peers,
                "store_available": status.store_available,
                "failure": status.failure,
            }))
        }
        "groups" => {
            let Nothing {} = params(given)?;
            value(client.groups().await?)
        }
        "contacts" => {
            let Nothing {} = params(given)?;
            value(client.contacts().await?)
        }
        "requests" => {
            let Nothing {} = params(given)?;
            value(client.requests().await?)
        }
        "counters" => {
            let Nothing {} = params(given)?;
            let counters = client.counters().await?;
            let refused = counters.refused.iter().map(|(why, n)| (format!("{why:?}"), *n));
            Ok(json!({
                "messages": counters.messages,
                "commits": counters.commits,
                "doorbells": counters.doorbells,
                "joined": counters.joined,
                "deferred": counters.deferred,
                "duplicates": counters.duplicates,
                "stale": counters.stale,
                "not_for_us": counters.not_for_us,
                "cards": counters.cards,
                "refused": refused.collect::<std::collections::BTreeMap<_, _>>(),
            }))
        }
        "group" => {
            let InGroup { group } = params(given)?;
            value(client.group(group).await?)
        }
        "members" => {
            let InGroup { group } = params(given)?;
            value(client.members(group).await?)
        }
        "missing" => {
            let InGroup { group } = params(given)?;
            value(client.missing(group).await?)
        }
        "history" => {
            #[derive(Deserialize)]
            #[serde(deny_unknown_fields)]
            struct Params {
                group: GroupId,
                before: Option<u64>,
                limit: Option<u32>,
            }
            let Params { group, before, limit } = params(given)?;
            value(client.history(group, before, limit.unwrap_or(HISTORY)).await?)
        }
        "contact_link" => {
            let Nothing {} = params(given)?;
            value(client.contact_link().await?)
        }
        "short_contact_link" => {
            let Nothing {} = params(given)?;
            value(client.short_contact_link().await?)
        }
        "add_contact" => {
            #[derive(Deserialize)]
            #[serde(deny_unknown_fields)]
            struct Params {
                link: String,
                name: Option<String>,
            }
            let Params { link, name } = params(given)?;
            value(client.add_contact(link, name).await?)
        }
        "remove_contact" => {
            #[derive(Deserialize)]
            #[serde(deny_unknown_fields)]
            struct Params {
                account: AccountId,
            }
            let Params { account } = params(given)?;
            value(client.remove_contact(account).await?)
        }
        "create_group" => {
            #[derive(Deserialize)]
            #[serde(deny_unknown_fields)]
            struct Params {
                name: String,
                #[serde(default)]
                description: String,
                #[serde(default)]
                members: Vec<AccountId>,
            }
            let Params { name, description, members } = params(given)?;
            value(client.create_group(name, description, &members).await?)
        }
        "add_members" => {
            let Accounts { group, accounts } = params(given)?;
            value(client.add_members(group, &accounts).await?)
        }
        "remove_members" => {
            let Accounts { group, accounts } = params(given)?;
            value(client.remove_members(group, &accounts).await?)
        }
        "leave_group" => {
            let InGroup { group } = params(given)?;
            value(client.leave_group(group).await?)
        }
        "describe_group" => {
            #[derive(Deserialize)]
            #[serde(deny_unknown_fields)]
            struct Params {
                group: GroupId,
                name: Option<String>,
                description: Option<String>,
            }
            let Params { group, name, description } = params(given)?;
            value(client.describe_group(group, name, description).await?)
        }
        "set_admin" => {
            #[derive(Deserialize)]
            #[serde(deny_unknown_fields)]
            struct Params {
                group: GroupId,
                account: AccountId,
                admin: bool,
            }
            let Params { group, account, admin } = params(given)?;
            value(client.set_admin(group, account, admin).await?)
        }
        "send" => {
            #[derive(Deserialize)]
            #[serde(deny_unknown_fields)]
            struct Params {
                group: GroupId,
                text: String,
            }
            let Params { group, text } = params(given)?;
            Ok(json!({"message": client.send(group, text).await?}))
        }
        "accept_request" => {
            let OneRequest { request } = params(given)?;
            value(client.accept_request(request).await?)
        }
        "decline_request" => {
            let OneRequest { request } = params(given)?;
            value(client.decline_request(request).await?)
        }
        "block_request" => {
            let OneRequest { request } = params(given)?;
            value(client.block_request(request).await?)
        }
        "acknowledge" => {
            #[derive(Deserialize)]
            #[serde(deny_unknown_fields)]
            struct Params {
                cursor: u64,
            }
            let Params { cursor } = params(given)?;
            value(client.acknowledge(cursor).await?)
        }
        other => Err(unknown(other)),
    }
}

fn unknown(method: &str) -> Refusal {
    refusal("unknown_method", format!("there is no method {method:?}"))
}

/// Reads the parameters; absent ones are as good as none.
fn params<T: DeserializeOwned>(given: Value) -> Result<T, Refusal> {
    let given = if given.is_null() { json!({}) } else { given };
    serde_json::from_value(given).map_err(|error| refusal("bad_params", error.to_string()))
}

fn value(result: impl serde::Serialize) -> Result<Value, Refusal> {
    serde_json::to_value(result).map_err(|error| refusal("internal", error.to_string()))
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
        assert!(params::<InGroup>(json!({})).is_err());
        assert!(params::<InGroup>(json!({"group": "wkg1x"})).is_err());
        assert!(params::<Nothing>(Value::Null).is_ok());
        assert!(params::<Nothing>(json!({"more": 1})).is_err());
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
