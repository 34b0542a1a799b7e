//! What an instrument that speaks HL7 is told to do, and in which form.

use std::collections::BTreeMap;
use std::time::Duration;

use adapter_link::{ConnectSettings, Fault, Faults};
use serde::Deserialize;

use crate::message::Path;

/// The form of queries and orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderDialect {
    /// IHE Laboratory Analytical Workflow: QBP^Q11 is answered with RSP^K11, then OML^O33 goes out (LAB-27, LAB-28).
    Law,
    /// Mindray BS, CL and their kin: QRY^Q02 is answered with QCK^Q02, then DSR^Q03 goes out.
    MindrayChemistry,
    /// Mindray BC and their kin: ORM^O01 with ORC-1 RF is answered with ORR^O02.
    MindrayHaematology,
}

/// When orders go to the instrument.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderMode {
    /// Its queries are stored and acknowledged, nothing more.
    Off,
    /// It asks (host query), and is answered.
    #[default]
    Query,
    /// It is told what is pending without asking; queries are answered all the same. `law` only. One instrument a channel:
    /// whichever is connected gets the orders.
    Download,
}

/// Where the number on the tube goes in an OML.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum TubeField {
    #[serde(rename = "SPM-2.1")]
    Spm2,
    #[serde(rename = "SAC-3")]
    Sac3,
}

/// QAK-2 when there is nothing to tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum NothingFound {
    /// No data found, no errors (table HL70208).
    #[default]
    #[serde(rename = "NF")]
    Nf,
    /// The query was understood; the OML that follows says that there is nothing.
    #[serde(rename = "OK")]
    Ok,
}

/// `[channel.settings.orders]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderSettings {
    /// `law`, `mindray_chemistry` or `mindray_haematology`. No default.
    pub dialect: OrderDialect,
    /// `off`, `query` or `download`. Default: `query`.
    #[serde(default)]
    pub mode: OrderMode,
    /// `law`: the analyzer takes orders on a port of its own, which we dial. Left out: over the connection of its queries.
    #[serde(default)]
    pub client: Option<ConnectSettings>,
    /// Where the number on the tube stands in a query, in the order of asking. Default: `QPD-3.1`, `QRD-8.1` or `ORC-3.1`, by
    /// dialect.
    #[serde(default)]
    pub specimen: Vec<String>,
    /// A test that no row names for the instrument is told by the code with which it was ordered: for instruments whose codes are
    /// those of the orders. Default: false, it is not told; an instrument that is sent a guess measures the wrong thing.
    #[serde(default)]
    pub as_ordered: bool,
    /// A query is answered within this time, with an error if need be, in milliseconds. Default: 2000.
    #[serde(default = "deadline_ms")]
    pub deadline_ms: u64,
    /// Wait for the answer (ORL, ACK) to a message of ours, in seconds; 0: none is awaited. Default: 10.
    #[serde(default = "answer_s")]
    pub answer_s: u64,
    /// A message without answer is sent again, with the same bytes, so many seconds after its last sending. After the last it is
    /// given up. Default: `[10, 30, 60]`.
    #[serde(default = "retry_s")]
    pub retry_s: Vec<u64>,
    /// `download`: pause between two looks for what is pending, in seconds. Default: 10.
    #[serde(default = "every_s")]
    pub every_s: u64,
    /// `download`: what got no answer is sent again after so many seconds, and at once when the instrument connects anew.
    /// Default: 600.
    #[serde(default = "again_s")]
    pub again_s: u32,
    /// Specimens answered when an instrument asks for all, and looked for at once with `download`. Default: 50.
    #[serde(default = "most")]
    pub most: u32,
    /// Our name, MSH-3 and MSH-4 of what nobody asked for; an answer uses the names of the query. Default: `HUB`, empty.
    #[serde(default = "sender")]
    pub sender: [String; 2],
    /// The instrument's name, MSH-5 and MSH-6. Default: empty.
    #[serde(default)]
    pub receiver: [String; 2],
    /// `law`: OBR-4.3, the coding system of the instrument's codes. Default: empty.
    #[serde(default)]
    pub code_system: String,
    /// `law`: the number on the tube goes into `SPM-2.1`, `SAC-3` or both. Default: both.
    #[serde(default = "tube_fields")]
    pub specimen_fields: Vec<TubeField>,
    /// `law`: QAK-2 of an answer with nothing to do: `NF` or `OK`. Default: `NF`.
    #[serde(default)]
    pub nothing_found: NothingFound,
    /// What the instrument calls a kind of specimen (our code = its word). Default: empty, which sends the code as ordered, and
    /// `serum`, `plasma`, `urine` to Mindray chemistry.
    #[serde(default)]
    pub specimen_kinds: BTreeMap<String, String>,
    /// The patient's number, name, birth date and sex go along. Default: true.
    #[serde(default = "yes")]
    pub names: bool,
    /// `mindray_haematology`: how a sample is counted when the codes of its tests name no mode. Default: `CBC+DIFF`.
    #[serde(default = "test_mode")]
    pub test_mode: String,
    /// `mindray_haematology`: codes of the tables that want a mode beyond `test_mode` (code = mode, such as `RET`). Codes that
    /// are themselves modes (`CBC`, `DIFF`, `RET`, `NRBC`, `CRP`, `ESR` and their sums) need no row. Default: empty.
    #[serde(default)]
    pub modes: BTreeMap<String, String>,
    /// `mindray_haematology`: take mode (`A` autoloader, `O` open vial). Default: `A`.
    #[serde(default = "take_mode")]
    pub take_mode: String,
    /// `mindray_haematology`: blood mode (`W` whole blood, `P` prediluted). Default: `W`.
    #[serde(default = "blood_mode")]
    pub blood_mode: String,
}

