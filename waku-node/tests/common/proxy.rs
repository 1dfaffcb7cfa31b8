//! A proxy on loopback that stands for a relay peer which reads slowly, or not at all for a while.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How the proxy passes on what comes from those who dial it. The other direction is never held up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// At once.
    Free,
    /// Nothing.
    Nothing,
    /// This many bytes a second.
    Bytes(u32),
}

pub(crate) struct Proxy {
    address: SocketAddr,
    pace: Arc<watch::Sender<Pace>>,
    came: watch::Receiver<u64>,
}

impl Proxy {
    /// A proxy to a port on loopback. It ends with the runtime.
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (pace, paces) = watch::channel(Pace::Free);
        let (coming, came) = watch::channel(0);
        let coming = Arc::new(coming);
        tokio::spawn(async move {
            while let Ok((dialler, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { continue };
                let (from_dialler, to_dialler) = dialler.into_split();
                let (from_server, to_server) = server.into_split();
                let up = (paces.clone(), Arc::clone(&coming));
                tokio::spawn(pass_on(from_dialler, to_server, Some(up)));
                tokio::spawn(pass_on(from_server, to_dialler, None));
            }
        });
        Self { address, pace: Arc::new(pace), came }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn set(&self, pace: Pace) {
        self.pace.send_replace(pace);
    }

    /// How many bytes have come from diallers.
    pub(crate) fn came(&self) -> watch::Receiver<u64> {
        self.came.clone()
    }
}

type Up = (watch::Receiver<Pace>, Arc<watch::Sender<u64>>);

async fn pass_on(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut up: Option<Up>) {
    // Small, so that what waits is in the kernel's buffers, and a connection that is reset loses it.
    let mut bytes = [0; 256];
    loop {
        let count = match from.read(&mut bytes).await {
            // The end is passed on as it came: this half only.
            Ok(0) => return drop(to.shutdown().await),
            Ok(count) => count,
            // A reset destroys what the other side has not read yet.
            Err(_) => {
                let _ = socket(&to).set_zero_linger();
                return;
            }
        };
        if let Some((pace, came)) = &mut up {
            came.send_modify(|came| *came += count as u64);
            let open = pace.wait_for(|pace| *pace != Pace::Nothing).await;
            let Ok(pace) = open.map(|pace| *pace) else { return };
            if let Pace::Bytes(rate) = pace {
                tokio::time::sleep(Duration::from_secs_f64(count as f64 / f64::from(rate))).await;
            }
        }
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

fn socket(half: &OwnedWriteHalf) -> &TcpStream {
    half.as_ref()
}
