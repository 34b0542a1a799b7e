//! The messages: about patients whose every change can be counted, and put in order, afterwards.
//!
//! All messages of one patient carry the same clinical time. The hub then has only the order of arrival to go by,
//! as with senders that know no seconds; were the order lost anywhere on the way, a later step would be overruled.

use std::fmt::Write as _;

/// Time of every fact.
const AT: &str = "20261121100000+0530";
/// Code of the one result that corrections change; its value is the number of the step that brought it.
pub(crate) const TRACKED: &str = "PLT";
/// Results of one report.
pub(crate) const RESULTS: usize = 12;
/// Code, text, unit and range, as an analyzer sends them; mappings/ knows all.
const BLOOD_COUNT: [(&str, &str, &str, &str); RESULTS] = [
    ("WBC", "Leukocytes", "10*3/uL", "4.0-11.0"),
    ("RBC", "Erythrocytes", "10*6/uL", "4.0-5.5"),
    ("HGB", "Haemoglobin", "g/dL", "12.0-16.0"),
    ("HCT", "Haematocrit", "%", "36-46"),
    ("MCV", "Mean cell volume", "fL", "80-100"),
    ("MCH", "Mean cell haemoglobin", "pg", "27-33"),
    ("MCHC", "Mean cell Hb concentration", "g/dL", "32-36"),
    (TRACKED, "Platelets", "10*3/uL", "150-400"),
    ("NEU%", "Neutrophils", "%", "40-75"),
    ("LYM%", "Lymphocytes", "%", "20-45"),
    ("MON%", "Monocytes", "%", "2-10"),
    ("EOS%", "Eosinophils", "%", "1-6"),
];

/// What a step says about its patient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A01: the first of each patient.
    Admit,
    /// A08: another address, another bed.
    Update,
    /// ORU with twelve results; `large`: with notes that make it too large for a record of several.
    Result { filler: String, large: bool },
    /// ORU that corrects one result of an earlier report.
    Correction { filler: String },
}

impl Kind {
    /// ADT: changes the patient's address and bed.
    pub(crate) fn is_adt(&self) -> bool {
        matches!(self, Self::Admit | Self::Update)
    }
}

/// Who the messages are about.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) mrn: String,
    pub(crate) visit: String,
}

/// Address line of a step, as it stands in the patient's record.
pub(crate) fn address_line(step: u32) -> String {
    format!("House {step}")
}

/// The message of step `step`, without frame.
pub(crate) fn write(person: &Person, control_id: &str, step: u32, kind: &Kind) -> String {
    let Person { mrn, visit } = person;
    let (sender, structure) = match kind {
        Kind::Admit => ("HIS", "ADT^A01^ADT_A01"),
        Kind::Update => ("HIS", "ADT^A08^ADT_A01"),
        Kind::Result { .. } | Kind::Correction { .. } => ("XN-1000", "ORU^R01^ORU_R01"),
    };
    let mut text = format!(
        "MSH|^~\\&|{sender}|FAULTS|HUB|HOSPITAL|{AT}||{structure}|{control_id}|P|2.5.1||||||UNICODE UTF-8\r"
    );
    let name = format!("Of{mrn}^Patient");
    match kind {
        Kind::Admit | Kind::Update => {
            let trigger = if *kind == Kind::Admit { "A01" } else { "A08" };
            let address = address_line(step);
            let _ = write!(
                text,
                "EVN|{trigger}|{AT}\r\
                 PID|1||{mrn}^^^HOSP^MR||{name}||19800517|F|||{address}^^Pune^MH^411001^IN\r\
                 PV1|1|I|WARD^1^{step}^HOSP||||||||||||||||{visit}^^^HOSP^VN\r"
            );
        }
        Kind::Result { filler, large } => {
            result_head(&mut text, person, filler, "F");
            if *large {
                for line in 0..300 {
                    let _ = write!(text, "NTE|{}|L|{}\r", line + 1, "remark ".repeat(150));
                }
            }
            for (index, result) in BLOOD_COUNT.iter().enumerate() {
                line(&mut text, index + 1, result, step, "F");
            }
        }
        Kind::Correction { filler } => {
            result_head(&mut text, person, filler, "C");
            let tracked = BLOOD_COUNT.iter().find(|(code, ..)| *code == TRACKED);
            line(
                &mut text,
                1,
                tracked.expect("stands in the table"),
                step,
                "C",
            );
        }
    }
    text
}

fn result_head(text: &mut String, person: &Person, filler: &str, status: &str) {
    let Person { mrn, visit } = person;
    let _ = write!(
        text,
        "PID|1||{mrn}^^^HOSP^MR||Of{mrn}^Patient||19800517|F\r\
         PV1|1|I|||||||||||||||||{visit}^^^HOSP^VN\r\
         ORC|RE||{filler}\r\
         OBR|1||{filler}|CBC^Complete blood count^L|||{AT}|||||||||||||||{AT}||HM|{status}\r"
    );
}

fn line(
    text: &mut String,
    set: usize,
    (code, name, unit, range): &(&str, &str, &str, &str),
    step: u32,
    status: &str,
) {
    let value = if *code == TRACKED {
        step.to_string()
    } else {
        format!("{}.{}", 10 + set, step % 10)
    };
    let _ = write!(
        text,
        "OBX|{set}|NM|{code}^{name}^L||{value}|{unit}|{range}|N|||{status}|||{AT}\r"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stand_where_the_standard_has_them() {
        let person = Person {
            mrn: "M1".into(),
            visit: "V1".into(),
        };
        let kind = Kind::Result {
            filler: "F1".into(),
            large: false,
        };
        let text = write(&person, "C1", 7, &kind);
        let field = |segment: &str, n: usize| {
            let line = text.split('\r').find(|line| line.starts_with(segment));
            line.and_then(|line| line.split('|').nth(n))
                .unwrap_or_default()
                .to_owned()
        };
        assert_eq!(field("MSH", 9), "C1");
        assert_eq!(field("OBR", 3), "F1");
        assert_eq!(field("OBR", 7), AT);
        assert_eq!(field("OBR", 22), AT);
        assert_eq!(field("OBR", 25), "F");
        assert_eq!(field("PV1", 19), "V1^^^HOSP^VN");
        assert_eq!(field("OBX", 14), AT);
        assert_eq!(text.matches("\rOBX|").count(), RESULTS);
        assert!(text.contains("|NM|PLT^Platelets^L||7|"));
    }
}
