//! How an instrument writes its records: where things stand, what marks a control, how numbers and times look. An
//! instrument pack is exactly this struct in a file.

use std::collections::BTreeMap;
use std::fmt;

use adapter_link::{Fault, Faults, TubeNumbers};
use encoding_rs::Encoding;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A place in a record: `O.3`, `R.3.4`. Fields count from the record's letter as 1 (LIS02-A2 §5.4), components from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct FieldPath {
    pub record: char,
    pub field: usize,
    /// The whole field without it.
    pub component: Option<usize>,
}

impl FieldPath {
    /// A component of a field.
    #[must_use]
    pub const fn component(record: char, field: usize, component: usize) -> Self {
        Self {
            record,
            field,
            component: Some(component),
        }
    }

    /// A whole field.
    #[must_use]
    pub const fn field(record: char, field: usize) -> Self {
        Self {
            record,
            field,
            component: None,
        }
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.record, self.field)?;
        self.component.map_or(Ok(()), |c| write!(f, ".{c}"))
    }
}

impl From<FieldPath> for String {
    fn from(path: FieldPath) -> Self {
        path.to_string()
    }
}

impl TryFrom<String> for FieldPath {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no place in a record: write O.3 or R.3.4");
        let mut parts = text.split('.');
        let record = match parts.next().map(str::as_bytes) {
            Some([letter]) if letter.is_ascii_uppercase() => char::from(*letter),
            _ => return Err(wrong()),
        };
        let mut number = || {
            parts
                .next()
                .map(|part| part.parse().ok().filter(|n| (1..=999).contains(n)))
        };
        let field = number().flatten().ok_or_else(wrong)?;
        let component = match number() {
            None => None,
            Some(component) => Some(component.ok_or_else(wrong)?),
        };
        if parts.next().is_some() {
            return Err(wrong());
        }
        Ok(Self {
            record,
            field,
            component,
        })
    }
}

/// A value in a place that tells what a sample is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// Where to look.
    pub path: FieldPath,
    /// The words that count, compared without regard to case.
    #[serde(default)]
    pub is: Vec<String>,
    /// The beginnings that count: lots and names of controls.
    #[serde(default)]
    pub begins: Vec<String>,
}

impl Mark {
    fn is(path: FieldPath, words: &[&str]) -> Self {
        Self {
            path,
            is: words.iter().map(|w| (*w).to_owned()).collect(),
            begins: Vec::new(),
        }
    }

    /// Whether a value bears the mark.
    #[must_use]
    pub fn bears(&self, value: &str) -> bool {
        let value = value.trim();
        let begins = |start: &String| {
            value
                .get(..start.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(start))
        };
        !value.is_empty()
            && (self.is.iter().any(|word| value.eq_ignore_ascii_case(word))
                || self
                    .begins
                    .iter()
                    .any(|start| !start.is_empty() && begins(start)))
    }
}

/// Columns of a Beckman AU result block, as the instrument's online menu sets them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AuColumns {
    /// Digits of the rack number. Default: 4.
    pub rack: usize,
    /// Digits of the cup position. Default: 2.
    pub cup: usize,
    /// Characters of the sample type. Default: 1.
    pub kind: usize,
    /// Digits of the sample number. Default: 4.
    pub sample: usize,
    /// Characters of the sample id, padded on the left. Default: 26.
    pub id: usize,
    /// Blanks between the sample id and the letter `E`. Default: 4.
    pub dummy: usize,
    /// Characters between the letter `E` and the first test (sex, age, patient information). Default: 6.
    pub person: usize,
    /// Digits of a test number. Default: 3.
    pub test: usize,
    /// Characters of a value. Default: 9.
    pub value: usize,
    /// Characters of the flags behind a value. Default: 2.
    pub flags: usize,
    /// Blanks behind the flags. Default: 6.
    pub pad: usize,
}

impl Default for AuColumns {
    fn default() -> Self {
        Self {
            rack: 4,
            cup: 2,
            kind: 1,
            sample: 4,
            id: 26,
            dummy: 4,
            person: 6,
            test: 3,
            value: 9,
            flags: 2,
            pad: 6,
        }
    }
}

