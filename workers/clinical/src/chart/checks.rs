//! What is looked at when a prescription is signed. Today there are no tables of ingredients, interactions and doses, so most
//! checks say that they did not run; a check never says that it passed when it only found nothing.

use hub_core::{Refusal, Tx};
use schemas::care::Code;
use schemas::chart::{Allergy, DrugCheck, Prescription};
use sqlx::types::Json;
use uuid::Uuid;

use super::content::name_of;

/// Checks for which the hub has no tables.
const WITHOUT_TABLES: [&str; 5] = ["interaction", "duplicate", "dose", "pregnancy", "renal"];

/// Runs what can be run, and says of the rest that it was not.
pub(super) async fn run(
    tx: &mut Tx<'_>,
    keys: &[Uuid],
    prescription: &Prescription,
) -> Result<Vec<DrugCheck>, sqlx::Error> {
    let allergies: Vec<Json<Allergy>> = sqlx::query_scalar(
        "select body from clinical.chart_entries where kind = 'allergy' and state = 'active' and subject_key = any($1)",
    )
    .bind(keys)
    .fetch_all(tx.conn())
    .await?;
    let none_known: bool = sqlx::query_scalar(
        "select exists (select from clinical.no_known_allergies where subject_key = any($1) and ended_at is null)",
    )
    .bind(keys)
    .fetch_one(tx.conn())
    .await?;
    let allergies: Vec<Allergy> = allergies.into_iter().map(|Json(one)| one).collect();
    let mut checks = vec![allergy(&allergies, none_known, prescription)];
    checks.extend(WITHOUT_TABLES.map(|check| DrugCheck {
        check: check.to_owned(),
        outcome: "not_checked".to_owned(),
        reason: "the hub has no table for it".to_owned(),
        overridden: None,
    }));
    Ok(checks)
}

fn allergy(allergies: &[Allergy], none_known: bool, prescription: &Prescription) -> DrugCheck {
    let hits: Vec<String> = prescription
        .lines
        .iter()
        .flat_map(|line| {
            allergies
                .iter()
                .filter(|allergy| names_the_same(&allergy.substance, &line.drug))
                .map(|allergy| {
                    format!(
                        "{} and the allergy to {}",
                        name_of(&line.drug),
                        name_of(&allergy.substance)
                    )
                })
        })
        .collect();
    let (outcome, reason) = if !hits.is_empty() {
        ("alert", hits.join("; "))
    } else if !allergies.is_empty() {
        (
            "not_checked",
            "allergies are on file, and only names and codes could be compared: ingredients and classes were not".to_owned(),
        )
    } else if none_known {
        (
            "passed",
            "somebody asked, and no allergies are known".to_owned(),
        )
    } else {
        (
            "not_checked",
            "nobody has asked the patient about allergies".to_owned(),
        )
    };
    DrugCheck {
        check: "allergy".to_owned(),
        outcome: outcome.to_owned(),
        reason,
        overridden: None,
    }
}

/// Same code of the same system, or a word of the one name in the other.
fn names_the_same(substance: &Code, drug: &Code) -> bool {
    let coded = !substance.code.is_empty()
        && substance.code == drug.code
        && substance.system == drug.system;
    coded || {
        let drug_words = words(drug);
        words(substance)
            .iter()
            .any(|word| drug_words.contains(word))
    }
}

/// Words of a name that may be a substance: shorter ones are units and prepositions.
fn words(code: &Code) -> Vec<String> {
    let text = code.text.as_deref().unwrap_or(&code.code);
    text.split(|c: char| !c.is_alphabetic())
        .filter(|word| word.chars().count() >= 4)
        .map(str::to_lowercase)
        .collect()
}

