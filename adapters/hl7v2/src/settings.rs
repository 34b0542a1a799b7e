//! What an operator may set on an HL7 v2 channel. The reference page is generated from these comments.

use std::time::Duration;

use adapter_link::{ConnectSettings, Fault, Faults, ListenSettings, SerialSettings, TubeNumbers};
use serde::Deserialize;
use time::UtcOffset;

use crate::Charset;
use crate::ack::AckStyle;
use crate::frame::{FrameKind, FrameSettings};
use crate::translate::TranslatorSettings;

mod orders;

pub use orders::{NothingFound, OrderDialect, OrderMode, OrderSettings, TubeField};

/// `[channel.settings]` of kind `hl7v2`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hl7v2Settings {
    /// The port that peers connect to. Exactly one of `server`, `client` and `serial` is given.
    #[serde(default)]
    pub server: Option<ListenSettings>,
    /// The peer that we connect to, where the device, or the serial server in front of it, is the TCP server.
    #[serde(default)]
    pub client: Option<ConnectSettings>,
    /// The serial port that the device is on.
    #[serde(default)]
    pub serial: Option<SerialSettings>,
    /// Framing tolerances.
    #[serde(default)]
    pub frame: FramingSettings,
    /// How acknowledgements look.
    #[serde(default)]
    pub ack: AckSettings,
    /// How messages are read.
    #[serde(default)]
    pub translate: TranslatorSettings,
    /// What the instrument is told to do. Left out: its queries are stored and acknowledged, and not answered.
    #[serde(default)]
    pub orders: Option<OrderSettings>,
    /// Results must be verified here before anybody may act on them: true for analyzers that speak HL7. Default: false, results of
    /// a laboratory system are verified when they come.
    #[serde(default)]
    pub verify: bool,
}

/// `[channel.settings.frame]`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FramingSettings {
    /// `mllp`, or `hybrid`: blocks with a count and a checksum, where a damaged one is asked for again. Default: `mllp`.
    pub kind: FrameKind,
    /// Largest message in bytes; a larger one is refused with AR and its first part kept. Default: 4194304; gateways want 16777216.
    pub limit: usize,
    /// Messages come without a start block (0x0B). Default: false.
    pub bare: bool,
    /// Silence inside a message after which it counts as abandoned, in seconds; behind a serial server 2 is better. On a
    /// serial line `serial.inter_character_ms` stands in its place. Default: 60.
    pub idle_s: u64,
    /// Messages of one connection that may wait for their durable write at once; answers keep the order. Default: 64.
    pub pipeline: usize,
}

impl Default for FramingSettings {
    fn default() -> Self {
        Self {
            kind: FrameKind::default(),
            limit: 4 * 1024 * 1024,
            bare: false,
            idle_s: 60,
            pipeline: 64,
        }
    }
}

/// `[channel.settings.ack]`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AckSettings {
    /// MSH-10 of the answer repeats the sender's (Mindray BS and CL). Default: false.
    pub echo_control_id: bool,
    /// MSH-16 of the answer repeats the sender's (Mindray BS and CL). Default: false.
    pub echo_result_type: bool,
    /// MSA-6 carries the error code (HL7 v2.3.1 devices). Default: false.
    pub code_in_msa6: bool,
    /// MSA-3 says "Message accepted". Default: false.
    pub accept_text: bool,
    /// MLLP release 2: send a commit block after the durable write, before the acknowledgement. Default: false.
    pub commit_blocks: bool,
    /// A message whose MSH-15 and MSH-16 want no answer is answered as in original mode: Snibe Maglumi says NE twice and waits
    /// all the same, and so do simple clients. Default: false, as the standard has it.
    pub answer_always: bool,
}

impl Hl7v2Settings {
    /// A plain TCP listener, everything else as by default.
    #[must_use]
    pub fn listening(address: std::net::SocketAddr) -> Self {
        Self {
            server: Some(ListenSettings::plain(address)),
            client: None,
            serial: None,
            frame: FramingSettings::default(),
            ack: AckSettings::default(),
            translate: TranslatorSettings::default(),
            orders: None,
            verify: false,
        }
    }

    /// A device on a serial line, everything else as by default.
    #[must_use]
    pub fn on_serial(serial: SerialSettings) -> Self {
        Self {
            server: None,
            client: None,
            serial: Some(serial),
            frame: FramingSettings::default(),
            ack: AckSettings::default(),
            translate: TranslatorSettings::default(),
            orders: None,
            verify: false,
        }
    }

