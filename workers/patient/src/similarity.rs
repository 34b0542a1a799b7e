//! What makes two records look alike, and how much each likeness counts. It only ever suggests.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use schemas::patients::{HumanName, Identifier};
use uuid::Uuid;

use crate::demographics::Demographics;

/// Kinds of keys in `patients.match_keys`.
pub(crate) mod kind {
    pub(crate) const NAME: &str = "name";
    pub(crate) const MOBILE: &str = "mobile";
    pub(crate) const ABHA: &str = "abha";
    pub(crate) const NAME_BIRTH: &str = "name_birth";
}

/// A key that more records than this share says nothing of a person: the hospital's own number, a placeholder date.
pub(crate) const MOST_ALIKE: i64 = 8;

/// Digits of an Indian mobile number, without country code and trunk zero.
const MOBILE_DIGITS: usize = 10;

/// Digits of an ABHA number.
const ABHA_DIGITS: usize = 14;

/// Longest name word that is kept; real ones are far below, and an index entry has a limit.
const LONGEST_WORD: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Likeness {
    SharedIdentifier,
    SameAbha,
    SameNameAndBirthDate,
    SameMobile,
    /// Beside a mobile that both have: a given name.
    SimilarName,
}

impl Likeness {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::SharedIdentifier => "shared_identifier",
            Self::SameAbha => "same_abha",
            Self::SameNameAndBirthDate => "same_name_and_birth_date",
            Self::SameMobile => "same_mobile",
            Self::SimilarName => "similar_name",
        }
    }

    /// Families share a mobile, so that alone counts least.
    pub(crate) fn weight(self) -> i16 {
        match self {
            Self::SharedIdentifier | Self::SameAbha => 90,
            Self::SameNameAndBirthDate => 70,
            Self::SameMobile => 40,
            Self::SimilarName => 35,
        }
    }

    /// The likeness of two records that share a key of this kind.
    pub(crate) fn of_key(kind: &str) -> Option<Self> {
        match kind {
            kind::ABHA => Some(Self::SameAbha),
            kind::NAME_BIRTH => Some(Self::SameNameAndBirthDate),
            kind::MOBILE => Some(Self::SameMobile),
            _ => None,
        }
    }
}

/// Pairs of records that look alike, the smaller id first.
#[derive(Debug, Default)]
pub(crate) struct Candidates {
    pairs: BTreeMap<(Uuid, Uuid), BTreeSet<Likeness>>,
    by_record: HashMap<Uuid, BTreeSet<Uuid>>,
}

impl Candidates {
    pub(crate) fn add(&mut self, record: Uuid, other: Uuid, likeness: Likeness) {
        if record == other {
            return;
        }
        let pair = (record.min(other), record.max(other));
        self.pairs.entry(pair).or_default().insert(likeness);
        self.by_record.entry(record).or_default().insert(other);
    }

    /// Suggestions made for this record.
    pub(crate) fn of(&self, record: Uuid) -> Vec<Uuid> {
        self.by_record
            .get(&record)
            .map(|others| others.iter().copied().collect())
            .unwrap_or_default()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Each pair with its score (1 to 100) and its reasons.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (Uuid, Uuid, i16, Vec<&'static str>)> {
        self.pairs.iter().map(|((one, two), likenesses)| {
            let score: i16 = likenesses.iter().map(|likeness| likeness.weight()).sum();
            let reasons = likenesses
                .iter()
                .map(|likeness| likeness.as_str())
                .collect();
            (*one, *two, score.min(100), reasons)
        })
    }
}

/// Everything a record is found and compared by: (kind, key), without repeats.
pub(crate) fn match_keys<'a>(
    demographics: &Demographics,
    identifiers: impl Iterator<Item = &'a Identifier>,
) -> BTreeSet<(&'static str, String)> {
    let names = demographics.name.iter().chain(&demographics.other_names);
    let mut keys: BTreeSet<(&'static str, String)> = names
        .flat_map(words)
        .map(|word| (kind::NAME, word))
        .collect();
    for telecom in &demographics.telecoms {
        if telecom.system != "email"
            && let Some(mobile) = mobile(&telecom.value)
        {
            keys.insert((kind::MOBILE, mobile));
        }
    }
    for identifier in identifiers {
        if let Some(abha) = abha(
            &identifier.system,
            identifier.kind.as_deref(),
            &identifier.value,
        ) {
            keys.insert((kind::ABHA, abha));
        }
    }
    if let (Some(name), Some(date)) = (&demographics.name, &demographics.birth_date)
        && let Some(key) = name_birth(name, date)
    {
        keys.insert((kind::NAME_BIRTH, key));
    }
    keys
}

/// Bytes of what is made of several words of a name: an index entry has a third of a page (2,704 bytes) in all.
const MOST_WORDS: usize = 1_000;

/// All words of a record's names, each after a space, as they stand beside each of its names; `None` where they are too long.
pub(crate) fn name_words<'a>(
    keys: impl IntoIterator<Item = &'a (&'static str, String)>,
) -> Option<String> {
    let mut words = String::new();
    for (kind, word) in keys {
        if *kind == kind::NAME {
            words.push(' ');
            words.push_str(word);
        }
    }
    (words.len() <= MOST_WORDS).then_some(words)
}

