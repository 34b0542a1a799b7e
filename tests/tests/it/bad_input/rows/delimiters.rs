//! Delimiters of the sender's own, and escapes.

use super::super::table::Row;
use super::{accepted, changed, refused};

const DELIMITERS: &str = "Delimiters and escapes";

pub(super) fn rows() -> Vec<Row> {
    let translate = |from: &str, to: &str| {
        let pairs: Vec<(char, char)> = from.chars().zip(to.chars()).collect();
        changed(|text| {
            text.chars()
                .map(|c| {
                    pairs
                        .iter()
                        .find(|(old, _)| *old == c)
                        .map_or(c, |(_, new)| *new)
                })
                .collect()
        })
    };
    let value =
        |text: &str| changed(|message| format!("{message}OBX|3|ST|NOTE^Note^L||{text}||||||F\r"));
    vec![
        accepted(
            DELIMITERS,
            "MSH-1 `$` and MSH-2 `*~\\!`",
            translate("|^&", "$*!"),
            "translated",
        )
        .remark("the answer uses the sender's delimiters"),
        accepted(
            DELIMITERS,
            "MSH-2 of two characters",
            changed(|text| text.replacen("|^~\\&|", "|^~|", 1)),
            "translated",
        ),
        accepted(
            DELIMITERS,
            "MSH-2 empty",
            changed(|text| text.replacen("|^~\\&|", "||", 1)),
            "translated",
        )
        .remark("the standard's delimiters"),
        accepted(
            DELIMITERS,
            "MSH-2 with the truncation character `#`",
            changed(|text| text.replacen("|^~\\&|", "|^~\\&#|", 1)),
            "translated",
        ),
        accepted(
            DELIMITERS,
            "MSH-2 with the escape character twice",
            changed(|text| text.replacen("|^~\\&|", "|^~\\\\&|", 1)),
            "translated",
        ),
        refused(
            DELIMITERS,
            "a delimiter declared twice",
            changed(|text| text.replacen("|^~\\&|", "|^^\\&|", 1)).1,
        ),
        refused(
            DELIMITERS,
            "a letter as field separator",
            changed(|text| text.replacen("MSH|", "MSHA", 1)).1,
        ),
        refused(
            DELIMITERS,
            "MSH-2 escaped for XML (`^~\\&amp;`)",
            changed(|text| text.replacen("|^~\\&|", "|^~\\&amp;|", 1)).1,
        ),
        accepted(
            DELIMITERS,
            "a lone backslash",
            value("C:\\temp\\x and ^^^\\^^^"),
            "translated",
        )
        .remark("kept literally"),
        accepted(
            DELIMITERS,
            "an escape without its end",
            value("a \\X4 b \\"),
            "translated",
        ),
        accepted(
            DELIMITERS,
            "an unknown escape",
            value("a \\Q\\ b \\XZZ\\ c \\X4\\ d"),
            "translated",
        ),
        accepted(
            DELIMITERS,
            "Devanagari before an escape",
            value("ग्लूकोज \\T\\ शर्करा \\.br\\ \\H\\x\\N\\"),
            "translated",
        ),
        accepted(
            DELIMITERS,
            "an escape that makes a NUL or a line end",
            value("a\\X00\\b\\X0D0A\\c"),
            "translated",
        ),
    ]
}
