//! What an answer of the hub's orders, read as the instrument would read it: O records, OML, DSR or ORR, blocks of an AU or a
//! Dimension. Only what is to be measured: cancellations and "nothing known" order nothing.

use adapter_astm::records;
use adapter_astm::settings::{AstmSettings, AuColumns};
use adapter_hl7v2::Message;
use bytes::Bytes;

const FS: char = '\u{1c}';
/// Fields of a Dimension's `D` before its tests.
const DIMENSION_BEFORE_TESTS: usize = 13;
/// Lines of a Mindray's DSR before its tests.
const DSP_BEFORE_TESTS: usize = 28;

/// The tests that were ordered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// A way of counting was named instead of tests: everything that the instrument counts.
    pub(super) all: bool,
    pub(super) tests: Vec<Test>,
}

/// One of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Test {
    /// In the instrument's words.
    pub(super) code: String,
    /// OBR-2 of an OML as it stands, which comes back with the result; else empty.
    pub(super) step: String,
}

impl Wanted {
    pub(super) fn codes(codes: impl IntoIterator<Item = String>) -> Self {
        let test = |code| Test {
            code,
            step: String::new(),
        };
        Self {
            all: false,
            tests: codes.into_iter().map(test).collect(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.all && self.tests.is_empty()
    }

    pub(super) fn has(&self, code: &str) -> bool {
        self.all || self.tests.iter().any(|test| test.code == code)
    }

    pub(super) fn step(&self, code: &str) -> Option<&str> {
        let test = self.tests.iter().find(|test| test.code == code)?;
        Some(test.step.as_str()).filter(|step| !step.is_empty())
    }

    /// Why no results are sent, when none of the sample are wanted.
    pub(super) fn why_none(&self) -> &'static str {
        if self.is_empty() {
            "nothing is ordered: no results are sent"
        } else {
            "nothing that was ordered is in the sample: no results are sent"
        }
    }

    /// The codes in O.5 of an ASTM message.
    pub(super) fn of_records(settings: &AstmSettings, text: &str) -> Self {
        let orders = &settings.orders;
        let found = records::split(text);
        let wanted = found
            .messages
            .iter()
            .flat_map(records::Message::records)
            .filter(|record| record.letter() == 'O')
            .filter(|record| record.peek(12).raw().trim() != orders.action_cancel)
            .flat_map(|record| {
                let tests: Vec<String> = record
                    .peek(5)
                    .repeats()
                    .filter_map(|test| test.component(orders.code_component).string())
                    .collect();
                tests
            })
            .map(|code| plain(settings, &code).to_owned());
        Self::codes(wanted)
    }

    /// Of the messages that answer an HL7 query.
    pub(super) fn of_messages(messages: &[Bytes]) -> Self {
        let mut wanted = Self::default();
        for bytes in messages {
            let Ok(message) = Message::parse(String::from_utf8_lossy(bytes).into_owned()) else {
                continue;
            };
            match code(&message).as_str() {
                "OML" => wanted.add_steps(&message),
                "DSR" => wanted.add_lines(&message),
                // the test mode: CBC, CBC+DIFF
                "ORR" => {
                    wanted.all |= message
                        .segments_of("ORC")
                        .any(|orc| orc.field(1).raw().trim() == "AF");
                }
                _ => {}
            }
        }
        wanted
    }

    /// Each OBR belongs to the ORC before it.
    fn add_steps(&mut self, message: &Message) {
        let mut is_new = false;
        for segment in message.segments() {
            match segment.id() {
                "ORC" => is_new = segment.field(1).raw().trim() == "NW",
                "OBR" if is_new => self.tests.push(Test {
                    code: segment.field(4).component(1).text().trim().to_owned(),
                    step: segment.field(2).raw().trim().to_owned(),
                }),
                _ => {}
            }
        }
    }

    fn add_lines(&mut self, message: &Message) {
        for line in message.segments_of("DSP") {
            let number: usize = line.field(1).raw().trim().parse().unwrap_or_default();
            let code = line.field(3).component(1).text().trim().to_owned();
            if number > DSP_BEFORE_TESTS && !code.is_empty() {
                self.tests.push(Test {
                    code,
                    step: String::new(),
                });
            }
        }
    }

    /// Of an AU's `S` block, without the characters around it; `SE` says that there is nothing.
    pub(super) fn of_au(columns: &AuColumns, text: &str) -> Self {
        if !text.starts_with("S ") || columns.test == 0 {
            return Self::default();
        }
        let letters: Vec<char> = text.chars().skip(before_tests(columns)).collect();
        let codes = letters
            .chunks(columns.test)
            .map(|test| test.iter().collect::<String>().trim().to_owned())
            .filter(|code| !code.is_empty());
        Self::codes(codes)
    }

    /// Of a Dimension's `D` block, its checksum still behind it; `N` says that there is nothing.
    pub(super) fn of_dimension(text: &str) -> Self {
        let fields: Vec<&str> = text.split(FS).collect();
        let field = |n: usize| fields.get(n).copied().unwrap_or_default();
        if field(0) != "D" || field(3) != "A" {
            return Self::default();
        }
        let count = field(DIMENSION_BEFORE_TESTS - 1).parse().unwrap_or(0);
        let tests = fields.iter().skip(DIMENSION_BEFORE_TESTS).take(count);
        Self::codes(tests.map(|code| (*code).to_owned()))
    }
}

/// MSH-9.1.
pub(super) fn code(message: &Message) -> String {
    message
        .segment("MSH")
        .map(|msh| msh.field(9).component(1).raw().trim().to_owned())
        .unwrap_or_default()
}

/// A code without the endings that are no part of it.
pub(super) fn plain<'c>(settings: &AstmSettings, code: &'c str) -> &'c str {
    let endings = &settings.dialect.code_endings;
    endings
        .iter()
        .find_map(|ending| code.strip_suffix(ending.as_str()))
        .unwrap_or(code)
}

