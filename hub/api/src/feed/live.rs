//! One reader a tenant and process, however many look on. Who is slower than the others misses what does not fit any more and
//! reads it from the store again; nobody waits for him and nothing grows.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hub_core::Position;
use schemas::TenantId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};

use super::{Change, topics};
use crate::backbone::{Backbone, BackboneError};
use crate::problem::Problem;

/// Changes that wait for the slowest.
const WAITING: usize = 512;
/// Streams at once in a process: half of its connections stay for those who ask.
const STREAMS: usize = 512;
/// How long a reader goes on when nobody looks on.
const IDLE: Duration = Duration::from_secs(10);

/// A change and where it stands.
pub(crate) type Told = Arc<(Position, Change)>;

/// The right to be one of the streams, given back when it is dropped.
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        metrics::gauge!("hub_api_streams").decrement(1.0);
    }
}

/// Who reads for whom.
pub(crate) struct Feed {
    tenants: Mutex<HashMap<TenantId, broadcast::Sender<Told>>>,
    places: Arc<Semaphore>,
}

impl Default for Feed {
    fn default() -> Self {
        Self {
            tenants: Mutex::default(),
            places: Arc::new(Semaphore::new(STREAMS)),
        }
    }
}

impl Feed {
    /// A place for one more.
    ///
    /// # Errors
    /// 503 when all are taken.
    pub(crate) fn place(&self) -> Result<Place, Problem> {
        let permit = Arc::clone(&self.places).try_acquire_owned();
        let permit = permit.map_err(|_| {
            let mut problem = Problem::unavailable(
                "stream.full",
                "as many streams as this process serves are open; ask GET /api/v1/changes instead",
            );
            problem.retry_after = Some(30);
            problem
        })?;
        metrics::gauge!("hub_api_streams").increment(1.0);
        Ok(Place { _permit: permit })
    }

    /// Everything of the tenant that is stored from now on.
    pub(crate) async fn join(
        self: &Arc<Self>,
        backbone: &Arc<dyn Backbone>,
        tenant: &TenantId,
    ) -> Result<broadcast::Receiver<Told>, BackboneError> {
        if let Some(receiver) = self.running(tenant) {
            return Ok(receiver);
        }
        // asked before anybody waits for it: nothing that is stored after this call is passed over
        let from = backbone.newest_fact().await?;
        let (sender, receiver) = {
            let mut tenants = self.lock();
            if let Some(sender) = tenants.get(tenant) {
                return Ok(sender.subscribe());
            }
            let (sender, receiver) = broadcast::channel(WAITING);
            tenants.insert(tenant.clone(), sender.clone());
            (sender, receiver)
        };
        let following = backbone.follow(tenant, &topics::events(), from);
        tokio::spawn(Arc::clone(self).read(tenant.clone(), following, sender));
        Ok(receiver)
    }

    fn running(&self, tenant: &TenantId) -> Option<broadcast::Receiver<Told>> {
        self.lock().get(tenant).map(broadcast::Sender::subscribe)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<TenantId, broadcast::Sender<Told>>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends by itself when nobody has looked on for a while.
    async fn read(
        self: Arc<Self>,
        tenant: TenantId,
        mut following: Box<dyn crate::Follow>,
        sender: broadcast::Sender<Told>,
    ) {
        let mut idle = tokio::time::interval(IDLE);
        idle.reset();
        loop {
            tokio::select! {
                fact = following.next() => {
                    if let Some(change) = Change::of(&fact) {
                        // nobody there: they come back with the position they saw
                        let _ = sender.send(Arc::new((fact.position, change)));
                    }
                }
                _ = idle.tick() => {
                    let mut tenants = self.lock();
                    // under the lock: nobody joins between the look and the end
                    if sender.receiver_count() == 0 {
                        tenants.remove(&tenant);
                        return;
                    }
                }
            }
        }
    }
}
