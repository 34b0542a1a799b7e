//! Result statuses (HL7 tables 0085 and 0123) as far as filing depends on them. The letter is stored as sent.

/// Rank of a status that is not yet final.
pub(crate) const PRELIMINARY: u8 = 0;
/// Rank of a final one.
pub(crate) const FINAL: u8 = 1;
/// Rank of one that replaces or withdraws a final one.
pub(crate) const CORRECTED: u8 = 2;

/// How far a result has come. An unknown letter or none counts as final: it must not be overruled by a preliminary
/// one and must not overrule a correction of the same moment.
pub(crate) fn rank(status: &str) -> u8 {
    match status {
        // P preliminary, R not verified, S partial, I in process, O order detail, N not asked, M preliminary (0123)
        "P" | "R" | "S" | "I" | "O" | "N" | "M" => PRELIMINARY,
        "C" | "X" | "D" | "W" => CORRECTED,
        _ => FINAL,
    }
}

/// The last word for now: an order may be closed by it.
pub(crate) fn is_final(status: &str) -> bool {
    rank(status) > PRELIMINARY
}

/// C corrected, X cannot be obtained, W wrong patient or wrong entry, D deleted.
pub(crate) fn corrects(status: &str) -> bool {
    rank(status) == CORRECTED
}

/// X: no value, whatever the message still carries; what it carries is kept as sent.
pub(crate) fn has_no_value(status: &str) -> bool {
    status == "X"
}
