//! The channels of this process: starts, pauses and stops each on its own, and says how their links are.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hub_core::ChannelContext;
use hub_core::backbone::Backbone;
use hub_core::channel::{LinkReport, NatsWorklist, Teller, Worklist};
use hub_core::config::ChannelSettings;
use hub_core::governor::Governor;
use hub_core::ingest::{Ingest, IngestOptions};
use hub_core::mappings::MappingStore;
use hub_core::publish::{self, NewMessage};
use hub_core::retry::Pauses;
use hub_core::translator::runner::TranslatorRunner;
use schemas::integration::{ChannelStateChanged, DesiredState, LinkState};
use schemas::{ChannelId, TenantId};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::kinds::Kind;

/// How often a change of a link is published at most.
const REPORT_EVERY: Duration = Duration::from_millis(500);

/// One channel of the configuration.
struct Channel {
    tenant: TenantId,
    id: ChannelId,
    kind: Kind,
    desired: watch::Sender<DesiredState>,
    ingest: Ingest,
    /// Ends the committer; cancelled when nothing more can come to be stored.
    stored: CancellationToken,
}

/// All channels of the configuration. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Registry {
    channels: Arc<BTreeMap<(TenantId, ChannelId), Channel>>,
    backbone: Backbone,
    governor: Governor,
    stop: CancellationToken,
}

impl Registry {
    /// `edges`: [`Self::start_adapters`] follows.
    pub(crate) fn new(
        backbone: &Backbone,
        channels: &[(ChannelSettings, Kind)],
        governor: &Governor,
        stop: &CancellationToken,
        tasks: &TaskTracker,
        edges: bool,
    ) -> Self {
        let channels = channels
            .iter()
            .map(|(settings, kind)| {
                let (tenant, id) = (
                    settings.tenant.get_ref().clone(),
                    settings.id.get_ref().clone(),
                );
                // an edge that stops still has to store what it was given piece by piece: its committer ends after it
                let stored = if edges {
                    CancellationToken::new()
                } else {
                    stop.clone()
                };
                let ingest = Ingest::start(
                    backbone.clone(),
                    tenant.clone(),
                    id.clone(),
                    IngestOptions::default(),
                    governor.clone(),
                    stored.clone(),
                    tasks,
                );
                let channel = Channel {
                    tenant: tenant.clone(),
                    id: id.clone(),
                    kind: kind.clone(),
                    desired: watch::Sender::new(DesiredState::Running),
                    ingest,
                    stored,
                };
                ((tenant, id), channel)
            })
            .collect();
        Self {
            channels: Arc::new(channels),
            backbone: backbone.clone(),
            governor: governor.clone(),
            stop: stop.clone(),
        }
    }

    /// The way in of a channel, for resends.
    pub(crate) fn ingest(&self, tenant: &TenantId, channel: &ChannelId) -> Option<&Ingest> {
        self.channels
            .get(&(tenant.clone(), channel.clone()))
            .map(|channel| &channel.ingest)
    }

    /// A setting changed: `channel.<tenant>.<channel>` holds `{"desired": …}`.
    pub(crate) fn on_setting(&self, key: &str, value: &[u8]) {
        #[derive(serde::Deserialize)]
        struct Setting {
            desired: DesiredState,
        }
        let mut tokens = key.split('.');
        let (Some("channel"), Some(tenant), Some(channel)) =
            (tokens.next(), tokens.next(), tokens.next())
        else {
            return;
        };
        let (Ok(tenant), Ok(channel)) = (TenantId::new(tenant), ChannelId::new(channel)) else {
            return;
        };
        let Some(channel) = self.channels.get(&(tenant, channel)) else {
            return;
        };
        match serde_json::from_slice::<Setting>(value) {
            Ok(setting) => {
                let changed = channel.desired.send_if_modified(|desired| {
                    std::mem::replace(desired, setting.desired) != setting.desired
                });
                if changed {
                    tracing::info!(channel = %channel.id, state = setting.desired.as_str(), "channel set");
                }
            }
            Err(_) => tracing::warn!(key, "a channel's setting can't be read; it stays as it is"),
        }
    }

