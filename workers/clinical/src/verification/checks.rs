//! The checks that a result passes before the machine may verify it, in their order; the first that fails is named. Pure.
//!
//! A check that could not be made has failed, except where there is nothing to compare with (no result before, no sibling).
//! What the reasons say is shown to people with the right to see the result; they carry no patient.

use std::collections::HashMap;

use time::{Duration, OffsetDateTime};

use super::pack::{Autoverify, Delta, FlagAction, Sibling, Term};
use crate::reports::is_final;

/// A check, by the name that stands on the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    /// The instrument has said its last word.
    Final,
    /// It is on somebody's chart.
    Patient,
    /// Its specimen was not rejected.
    Specimen,
    /// It was ordered.
    Order,
    /// Code and unit are mapped.
    Meaning,
    /// No flag of the instrument.
    Flags,
    /// The pack has limits for it.
    Rules,
    /// A plain number.
    Number,
    /// Inside what the method measures.
    Measurable,
    /// Inside the range for the machine.
    Range,
    /// Not critical.
    Critical,
    /// No version or run of it was released before.
    Correction,
    /// Like the result before.
    Delta,
    /// Controls are in date and good.
    Control,
    /// Agrees with the other results of the sample.
    Siblings,
    /// Not among the first of a new configuration.
    First,
    /// Pack approved, autoverification on.
    On,
    /// Another run of the sample counts (never made by [`first_failure`]; see `runs`).
    Run,
}

impl Check {
    /// As stored and shown.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Final => "final",
            Self::Patient => "patient",
            Self::Specimen => "specimen",
            Self::Order => "order",
            Self::Meaning => "meaning",
            Self::Flags => "flags",
            Self::Rules => "rules",
            Self::Number => "number",
            Self::Measurable => "measurable",
            Self::Range => "range",
            Self::Critical => "critical",
            Self::Correction => "correction",
            Self::Delta => "delta",
            Self::Control => "control",
            Self::Siblings => "siblings",
            Self::First => "first",
            Self::On => "on",
            Self::Run => "run",
        }
    }
}

/// The first check that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) check: Check,
    pub(crate) reason: String,
    /// A flag that blocks: verified by a person only with a reason.
    pub(crate) blocked: bool,
}

impl Failure {
    pub(crate) fn of(check: Check, reason: impl Into<String>) -> Self {
        Self {
            check,
            reason: reason.into(),
            blocked: false,
        }
    }
}

/// What is known of a result by itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts<'f> {
    pub(crate) channel: &'f str,
    pub(crate) status: Option<&'f str>,
    pub(crate) patient: bool,
    pub(crate) ordered: bool,
    /// Why its specimen was rejected: the word, and what was said to it.
    pub(crate) rejected: Option<(&'f str, Option<&'f str>)>,
    pub(crate) held: Option<&'f str>,
    /// `quantity`, `text` …
    pub(crate) kind: &'f str,
    pub(crate) loinc: Option<&'f str>,
    pub(crate) ucum: Option<&'f str>,
    pub(crate) comparator: Option<&'f str>,
    /// In `ucum`.
    pub(crate) number: Option<f64>,
    pub(crate) flags: Vec<&'f str>,
    pub(crate) critical: bool,
    pub(crate) corrects_released: bool,
}

