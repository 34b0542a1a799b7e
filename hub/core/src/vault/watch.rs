//! Whether the keys were read, which `/readyz` asks, and the task that reads them until they were. Where a key service holds the
//! master key it goes on looking whether the service still wraps: a token that ran out is to be heard of before the next start
//! needs it. It stores nothing.

use std::sync::PoisonError;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{MasterKey, Vault, VaultError};
use crate::backbone::Backbone;
use crate::retry::Pauses;

/// Pause between two looks at a key service; a token must last longer than that.
const LOOK: Duration = Duration::from_secs(300);
/// How long one look may take: a question a key that is not at hand.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is known of the keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Standing {
    /// Not looked yet.
    #[default]
    Unknown,
    /// All were read and are at hand.
    Read,
    /// Why not.
    Wrong(VaultError),
}

impl Vault {
    /// Whether everything that is stored can be opened, and new records sealed. Once true it stays so: what is at hand needs
    /// nobody.
    ///
    /// # Errors
    /// Why not, in words that anybody may read.
    pub fn standing(&self) -> Result<(), &'static str> {
        let standing = self.0.standing.read();
        match &*standing.unwrap_or_else(PoisonError::into_inner) {
            Standing::Read => Ok(()),
            Standing::Wrong(error) => Err(error.in_short()),
            // where nothing is encrypted nothing is waited for
            Standing::Unknown if self.opens() => Err("not read yet"),
            Standing::Unknown => Ok(()),
        }
    }

    /// Notes what a look has found. One that fails after one that did not changes nothing.
    pub(super) fn stand(&self, looked: &Result<usize, VaultError>) {
        let mut standing = self
            .0
            .standing
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if *standing != Standing::Read {
            *standing = match looked {
                Ok(_) => Standing::Read,
                Err(error) => Standing::Wrong(error.clone()),
            };
        }
    }

    fn is_read(&self) -> bool {
        let standing = self.0.standing.read();
        *standing.unwrap_or_else(PoisonError::into_inner) == Standing::Read
    }

    /// Reads the keys until they were read; then looks after the key service, if there is one. Ends at once where there is
    /// nothing to do.
    pub async fn watch(self, backbone: Backbone, stop: CancellationToken) {
        if self.read_all(&backbone, &stop).await
            && let Some(master) = self.0.masters.first()
            && self.0.seals
            && master.is_remote()
        {
            self.look_after(master.as_ref(), &stop).await;
        }
    }

    /// False when it was told to stop before.
    async fn read_all(&self, backbone: &Backbone, stop: &CancellationToken) -> bool {
        let mut pauses = Pauses::new(Duration::from_millis(250), Duration::from_secs(10));
        let mut said = None;
        while !self.is_read() {
            let looked = tokio::select! {
                () = stop.cancelled() => return false,
                looked = tokio::time::timeout(PATIENCE, self.check(backbone)) => looked,
            };
            let why = match looked {
                Ok(Ok(keys)) => {
                    tracing::info!(keys, "the data keys are read");
                    return true;
                }
                Ok(Err(error)) => error,
                Err(_) => VaultError::Away("no answer in time".to_owned()),
            };
            // each cause once: it is asked again until somebody has done something about it
            if said.as_ref() != Some(&why) {
                tracing::error!(
                    error = %why,
                    "the data keys can't be read: what is encrypted waits, and where new keys are needed senders are asked to repeat"
                );
                said = Some(why);
            }
            if !pauses.wait(stop).await {
                return false;
            }
        }
        true
    }

    async fn look_after(&self, master: &dyn MasterKey, stop: &CancellationToken) {
        let up = metrics::gauge!("hub_key_service_up");
        let mut was_well = true;
        loop {
            let looked = tokio::time::timeout(PATIENCE, async {
                master.stay().await;
                self.try_out().await
            });
            let looked = tokio::select! {
                () = stop.cancelled() => return,
                looked = looked => looked,
            };
            let why = match looked {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some("no answer in time".to_owned()),
            };
            up.set(if why.is_none() { 1.0 } else { 0.0 });
            match (&why, was_well) {
                (Some(why), true) => tracing::error!(
                    why,
                    "the key service does not wrap: nothing stops for tenants whose keys are at hand, but no key can be made, and the next start needs it"
                ),
                (None, false) => tracing::info!("the key service wraps again"),
                _ => {}
            }
            was_well = why.is_none();
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }
}
