//! Maker is not checker: what needs a second person is refused to the first one.
//!
//! Every command names who acts (`actor`; `schemas` tests that), and user names are never changed nor given to another
//! person, so names tell people apart. A worker calls this with the name that the row carries and the one that decides.

use crate::failure::Refusal;

/// Refuses when both are one person.
///
/// # Errors
/// `approval.own_work_forbidden`, which REST answers with 403.
pub fn differs(maker: &str, checker: &str) -> Result<(), Refusal> {
    if maker.trim().eq_ignore_ascii_case(checker.trim()) {
        Err(Refusal::new(
            "approval.own_work_forbidden",
            "this needs another person than the one who began it",
        ))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_maker_is_no_checker_however_he_writes_his_name() {
        for (maker, checker, allowed) in [
            ("asha", "ravi", true),
            ("asha", "asha", false),
            ("asha", "Asha ", false),
            ("client:x", "x", true),
        ] {
            assert_eq!(
                differs(maker, checker).is_ok(),
                allowed,
                "{maker} {checker}"
            );
        }
    }
}