/// What stands around it.
#[derive(Debug, Clone)]
pub(crate) struct Around {
    pub(crate) at: OffsetDateTime,
    /// The newest released result of the same term and unit, of another sample of the patient.
    pub(crate) previous: Option<Previous>,
    /// One entry a level that has a target.
    pub(crate) controls: Vec<Level>,
    /// Numbers of the sample, itself among them.
    pub(crate) siblings: HashMap<Term, f64>,
    /// Results like it that people verified.
    pub(crate) seen: i64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Previous {
    pub(crate) number: f64,
    pub(crate) at: OffsetDateTime,
}

/// The controls of one level next to the result: the last before it and the first after it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Level {
    pub(crate) level: String,
    pub(crate) before: Option<Measured>,
    pub(crate) after: Option<Measured>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Measured {
    pub(crate) at: OffsetDateTime,
    /// In control, or a warning; or accepted by a person. What a person voided is not.
    pub(crate) good: bool,
}

/// The checks that need nothing but the result.
pub(crate) fn by_itself(facts: &Facts<'_>, pack: &Autoverify) -> Result<(), Failure> {
    let fail = |check, reason: String| Err(Failure::of(check, reason));
    // no status counts as final, as it does when it is filed
    if !is_final(facts.status.unwrap_or("F")) {
        return fail(
            Check::Final,
            format!("status {}", facts.status.unwrap_or_default()),
        );
    }
    if !facts.patient {
        return fail(Check::Patient, "nobody knows yet whose it is".to_owned());
    }
    if let Some((reason, text)) = facts.rejected {
        return Err(Failure {
            check: Check::Specimen,
            reason: if facts.critical {
                format!(
                    "{}; at or beyond a critical limit",
                    of_rejected(reason, text)
                )
            } else {
                of_rejected(reason, text)
            },
            blocked: true,
        });
    }
    // pictures and documents go with the numbers that they belong to
    if facts.kind == "attachment" {
        return correction(facts);
    }
    if pack.needs_order && !facts.ordered {
        return fail(Check::Order, "no order for this sample".to_owned());
    }
    if let Some(held) = facts.held {
        return fail(Check::Meaning, held.replace('_', " "));
    }
    let (action, flag) = pack.worst_flag(facts.channel, facts.flags.iter().copied());
    if action != FlagAction::None {
        return Err(Failure {
            check: Check::Flags,
            reason: format!("flag {flag}"),
            blocked: action == FlagAction::Block,
        });
    }
    let Some(loinc) = facts.loinc else {
        return fail(Check::Meaning, "no LOINC code".to_owned());
    };
    let Some(ucum) = facts.ucum else {
        // dashes, dots, nothing at all, or words: what is no number has no unit either
        return match facts.number {
            None => fail(Check::Number, "no number".to_owned()),
            Some(_) => fail(Check::Meaning, "no unit".to_owned()),
        };
    };
    let Some(analyte) = pack.analyte(loinc, ucum) else {
        return fail(
            Check::Rules,
            format!("the pack has no limits for {loinc} in {ucum}"),
        );
    };
    if let Some(comparator) = facts.comparator {
        return fail(Check::Number, format!("comparator {comparator}"));
    }
    let Some(number) = facts.number else {
        return fail(Check::Number, "not a plain number".to_owned());
    };
    if analyte.amr.is_some_and(|amr| !amr.hold(number)) {
        return fail(
            Check::Measurable,
            "outside what the method measures".to_owned(),
        );
    }
    if !analyte.range.hold(number) {
        return fail(
            Check::Range,
            "outside the range of autoverification".to_owned(),
        );
    }
    if facts.critical {
        return fail(Check::Critical, "at or beyond a critical limit".to_owned());
    }
    correction(facts)
}

/// What is said of a result of a rejected specimen.
pub(crate) fn of_rejected(reason: &str, text: Option<&str>) -> String {
    let reason = reason.replace('_', " ");
    match text {
        Some(text) => format!("the specimen was rejected: {reason} ({text})"),
        None => format!("the specimen was rejected: {reason}"),
    }
}

fn correction(facts: &Facts<'_>) -> Result<(), Failure> {
    if facts.corrects_released {
        return Err(Failure::of(
            Check::Correction,
            "another version or run was released before",
        ));
    }
    Ok(())
}

/// The checks that look around it; made only of what passed by itself.
pub(crate) fn around(facts: &Facts<'_>, around: &Around, pack: &Autoverify) -> Result<(), Failure> {
    let analyte = facts
        .loinc
        .zip(facts.ucum)
        .and_then(|(loinc, ucum)| pack.analyte(loinc, ucum));
    if let (Some(analyte), Some(number), Some(loinc)) = (analyte, facts.number, facts.loinc) {
        if let Some(previous) = around.previous {
            for rule in &analyte.delta {
                delta(rule, number, around.at, previous)?;
            }
        }
        if analyte.qc {
            controls(&around.controls, around.at, pack.qc_hours)?;
        }
        for rule in pack.siblings.iter().filter(|rule| rule.of.contains(loinc)) {
            sibling(rule, &around.siblings)?;
        }
        if around.seen < pack.first {
            return Err(Failure::of(
                Check::First,
                format!(
                    "{} of the first {} of this channel, term and unit were verified by people",
                    around.seen, pack.first
                ),
            ));
        }
    }
    match pack.off(facts.channel) {
        Some(why) => Err(Failure::of(Check::On, why)),
        None => Ok(()),
    }
}

/// Binary fractions of decimal limits are off by their last bit: on the limit is within it.
const SLACK: f64 = 1e-9;

fn delta(rule: &Delta, number: f64, at: OffsetDateTime, previous: Previous) -> Result<(), Failure> {
    let passed = at - previous.at;
    if passed > Duration::days(i64::from(rule.days)) || passed <= Duration::ZERO {
        return Ok(());
    }
    let change = (number - previous.number).abs();
    let beyond = |value: f64, limit: f64| value > limit * (1.0 + SLACK);
    // a change from zero is beyond every percentage
    let percent = if previous.number == 0.0 {
        f64::INFINITY
    } else {
        change / previous.number.abs() * 100.0
    };
    // within one day the rate is the change: less time would make any noise a rate
    let days = (passed.as_seconds_f64() / 86_400.0).max(1.0);
    let exceeded = [
        (rule.absolute, change),
        (rule.percent, percent),
        (rule.per_day, change / days),
    ]
    .into_iter()
    .all(|(limit, value)| limit.is_none_or(|limit| beyond(value, limit)));
    if exceeded && change > 0.0 {
        return Err(Failure::of(
            Check::Delta,
            format!("differs from the result of {} too much", day(previous.at)),
        ));
    }
    Ok(())
}

fn controls(levels: &[Level], at: OffsetDateTime, hours: i64) -> Result<(), Failure> {
    if levels.is_empty() {
        return Err(Failure::of(
            Check::Control,
            "no control is defined for it on this channel",
        ));
    }
    for Level {
        level,
        before,
        after,
    } in levels
    {
        let fail = |what: &str| {
            Err(Failure::of(
                Check::Control,
                format!("level {level}: {what}"),
            ))
        };
        match before {
            None => return fail("no control before it"),
            Some(control) if !control.good => return fail("the control before it was not good"),
            Some(control) if at - control.at > Duration::hours(hours) => {
                return fail(&format!("no control within {hours} hours before it"));
            }
            Some(_) => {}
        }
        if after.as_ref().is_some_and(|control| !control.good) {
            return fail("the control after it was not good");
        }
    }
    Ok(())
}

fn sibling(rule: &Sibling, numbers: &HashMap<Term, f64>) -> Result<(), Failure> {
    let sum = |terms: &[Term]| {
        terms
            .iter()
            .map(|term| numbers.get(term).copied())
            .sum::<Option<f64>>()
    };
    let (Some(plus), Some(minus), Some(over), Some(over_minus)) = (
        sum(&rule.plus),
        sum(&rule.minus),
        sum(&rule.over),
        sum(&rule.over_minus),
    ) else {
        return Ok(());
    };
    let divisor = if rule.over.is_empty() {
        1.0
    } else {
        over - over_minus
    };
    let value = (plus - minus) / divisor * rule.factor;
    if value.is_finite() && rule.bounds.hold(value) {
        return Ok(());
    }
    Err(Failure::of(
        Check::Siblings,
        format!("{} does not fit the other results", rule.name),
    ))
}

fn day(at: OffsetDateTime) -> String {
    at.date().to_string()
}

#[cfg(test)]
mod tests;
