//! The endpoint for health and metrics: two pages by HTTP, for few and friendly clients.
//!
//! A client that is slow or says nothing is cut off, and holds up nobody: each connection has one
//! request and a deadline, and of too many the oldest go.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use super::error::OperatorError;
use super::health::Health;

/// Connections at once. Prometheus, a supervisor and a person or two need no more.
const MAX_CONNECTIONS: usize = 16;
/// Time for a request to be there.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for a whole connection.
const DEADLINE: Duration = Duration::from_secs(10);
/// Bytes of a request's head; hyper takes no less.
const MAX_HEAD: usize = 8 * 1024;
/// Lines in it.
const MAX_HEADERS: usize = 64;
/// Pause after the system could not accept a connection, as when there are no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// The endpoint; it ends when dropped.
pub(crate) struct Endpoint {
    address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl Endpoint {
    /// Opens the port, which nobody is answered on yet.
    pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, OperatorError> {
        TcpListener::bind(address)
            .await
            .map_err(|source| OperatorError::Metrics { address, source })
    }

    /// Begins to answer.
    pub(crate) fn serve(listener: TcpListener, health: Health) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        Ok(Self { address, task: tokio::spawn(run(listener, Arc::new(health))) })
    }

    /// Where it is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(listener: TcpListener, health: Arc<Health>) {
    // Dropped with this task, and all connections with it.
    let mut connections = JoinSet::new();
    let mut order: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "the metrics endpoint cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        order.retain(|connection| !connection.is_finished());
        if order.len() >= MAX_CONNECTIONS
            && let Some(oldest) = order.pop_front()
        {
            oldest.abort();
        }
        order.push_back(connections.spawn(connection(stream, health.clone())));
    }
}

async fn connection(stream: TcpStream, health: Arc<Health>) {
    let service = hyper::service::service_fn(move |request| {
        let health = health.clone();
        async move { Ok::<_, Infallible>(answer(&request, &health).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(DEADLINE, served).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a request for metrics failed"),
        Err(_) => tracing::debug!("a request for metrics took too long"),
    }
}

async fn answer(request: &Request<Incoming>, health: &Health) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return not_found();
    }
    match request.uri().path() {
        "/health" => {
            let report = health.report().await;
            let status = match report.healthy {
                true => StatusCode::OK,
                false => StatusCode::SERVICE_UNAVAILABLE,
            };
            match serde_json::to_string(&report) {
                Ok(json) => page(status, "application/json", json + "\n"),
                Err(error) => {
                    page(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", error.to_string())
                }
            }
        }
        // The content type is how Prometheus knows the version of the format.
        "/metrics" => {
            page(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", health.metrics())
        }
        _ => not_found(),
    }
}

fn not_found() -> Response<Full<Bytes>> {
    page(StatusCode::NOT_FOUND, "text/plain", "there are /health and /metrics\n".to_owned())
}

fn page(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
