//! Content that is odd and goes through.

use tests::{adt_named, frame, unique};

use super::super::table::Row;
use super::{accepted, changed, dead, good, with_header};

const CONTENT: &str = "Content";

pub(super) fn rows() -> Vec<Row> {
    let id_of = |text: &str| text.to_owned();
    vec![
        accepted(CONTENT, "a result without PID", changed(|text| lines(text, |line| !line.starts_with("PID"))), "translated").remark("the results are held: no patient"),
        accepted(CONTENT, "OBX before OBR", {
            let (id, text) = with_header("ORU^R01", "OBX|1|NM|GLU^Glucose^L||5|mg/dL|||||F\r");
            (id, format!("{text}PID|1||{}^^^HOSP^MR\rOBR|1|A|{}|P\rOBX|1|NM|GLU^Glucose^L||6|mg/dL|||||F\r", unique("P"), unique("F")))
        }, "translated").remark("the OBX before the OBR are noted, not filed"),
        accepted(CONTENT, "a segment that nobody knows", changed(|text| format!("{text}QQQ|1|x\r")), "translated"),
        accepted(CONTENT, "Z segments", changed(|text| format!("{text}ZDR|1|x^y\rZ99\r")), "translated"),
        accepted(CONTENT, "a segment id in lower case", changed(|text| text.replace("\rOBX|2", "\robx|2")), "translated"),
        accepted(CONTENT, "a line that is no segment", changed(|text| format!("{text}this is no segment\r")), "translated"),
        accepted(CONTENT, "text where a number is declared", changed(|text| format!("{text}OBX|3|NM|GLU^Glucose^L||hemolysed|mg/dL|||||F\r")), "translated").remark("kept as sent"),
        accepted(CONTENT, "an unknown type in OBX-2", changed(|text| format!("{text}OBX|3|QQ|GLU^Glucose^L||a^b|mg/dL|||||F\r")), "translated"),
        accepted(CONTENT, "times that are none", changed(|text| format!("{text}OBX|3|NM|GLU^Glucose^L||5|mg/dL|||||F|||20269999999999\r").replace("19800517", "00000000")), "translated"),
        dead(CONTENT, "an admission without PID", with_header("ADT^A01", "EVN|A01\rPV1|1|I\r"), "hl7.no_patient"),
        dead(CONTENT, "a merge without MRG", with_header("ADT^A40", &format!("EVN|A40\rPID|1||{}^^^HOSP^MR\r", unique("P"))), "hl7.incomplete"),
        {
            let id = unique("BAD");
            let patient = unique("SELF");
            let merge = format!("{}MRG|{patient}^^^HOSP^MR\r", lines(&adt_named("A40", &id, &patient, "Selfmerge"), |line| !line.starts_with("PV1")));
            accepted(CONTENT, "a merge of a record into itself", (id_of(&id), merge), "translated").remark("noted, nothing is merged")
        },
        {
            let (id, message) = good();
            Row::new(CONTENT, "the same bytes three times")
                .write(frame(message.as_bytes()).repeat(3))
                .answer("AA", &id)
                .answer("AA", &id)
                .answer("AA", &id)
                .keeps(message, "duplicate")
                .remark("one effect; each arrival is listed, the later ones as duplicates")
        },
        {
            let (id, first) = good();
            let second = first.replace("|104|", "|105|").replace("BADS", "BADT");
            Row::new(CONTENT, "the same control id with other content")
                .write([frame(first.as_bytes()), frame(second.as_bytes())].concat())
                .answer("AA", &id)
                .answer("AA", &id)
                .keeps(first, "translated")
                .keeps(second, "translated")
                .remark("two messages: analyzers count from 1 after a restart")
        },
    ]
}

fn lines(text: &str, keep: impl Fn(&str) -> bool) -> String {
    text.split_inclusive('\r')
        .filter(|line| keep(line))
        .collect()
}
