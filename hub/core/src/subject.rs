//! Typed subjects. No patient data ever stands in a subject (design.md §4.8).

use schemas::{ChannelId, MessageKind, TenantId};

/// The four streams. All with limits retention: everything can be replayed and browsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StreamName {
    Raw,
    Events,
    Commands,
    Dead,
}

impl StreamName {
    pub const ALL: [Self; 4] = [Self::Raw, Self::Events, Self::Commands, Self::Dead];

    /// Name in JetStream.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "RAW",
            Self::Events => "EVENTS",
            Self::Commands => "COMMANDS",
            Self::Dead => "DEAD",
        }
    }

    /// Everything it stores.
    #[must_use]
    pub fn subjects(self) -> &'static str {
        match self {
            Self::Raw => "raw.>",
            Self::Events => "event.>",
            Self::Commands => "command.>",
            Self::Dead => "dead.>",
        }
    }

    /// The stream of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stream| stream.as_str() == name)
    }
}

/// `raw.<tenant>.<channel>`
#[must_use]
pub fn raw(tenant: &TenantId, channel: &ChannelId) -> String {
    format!("raw.{tenant}.{channel}")
}

/// `event.<tenant>.<lane>.<domain>.<entity>.<verb>` or `command.<tenant>.<lane>.<target>.<entity>.<action>`
#[must_use]
pub fn message(kind: MessageKind, tenant: &TenantId, lane: u16, name: &str) -> String {
    match kind {
        MessageKind::Event => format!("event.{tenant}.{lane}.{name}"),
        MessageKind::Command => format!("command.{tenant}.{lane}.{name}"),
    }
}

/// `event.<tenant>.<lane>.integration.<channel>.translated`: the ledger's events of one channel. The
/// last message of this subject is also the translator's checkpoint, so it is one subject a channel.
#[must_use]
pub fn translated(tenant: &TenantId, channel: &ChannelId) -> String {
    format!(
        "event.{tenant}.{}.integration.{channel}.translated",
        crate::lane::lane_of(channel.as_str().as_bytes())
    )
}

/// `dead.<tenant>.<lane>.<stage>`
#[must_use]
pub fn dead(tenant: &TenantId, lane: u16, stage: &str) -> String {
    format!("dead.{tenant}.{lane}.{stage}")
}

/// The filter under which a worker finds messages of a type; `lane` `None` = all lanes.
#[must_use]
pub fn filter(kind: MessageKind, lane: Option<u16>, name: &str) -> String {
    let prefix = match kind {
        MessageKind::Event => "event",
        MessageKind::Command => "command",
    };
    let lane = lane.map_or_else(|| "*".to_owned(), |lane| lane.to_string());
    if name == <schemas::integration::MessageTranslated as schemas::Body>::NAME {
        return format!("{prefix}.*.{lane}.integration.*.translated");
    }
    format!("{prefix}.*.{lane}.{name}")
}

/// Lane token of a subject of EVENTS, COMMANDS or DEAD.
#[must_use]
pub fn lane_of_subject(subject: &str) -> Option<u16> {
    subject.split('.').nth(2)?.parse().ok()
}

/// Tenant token of any of our subjects.
#[must_use]
pub fn tenant_of_subject(subject: &str) -> Option<TenantId> {
    TenantId::new(subject.split('.').nth(1)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_have_the_form_of_the_design() {
        let (t, c) = (
            TenantId::new("demo").unwrap(),
            ChannelId::new("lab").unwrap(),
        );
        assert_eq!(raw(&t, &c), "raw.demo.lab");
        assert_eq!(
            message(MessageKind::Event, &t, 3, "lis.result.received"),
            "event.demo.3.lis.result.received"
        );
        assert_eq!(
            filter(MessageKind::Event, None, "lis.result.received"),
            "event.*.*.lis.result.received"
        );
        assert_eq!(lane_of_subject("event.demo.3.lis.result.received"), Some(3));
        assert_eq!(
            tenant_of_subject("dead.demo.3.work")
                .map(|t| t.to_string())
                .as_deref(),
            Some("demo")
        );
        assert!(translated(&t, &c).starts_with("event.demo."));
    }
}
