//! Which states an entry has, and what leads from one to another: one table, which tests read. Pure.

use hub_core::Refusal;
use schemas::chart::EntryAction;

use super::entry::Entry;

/// Kinds of entries, as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Allergy,
    Condition,
    Note,
    Prescription,
    Document,
}

impl Kind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Allergy => "allergy",
            Self::Condition => "condition",
            Self::Note => "note",
            Self::Prescription => "prescription",
            Self::Document => "document",
        }
    }
}

/// What is done to an entry: what a command names, and what has a command of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    Edit,
    Confirm,
    Refute,
    Resolve,
    Reactivate,
    Sign,
    Addend,
    Cancel,
    Dispense,
    Stop,
    Retract,
}

impl Act {
    pub(crate) fn of(action: EntryAction) -> Self {
        match action {
            EntryAction::Edit => Self::Edit,
            EntryAction::Confirm => Self::Confirm,
            EntryAction::Refute => Self::Refute,
            EntryAction::Resolve => Self::Resolve,
            EntryAction::Reactivate => Self::Reactivate,
            EntryAction::Sign => Self::Sign,
            EntryAction::Cancel => Self::Cancel,
            EntryAction::Dispense => Self::Dispense,
            EntryAction::Stop => Self::Stop,
            EntryAction::Retract => Self::Retract,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Edit => "edit",
            Self::Confirm => "confirm",
            Self::Refute => "refute",
            Self::Resolve => "resolve",
            Self::Reactivate => "reactivate",
            Self::Sign => "sign",
            Self::Addend => "addend",
            Self::Cancel => "cancel",
            Self::Dispense => "dispense",
            Self::Stop => "stop",
            Self::Retract => "retract",
        }
    }
}

/// What else must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    Nothing,
    /// Somebody must say why.
    Reason,
    /// Only who wrote it: a draft is its author's, and a signature one's own.
    Author,
}

/// One row: in this state this may be done and leads there.
#[derive(Debug)]
pub(crate) struct Transition {
    pub(crate) kind: Kind,
    pub(crate) from: &'static str,
    pub(crate) act: Act,
    pub(crate) to: &'static str,
    pub(crate) needs: Needs,
}

const fn row(
    kind: Kind,
    from: &'static str,
    act: Act,
    to: &'static str,
    needs: Needs,
) -> Transition {
    Transition {
        kind,
        from,
        act,
        to,
        needs,
    }
}

use Kind::{Allergy, Condition, Document, Note, Prescription};
use Needs::{Author, Nothing, Reason};

/// All there is. What stands in no row is refused.
pub(crate) const TRANSITIONS: &[Transition] = &[
    row(Allergy, "active", Act::Edit, "active", Nothing),
    row(Allergy, "active", Act::Resolve, "resolved", Reason),
    row(Allergy, "active", Act::Refute, "refuted", Reason),
    row(Allergy, "resolved", Act::Reactivate, "active", Nothing),
    row(Allergy, "refuted", Act::Reactivate, "active", Nothing),
    row(Allergy, "active", Act::Retract, "entered_in_error", Reason),
    row(
        Allergy,
        "resolved",
        Act::Retract,
        "entered_in_error",
        Reason,
    ),
    row(Allergy, "refuted", Act::Retract, "entered_in_error", Reason),
    row(Condition, "provisional", Act::Edit, "provisional", Nothing),
    row(Condition, "confirmed", Act::Edit, "confirmed", Nothing),
    row(Condition, "provisional", Act::Confirm, "confirmed", Nothing),
    row(Condition, "provisional", Act::Refute, "refuted", Reason),
    row(Condition, "confirmed", Act::Refute, "refuted", Reason),
    row(Condition, "provisional", Act::Resolve, "resolved", Nothing),
    row(Condition, "confirmed", Act::Resolve, "resolved", Nothing),
    row(Condition, "resolved", Act::Reactivate, "confirmed", Nothing),
    row(
        Condition,
        "refuted",
        Act::Reactivate,
        "provisional",
        Nothing,
    ),
    row(
        Condition,
        "provisional",
        Act::Retract,
        "entered_in_error",
        Reason,
    ),
    row(
        Condition,
        "confirmed",
        Act::Retract,
        "entered_in_error",
        Reason,
    ),
    row(
        Condition,
        "resolved",
        Act::Retract,
        "entered_in_error",
        Reason,
    ),
    row(
        Condition,
        "refuted",
        Act::Retract,
        "entered_in_error",
        Reason,
    ),
    row(Note, "draft", Act::Edit, "draft", Author),
    row(Note, "draft", Act::Sign, "signed", Author),
    row(Note, "signed", Act::Addend, "addended", Nothing),
    row(Note, "addended", Act::Addend, "addended", Nothing),
    row(Note, "draft", Act::Retract, "entered_in_error", Reason),
    row(Note, "signed", Act::Retract, "entered_in_error", Reason),
    row(Note, "addended", Act::Retract, "entered_in_error", Reason),
    row(Prescription, "draft", Act::Edit, "draft", Author),
    row(Prescription, "draft", Act::Sign, "signed", Author),
    row(Prescription, "draft", Act::Cancel, "cancelled", Reason),
    row(Prescription, "signed", Act::Cancel, "cancelled", Reason),
    row(Prescription, "signed", Act::Dispense, "dispensed", Nothing),
    row(Prescription, "dispensed", Act::Stop, "stopped", Reason),
    row(
        Prescription,
        "draft",
        Act::Retract,
        "entered_in_error",
        Reason,
    ),
    row(
        Prescription,
        "signed",
        Act::Retract,
        "entered_in_error",
        Reason,
    ),
    row(
        Prescription,
        "dispensed",
        Act::Retract,
        "entered_in_error",
        Reason,
    ),
    row(Document, "filed", Act::Retract, "entered_in_error", Reason),
];

