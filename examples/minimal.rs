//! Two accounts meet, and one writes to the other, on a network in memory.

use futures::TryStreamExt;
use waku_chat::transport::memory::Network;
use waku_chat::{Client, ClientConfig, DatabaseKey, Event, NetworkParams, new_phrase};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (network, home) = (Network::default(), tempfile::tempdir()?);
    let config = |name| {
        let key = DatabaseKey::passphrase("a good one");
        ClientConfig::new(
            home.path().join(name),
            key,
            NetworkParams::fast(),
            network.endpoint(),
        )
    };
    let alice = Client::create(config("alice"), &new_phrase()?).await?;
    let bob = Client::create(config("bob"), &new_phrase()?).await?;

    let contact = alice.add_contact(bob.contact_link().await?, None).await?;
    let group = alice
        .create_group("Picnic", "Sunday at noon", &[contact.account])
        .await?;
    alice.send(group.id, "Who brings the cake?").await?;

    let mut events = bob.events(0);
    while let Some((_, event)) = events.try_next().await? {
        match event {
            Event::RequestReceived { request } => bob.accept_request(request.id).await?,
            Event::MessageReceived { message } => break println!("{:?}", message.text),
            _ => {}
        }
    }
    Ok(())
}