/// The checks as they are signed, or why they can't be.
pub(super) fn decide(
    mut checks: Vec<DrugCheck>,
    accept_unchecked: bool,
    override_reason: Option<&str>,
) -> Result<Vec<DrugCheck>, Refusal> {
    let reason = override_reason.filter(|words| !words.trim().is_empty());
    for check in checks.iter_mut().filter(|check| check.outcome == "alert") {
        match reason {
            Some(words) => check.overridden = Some(words.to_owned()),
            None => {
                return Err(Refusal::new(
                    "rx.alert_conflict",
                    format!(
                        "the check of {} says: {}; sign with a reason, or change the prescription",
                        check.check, check.reason
                    ),
                ));
            }
        }
    }
    let unchecked: Vec<&str> = checks
        .iter()
        .filter(|check| check.outcome == "not_checked")
        .map(|check| check.check.as_str())
        .collect();
    if !unchecked.is_empty() && !accept_unchecked {
        return Err(Refusal::new(
            "rx.unchecked_conflict",
            format!(
                "not checked: {}; sign with `accept_unchecked` when you have looked yourself",
                unchecked.join(", ")
            ),
        ));
    }
    Ok(checks)
}

#[cfg(test)]
mod tests {
    use schemas::chart::PrescriptionLine;

    use super::*;

    fn code(text: &str) -> Code {
        Code {
            text: Some(text.to_owned()),
            ..Code::default()
        }
    }

    fn to(substance: &str) -> Allergy {
        Allergy {
            substance: code(substance),
            category: "drug".into(),
            reactions: vec![],
            severity: "severe".into(),
            certainty: "confirmed".into(),
            since: None,
            remark: None,
        }
    }

    fn of(drug: &str) -> Prescription {
        Prescription {
            lines: vec![PrescriptionLine {
                drug: code(drug),
                dose: None,
                route: None,
                frequency: "1-0-1".into(),
                days: None,
                as_needed: false,
                quantity: None,
                remark: None,
            }],
            remark: None,
            signature: None,
            checks: vec![],
        }
    }

    #[test]
    fn the_check_of_allergies_is_never_green_because_it_only_found_nothing() {
        for (allergies, none_known, drug, outcome) in [
            (vec![], false, "Amoxicillin 500 mg", "not_checked"),
            (vec![], true, "Amoxicillin 500 mg", "passed"),
            (
                vec![to("amoxicillin")],
                false,
                "Amoxicillin 500 mg",
                "alert",
            ),
            // an allergy that is on file counts more than a statement under another number
            (vec![to("amoxicillin")], true, "Amoxicillin 500 mg", "alert"),
            // penicillin is the class of amoxicillin, which no table says
            (
                vec![to("penicillin")],
                false,
                "Amoxicillin 500 mg",
                "not_checked",
            ),
            (vec![to("peanut")], true, "Paracetamol", "not_checked"),
        ] {
            let check = allergy(&allergies, none_known, &of(drug));
            assert_eq!(check.outcome, outcome, "{allergies:?} {none_known} {drug}");
        }
    }

    #[test]
    fn an_alert_needs_a_reason_and_what_was_not_checked_somebody_who_knows() {
        let check = |outcome: &str| DrugCheck {
            check: "allergy".into(),
            outcome: outcome.into(),
            reason: "x".into(),
            overridden: None,
        };
        let code = |checks: Vec<DrugCheck>, accept, reason| {
            decide(checks, accept, reason).map_err(|refusal| refusal.code)
        };
        assert_eq!(
            code(vec![check("alert")], true, None),
            Err("rx.alert_conflict")
        );
        assert_eq!(
            code(vec![check("alert")], true, Some(" ")),
            Err("rx.alert_conflict")
        );
        assert_eq!(
            code(vec![check("not_checked")], false, None),
            Err("rx.unchecked_conflict")
        );
        assert!(code(vec![check("passed")], false, None).is_ok());
        let signed = code(vec![check("alert")], false, Some("desensitised")).unwrap();
        assert_eq!(signed[0].overridden.as_deref(), Some("desensitised"));
    }
}
