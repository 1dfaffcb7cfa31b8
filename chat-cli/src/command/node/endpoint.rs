//! The endpoint for health and metrics: two pages over HTTP, for a few friendly clients.
//!
//! A client that is slow or silent is disconnected, and delays no other: each connection has one
//! request and a deadline, and when there are too many, the oldest are closed.

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

use super::health::Health;
use crate::error::OperatorError;

/// How many connections may be open at once. Prometheus, a supervisor and a person or two need no more.
const MAX_CONNECTIONS: usize = 16;
/// How long a client may take to send a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may last.
const DEADLINE: Duration = Duration::from_secs(10);
/// The largest head of a request, in bytes; hyper allows no smaller limit.
const MAX_HEAD: usize = 8 * 1024;
/// How many header lines a request may have.
const MAX_HEADERS: usize = 64;
/// The pause after the system could not accept a connection, for example for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// The endpoint, which is closed when dropped.
pub(crate) struct Endpoint {
    address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl Endpoint {
    /// Opens the port. Nothing is answered on it yet.
    pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, OperatorError> {
        TcpListener::bind(address)
            .await
            .map_err(|source| OperatorError::Metrics { address, source })
    }

    /// Starts answering requests.
    pub(crate) fn serve(listener: TcpListener, health: Health) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        Ok(Self { address, task: tokio::spawn(run(listener, Arc::new(health))) })
    }

    /// The address of the endpoint.
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
    // Dropped with this task, which closes all connections.
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
            // An aborted task holds its connection until the runtime drops it.
            while connections.len() >= MAX_CONNECTIONS {
                connections.join_next().await;
            }
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
        // The content type tells Prometheus the version of the format.
        "/metrics" => {
            page(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", health.metrics())
        }
        _ => not_found(),
    }
}

fn not_found() -> Response<Full<Bytes>> {
    page(StatusCode::NOT_FOUND, "text/plain", "only /health and /metrics exist\n".to_owned())
}

fn page(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
