//! Two accounts meet on a network in memory, and one writes to the other.

use futures::TryStreamExt;
use waku_chat::{transport::memory::Network, *};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (network, home) = (Network::default(), tempfile::tempdir()?);
    let config = |name| {
        let (key, fast) = (DatabaseKey::passphrase("a good one"), NetworkParams::fast());
        ClientConfig::new(home.path().join(name), key, fast, network.endpoint())
    };
    let alice = Client::create(config("alice"), &new_phrase()?).await?;
    let bob = Client::create(config("bob"), &new_phrase()?).await?;

    let link = bob.contact_link().await?;
    let contact = alice.add_contact(link, None).await?.account;
    let group = alice.create_group("Picnic", "", &[contact]).await?.id;
    alice.send(group, "Who brings the cake?").await?;

    let mut events = bob.events(0);
    loop {
        match events.try_next().await?.ok_or("the client was closed")?.1 {
            Event::RequestReceived { request } => bob.accept_request(request.id).await?,
            Event::MessageReceived { message } => break println!("{:?}", message.text),
            _ => {}
        }
    }
    Ok(())
}
