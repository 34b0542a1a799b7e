//! Batches, whole and not.

use tests::unique;

use super::super::table::Row;
use super::{accepted, dead, good, with_header};

const BATCHES: &str = "Batches";

pub(super) fn rows() -> Vec<Row> {
    let batch = |messages: &[String], count: usize| {
        format!(
            "FHS|^~\\&|LAB\rBHS|^~\\&|LAB\r{}BTS|{count}\rFTS|1\r",
            messages.concat()
        )
    };
    let two = || (good(), good());
    vec![
        {
            let ((id, first), (_, second)) = two();
            accepted(
                BATCHES,
                "a batch of two",
                (id, batch(&[first, second], 2)),
                "translated",
            )
            .remark("one answer, under the first message; one row in the ledger")
        },
        {
            let ((id, first), (_, second)) = two();
            accepted(
                BATCHES,
                "a batch without BTS and FTS",
                (id, format!("FHS|^~\\&|LAB\rBHS|^~\\&|LAB\r{first}{second}")),
                "translated",
            )
        },
        {
            let ((id, first), (_, second)) = two();
            accepted(
                BATCHES,
                "a batch that ends inside its last message",
                (
                    id,
                    format!("BHS|^~\\&|LAB\r{first}{}", &second[..second.len() / 2]),
                ),
                "translated",
            )
        },
        {
            let ((id, first), (_, second)) = two();
            accepted(
                BATCHES,
                "a batch with a wrong count",
                (id, batch(&[first, second], 7)),
                "translated",
            )
            .remark("noted on the message")
        },
        {
            let (id, first) = good();
            let (_, bad) = with_header("ORU^R01", "PID|1||7\r");
            accepted(
                BATCHES,
                "a batch with one bad message",
                (id, batch(&[first, bad], 2)),
                "translated",
            )
            .remark("the good one takes effect; the bad one is noted")
        },
        dead(
            BATCHES,
            "a batch without a message",
            (
                String::new(),
                format!("BHS|^~\\&|{}\rBTS|0\r", unique("EMPTY")),
            ),
            "hl7.empty_batch",
        ),
        {
            let ((id, first), (_, second)) = two();
            accepted(
                BATCHES,
                "two messages in one frame without an envelope",
                (id, format!("{first}{second}")),
                "translated",
            )
        },
    ]
}
