//! The answer to one question: what is pending, whom it is for, and what the instrument calls it.

use std::collections::{HashMap, HashSet};

use hub_core::Tx;
use hub_core::mappings::Mappings;
use schemas::IdentifierKey;
use schemas::care::Code;
use schemas::patients::Identifier;
use schemas::worklist::{
    SpecimenStanding, TestAction, WorklistAnswer, WorklistPatient, WorklistQuestion,
    WorklistSpecimen, WorklistTest,
};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;
use worker_clinical::queries::{self as clinical, PendingTest};
use worker_patient::queries::{self as patients, PersonOfKey};

/// Specimens of a question for everything that names no limit.
const DEFAULT_LIMIT: u32 = 100;

pub(super) async fn answer(
    tx: &mut Tx<'_>,
    maps: &Mappings,
    question: &WorklistQuestion,
) -> Result<WorklistAnswer, sqlx::Error> {
    let channel = &question.channel;
    let all = question.specimens.is_empty();
    let again = question.untold.map(|untold| {
        OffsetDateTime::now_utc() - time::Duration::seconds(i64::from(untold.again_after_s))
    });
    let numbers = if all {
        let limit = match question.limit {
            0 => DEFAULT_LIMIT,
            limit => limit,
        };
        let codes = (!question.as_ordered).then(|| maps.orderable(channel));
        let (conn, codes) = (tx.conn(), codes.as_deref());
        match again {
            None => clinical::oldest_pending(conn, channel.as_str(), codes, limit).await?,
            Some(again) => {
                clinical::oldest_untold(conn, channel.as_str(), codes, limit, again).await?
            }
        }
    } else {
        question.specimens.clone()
    };
    if numbers.is_empty() {
        return Ok(WorklistAnswer::default());
    }
    let mut pending = clinical::pending_on(tx.conn(), channel.as_str(), &numbers).await?;
    if let Some(again) = again {
        pending.retain(|test| test.is_untold(again));
    }
    let known: HashSet<String> = if pending.is_empty() || !all {
        clinical::known_numbers(tx.conn(), &numbers)
            .await?
            .into_iter()
            .collect()
    } else {
        HashSet::new()
    };
    let mut keys: Vec<Uuid> = pending.iter().map(|test| test.subject_key).collect();
    keys.sort_unstable();
    keys.dedup();
    let people: HashMap<Uuid, PersonOfKey> = patients::people_of_keys(tx.conn(), &keys)
        .await?
        .into_iter()
        .map(|person| (person.key, person))
        .collect();
    let mut on_tube: HashMap<&str, Vec<&PendingTest>> = HashMap::new();
    for test in &pending {
        on_tube.entry(&test.number).or_default().push(test);
    }
    let specimens = numbers
        .iter()
        .map(|number| {
            let tests = on_tube.remove(number.as_str()).unwrap_or_default();
            specimen(
                maps,
                question,
                number,
                &tests,
                &people,
                known.contains(number),
            )
        })
        .filter(|specimen| !all || specimen.standing == SpecimenStanding::Pending)
        .collect();
    Ok(WorklistAnswer { specimens })
}

/// Whether something is ordered that no table names for the instrument.
pub(super) fn lacks_a_name(answer: &WorklistAnswer) -> bool {
    let mut tests = answer.specimens.iter().flat_map(|s| &s.tests);
    tests.any(|test| test.instrument_codes.is_empty())
}

fn specimen(
    maps: &Mappings,
    question: &WorklistQuestion,
    number: &str,
    pending: &[&PendingTest],
    people: &HashMap<Uuid, PersonOfKey>,
    known: bool,
) -> WorklistSpecimen {
    let tests: Vec<WorklistTest> = pending
        .iter()
        .map(|test| test_of(maps, question, test))
        .collect();
    // what has no name on the instrument is shown and not sent
    let sendable = tests.iter().any(|test| !test.instrument_codes.is_empty());
    let standing = match (sendable, known || !tests.is_empty()) {
        (true, _) => SpecimenStanding::Pending,
        (false, true) => SpecimenStanding::Nothing,
        (false, false) => SpecimenStanding::Unknown,
    };
    metrics::counter!("hub_worklist_specimens_total", "standing" => label(standing)).increment(1);
    // tests to be taken back may be those of the patient whose number it was before
    let newest = pending
        .iter()
        .rev()
        .find(|test| !test.cancelled)
        .or(pending.last());
    WorklistSpecimen {
        number: number.to_owned(),
        standing,
        patient: newest
            .and_then(|test| people.get(&test.subject_key))
            .map(patient),
        kind: newest
            .and_then(|test| test.kind.clone())
            .and_then(|kind| serde_json::from_value(kind).ok()),
        collected_at: newest.and_then(|test| text(test.collected_at)),
        tests,
    }
}

fn label(standing: SpecimenStanding) -> &'static str {
    match standing {
        SpecimenStanding::Pending => "pending",
        SpecimenStanding::Nothing => "nothing",
        SpecimenStanding::Unknown => "unknown",
    }
}

fn test_of(maps: &Mappings, question: &WorklistQuestion, test: &PendingTest) -> WorklistTest {
    let mut instrument_codes = maps.instrument_codes(
        &question.channel,
        test.code_system.as_deref().unwrap_or_default(),
        &test.code,
    );
    if instrument_codes.is_empty() && question.as_ordered {
        instrument_codes.push(test.code.clone());
    }
    WorklistTest {
        order: test.order_id,
        action: if test.cancelled {
            TestAction::Cancel
        } else {
            TestAction::Perform
        },
        code: Code {
            code: test.code.clone(),
            text: test.code_text.clone(),
            system: test.code_system.clone(),
        },
        instrument_codes,
        priority: test.priority.clone(),
        placer_number: test.placer_number.clone(),
        filler_number: test.filler_number.clone(),
        ordered_at: text(test.ordered_at),
    }
}

fn text(at: Option<OffsetDateTime>) -> Option<String> {
    at.and_then(|at| at.format(&Rfc3339).ok())
}

fn patient(person: &PersonOfKey) -> WorklistPatient {
    let sex = person.sex.as_deref().map(|sex| match sex {
        "male" => "M",
        "female" => "F",
        "other" => "O",
        _ => "U",
    });
    WorklistPatient {
        identifier: Some(Identifier {
            key: IdentifierKey(person.key),
            system: person.system.clone(),
            value: person.value.clone(),
            kind: person.kind.clone(),
        }),
        name: person
            .name
            .clone()
            .and_then(|name| serde_json::from_value(name).ok()),
        birth_date: person.birth_date.clone(),
        sex: sex.map(str::to_owned),
    }
}
