//! Critical limits as a rule pack says them (`mappings/rules/critical.toml`). Pure.

use std::collections::HashMap;

use serde::Deserialize;
use serde_spanned::Spanned;

use crate::decimal;
use crate::packs::InvalidPack;

/// The limits in force and their version.
#[derive(Debug, Clone)]
pub struct CriticalLimits {
    version: String,
    call_minutes: u32,
    by_loinc: HashMap<String, Vec<Limit>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pack {
    version: Spanned<String>,
    call_minutes: Spanned<u32>,
    #[serde(default)]
    limit: Vec<Spanned<Limit>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limit {
    pub(crate) loinc: String,
    pub(crate) ucum: String,
    pub(crate) low: Option<String>,
    pub(crate) high: Option<String>,
}

impl Default for CriticalLimits {
    /// The pack that comes with the program.
    fn default() -> Self {
        Self::parse(include_str!("../../../../mappings/rules/critical.toml"))
            .expect("the pack that comes with the program is good (tested)")
    }
}

impl CriticalLimits {
    /// Reads and checks a pack.
    ///
    /// # Errors
    /// What is wrong with it, with line and column.
    pub fn parse(text: &str) -> Result<Self, InvalidPack> {
        let pack: Pack = InvalidPack::read(text)?;
        if pack.version.get_ref().trim().is_empty() {
            let what = "the pack needs a version";
            return Err(InvalidPack::at(text, pack.version.span(), what));
        }
        if *pack.call_minutes.get_ref() == 0 {
            let what = "call_minutes is above 0";
            return Err(InvalidPack::at(text, pack.call_minutes.span(), what));
        }
        let mut by_loinc: HashMap<String, Vec<Limit>> = HashMap::new();
        for row in pack.limit {
            let span = row.span();
            let limit = row.into_inner();
            let given = [&limit.low, &limit.high];
            let decimals = given
                .iter()
                .copied()
                .flatten()
                .all(|text| decimal::is_decimal(text));
            if !decimals || given.iter().all(|limit| limit.is_none()) || limit.ucum.is_empty() {
                let what = format!(
                    "limit of `{}`: it needs a unit, and low, high or both as decimal numbers in quotes",
                    limit.loinc
                );
                return Err(InvalidPack::at(text, span, what));
            }
            let limits = by_loinc.entry(limit.loinc.clone()).or_default();
            if limits.iter().any(|other| other.ucum == limit.ucum) {
                let what = format!("`{}` in `{}` has two limits", limit.loinc, limit.ucum);
                return Err(InvalidPack::at(text, span, what));
            }
            limits.push(limit);
        }
        Ok(Self {
            version: pack.version.into_inner(),
            call_minutes: pack.call_minutes.into_inner(),
            by_loinc,
        })
    }

    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    pub(crate) fn call_minutes(&self) -> i32 {
        i32::try_from(self.call_minutes).unwrap_or(i32::MAX)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Limit> {
        self.by_loinc.values().flatten()
    }

    /// Whether a term has limits at all.
    pub(crate) fn concern(&self, loinc: &str) -> bool {
        self.by_loinc.contains_key(loinc)
    }

    /// Whether a number is beyond a limit of its term; floating point is enough to look, Postgres decides exactly.
    pub(crate) fn may_be_critical(&self, loinc: &str, ucum: &str, number: &str) -> bool {
        let Some(limits) = self.by_loinc.get(loinc) else {
            return false;
        };
        let Ok(number) = number.parse::<f64>() else {
            return false;
        };
        let beyond = |text: &Option<String>, side: f64| {
            text.as_ref()
                .and_then(|text| text.parse::<f64>().ok())
                .is_some_and(|limit| (number - limit) * side >= 0.0)
        };
        limits.iter().any(|limit| {
            limit.ucum == ucum && (beyond(&limit.low, -1.0) || beyond(&limit.high, 1.0))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Golden {
        case: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        loinc: String,
        ucum: String,
        value: String,
        critical: bool,
    }

    #[test]
    fn the_pack_judges_as_its_golden_cases_say() {
        let pack = CriticalLimits::default();
        let golden: Golden =
            toml::from_str(include_str!("../../tests/golden/critical.toml")).unwrap();
        for case in golden.case {
            assert_eq!(
                pack.may_be_critical(&case.loinc, &case.ucum, &case.value),
                case.critical,
                "{} {} {}",
                case.loinc,
                case.value,
                case.ucum
            );
        }
    }

    #[test]
    fn a_pack_that_can_not_be_used_is_refused_with_the_reason() {
        let head = "version = \"1\"\ncall_minutes = 30\n[[limit]]\nloinc = \"2823-3\"\n";
        for (text, expected) in [
            (
                "version = \"\"\ncall_minutes = 30".to_owned(),
                "needs a version",
            ),
            (
                "version = \"1\"\ncall_minutes = 0".to_owned(),
                "call_minutes",
            ),
            (format!("{head}ucum = \"mmol/L\"\n"), "limit of `2823-3`"),
            (
                format!("{head}ucum = \"mmol/L\"\nlow = \"x\"\n"),
                "limit of `2823-3`",
            ),
            (
                format!(
                    "{head}ucum = \"mmol/L\"\nlow = \"1\"\n[[limit]]\nloinc = \"2823-3\"\nucum = \"mmol/L\"\nhigh = \"9\"\n"
                ),
                "two limits",
            ),
        ] {
            let error = CriticalLimits::parse(&text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