/// `[channel.settings.dialect]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Dialect {
    /// Character set of all messages: `UTF-8`, `windows-1252`, `GB18030` … Default: UTF-8 if the bytes are, else
    /// windows-1252.
    pub charset: Option<String>,
    /// Zone of times that carry none, in minutes east of Greenwich. Default: 330.
    pub default_zone_minutes: i16,
    /// Where the number on the tube stands, in the order of asking. Default: `["O.3.1", "O.4.1"]`.
    pub specimen: Vec<FieldPath>,
    /// Where the type of the specimen stands, in the order of asking (Roche: `["O.4.5"]`). In mode `au` and `dimension` it has a place of
    /// its own. Default: `["O.16.1"]`.
    pub specimen_type: Vec<FieldPath>,
    /// What the instrument calls types of specimen, where these are not words: as sent, and by HL7 table 0487 (`{ "1" = "SER", "2" =
    /// "UR" }`). What is known neither from here nor as blood, serum or plasma is looked up in code rows that name it, else held.
    /// Default: none.
    pub specimen_types: BTreeMap<String, String>,
    /// Endings that are not part of the number on the tube, such as `/F` of a Mispa Nano. Default: none.
    pub specimen_endings: Vec<String>,
    /// How that number differs from the order's: zeros before it, check digits behind it.
    pub tube: TubeNumbers,
    /// Where a query names the number on the tube, in the order of asking (Sysmex and Roche: `["Q.3.3"]`). Default:
    /// `["Q.3.2", "Q.3.1", "Q.3.3"]`. A query without one is answered with nothing, unless it says `ALL`.
    pub query_specimen: Vec<FieldPath>,
    /// Where the patient's number stands, in the order of asking. P.4 and P.5 hold sample numbers or counters on many
    /// instruments, which would join strangers: name them only where that is not so. Default: `["P.3.1"]`.
    pub patient: Vec<FieldPath>,
    /// Where the code of a test stands, in the order of asking; for O.5 the same components count. Default: `["R.3.4",
    /// "R.3.5", "R.3.1", "R.3.2"]`.
    pub test_code: Vec<FieldPath>,
    /// Where the name of a test stands. Default: `["R.3.5", "R.3.2"]`.
    pub test_name: Vec<FieldPath>,
    /// Endings that are not part of a code, such as the `/` of Roche's `717/`. Default: none.
    pub code_endings: Vec<String>,
    /// Code system under which the mapping tables know the codes. Default: none.
    pub code_system: Option<String>,
    /// Where an instrument that sends a test several times tells the lines apart (Abbott ARCHITECT `R.3.11`: F final, I
    /// interpretation, P raw). Default: none.
    pub line_kind: Option<FieldPath>,
    /// Kinds of lines that are no results of their own and go to the notes of the result before them (Abbott: `["P"]`).
    /// Default: none.
    pub side_kinds: Vec<String>,
    /// Codes whose lines are no results of their own: alarms of a count, names of picture files. They go to the notes of the
    /// report; `*` at the end stands for any rest (Sysmex: `["SCAT_*"]`). Default: none.
    pub side_codes: Vec<String>,
    /// Comments that say nothing, such as the `0` of Roche (C.4). Default: none.
    pub silent_comments: Vec<String>,
    /// Numbers come with a decimal comma. Default: false.
    pub decimal_comma: bool,
    /// What marks a control sample. In mode `au` and `dimension` O.3 is the number on the tube and O.16 its type, and R.n field n of a
    /// Dimension's block; elsewhere marks are in H, P and O. Default: O.12 Q, H.12 Q or QR, P.12 Q, O.4.6 QC, O.16.1 CTRL.
    pub control: Vec<Mark>,
    /// What marks a calibration, in the same places. Default: H.12 CR.
    pub calibration: Vec<Mark>,
    /// Columns of a Beckman AU.
    pub au: AuColumns,
}

impl Default for Dialect {
    fn default() -> Self {
        let c = FieldPath::component;
        Self {
            charset: None,
            default_zone_minutes: 330,
            specimen: vec![c('O', 3, 1), c('O', 4, 1)],
            specimen_type: vec![c('O', 16, 1)],
            specimen_types: BTreeMap::new(),
            specimen_endings: Vec::new(),
            tube: TubeNumbers::default(),
            query_specimen: vec![c('Q', 3, 2), c('Q', 3, 1), c('Q', 3, 3)],
            patient: vec![c('P', 3, 1)],
            test_code: vec![c('R', 3, 4), c('R', 3, 5), c('R', 3, 1), c('R', 3, 2)],
            test_name: vec![c('R', 3, 5), c('R', 3, 2)],
            code_endings: Vec::new(),
            code_system: None,
            line_kind: None,
            side_kinds: Vec::new(),
            side_codes: Vec::new(),
            silent_comments: Vec::new(),
            decimal_comma: false,
            control: vec![
                Mark::is(c('O', 12, 1), &["Q"]),
                Mark::is(c('H', 12, 1), &["Q", "QR"]),
                Mark::is(c('P', 12, 1), &["Q"]),
                Mark::is(c('O', 4, 6), &["QC"]),
                Mark::is(c('O', 16, 1), &["CTRL"]),
            ],
            calibration: vec![Mark::is(c('H', 12, 1), &["CR"])],
            au: AuColumns::default(),
        }
    }
}

