//! What is asked of a device after it said hello, and how its messages are answered.

use std::time::Duration;

use adapter_link::{Fault, Faults};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What becomes of a conversation when nothing is left to ask.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Continuous where the device's hello lists the directive `START_CONTINUOUS`, else basic.
    #[default]
    Auto,
    /// The device stays connected and sends results as they come (DTV.R01 START_CONTINUOUS).
    Continuous,
    /// The conversation is ended (END.R01); the device comes again when it has something.
    Basic,
}

/// How a message is answered that no part of the standard knows. It is stored in any case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unknown {
    /// ESC.R01, detail OTH: it is not understood.
    #[default]
    Escape,
    /// ACK.R01 AA: for devices that send messages of their own and wait for an acknowledgement (Abbott Afinion).
    Accept,
    /// ACK.R01 AE.
    Error,
}

/// `[channel.settings.conversation]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ConversationSettings {
    /// `auto`, `continuous` or `basic`. Default: `auto`.
    pub mode: Mode,
    /// A device whose status says that it has results, or does not say that it has none, is asked for them (REQ.R01 ROBS)
    /// before anything else. false for devices that know continuous mode only (Quidel Sofia). Default: true.
    pub request_observations: bool,
    /// A device whose status says that it has events is asked for them (REQ.R01 RDEV). Default: true.
    pub request_events: bool,
    /// The device's clock is set by ours in every conversation (DTV.R02 SET_TIME), after its results were taken. Default:
    /// false.
    pub set_time: bool,
    /// Wait for the hello of a device that has connected, in milliseconds. Default: 60000.
    pub hello_timeout_ms: u64,
    /// Wait for what a device owes us (status, acknowledgement, next result or end of a topic), in milliseconds; the
    /// connection is closed after it. Default: 30000.
    pub reply_timeout_ms: u64,
    /// Silence in continuous mode after which we send KPA.R01 and close the connection when it is not answered, in seconds;
    /// 0: never, TCP keep-alive alone finds a dead device. Default: 0.
    pub keep_alive_s: u64,
    /// EOT.R01 of a device is acknowledged. POCT01-A2 has the next request follow it; some devices wait for an ACK.R01
    /// (PixCell HemoScreen). Default: false.
    pub acknowledge_eot: bool,
    /// ESC.R01 of a device is acknowledged. Default: false.
    pub acknowledge_escape: bool,
    /// How unknown messages are answered: `escape`, `accept` or `error`. Default: `escape`.
    pub unknown: Unknown,
    /// Element that says AA or AE in our acknowledgements; Quidel Sofia: `ACK.type_id`. Default: `ACK.type_cd`.
    pub ack_type: String,
    /// Element that names the acknowledged message; Quidel Sofia, PixCell HemoScreen: `ACK.control_id`. Default:
    /// `ACK.ack_control_id`.
    pub ack_control_id: String,
}

impl Default for ConversationSettings {
    fn default() -> Self {
        Self {
            mode: Mode::Auto,
            request_observations: true,
            request_events: true,
            set_time: false,
            hello_timeout_ms: 60_000,
            reply_timeout_ms: 30_000,
            keep_alive_s: 0,
            acknowledge_eot: false,
            acknowledge_escape: false,
            unknown: Unknown::Escape,
            ack_type: "ACK.type_cd".to_owned(),
            ack_control_id: "ACK.ack_control_id".to_owned(),
        }
    }
}

impl ConversationSettings {
    /// Everything wrong with these settings. Empty when nothing is.
    #[must_use]
    pub fn validate(&self) -> Vec<Fault> {
        let mut faults = Faults::default();
        for (path, value) in [
            ("hello_timeout_ms", self.hello_timeout_ms),
            ("reply_timeout_ms", self.reply_timeout_ms),
        ] {
            faults.check(
                path,
                (100..=600_000).contains(&value),
                "must be between 100 and 600000 ms",
            );
        }
        faults.check(
            "keep_alive_s",
            self.keep_alive_s <= 86_400,
            "must be at most 86400 s, a day",
        );
        for (path, name) in [
            ("ack_type", &self.ack_type),
            ("ack_control_id", &self.ack_control_id),
        ] {
            let good = name.strip_prefix("ACK.").is_some_and(|rest| {
                !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            });
            faults.check(path, good, "must be the name of an element, as ACK.type_cd");
        }
        faults.check(
            "ack_control_id",
            self.ack_control_id != self.ack_type,
            "must not be the element of ack_type",
        );
        faults.into_vec()
    }

    pub(crate) fn hello_timeout(&self) -> Duration {
        Duration::from_millis(self.hello_timeout_ms)
    }

    pub(crate) fn reply_timeout(&self) -> Duration {
        Duration::from_millis(self.reply_timeout_ms)
    }

    pub(crate) fn keep_alive(&self) -> Option<Duration> {
        (self.keep_alive_s > 0).then(|| Duration::from_secs(self.keep_alive_s))
    }
}
