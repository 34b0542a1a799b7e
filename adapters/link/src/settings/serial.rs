//! What an operator may set on a serial line.

use super::{Fault, Faults, default_retry_first_ms};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// A device on a serial port (RS-232, or USB with a serial converter), opened again and again for as long as the channel
/// runs. Carrier detect is not looked at: most cables do not wire it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SerialSettings {
    /// Path of the port. Prefer `/dev/serial/by-id/…`: it stays with the converter, whatever it is plugged into, while
    /// `/dev/ttyUSB0` goes to whoever is plugged in first. No default.
    pub port: PathBuf,
    /// Bits per second, 300 to 4000000; the device's own setting. Default: 9600.
    #[serde(default = "default_baud")]
    pub baud: u32,
    /// Bits of a character, 7 or 8. Default: 8.
    #[serde(default = "default_data_bits")]
    pub data_bits: u8,
    /// `none`, `even` or `odd`. A character with wrong parity arrives as 0x00. Default: `none`.
    #[serde(default)]
    pub parity: Parity,
    /// Stop bits, 1 or 2. Default: 1.
    #[serde(default = "default_stop_bits")]
    pub stop_bits: u8,
    /// `none`; `xon_xoff`: the bytes 0x11 and 0x13 steer the flow and never reach the reader; `rts_cts`: wires do.
    /// Default: `none`.
    #[serde(default)]
    pub flow_control: FlowControl,
    /// Data terminal ready: most devices are silent without it. Default: true.
    #[serde(default = "asserted")]
    pub dtr: bool,
    /// Request to send; with `rts_cts` the driver rules it. Default: true.
    #[serde(default = "asserted")]
    pub rts: bool,
    /// Silence between two characters of one message after which the message is given up, in milliseconds, 100 to 60000.
    /// Kept by the adapter that knows what a message is. Default: 2000.
    #[serde(default = "default_inter_character_ms")]
    pub inter_character_ms: u64,
    /// Wait before the second attempt to open the port, in milliseconds; doubled after each failure, with jitter.
    /// Default: 500.
    #[serde(default = "default_retry_first_ms")]
    pub retry_first_ms: u64,
    /// Longest wait between attempts, in milliseconds, a minute at most: so long may a device that is plugged in again go
    /// unnoticed. Default: 5000.
    #[serde(default = "default_retry_longest_ms")]
    pub retry_longest_ms: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Parity {
    #[default]
    None,
    Even,
    Odd,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FlowControl {
    #[default]
    None,
    XonXoff,
    RtsCts,
}

fn default_baud() -> u32 {
    9600
}

fn default_data_bits() -> u8 {
    8
}

fn default_stop_bits() -> u8 {
    1
}

fn asserted() -> bool {
    true
}

fn default_inter_character_ms() -> u64 {
    2000
}

fn default_retry_longest_ms() -> u64 {
    5000
}

impl SerialSettings {
    /// 9600 8N1 without flow control, everything else as by default.
    pub fn plain(port: impl Into<PathBuf>) -> Self {
        Self {
            port: port.into(),
            baud: default_baud(),
            data_bits: default_data_bits(),
            parity: Parity::default(),
            stop_bits: default_stop_bits(),
            flow_control: FlowControl::default(),
            dtr: asserted(),
            rts: asserted(),
            inter_character_ms: default_inter_character_ms(),
            retry_first_ms: default_retry_first_ms(),
            retry_longest_ms: default_retry_longest_ms(),
        }
    }

    /// Everything wrong with these settings. Whether the device is there is not asked: it may be plugged in later.
    pub fn validate(&self) -> Vec<Fault> {
        let mut faults = Faults::default();
        faults.check(
            "port",
            self.port.is_absolute(),
            "must be a whole path, as in /dev/serial/by-id/usb-FTDI_FT232R_A1-if00-port0",
        );
        faults.check(
            "baud",
            (300..=4_000_000).contains(&self.baud),
            "must be between 300 and 4000000",
        );
        faults.check(
            "data_bits",
            (7..=8).contains(&self.data_bits),
            "must be 7 or 8",
        );
        faults.check(
            "stop_bits",
            (1..=2).contains(&self.stop_bits),
            "must be 1 or 2",
        );
        faults.check(
            "rts",
            self.rts || self.flow_control != FlowControl::RtsCts,
            "means nothing with flow_control = \"rts_cts\": the driver rules the wire",
        );
        faults.check(
            "inter_character_ms",
            (100..=60_000).contains(&self.inter_character_ms),
            "must be between 100 and 60000",
        );
        faults.check(
            "retry_first_ms",
            self.retry_first_ms > 0,
            "must be at least 1",
        );
        faults.check(
            "retry_longest_ms",
            (self.retry_first_ms..=60_000).contains(&self.retry_longest_ms),
            "must be between retry_first_ms and 60000",
        );
        faults.into_vec()
    }

    /// The longest silence inside a message.
    pub fn inter_character(&self) -> Duration {
        Duration::from_millis(self.inter_character_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_enough() {
        let settings: SerialSettings = toml::from_str("port = '/dev/ttyS0'").unwrap();
        assert_eq!(settings, SerialSettings::plain("/dev/ttyS0"));
        assert_eq!(settings.validate(), []);
        assert_eq!(settings.inter_character(), Duration::from_secs(2));
    }

    #[test]
    fn every_line_that_devices_have_can_be_written() {
        let settings: SerialSettings = toml::from_str(
            "port = '/dev/ttyS0'\nbaud = 19200\ndata_bits = 7\nparity = 'even'\nstop_bits = 2\nflow_control = 'xon_xoff'\ndtr = false\nrts = false",
        )
        .unwrap();
        assert_eq!(settings.parity, Parity::Even);
        assert_eq!(settings.flow_control, FlowControl::XonXoff);
        assert_eq!(settings.validate(), []);
        assert!(toml::from_str::<SerialSettings>("port = '/dev/ttyS0'\nbauds = 1").is_err());
    }

    #[test]
    fn every_fault_is_named_with_its_field() {
        let settings = SerialSettings {
            baud: 0,
            data_bits: 9,
            stop_bits: 3,
            flow_control: FlowControl::RtsCts,
            rts: false,
            inter_character_ms: 1,
            retry_first_ms: 10,
            retry_longest_ms: 9,
            ..SerialSettings::plain("ttyUSB0")
        };
        let paths: Vec<String> = settings
            .validate()
            .into_iter()
            .map(|fault| fault.path)
            .collect();
        assert_eq!(
            paths,
            [
                "port",
                "baud",
                "data_bits",
                "stop_bits",
                "rts",
                "inter_character_ms",
                "retry_longest_ms"
            ]
        );
    }
}
