//! The code of a condition: whether the release in force has it.
//!
//! A system of which no release is imported is no ground to refuse anything: the entry then says that nobody looked. A refusal
//! never names the code: it is somebody's diagnosis.

use hub_core::{Refusal, Tx};
use schemas::care::Code;
use schemas::chart::{CodeCheck, Content};

use crate::terminology::CodeSystem;

/// What is said of a code on an entry.
const KNOWN: &str = "known";
const RETIRED: &str = "retired";
const NOT_CHECKED: &str = "not_checked";

#[derive(sqlx::FromRow)]
struct Found {
    release: String,
    /// Of the code; `None`: no release ever had it.
    kind: Option<String>,
    display: Option<String>,
    in_force: Option<bool>,
    /// The newest release that had it.
    last: Option<String>,
}

/// Looks the code up, and writes into the content what came of it. `before` is what stands on the entry that is changed: a code
/// that was retired since may stay there.
pub(super) async fn look_up(
    tx: &mut Tx<'_>,
    content: &mut Content,
    before: Option<&Content>,
) -> Result<Result<(), Refusal>, sqlx::Error> {
    let Content::Condition(condition) = content else {
        return Ok(Ok(()));
    };
    condition.code_check = None;
    let Some((code, system)) = condition
        .code
        .as_mut()
        .and_then(|code| checked_system(code).map(|system| (code, system)))
    else {
        return Ok(Ok(()));
    };
    let found: Option<Found> = sqlx::query_as(
        "select r.release, c.kind, c.display, c.seen = r.number as in_force,
             (select l.release from clinical.code_releases l where l.system = c.system and l.number = c.seen) as last
         from clinical.code_releases r left join clinical.codes c on c.system = r.system and c.code = $2
         where r.system = $1 order by r.number desc limit 1",
    )
    .bind(system.symbol())
    .bind(&code.code)
    .fetch_optional(tx.conn())
    .await?;
    let stood = match before {
        Some(Content::Condition(before)) => before
            .code
            .as_ref()
            .is_some_and(|other| other.code == code.code && other.system == code.system),
        _ => false,
    };
    let check = match judge(system, found.as_ref(), stood) {
        Ok(check) => check,
        Err(refusal) => return Ok(Err(refusal)),
    };
    // its own words where the author wrote none: what he wrote stays
    if code.text.is_none() {
        code.text = found.and_then(|found| found.display);
    }
    condition.code_check = Some(check);
    Ok(Ok(()))
}

/// Conditions are coded in ICD-10 or its clinical modification; of codes of other systems nothing is said.
fn checked_system(code: &Code) -> Option<CodeSystem> {
    [CodeSystem::Icd10, CodeSystem::Icd10Cm]
        .into_iter()
        .find(|system| code.system.as_deref() == Some(system.symbol()))
}

fn judge(system: CodeSystem, found: Option<&Found>, stood: bool) -> Result<CodeCheck, Refusal> {
    let Some(found) = found else {
        return Ok(CodeCheck {
            result: NOT_CHECKED.to_owned(),
            release: None,
        });
    };
    let said = |result: &str| CodeCheck {
        result: result.to_owned(),
        release: Some(found.release.clone()),
    };
    let (name, release) = (system.name(), &found.release);
    match (found.kind.as_deref(), found.in_force) {
        (None, _) => Err(Refusal::new(
            "clinical.icd10_no_such_code",
            format!("{name} {release}, which is in force, has no such code"),
        )),
        (Some("chapter" | "block"), _) => Err(Refusal::new(
            "clinical.icd10_group",
            format!("this is a group of codes in {name} {release}: use one of the codes in it"),
        )),
        (Some(_), Some(true)) => Ok(said(KNOWN)),
        (Some(_), _) if stood => Ok(said(RETIRED)),
        (Some(_), _) => Err(Refusal::new(
            "clinical.icd10_retired",
            format!(
                "{name} {release}, which is in force, has no such code any more; it was in release {}",
                found.last.as_deref().unwrap_or("before")
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(kind: Option<&str>, in_force: Option<bool>) -> Found {
        Found {
            release: "2019".into(),
            kind: kind.map(str::to_owned),
            display: None,
            in_force,
            last: Some("2016".into()),
        }
    }

    #[test]
    fn what_is_said_of_a_code() {
        for (row, stood, expected) in [
            (None, false, Ok("not_checked")),
            (
                Some(found(None, None)),
                false,
                Err("clinical.icd10_no_such_code"),
            ),
            (
                Some(found(None, None)),
                true,
                Err("clinical.icd10_no_such_code"),
            ),
            (
                Some(found(Some("block"), Some(true))),
                false,
                Err("clinical.icd10_group"),
            ),
            (
                Some(found(Some("chapter"), Some(true))),
                false,
                Err("clinical.icd10_group"),
            ),
            (
                Some(found(Some("category"), Some(true))),
                false,
                Ok("known"),
            ),
            (Some(found(Some("code"), Some(true))), false, Ok("known")),
            (
                Some(found(Some("code"), Some(false))),
                false,
                Err("clinical.icd10_retired"),
            ),
            (Some(found(Some("code"), Some(false))), true, Ok("retired")),
        ] {
            let said = judge(CodeSystem::Icd10, row.as_ref(), stood);
            match (said, expected) {
                (Ok(check), Ok(result)) => {
                    assert_eq!(check.result, result);
                    assert_eq!(check.release.is_some(), row.is_some());
                }
                (Err(refusal), Err(code)) => assert_eq!(refusal.code, code),
                (said, expected) => panic!("{said:?} instead of {expected:?}"),
            }
        }
    }
}
