//! What an instrument is told to do, and in which words.

use std::time::Duration;

use adapter_link::{Fault, Faults};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When orders go to the instrument.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrderMode {
    /// Its queries are stored and not answered.
    Off,
    /// It asks (host query), and is answered.
    #[default]
    Query,
    /// It does not ask: what is pending is sent to it; queries are answered all the same. One instrument a channel:
    /// whichever is connected gets the orders. What it took is remembered with the order and not sent again.
    Download,
}

/// How "nothing known of this specimen" is said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnknownAnswer {
    /// H and L only, with L.3 I (LIS02-A2 §13.3).
    #[default]
    Terminator,
    /// P and O with O.26 Y as well (Sysmex, Roche).
    Order,
}

/// `[channel.settings.orders]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OrderSettings {
    /// `off`, `query` or `download`. Default: `query`.
    pub mode: OrderMode,
    /// Pause between two looks for what is pending, with `download`, in seconds. Default: 10.
    pub every_s: u64,
    /// With `download`: what the instrument did not take is sent again after so many seconds, and at once when it connects anew.
    /// Default: 600.
    pub again_s: u32,
    /// Specimens in one message, and answered when an instrument asks for all. Default: 50.
    pub most: u32,
    /// A test that no row names for the instrument is told by the code with which it was ordered: for instruments whose codes are
    /// those of the orders. Default: false, it is not told; an instrument that is sent a guess measures the wrong thing.
    pub as_ordered: bool,
    /// Delimiters of our messages: field, repeat, component, escape. Default: `|\^&`.
    pub delimiters: String,
    /// Our name in H.5. Default: `HUB`.
    pub sender: String,
    /// The instrument's name in H.10. Default: empty.
    pub receiver: String,
    /// Version in H.13. Default: `LIS2-A2`.
    pub version: String,
    /// H.12 of an answer to a query (Mindray BS and CL: `QA`). Default: `P`.
    pub processing_query: String,
    /// H.12 of orders nobody asked for (Mindray BS and CL: `SA`). Default: `P`.
    pub processing_download: String,
    /// Component of O.5 in which a test's code stands, 1 to 9. Default: 4.
    pub code_component: usize,
    /// Added to each code (Roche: `/`). Default: empty.
    pub code_ending: String,
    /// O.12 of a test that is to be done. Default: `N`.
    pub action_new: String,
    /// O.12 of a test that is taken back. Default: `C`.
    pub action_cancel: String,
    /// O.26 of an order in answer to a query. Default: `Q`.
    pub report_query: String,
    /// O.26 of an order nobody asked for. Default: `O`.
    pub report_download: String,
    /// L.3 when there was something to tell. Default: `F`.
    pub end_found: String,
    /// How an unknown specimen is answered: `terminator` or `order`. Default: `terminator`.
    pub unknown: UnknownAnswer,
    /// The number on the tube also goes into O.4, or only there: `O.3` or `O.4`. Default: `["O.3"]`.
    pub specimen_fields: Vec<super::FieldPath>,
    /// What the instrument calls a kind of specimen (HL7 table 0487 to O.16, Dimension sample type). Default: empty,
    /// which sends the kind as ordered in records and `1` to a Dimension.
    pub specimen_kinds: std::collections::BTreeMap<String, String>,
    /// P carries the patient's number, name, birth date and sex. Default: true.
    pub names: bool,
}

impl Default for OrderSettings {
    fn default() -> Self {
        Self {
            mode: OrderMode::Query,
            every_s: 10,
            again_s: 600,
            most: 50,
            as_ordered: false,
            delimiters: "|\\^&".to_owned(),
            sender: "HUB".to_owned(),
            receiver: String::new(),
            version: "LIS2-A2".to_owned(),
            processing_query: "P".to_owned(),
            processing_download: "P".to_owned(),
            code_component: 4,
            code_ending: String::new(),
            action_new: "N".to_owned(),
            action_cancel: "C".to_owned(),
            report_query: "Q".to_owned(),
            report_download: "O".to_owned(),
            end_found: "F".to_owned(),
            unknown: UnknownAnswer::Terminator,
            specimen_fields: vec![super::FieldPath::field('O', 3)],
            specimen_kinds: std::collections::BTreeMap::new(),
            names: true,
        }
    }
}

impl OrderSettings {
    pub(crate) fn every(&self) -> Duration {
        Duration::from_secs(self.every_s)
    }

    /// Everything wrong with these settings. Empty when nothing is.
    #[must_use]
    pub fn validate(&self) -> Vec<Fault> {
        let mut faults = Faults::default();
        faults.check(
            "every_s",
            (1..=3600).contains(&self.every_s),
            "must be between 1 and 3600",
        );
        faults.check(
            "again_s",
            (60..=86_400).contains(&self.again_s),
            "must be between 60 and 86400",
        );
        faults.check(
            "most",
            (1..=1000).contains(&self.most),
            "must be between 1 and 1000",
        );
        faults.check(
            "code_component",
            (1..=9).contains(&self.code_component),
            "must be between 1 and 9",
        );
        let mut bytes: Vec<u8> = self.delimiters.bytes().collect();
        let good = bytes.len() == 4 && bytes.iter().all(|b| b.is_ascii_punctuation() || *b == b'!');
        bytes.sort_unstable();
        bytes.dedup();
        faults.check(
            "delimiters",
            good && bytes.len() == 4,
            "must be four different punctuation characters: field, repeat, component, escape",
        );
        let places = self
            .specimen_fields
            .iter()
            .all(|p| p.record == 'O' && matches!(p.field, 3 | 4));
        faults.check(
            "specimen_fields",
            places && !self.specimen_fields.is_empty(),
            "must be O.3, O.4 or both",
        );
        faults.into_vec()
    }
}