    /// Starts edges, and translators on the background.
    pub(crate) fn start_adapters(
        &self,
        mappings: &Arc<MappingStore>,
        tasks: &TaskTracker,
        behind: &Backbone,
        background: &tokio::runtime::Handle,
    ) {
        let (reports, reported) = mpsc::channel(1024);
        for channel in self.channels.values() {
            let (teller, carrier) = Teller::new(
                channel.tenant.clone(),
                channel.id.clone(),
                Arc::new(self.backbone.clone()),
            );
            tasks.spawn(carrier.run(self.stop.clone()));
            let edge = run_edge(
                channel.tenant.clone(),
                channel.id.clone(),
                channel.kind.clone(),
                channel.ingest.clone(),
                channel.desired.subscribe(),
                reports.clone(),
                Arc::new(NatsWorklist::new(
                    self.backbone.clone(),
                    channel.tenant.clone(),
                )),
                teller,
                self.stop.clone(),
            );
            let stored = channel.stored.clone().drop_guard();
            tasks.spawn(async move {
                edge.await;
                drop(stored);
            });
            let runner = TranslatorRunner {
                backbone: behind.clone(),
                tenant: channel.tenant.clone(),
                channel: channel.id.clone(),
                translator: Arc::new(channel.kind.translator()),
                mappings: Arc::clone(mappings),
                desired: channel.desired.subscribe(),
                governor: self.governor.clone(),
                stop: self.stop.clone(),
            };
            tasks.spawn_on(runner.run(), background);
        }
        let kinds = self
            .channels
            .values()
            .map(|c| (c.id.clone(), (c.tenant.clone(), c.kind.name())))
            .collect();
        tasks.spawn(publish_reports(
            self.backbone.clone(),
            kinds,
            reported,
            self.stop.clone(),
        ));
    }
}

/// Runs a channel's edge while it is wanted; starts it again when it fails.
#[expect(
    clippy::too_many_arguments,
    reason = "all that an edge is made of, once"
)]
async fn run_edge(
    tenant: TenantId,
    id: ChannelId,
    kind: Kind,
    ingest: Ingest,
    mut desired: watch::Receiver<DesiredState>,
    reports: mpsc::Sender<LinkReport>,
    worklist: Arc<dyn Worklist>,
    teller: Teller,
    stop: CancellationToken,
) {
    let mut pauses = Pauses::new(Duration::from_millis(200), Duration::from_secs(10));
    loop {
        let wanted = tokio::select! {
            () = stop.cancelled() => return,
            wanted = desired.wait_for(|desired| *desired != DesiredState::Stopped) => wanted.is_ok(),
        };
        if !wanted {
            return;
        }
        let run = stop.child_token();
        let ctx = ChannelContext::new(
            tenant.clone(),
            id.clone(),
            run.clone(),
            ingest.clone(),
            reports.clone(),
        )
        .with_worklist(Arc::clone(&worklist))
        .with_teller(teller.clone());
        let mut edge = kind.run(ctx);
        let mut watching = desired.clone();
        let finished = tokio::select! {
            outcome = &mut edge => Some(outcome),
            () = stopped(&mut watching) => None,
        };
        let outcome = match finished {
            Some(outcome) => outcome,
            None => {
                run.cancel();
                edge.await
            }
        };
        match outcome {
            Ok(()) => pauses.reset(),
            Err(error) => {
                tracing::error!(channel = %id, %error, "the channel does not run; trying again");
                let _ = reports.try_send(LinkReport {
                    channel: id.clone(),
                    state: LinkState::Failed,
                    connections: 0,
                    address: String::new(),
                    error: Some(error.detail),
                });
                if !pauses.wait(&stop).await {
                    return;
                }
            }
        }
        if stop.is_cancelled() {
            return;
        }
    }
}

async fn stopped(desired: &mut watch::Receiver<DesiredState>) {
    // an error means that nobody can set it any more, which is a stop as well
    let _ = desired
        .wait_for(|desired| *desired == DesiredState::Stopped)
        .await;
}

/// Publishes the newest state of each link, at most every half second, until all is quiet after the stop.
async fn publish_reports(
    backbone: Backbone,
    kinds: BTreeMap<ChannelId, (TenantId, &'static str)>,
    mut reported: mpsc::Receiver<LinkReport>,
    stop: CancellationToken,
) {
    let mut newest: BTreeMap<ChannelId, LinkReport> = BTreeMap::new();
    let mut tick = tokio::time::interval(REPORT_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            report = reported.recv() => match report {
                Some(report) => { newest.insert(report.channel.clone(), report); }
                None => return,
            },
            _ = tick.tick(), if !newest.is_empty() => {
                for (channel, report) in std::mem::take(&mut newest) {
                    let Some((tenant, kind)) = kinds.get(&channel) else { continue };
                    let body = ChannelStateChanged {
                        channel: channel.clone(),
                        kind: (*kind).to_owned(),
                        state: report.state,
                        connections: report.connections,
                        address: report.address.clone(),
                        error: report.error.clone(),
                        at: OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default(),
                    };
                    let message = NewMessage::event(tenant, format!("/edge/{channel}"), channel.as_str(), &body);
                    if let Err(error) = publish::publish(&backbone, &message, None).await {
                        tracing::debug!(%channel, %error, "the link's state could not be told; it is told again");
                        newest.entry(channel).or_insert(report);
                    }
                }
            }
        }
    }
}