impl Dialect {
    /// The channel's character set, when one is set.
    #[must_use]
    pub fn encoding(&self) -> Option<&'static Encoding> {
        let name = self.charset.as_deref()?;
        Encoding::for_label(name.trim().as_bytes())
    }

    /// Whether the lines of a code are no results of their own.
    #[must_use]
    pub(crate) fn is_side_code(&self, code: &str) -> bool {
        self.side_codes
            .iter()
            .any(|side| match side.strip_suffix('*') {
                Some(start) => code.starts_with(start),
                None => code == side,
            })
    }

    /// Everything wrong with these settings. Empty when nothing is.
    #[must_use]
    pub fn validate(&self) -> Vec<Fault> {
        let mut faults = Faults::default();
        if let Some(name) = &self.charset
            && self.encoding().is_none()
        {
            faults.add(
                "charset",
                format!("`{name}` is unknown: use a name such as UTF-8, windows-1252 or GB18030"),
            );
        }
        if !(-840..=840).contains(&self.default_zone_minutes) {
            faults.add("default_zone_minutes", "must be between -840 and 840");
        }
        for (name, paths, letters) in [
            ("specimen", &self.specimen, "OP"),
            ("specimen_type", &self.specimen_type, "OP"),
            ("query_specimen", &self.query_specimen, "Q"),
            ("patient", &self.patient, "PO"),
            ("test_code", &self.test_code, "R"),
            ("test_name", &self.test_name, "R"),
        ] {
            for path in paths.iter().filter(|p| !letters.contains(p.record)) {
                faults.add(
                    name,
                    format!("`{path}` is in a record where this never stands"),
                );
            }
        }
        if self
            .side_codes
            .iter()
            .any(|side| side.trim_end_matches('*').is_empty())
        {
            faults.add("side_codes", "`*` alone would file nothing");
        }
        if self.test_code.is_empty() {
            faults.add("test_code", "name at least one place");
        }
        for (name, marks) in [
            ("control", &self.control),
            ("calibration", &self.calibration),
        ] {
            for mark in marks.iter().filter(|m| !"HPOR".contains(m.path.record)) {
                faults.add(name, format!("`{}` is not in H, P, O or R", mark.path));
            }
        }
        if let Some(path) = self.line_kind
            && path.record != 'R'
        {
            faults.add("line_kind", format!("`{path}` is not in R"));
        }
        if self.tube.check_digits > TubeNumbers::MOST_CHECK_DIGITS {
            faults.add("tube.check_digits", "must be at most 4");
        }
        if self.au.test == 0 || self.au.value == 0 || self.au.id == 0 {
            faults.add("au", "test, value and id have at least one column");
        }
        faults.into_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_written_the_same_way() {
        for text in ["O.3", "R.3.4", "P.12.1"] {
            assert_eq!(
                FieldPath::try_from(text.to_owned()).unwrap().to_string(),
                text
            );
        }
        for text in [
            "", "O", "O.", "O.0", "o.3", "OB.3", "O.3.x", "O.3.1.1", "O.1000",
        ] {
            assert!(FieldPath::try_from(text.to_owned()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_pack_is_a_table_with_the_same_names() {
        let pack: Dialect = toml::from_str(
            "specimen = [\"P.4\"]\npatient = []\ndecimal_comma = true\ncode_endings = [\"/\"]\n\
             control = [{ path = \"O.3.1\", begins = [\"QC-\"] }]\n",
        )
        .unwrap();
        assert_eq!(pack.specimen, [FieldPath::field('P', 4)]);
        assert!(pack.control[0].bears("qc-17") && !pack.control[0].bears("17"));
        assert_eq!(pack.validate(), []);
        let wrong: Dialect =
            toml::from_str("charset = \"klingon\"\nspecimen = [\"R.3\"]\ntest_code = []\n")
                .unwrap();
        let paths: Vec<_> = wrong.validate().into_iter().map(|f| f.path).collect();
        assert_eq!(paths, ["charset", "specimen", "test_code"]);
        assert!(toml::from_str::<Dialect>("specimens = []").is_err());
    }
}
