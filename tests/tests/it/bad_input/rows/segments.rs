//! The header, the segments and what parts them.

use tests::{frame, oru, unique};

use super::super::table::Row;
use super::{accepted, changed, dead, good, refused, with_header};

const SEGMENTS: &str = "Segments and header";

pub(super) fn rows() -> Vec<Row> {
    let without_header = format!(
        "PID|1||{}^^^HOSP^MR||Test^Person\rOBR|1||X|GLU\r",
        unique("NOMSH")
    );
    vec![
        accepted(
            SEGMENTS,
            "segments end in LF",
            changed(|text| text.replace('\r', "\n")),
            "translated",
        ),
        accepted(
            SEGMENTS,
            "segments end in CR LF",
            changed(|text| text.replace('\r', "\r\n")),
            "translated",
        ),
        accepted(
            SEGMENTS,
            "blank segments",
            changed(|text| text.replace('\r', "\r\r\r")),
            "translated",
        ),
        accepted(
            SEGMENTS,
            "empty lines before MSH",
            changed(|text| format!("\r\n\r\n{text}")),
            "translated",
        ),
        accepted(
            SEGMENTS,
            "byte order mark before MSH",
            changed(|text| format!("\u{feff}{text}")),
            "translated",
        ),
        accepted(
            SEGMENTS,
            "line feed inside a text value",
            changed(|text| format!("{text}OBX|3|TX|NOTE^Note^L||first line\nsecond line||||||F\r")),
            "translated",
        ),
        refused(SEGMENTS, "no MSH", without_header),
        refused(
            SEGMENTS,
            "plain text in a frame",
            format!("hello {}", unique("TXT")),
        ),
        refused(
            SEGMENTS,
            "blanks in a frame",
            format!("{:width$}", "", width = 4000 + unique("").len()),
        ),
        refused(
            SEGMENTS,
            "MSH ends after its name",
            format!("\r\rMSH{}", "\r".repeat(unique("").len())),
        )
        .remark("MSH-1 and MSH-2 are needed to read anything"),
        refused(
            SEGMENTS,
            "MSH ends inside MSH-2",
            format!("MSH|^~\rPID|1||{}\r", unique("SH")),
        ),
        dead(
            SEGMENTS,
            "MSH alone, of a result message",
            with_header("ORU^R01", ""),
            "hl7.incomplete",
        ),
        {
            let bytes = format!("MSH|^~\\&|{}\r", unique("CUT"));
            accepted(
                SEGMENTS,
                "MSH ends after MSH-3",
                (String::new(), bytes),
                "not_translated",
            )
        },
        accepted(
            SEGMENTS,
            "MSH-10 (control id) missing",
            (String::new(), good_without_id()),
            "translated",
        )
        .remark("MSA-2 is empty"),
        {
            let id = format!("{}{}", unique("LONGID"), "x".repeat(300));
            accepted(
                SEGMENTS,
                "MSH-10 of more than 300 characters",
                (
                    id.clone(),
                    oru(&id, &unique("BADP"), &unique("S"), &[("GLU", "1", "mg/dL")]),
                ),
                "translated",
            )
            .remark("MSA-2 as sent; numbers above 250 bytes are no search keys")
        },
        accepted(
            SEGMENTS,
            "MSH-9 of an unknown type",
            with_header("ZZZ^Z99", "PID|1||7\r"),
            "not_translated",
        ),
        accepted(
            SEGMENTS,
            "MSH-9 empty",
            with_header("", "PID|1||7\r"),
            "not_translated",
        ),
        accepted(
            SEGMENTS,
            "MSH-9 without an event",
            changed(|text| text.replace("ORU^R01", "ORU")),
            "translated",
        ),
        accepted(
            SEGMENTS,
            "MSH-11 (processing id) of training",
            changed(|text| text.replace("|P|2.5.1", "|T|2.5.1")),
            "translated",
        )
        .remark("every processing id is taken, as sent"),
        accepted(
            SEGMENTS,
            "MSH-11 (processing id) unknown",
            changed(|text| text.replace("|P|2.5.1", "|?|2.5.1")),
            "translated",
        ),
        accepted(
            SEGMENTS,
            "MSH-12 (version) unknown",
            changed(|text| text.replace("|P|2.5.1", "|P|9.9")),
            "translated",
        )
        .remark("`translate.accept_any_version` is true by default"),
        {
            let (id, message) = changed(|text| text.replace("|P|2.5.1", "|P|2.5.1|||AL|NE"));
            Row::new(
                SEGMENTS,
                "enhanced mode, commit only (MSH-15 AL, MSH-16 NE)",
            )
            .write(frame(message.as_bytes()))
            .answer("CA", id)
            .keeps(message, "translated")
        },
        {
            let (id, message) = changed(|text| text.replace("|P|2.5.1", "|P|2.5.1|||AL|AL"));
            Row::new(SEGMENTS, "enhanced mode, both (MSH-15 AL, MSH-16 AL)")
                .write(frame(message.as_bytes()))
                .answer("CA", &id)
                .answer("AA", &id)
                .keeps(message, "translated")
        },
        {
            let (_, message) = changed(|text| text.replace("|P|2.5.1", "|P|2.5.1|||NE|NE"));
            Row::new(
                SEGMENTS,
                "enhanced mode, no answer wanted (MSH-15 NE, MSH-16 NE)",
            )
            .write(frame(message.as_bytes()))
            .keeps(message, "translated")
        },
        {
            let (_, message) = with_header("ACK^R01^ACK", &format!("MSA|AA|{}\r", unique("MSA")));
            Row::new(SEGMENTS, "an acknowledgement sent to us")
                .write(frame(message.as_bytes()))
                .keeps(message, "answer")
                .remark("an acknowledgement is never acknowledged (HL7 v2.5.1 §2.9)")
        },
        {
            let (id, message) = good();
            let text = message.replace("|LAB|HUB", "||");
            accepted(SEGMENTS, "MSH-4 to MSH-6 empty", (id, text), "translated")
        },
    ]
}

fn good_without_id() -> String {
    let (id, message) = good();
    message.replace(&format!("|{id}|"), "||")
}
