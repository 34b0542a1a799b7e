//! Who is connected to a listener: counts them, and lets a newer connection take an older one's place.

use crate::SamePeer;
use crate::metrics::LinkMetrics;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio_util::sync::CancellationToken;

pub(crate) struct Peers {
    limit: usize,
    same_peer: SamePeer,
    metrics: Arc<LinkMetrics>,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    next: u64,
    places: HashMap<u64, (IpAddr, CancellationToken)>,
}

/// One connection's place, given back when dropped.
pub(crate) struct Place {
    number: u64,
    address: IpAddr,
    /// Cancelled when a newer connection of the same peer takes over.
    pub(crate) replaced: CancellationToken,
    peers: Arc<Peers>,
}

impl Peers {
    pub(crate) fn new(limit: usize, same_peer: SamePeer, metrics: Arc<LinkMetrics>) -> Arc<Self> {
        Arc::new(Self {
            limit,
            same_peer,
            metrics,
            open: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place, unless all are taken. Those that the newcomer will replace do not count.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let mut open = self.lock();
        let counted = match self.same_peer {
            SamePeer::Keep => open.places.len(),
            SamePeer::ReplaceOld => open
                .places
                .values()
                .filter(|(other, _)| *other != address)
                .count(),
        };
        if counted >= self.limit {
            return None;
        }
        let number = open.next;
        open.next += 1;
        let replaced = CancellationToken::new();
        open.places.insert(number, (address, replaced.clone()));
        self.metrics.open.increment(1.0);
        Some(Place {
            number,
            address,
            replaced,
            peers: Arc::clone(self),
        })
    }
}

impl Place {
    /// The connection is established (with TLS: the peer has proved itself), so older ones of the same peer end.
    pub(crate) fn take_over(&self) {
        if self.peers.same_peer != SamePeer::ReplaceOld {
            return;
        }
        let mut open = self.peers.lock();
        open.places.retain(|number, (address, replaced)| {
            let old = *address == self.address && *number < self.number;
            if old {
                replaced.cancel();
                self.peers.metrics.replaced.increment(1);
                self.peers.metrics.open.decrement(1.0);
            }
            !old
        });
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.peers.lock().places.remove(&self.number).is_some() {
            self.peers.metrics.open.decrement(1.0);
        }
    }
}