/// Where `act` leads from the state of the entry.
///
/// # Errors
/// 409 with from, to and what is allowed; 403 for another's draft; 422 without the reason that is needed.
pub(crate) fn next(
    entry: &Entry,
    act: Act,
    actor: &str,
    reason: Option<&str>,
) -> Result<&'static str, Refusal> {
    let here = || {
        TRANSITIONS
            .iter()
            .filter(|row| row.kind == entry.kind && row.from == entry.state)
    };
    let Some(row) = here().find(|row| row.act == act) else {
        let allowed: Vec<&str> = here().map(|row| row.act.as_str()).collect();
        let to = TRANSITIONS
            .iter()
            .find(|row| row.kind == entry.kind && row.act == act)
            .map_or("nothing", |row| row.to);
        return Err(Refusal::new(
            "clinical.state_conflict",
            format!(
                "a {} that is {} can't be brought to {to} by `{}`; allowed: {}",
                entry.kind.as_str(),
                entry.state,
                act.as_str(),
                if allowed.is_empty() {
                    "nothing".to_owned()
                } else {
                    allowed.join(", ")
                }
            ),
        ));
    };
    match row.needs {
        Reason if reason.is_none_or(|words| words.trim().is_empty()) => Err(Refusal::new(
            "clinical.reason_needed",
            format!("`{}` needs a reason", act.as_str()),
        )),
        Author if !entry.recorded_by.eq_ignore_ascii_case(actor) => Err(Refusal::new(
            "clinical.author_not_allowed",
            "a draft is edited and signed by who wrote it",
        )),
        Nothing | Reason | Author => Ok(row.to),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_row_stands_twice_and_what_was_entered_in_error_stays_so() {
        for (at, row) in TRANSITIONS.iter().enumerate() {
            assert!(
                !TRANSITIONS[at + 1..]
                    .iter()
                    .any(|other| other.kind == row.kind
                        && other.from == row.from
                        && other.act == row.act),
                "{row:?}"
            );
            assert_ne!(row.from, "entered_in_error", "{row:?}");
            assert_eq!(
                row.act == Act::Retract,
                row.to == "entered_in_error",
                "{row:?}"
            );
        }
    }

    /// What was signed is never edited again.
    #[test]
    fn nothing_edits_what_was_signed_dispensed_or_filed() {
        for row in TRANSITIONS.iter().filter(|row| row.act == Act::Edit) {
            assert!(
                ["draft", "active", "provisional", "confirmed"].contains(&row.from),
                "{row:?}"
            );
        }
    }
}