/// Words of a text as names are compared: lower-case, split at blanks and ASCII punctuation.
pub(crate) fn words_of(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| c.is_whitespace() || c.is_ascii_punctuation())
        .filter(|word| !word.is_empty())
        .map(|word| word.to_lowercase().chars().take(LONGEST_WORD).collect())
}

/// Family and given names; a prefix (`Mr`, `Smt`) says nothing of who it is.
fn words(name: &HumanName) -> impl Iterator<Item = String> {
    name.given
        .iter()
        .chain(&name.family)
        .flat_map(|part| words_of(part))
}

/// Whether two names may be one person's who gave the same mobile: families share a mobile and a family name, so given names
/// count where both have one.
pub(crate) fn similar_names(one: &HumanName, other: &HumanName) -> bool {
    let given = |name: &HumanName| -> Vec<String> {
        name.given.iter().flat_map(|part| words_of(part)).collect()
    };
    let (mine, theirs) = match (given(one), given(other)) {
        (mine, theirs) if mine.is_empty() || theirs.is_empty() => {
            (words(one).collect::<Vec<_>>(), words(other).collect())
        }
        both => both,
    };
    mine.iter().any(|word| theirs.contains(word))
}

fn name_birth(name: &HumanName, date: &str) -> Option<String> {
    // a year alone would pair namesakes of a whole year
    let is_full = date.len() >= 10;
    let mut words: Vec<String> = words(name).collect();
    words.sort();
    (is_full && words.len() > 1)
        .then(|| format!("{} {}", words.join(" "), &date.get(..10).unwrap_or(date)))
        .filter(|key| key.len() <= MOST_WORDS)
}

/// The last ten digits, unless there are fewer or they are all the same (`0000000000`).
pub(crate) fn mobile(value: &str) -> Option<String> {
    let digits: String = value.chars().filter(char::is_ascii_digit).collect();
    let last = digits.get(digits.len().checked_sub(MOBILE_DIGITS)?..)?;
    let first = last.chars().next()?;
    (!last.chars().all(|digit| digit == first)).then(|| last.to_owned())
}

fn abha(system: &str, kind: Option<&str>, value: &str) -> Option<String> {
    let is_abha = kind.is_some_and(|kind| kind.eq_ignore_ascii_case("abha"))
        || system.to_ascii_lowercase().contains("abha");
    let digits: String = value.chars().filter(char::is_ascii_digit).collect();
    (is_abha && digits.len() == ABHA_DIGITS).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_is_longer_than_an_index_entry_may_be() {
        let many: String = (0..200).map(|n| format!("Longname{n} ")).collect();
        let demographics = Demographics {
            name: Some(HumanName {
                given: vec![many],
                ..HumanName::default()
            }),
            birth_date: Some("1980-05-17".to_owned()),
            ..Demographics::default()
        };
        let keys = match_keys(&demographics, std::iter::empty());
        assert_eq!(keys.len(), 200);
        assert!(keys.iter().all(|(kind, _)| *kind == kind::NAME));
        assert_eq!(name_words(&keys), None);
    }

    #[test]
    fn a_mobile_is_its_last_ten_digits_and_a_placeholder_is_none() {
        assert_eq!(mobile("+91 98765-43210").as_deref(), Some("9876543210"));
        assert_eq!(mobile("09876543210").as_deref(), Some("9876543210"));
        assert_eq!(mobile("43210"), None);
        assert_eq!(mobile("0000000000"), None);
    }

    #[test]
    fn the_order_of_names_and_their_case_do_not_matter() {
        let one = HumanName {
            family: Some("RAO".into()),
            given: vec!["Asha".into()],
            ..HumanName::default()
        };
        let two = HumanName {
            family: Some("asha".into()),
            given: vec!["rao".into()],
            ..HumanName::default()
        };
        assert_eq!(
            name_birth(&one, "1980-05-17"),
            name_birth(&two, "1980-05-17")
        );
        assert_eq!(name_birth(&one, "1980"), None);
        assert_eq!(words_of("आशा राव").collect::<Vec<_>>(), ["आशा", "राव"]);
    }

    #[test]
    fn a_family_that_shares_mobile_and_name_is_not_one_person() {
        let name = |given: &str, family: &str| HumanName {
            family: Some(family.to_owned()).filter(|text| !text.is_empty()),
            given: [given.to_owned()]
                .into_iter()
                .filter(|text| !text.is_empty())
                .collect(),
            ..HumanName::default()
        };
        for (one, other, similar) in [
            (name("Asha", "Rao"), name("asha", "Rao-Sharma"), true),
            (name("Asha", "Rao"), name("Ravi", "Rao"), false),
            (name("", "Asha"), name("Asha", "Rao"), true),
            (name("Asha Devi", ""), name("Devi", ""), true),
        ] {
            assert_eq!(similar_names(&one, &other), similar, "{one:?} {other:?}");
        }
    }

    #[test]
    fn an_abha_number_is_the_same_however_it_is_written() {
        assert_eq!(
            abha("ABDM", Some("ABHA"), "91-1234-5678-9012").as_deref(),
            Some("91123456789012")
        );
        assert_eq!(abha("mrn", None, "91123456789012"), None);
    }
}