/// Characters of an AU's result and order blocks before the first test: letter, blank, sample, blanks, `E`, person.
pub(super) fn before_tests(columns: &AuColumns) -> usize {
    2 + columns.rack
        + columns.cup
        + columns.kind
        + columns.sample
        + columns.id
        + columns.dummy
        + 1
        + columns.person
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(wanted: &Wanted) -> Vec<&str> {
        wanted.tests.iter().map(|t| t.code.as_str()).collect()
    }

    fn messages(texts: &[&str]) -> Vec<Bytes> {
        let bytes = |text: &&str| Bytes::copy_from_slice(text.replace('\n', "\r").as_bytes());
        texts.iter().map(bytes).collect()
    }

    #[test]
    fn records_order_what_they_do_not_cancel() {
        let mut settings = AstmSettings::listening("127.0.0.1:1".parse().unwrap());
        settings.dialect.code_endings = vec!["/".to_owned()];
        let text =
            "H|\\^&\rP|1\rO|1|T1||^^^717/\\^^^CHOL|R||||||N\rO|2|T1||^^^HDL|R||||||C\rL|1|F\r";
        let wanted = Wanted::of_records(&settings, text);
        assert_eq!(codes(&wanted), ["717", "CHOL"]);
        let none = Wanted::of_records(&settings, "H|\\^&\rL|1|I\r");
        assert!(none.is_empty() && none.why_none().starts_with("nothing is ordered"));
    }

    #[test]
    fn hl7_answers_order_by_step_by_line_or_as_a_whole() {
        let oml = "MSH|^~\\&|HUB||A||20260101||OML^O33^OML_O33|1|P|2.5.1\nSPM|1|T1\nORC|NW\nOBR||7/GLU||GLU\n\
                   ORC|CA\nOBR||7/TSH||TSH\nORC|NW\nOBR||8/A&B||A\\T\\B\n";
        let rsp = "MSH|^~\\&|HUB||A||20260101||RSP^K11|1|P|2.5.1\nMSA|AA|1\nQAK||OK\n";
        let wanted = Wanted::of_messages(&messages(&[rsp, oml]));
        assert_eq!(codes(&wanted), ["GLU", "A&B"]);
        assert_eq!(wanted.step("GLU"), Some("7/GLU"));
        assert!(!wanted.has("TSH"), "cancelled");

        let nothing = "MSH|^~\\&|HUB||A||20260101||OML^O33|1|P|2.5.1\nSPM|1\nSAC|||T1\nORC|DC\n";
        assert!(Wanted::of_messages(&messages(&[rsp, nothing])).is_empty());

        let dsr = "MSH|^~\\&|HUB||A||20260101||DSR^Q03|1|P|2.3.1\nMSA|AA|1\nDSP|21||T1|||\nDSP|28|||||\nDSP|29||1^^^|||\nDSP|30||12^^^|||\nDSC||\n";
        let wanted = Wanted::of_messages(&messages(&[dsr]));
        assert_eq!(codes(&wanted), ["1", "12"]);

        let orr = "MSH|^~\\&|HUB||A||20260101||ORR^O02|1|P|2.3.1\nMSA|AA|1\nPV1|1\nORC|AF|T1||\n";
        assert!(Wanted::of_messages(&messages(&[orr])).has("718-7"));
        let none = "MSH|^~\\&|HUB||A||20260101||ORR^O02|1|P|2.3.1\nMSA|AR|1\n";
        assert!(Wanted::of_messages(&messages(&[none])).is_empty());
    }

    #[test]
    fn blocks_order_tests_by_column_or_by_field() {
        let columns = AuColumns::default();
        let block = format!("S 000801 0006{:>26}    E      013097", "T1");
        assert_eq!(codes(&Wanted::of_au(&columns, &block)), ["013", "097"]);
        assert!(Wanted::of_au(&columns, "SE").is_empty());
        let work = |action: &str| {
            format!("D,0,0,{action},,T1,1,,0,1,**,1,2,GLUC,BUN,E2").replace(',', "\u{1c}")
        };
        assert_eq!(codes(&Wanted::of_dimension(&work("A"))), ["GLUC", "BUN"]);
        assert!(Wanted::of_dimension(&work("D")).is_empty(), "taken back");
        assert!(Wanted::of_dimension("N\u{1c}6A").is_empty());
    }
}
