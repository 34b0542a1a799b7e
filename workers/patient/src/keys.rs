//! What somebody is found by, for who writes very many records at once (`hub load --seed`): the rows of `patients.match_keys`
//! as the worker would have written them. It writes nothing.

use schemas::patients::{HumanName, Identifier, Telecom};

use crate::demographics::Demographics;
use crate::similarity;

/// Kind, key and words of each row, without repeats.
#[must_use]
pub fn match_keys(
    name: &HumanName,
    birth_date: &str,
    telecoms: &[Telecom],
    identifiers: &[Identifier],
) -> Vec<(&'static str, String, Option<String>)> {
    let demographics = Demographics {
        name: Some(name.clone()),
        birth_date: Some(birth_date.to_owned()),
        telecoms: telecoms.to_vec(),
        ..Demographics::default()
    };
    let keys = similarity::match_keys(&demographics, identifiers.iter());
    let words = similarity::name_words(&keys);
    keys.into_iter()
        .map(|(kind, key)| {
            let words = words.clone().filter(|_| kind == similarity::kind::NAME);
            (kind, key, words)
        })
        .collect()
}