    /// Everything wrong with these settings. Empty when nothing is.
    #[must_use]
    pub fn validate(&self) -> Vec<Fault> {
        let mut faults = Faults::default();
        let links = [
            ("server", self.server.as_ref().map(ListenSettings::validate)),
            (
                "client",
                self.client.as_ref().map(ConnectSettings::validate),
            ),
            ("serial", self.serial.as_ref().map(SerialSettings::validate)),
        ];
        let mut given = links
            .into_iter()
            .filter_map(|(name, found)| Some((name, found?)));
        match (given.next(), given.next()) {
            (Some((name, found)), None) => faults.under(name, found),
            (None, _) => faults.add("server", "give one of [channel.settings.server] with listen, [channel.settings.client] with connect, [channel.settings.serial] with port"),
            (Some((first, _)), Some((second, _))) => faults.add(second, format!("a channel has one link: keep {first} or {second}, and not both")),
        }
        if self.frame.kind == FrameKind::Hybrid {
            if self.frame.bare {
                faults.add(
                    "frame.bare",
                    "means nothing with frame.kind = \"hybrid\": a block begins with 0x0B",
                );
            }
            if self.ack.commit_blocks {
                faults.add(
                    "ack.commit_blocks",
                    "means nothing with frame.kind = \"hybrid\": commit blocks belong to MLLP",
                );
            }
        }
        if self.frame.limit < 1024 || self.frame.limit > 64 * 1024 * 1024 {
            faults.add("frame.limit", "must be between 1024 and 67108864 bytes");
        }
        if !(1..=256).contains(&self.frame.pipeline) {
            faults.add("frame.pipeline", "must be between 1 and 256");
        }
        if !(1..=3600).contains(&self.frame.idle_s) {
            faults.add("frame.idle_s", "must be between 1 and 3600");
        }
        if self.translate.tube.check_digits > TubeNumbers::MOST_CHECK_DIGITS {
            faults.add("translate.tube.check_digits", "must be at most 4");
        }
        if let Err(error) = self.translate.check() {
            faults.add("translate", error.to_string());
        }
        if let Some(orders) = &self.orders {
            faults.under("orders", orders.validate());
        }
        faults.into_vec()
    }

    pub(crate) fn frame_settings(&self) -> FrameSettings {
        FrameSettings {
            limit: self.frame.limit,
            bare: self.frame.bare,
            idle: match &self.serial {
                Some(serial) => serial.inter_character(),
                None => Duration::from_secs(self.frame.idle_s),
            },
            ..FrameSettings::default()
        }
    }

    /// The channel's charset, when one is set.
    pub(crate) fn charset(&self) -> Option<Charset> {
        self.translate.charset.as_deref().and_then(Charset::named)
    }

    /// Zone in which our answers are dated.
    pub(crate) fn zone(&self) -> UtcOffset {
        UtcOffset::from_whole_seconds(i32::from(self.translate.default_zone_minutes) * 60)
            .unwrap_or(UtcOffset::UTC)
    }

    pub(crate) fn ack_style(&self) -> AckStyle {
        AckStyle {
            echo_control_id: self.ack.echo_control_id,
            echo_result_type: self.ack.echo_result_type,
            code_in_msa6: self.ack.code_in_msa6,
            accept_text: self.ack.accept_text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        let settings: Hl7v2Settings = toml::from_str(text).unwrap();
        settings
            .validate()
            .into_iter()
            .map(|fault| fault.path)
            .collect()
    }

    const SERVER: &str = "server = { listen = '127.0.0.1:2575' }\n";
    const SERIAL: &str = "serial = { port = '/dev/serial/by-id/usb-1' }\n";

    #[test]
    fn a_channel_has_exactly_one_link() {
        let none: [String; 0] = [];
        assert_eq!(faults(SERVER), none);
        assert_eq!(faults(SERIAL), none);
        assert_eq!(faults("client = { connect = 'moxa:4001' }"), none);
        assert_eq!(faults(""), ["server"]);
        assert_eq!(faults(&format!("{SERVER}{SERIAL}")), ["serial"]);
        assert_eq!(
            faults("serial = { port = 'ttyUSB0', baud = 1 }"),
            ["serial.port", "serial.baud"]
        );
    }

    #[test]
    fn orders_need_a_dialect_and_only_law_is_told_without_asking() {
        let none: [String; 0] = [];
        let orders = |text: &str| format!("{SERVER}[orders]\n{text}");
        assert_eq!(faults(&orders("dialect = 'law'\nmode = 'download'")), none);
        assert_eq!(faults(&orders("dialect = 'mindray_chemistry'")), none);
        assert_eq!(
            faults(&orders(
                "dialect = 'mindray_haematology'\nmode = 'download'\nspecimen = ['OBR']"
            )),
            ["orders.mode", "orders.specimen"]
        );
        assert_eq!(
            faults(&orders(
                "dialect = 'law'\ndeadline_ms = 10\nretry_s = [0]\nagain_s = 1\nspecimen_fields = []"
            )),
            [
                "orders.deadline_ms",
                "orders.retry_s",
                "orders.again_s",
                "orders.specimen_fields"
            ]
        );
        assert!(toml::from_str::<Hl7v2Settings>(&orders("mode = 'query'")).is_err());
        assert!(toml::from_str::<Hl7v2Settings>(&orders("dialect = 'sysmex'")).is_err());
    }

    #[test]
    fn hybrid_blocks_exclude_what_belongs_to_mllp() {
        let text = "frame = { kind = 'hybrid', bare = true }\nack = { commit_blocks = true }\n";
        assert_eq!(
            faults(&format!("{SERIAL}{text}")),
            ["frame.bare", "ack.commit_blocks"]
        );
    }

    #[test]
    fn on_a_serial_line_two_seconds_of_silence_inside_a_message_are_too_many() {
        let settings = Hl7v2Settings::on_serial(SerialSettings::plain("/dev/ttyS0"));
        assert_eq!(settings.frame_settings().idle, Duration::from_secs(2));
        let settings = Hl7v2Settings::listening("127.0.0.1:0".parse().unwrap());
        assert_eq!(settings.frame_settings().idle, Duration::from_secs(60));
    }
}