fn deadline_ms() -> u64 {
    2_000
}
fn answer_s() -> u64 {
    10
}
fn retry_s() -> Vec<u64> {
    vec![10, 30, 60]
}
fn every_s() -> u64 {
    10
}
fn again_s() -> u32 {
    600
}
fn most() -> u32 {
    50
}
fn sender() -> [String; 2] {
    ["HUB".to_owned(), String::new()]
}
fn tube_fields() -> Vec<TubeField> {
    vec![TubeField::Spm2, TubeField::Sac3]
}
fn yes() -> bool {
    true
}
fn test_mode() -> String {
    "CBC+DIFF".to_owned()
}
fn take_mode() -> String {
    "A".to_owned()
}
fn blood_mode() -> String {
    "W".to_owned()
}

impl OrderSettings {
    /// A dialect, everything else as by default.
    #[must_use]
    pub fn of(dialect: OrderDialect) -> Self {
        Self {
            dialect,
            mode: OrderMode::default(),
            client: None,
            specimen: Vec::new(),
            as_ordered: false,
            deadline_ms: deadline_ms(),
            answer_s: answer_s(),
            retry_s: retry_s(),
            every_s: every_s(),
            again_s: again_s(),
            most: most(),
            sender: sender(),
            receiver: <[String; 2]>::default(),
            code_system: String::new(),
            specimen_fields: tube_fields(),
            nothing_found: NothingFound::default(),
            specimen_kinds: BTreeMap::new(),
            names: true,
            test_mode: test_mode(),
            modes: BTreeMap::new(),
            take_mode: take_mode(),
            blood_mode: blood_mode(),
        }
    }

    /// Where the number on the tube stands in a query.
    pub(crate) fn specimen_paths(&self) -> Vec<&str> {
        if self.specimen.is_empty() {
            return vec![match self.dialect {
                OrderDialect::Law => "QPD-3.1",
                OrderDialect::MindrayChemistry => "QRD-8.1",
                OrderDialect::MindrayHaematology => "ORC-3.1",
            }];
        }
        self.specimen.iter().map(String::as_str).collect()
    }

    pub(crate) fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
    }

    pub(crate) fn every(&self) -> Duration {
        Duration::from_secs(self.every_s)
    }

    /// What the instrument calls this kind of specimen.
    pub(crate) fn specimen_kind<'k>(&'k self, code: &'k str) -> &'k str {
        if let Some(word) = self.specimen_kinds.get(code) {
            return word;
        }
        match (self.dialect, code) {
            (OrderDialect::MindrayChemistry, "" | "SER" | "SERUM") => "serum",
            (OrderDialect::MindrayChemistry, "PLAS" | "PLASMA" | "PPP") => "plasma",
            (OrderDialect::MindrayChemistry, "UR" | "URINE") => "urine",
            (_, code) => code,
        }
    }

    /// Everything wrong with these settings. Empty when nothing is.
    #[must_use]
    pub fn validate(&self) -> Vec<Fault> {
        let mut faults = Faults::default();
        faults.check(
            "mode",
            self.mode != OrderMode::Download || self.dialect == OrderDialect::Law,
            "Mindray analyzers take orders only in answer to their query: \"download\" goes with dialect = \"law\"",
        );
        faults.check(
            "client",
            self.client.is_none() || self.dialect == OrderDialect::Law,
            "Mindray analyzers take orders on the connection of their queries",
        );
        faults.check(
            "specimen",
            self.specimen.iter().all(|path| Path::parse(path).is_ok()),
            "must be paths like QPD-3.1",
        );
        faults.check(
            "deadline_ms",
            (200..=10_000).contains(&self.deadline_ms),
            "must be between 200 and 10000",
        );
        faults.check("answer_s", self.answer_s <= 300, "must be at most 300");
        faults.check(
            "retry_s",
            self.retry_s.len() <= 20 && self.retry_s.iter().all(|s| (1..=3_600).contains(s)),
            "must be at most 20 waits of 1 to 3600",
        );
        faults.check(
            "every_s",
            (1..=3_600).contains(&self.every_s),
            "must be between 1 and 3600",
        );
        faults.check(
            "again_s",
            (60..=86_400).contains(&self.again_s),
            "must be between 60 and 86400",
        );
        faults.check(
            "most",
            (1..=1_000).contains(&self.most),
            "must be between 1 and 1000",
        );
        faults.check(
            "specimen_fields",
            !self.specimen_fields.is_empty(),
            "must be SPM-2.1, SAC-3 or both",
        );
        if let Some(client) = &self.client {
            faults.under("client", client.validate());
        }
        faults.into_vec()
    }
}
