//! The link of a channel: its mode, what of the standard is enforced, and every timer.

use std::time::Duration;

use adapter_link::{Fault, Faults};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the bytes of a line are framed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// E1381 / LIS01-A2: ENQ, numbered frames with checksum, EOT.
    #[default]
    E1381,
    /// No handshake: `STX data ETX` without ENQ (Agappe Mispa, BioHermes), `SOH H..L EOT` (Radiometer ABL9), or records
    /// without any frame. Checksum and frame number are not looked at unless they are set.
    Bare,
    /// Beckman AU: fixed columns between STX and ETX, or between ENQ and EOT.
    Au,
    /// Siemens Dimension: `STX type FS .. FS checksum ETX`; the instrument polls.
    Dimension,
}

/// How strictly a rule of the standard is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Strictness {
    /// What breaks the rule is answered with NAK.
    Enforce,
    /// What breaks the rule is accepted and noted with the message.
    Warn,
    /// Not looked at.
    Off,
}

/// Who yields when both sides bid for the line at once (LIS01-A2 §6.2.7): the computer system yields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    #[default]
    Host,
    Instrument,
}

/// `[channel.settings.link]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LinkSettings {
    /// `e1381`, `bare`, `au` or `dimension`. Default: `e1381`.
    pub mode: Mode,
    /// Checksums of frames: `enforce`, `warn` or `off` (`off` also when the instrument sends none). Default: `enforce`;
    /// in mode `bare` `off`.
    pub checksum: Option<Strictness>,
    /// Numbers of frames: `enforce`, `warn` or `off`. Default: `enforce`; in mode `bare` `off`.
    pub frame_number: Option<Strictness>,
    /// A message without an L record is kept as broken. Otherwise one that ends with a whole result or query counts as
    /// a message and is noted. Default: false.
    pub require_terminator: bool,
    /// `host` yields the line in contention, `instrument` does not. Default: `host`.
    pub role: Role,
    /// Largest message, in bytes; a larger one is refused and its first part kept. Default: 4194304.
    pub limit: usize,
    /// Text bytes in a frame we send: 240 by E1381, up to 63993 by LIS01-A2. Default: 240.
    pub frame_size: usize,
    /// We send each record in frames of its own; false: the message is one stream cut at `frame_size`. Default: true.
    pub frame_per_record: bool,
    /// Wait for the answer to ENQ or to a frame we sent, in milliseconds. Default: 15000.
    pub reply_timeout_ms: u64,
    /// Silence inside a session after which what is incomplete is given up, in milliseconds. Default: 30000.
    pub receive_timeout_ms: u64,
    /// Wait after our ENQ was answered with NAK (busy), in milliseconds. Default: 10000.
    pub busy_hold_ms: u64,
    /// Wait for the other side's ENQ after contention, in milliseconds. Default: 20000.
    pub yield_ms: u64,
    /// Wait after the other side interrupted our message with EOT, in milliseconds. Default: 15000.
    pub interrupt_hold_ms: u64,
    /// Pause between the end of a session and our ENQ, in milliseconds. Default: 200.
    pub turnaround_ms: u64,
    /// Sends of one frame before the message is given back to the queue. Default: 6.
    pub frame_sends: u32,
    /// Sessions in which a message we send may fail before it is given up. Default: 10.
    pub attempts: u32,
    /// Wait for the CR LF after a checksum, in milliseconds: a serial instrument may not hear an answer while it still
    /// sends. An instrument that sends none is recognised and not waited for again. Default: 20.
    pub tail_wait_ms: u64,
    /// In mode `bare`: silence that ends a message without L, in milliseconds. Default: 5000.
    pub quiet_end_ms: u64,
    /// In modes `bare` and `au`: answer with ACK and NAK. Default: true.
    pub replies: bool,
    /// In mode `au`: a block check character (exclusive or) follows ETX. Default: false.
    pub bcc: bool,
}

impl Default for LinkSettings {
    fn default() -> Self {
        Self {
            mode: Mode::E1381,
            checksum: None,
            frame_number: None,
            require_terminator: false,
            role: Role::Host,
            limit: 4 * 1024 * 1024,
            frame_size: 240,
            frame_per_record: true,
            reply_timeout_ms: 15_000,
            receive_timeout_ms: 30_000,
            busy_hold_ms: 10_000,
            yield_ms: 20_000,
            interrupt_hold_ms: 15_000,
            turnaround_ms: 200,
            frame_sends: 6,
            attempts: 10,
            tail_wait_ms: 20,
            quiet_end_ms: 5_000,
            replies: true,
            bcc: false,
        }
    }
}

impl LinkSettings {
    /// Checksum rule in force.
    #[must_use]
    pub fn checksum(&self) -> Strictness {
        self.checksum.unwrap_or(self.by_mode())
    }

    /// Frame number rule in force.
    #[must_use]
    pub fn frame_number(&self) -> Strictness {
        self.frame_number.unwrap_or(self.by_mode())
    }

    fn by_mode(&self) -> Strictness {
        match self.mode {
            Mode::Bare => Strictness::Off,
            Mode::E1381 | Mode::Au | Mode::Dimension => Strictness::Enforce,
        }
    }

    /// Everything wrong with these settings. Empty when nothing is.
    #[must_use]
    pub fn validate(&self) -> Vec<Fault> {
        let mut faults = Faults::default();
        faults.check(
            "limit",
            (1024..=64 * 1024 * 1024).contains(&self.limit),
            "must be between 1024 and 67108864 bytes",
        );
        faults.check(
            "frame_size",
            (40..=63_993).contains(&self.frame_size),
            "must be between 40 and 63993 bytes",
        );
        for (path, value) in [
            ("reply_timeout_ms", self.reply_timeout_ms),
            ("receive_timeout_ms", self.receive_timeout_ms),
            ("busy_hold_ms", self.busy_hold_ms),
            ("yield_ms", self.yield_ms),
            ("interrupt_hold_ms", self.interrupt_hold_ms),
            ("quiet_end_ms", self.quiet_end_ms),
        ] {
            faults.check(
                path,
                (100..=600_000).contains(&value),
                "must be between 100 and 600000 ms",
            );
        }
        faults.check(
            "turnaround_ms",
            self.turnaround_ms <= 10_000,
            "must be at most 10000 ms",
        );
        faults.check(
            "tail_wait_ms",
            self.tail_wait_ms <= 1000,
            "must be at most 1000 ms",
        );
        faults.check(
            "frame_sends",
            (1..=20).contains(&self.frame_sends),
            "must be between 1 and 20",
        );
        faults.check(
            "attempts",
            (1..=1000).contains(&self.attempts),
            "must be between 1 and 1000",
        );
        faults.into_vec()
    }

    pub(crate) fn reply_timeout(&self) -> Duration {
        Duration::from_millis(self.reply_timeout_ms)
    }

    pub(crate) fn receive_timeout(&self) -> Duration {
        Duration::from_millis(self.receive_timeout_ms)
    }

    pub(crate) fn quiet_end(&self) -> Duration {
        Duration::from_millis(self.quiet_end_ms)
    }
}
