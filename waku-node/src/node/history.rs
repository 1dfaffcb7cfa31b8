//! Asking Stores, the node's own archive among them.

use std::collections::HashSet;

use libp2p::PeerId;

use super::handle::Node;
use crate::random;
use crate::store::{
    StoreError, StorePage, StoreQuery, StoredMessage, check_query, check_response, decode_response,
};
use crate::swarm::{Command, StoreAnswer};

impl Node {
    /// Asks a Store for a page of history.
    ///
    /// Asks `peer`, or the node's own archive if that is the node's own id. Without `peer`, asks a
    /// connected peer that offers Store, or the node's own archive if there is none.
    ///
    /// # Errors
    /// See [`StoreError`]. Invalid or false entries of the answer are not an error: they are left out
    /// and counted in [`StorePage::dropped`].
    pub async fn store_query(
        &self,
        peer: Option<PeerId>,
        q: StoreQuery,
    ) -> Result<StorePage, StoreError> {
        check_query(&q)?;
        // Not a counter, which would tell a Store how many other queries there were.
        let request_id = format!("{:016x}", random::number());
        let (id, query) = (request_id.clone(), q.clone());
        let answer = self
            .ask(|reply| Command::StoreQuery { peer, request_id: id, query, reply })
            .await
            .ok_or(StoreError::Stopped)??;
        match answer {
            StoreAnswer::Own(page) => Ok(page.await.map_err(|_| StoreError::Stopped)??),
            StoreAnswer::Peer(body) => {
                let response =
                    decode_response(body).map_err(|_| StoreError::BadResponse("malformed"))?;
                let page = check_response(&request_id, &q, response)?;
                self.count_dropped_entries(page.dropped as u64);
                Ok(page)
            }
        }
    }

    /// Follows the cursors of a query from page to page, up to `max` messages, in the order of the
    /// query: oldest first if it goes forward, newest first otherwise.
    ///
    /// # Errors
    /// Those of [`Node::store_query`]; [`StoreError::NoProgress`] also if pages repeat themselves.
    pub async fn store_collect(
        &self,
        peer: Option<PeerId>,
        mut q: StoreQuery,
        max: usize,
    ) -> Result<Vec<StoredMessage>, StoreError> {
        let mut seen = HashSet::new();
        let mut all = Vec::new();
        loop {
            let mut page = self.store_query(peer, q.clone()).await?;
            if !q.forward {
                page.messages.reverse();
            }
            let before = all.len();
            all.extend(page.messages.into_iter().filter(|m| seen.insert(m.hash)));
            match page.cursor {
                Some(_) if all.len() == before => return Err(StoreError::NoProgress),
                Some(cursor) if all.len() < max => q.cursor = Some(cursor),
                _ => break,
            }
        }
        all.truncate(max);
        Ok(all)
    }

    /// Writes to the node's own archive to see whether that is possible: a full disk shows here before
    /// messages are lost. Waits for writes under way. Succeeds if the node has no archive.
    ///
    /// # Errors
    /// [`StoreError::Archive`] with the error of the database, or [`StoreError::Stopped`].
    pub async fn check_archive(&self) -> Result<(), StoreError> {
        let checked = self.ask(Command::CheckArchive).await.ok_or(StoreError::Stopped)?;
        match checked {
            Some(answer) => Ok(answer.await.map_err(|_| StoreError::Stopped)??),
            None => Ok(()),
        }
    }
}
