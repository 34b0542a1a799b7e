//! What somebody is found by, for who writes very many records at once (`hub load --seed`): the rows of `patients.match_keys`
//! as the worker would have written them. It writes nothing.

use schemas::patients::{HumanName, Identifier, Telecom};

use crate::demographics::Demographics;
use crate::similarity;

/// Kind and key of each row, without repeats.
#[must_use]
pub fn match_keys(
    name: &HumanName,
    birth_date: &str,
    telecoms: &[Telecom],
    identifiers: &[Identifier],
) -> Vec<(&'static str, String)> {
    let demographics = Demographics {
        name: Some(name.clone()),
        birth_date: Some(birth_date.to_owned()),
        telecoms: telecoms.to_vec(),
        ..Demographics::default()
    };
    similarity::match_keys(&demographics, identifiers.iter())
        .into_iter()
        .collect()
}
