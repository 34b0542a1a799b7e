//! One running hub for all tests that do not disturb it.

use std::sync::{Arc, Weak};

use tokio::sync::Mutex;

use crate::{ChannelToml, HubProcess, HubSettings, Servers};

/// Servers and a hub on them with two tenants.
///
/// Channels of tenant `demo`: `lab` as by default; `small` with a limit of 64 KiB, two seconds of silence inside a
/// frame and two connections from outside the tests; `bare` without start blocks; `adt` for patients.
/// Channel of tenant `other`: `other`.
pub struct World {
    // before the servers: fields are dropped in this order
    pub hub: HubProcess,
    pub servers: Servers,
}

impl World {
    async fn start() -> Self {
        let servers = Servers::start().await;
        let mut settings = HubSettings::new(&servers)
            .channel(ChannelToml::new("adt"))
            .channel(
                ChannelToml::new("small")
                    .tables("[channel.settings.frame]\nlimit = 65536\nidle_s = 1\n"),
            )
            .channel(ChannelToml::new("few").server("max_connections = 3"))
            .channel(ChannelToml::new("bare").tables("[channel.settings.frame]\nbare = true\n"))
            .channel(ChannelToml::new("other").tenant("other"));
        settings.tenants.push("other".to_owned());
        settings.environment.push((
            "HUB_LOG".to_owned(),
            "info,hub_core=debug,async_nats=error,sqlx=warn".to_owned(),
        ));
        let hub = HubProcess::start(&servers, &settings).await;
        Self { hub, servers }
    }
}

/// The shared world. It lives while any test holds it, so that nothing is left when the last has ended.
pub async fn shared() -> Arc<World> {
    static WORLD: Mutex<Weak<World>> = Mutex::const_new(Weak::new());
    let mut world = WORLD.lock().await;
    if let Some(running) = world.upgrade() {
        return running;
    }
    let started = Arc::new(World::start().await);
    *world = Arc::downgrade(&started);
    started
}
