//! The counters of this crate, each with its name written once. Labels: the channel, and a reason from a fixed list;
//! never an address.

use metrics::{Counter, Gauge, counter, gauge};

/// Why a peer was turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    NotAllowed,
    TooMany,
    Tls,
    Socket,
}

impl Refusal {
    fn label(self) -> &'static str {
        match self {
            Self::NotAllowed => "not_allowed",
            Self::TooMany => "too_many",
            Self::Tls => "tls",
            Self::Socket => "socket",
        }
    }
}

pub(crate) struct LinkMetrics {
    channel: String,
    pub(crate) open: Gauge,
    pub(crate) accepted: Counter,
    pub(crate) replaced: Counter,
    pub(crate) connected: Counter,
    pub(crate) connect_failed: Counter,
}

impl LinkMetrics {
    pub(crate) fn of(channel: &str) -> Self {
        let channel = channel.to_owned();
        Self {
            open: gauge!("hub_link_connections_open", "channel" => channel.clone()),
            accepted: counter!("hub_link_connections_accepted_total", "channel" => channel.clone()),
            replaced: counter!("hub_link_connections_replaced_total", "channel" => channel.clone()),
            connected: counter!("hub_link_connects_total", "channel" => channel.clone()),
            connect_failed: counter!("hub_link_connect_failures_total", "channel" => channel.clone()),
            channel,
        }
    }

    pub(crate) fn channel(&self) -> &str {
        &self.channel
    }

    pub(crate) fn refused(&self, refusal: Refusal) {
        counter!(
            "hub_link_connections_refused_total",
            "channel" => self.channel.clone(),
            "reason" => refusal.label(),
        )
        .increment(1);
        tracing::debug!(
            channel = self.channel,
            reason = refusal.label(),
            "connection refused"
        );
    }
}
