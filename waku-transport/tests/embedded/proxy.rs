//! A line that can be cut: forwards tcp connections while it is open.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

/// Forwards from a port of its own to `to`. Ends when it is dropped.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    to: watch::Sender<SocketAddr>,
    open: watch::Sender<bool>,
    stall: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it is bound");
        let (to, open) = (watch::Sender::new(to), watch::Sender::new(true));
        let stall = Arc::new(Notify::new());
        let task = tokio::spawn(accept(listener, to.clone(), open.clone(), Arc::clone(&stall)));
        Self { address, to, open, stall, task }
    }

    /// Leads elsewhere from the next connection on.
    // Not all tests that have a line do that.
    #[allow(dead_code)]
    pub(crate) fn lead_to(&self, to: SocketAddr) {
        self.to.send_replace(to);
    }

    /// Forwards nothing more on the connections that there are, and does not end them either.
    #[allow(dead_code)]
    pub(crate) fn stall(&self) {
        self.stall.notify_waiters();
    }

    /// Opens the line, or ends all connections on it and hangs up on new ones.
    pub(crate) fn set_open(&self, open: bool) {
        self.open.send_replace(open);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.open.send_replace(false);
        self.task.abort();
    }
}

async fn accept(
    listener: TcpListener,
    to: watch::Sender<SocketAddr>,
    open: watch::Sender<bool>,
    stall: Arc<Notify>,
) {
    while let Ok((mut near, _)) = listener.accept().await {
        let mut cut = open.subscribe();
        if !*cut.borrow() {
            continue;
        }
        let to = *to.borrow();
        let stall = Arc::clone(&stall);
        tokio::spawn(async move {
            let forward = async {
                if let Ok(mut far) = TcpStream::connect(to).await {
                    // How a connection ends is the business of its ends.
                    let _ = copy_bidirectional(&mut near, &mut far).await;
                }
            };
            let stalled = tokio::select! {
                () = forward => false,
                () = stall.notified() => true,
                _ = cut.wait_for(|open| !open) => false,
            };
            if stalled {
                // The near end stays open until then.
                let _ = cut.wait_for(|open| !open).await;
            }
        });
    }
}
