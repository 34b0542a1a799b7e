//! Up to the limit and beyond it.

use std::fmt::Write as _;

use tests::{frame, unique};

use super::super::table::Row;
use super::{accepted, changed, dead, good};

const SIZES: &str = "Sizes";

/// A good message made `size` bytes long by a text value.
fn of_size(size: usize) -> (String, String) {
    let (id, message) = good();
    let (before, after) = ("OBX|3|TX|NOTE^Note^L||", "||||||F\r");
    let fill = size - message.len() - before.len() - after.len();
    (id, format!("{message}{before}{}{after}", "x".repeat(fill)))
}

pub(super) fn rows() -> Vec<Row> {
    let limit = 65536;
    let above = |name, channel, size: usize, kept: usize| {
        let (id, message) = of_size(size);
        Row::new(SIZES, name)
            .on(channel)
            .write(frame(message.as_bytes()))
            .answer("AR", id)
            .closes()
            .keeps_dead(&message.as_bytes()[..kept], "edge.quarantined")
    };
    let many = |count: usize, line: &dyn Fn(usize) -> String| {
        changed(|message| {
            (0..count).fold(message.to_owned(), |mut text, n| {
                let _ = write!(text, "{}", line(n));
                text
            })
        })
    };
    vec![
        accepted(
            SIZES,
            "one byte below the channel's limit",
            of_size(limit - 1),
            "translated",
        )
        .on("small"),
        accepted(
            SIZES,
            "exactly the channel's limit",
            of_size(limit),
            "translated",
        )
        .on("small"),
        above(
            "one byte above the channel's limit",
            "small",
            limit + 1,
            limit,
        )
        .remark("as many bytes as the limit allows are kept"),
        above(
            "20 MB where 4 MiB are allowed",
            "lab",
            20_000_000,
            4 * 1024 * 1024,
        )
        .remark("read to its end, so that the sender gets the refusal"),
        {
            // nothing but start and filling: MSH-10 can't be known
            let content = format!("{}{}", unique("JUNK"), "y".repeat(limit));
            Row::new(SIZES, "above the limit, without MSH")
                .on("small")
                .write(frame(content.as_bytes()))
                .answer("AR", "")
                .closes()
                .keeps_dead(&content.as_bytes()[..limit], "edge.quarantined")
        },
        accepted(SIZES, "a field of 1 MB", of_size(1_000_000), "translated"),
        accepted(
            SIZES,
            "2000 OBX",
            many(2000, &|n| {
                format!("OBX|{}|NM|GLU^Glucose^L|{n}|{n}|mg/dL|||||F\r", n + 3)
            }),
            "translated",
        ),
        accepted(
            SIZES,
            "3000 repetitions of PID-3",
            changed(|text| {
                text.replace(
                    "^^^HOSP^MR",
                    &format!("^^^HOSP^MR{}", "~A^^^B^C".repeat(3000)),
                )
            }),
            "translated",
        ),
        accepted(
            SIZES,
            "500 segments that nobody knows",
            many(500, &|n| format!("XXX|{n}|a^b~c&d\r")),
            "translated",
        ),
        dead(
            SIZES,
            "more than 100,000 delimiters",
            changed(|text| format!("{text}NTE|1||{}\r", "^".repeat(100_001))),
            "hl7.too_big",
        ),
    ]
}
