use schemas::Patch;
use test_support::{TestDatabase, event, tenant};
use worker_patient::queries::{Patient, Search, SearchError, get, people_in_system, search};

use crate::house::*;

async fn found(database: &TestDatabase, asked: Search) -> Vec<String> {
    let mut tx = database.tx(&tenant("demo")).await;
    let mut names: Vec<String> = search(tx.conn(), &Search { limit: 10, ..asked })
        .await
        .unwrap()
        .into_iter()
        .map(|patient| patient.display_name.unwrap_or_default())
        .collect();
    names.sort();
    names
}

fn by_name(name: &str) -> Search {
    Search {
        name: Some(name.into()),
        ..Search::default()
    }
}

#[tokio::test]
async fn people_are_found_by_the_beginnings_of_their_names_by_number_and_by_mobile() {
    let database = TestDatabase::new().await;
    let people = [
        ("A1", "Asha", "Rao", "9876543210"),
        ("A2", "Ashok", "Rao-Patil", "9876543211"),
        ("A3", "आशा", "राव", "9876543212"),
    ];
    let batch: Vec<_> = people
        .iter()
        .map(|(number, given, family, phone)| {
            let mut report = asserted(number, 9);
            report.name = Patch::Set(name(given, family));
            report.telecoms = mobile(phone);
            event(&report)
        })
        .collect();
    apply(&database, &batch).await;
    assert_eq!(
        found(&database, by_name("ash ra")).await,
        ["Asha Rao", "Ashok Rao-Patil"]
    );
    assert_eq!(found(&database, by_name("RAO asha")).await, ["Asha Rao"]);
    assert_eq!(
        found(&database, by_name("patil")).await,
        ["Ashok Rao-Patil"]
    );
    assert_eq!(found(&database, by_name("आ")).await, ["आशा राव"]);
    assert!(found(&database, by_name("ha")).await.is_empty());
    assert!(found(&database, by_name(" - ")).await.is_empty());
    let by_identifier = |text: &str| Search {
        identifier: Some(text.into()),
        ..Search::default()
    };
    assert_eq!(found(&database, by_identifier("A1")).await, ["Asha Rao"]);
    assert_eq!(
        found(&database, by_identifier("mrn|A1")).await,
        ["Asha Rao"]
    );
    assert_eq!(found(&database, by_identifier("|A1")).await, ["Asha Rao"]);
    assert!(found(&database, by_identifier("lab|A1")).await.is_empty());
    let by_mobile = |text: &str| Search {
        mobile: Some(text.into()),
        ..Search::default()
    };
    assert_eq!(
        found(&database, by_mobile("+91 98765 43211")).await,
        ["Ashok Rao-Patil"]
    );
    assert!(found(&database, by_mobile("123")).await.is_empty());
    let both = Search {
        mobile: Some("9876543210".into()),
        ..by_name("ashok")
    };
    assert!(found(&database, both).await.is_empty());
    assert_eq!(found(&database, Search::default()).await.len(), 3);
}

#[tokio::test]
async fn a_changed_name_is_found_and_the_old_one_is_not() {
    let database = TestDatabase::new().await;
    apply_one(&database, event(&asserted("A1", 9))).await;
    let mut report = asserted("A1", 10);
    report.name = Patch::Set(name("Meera", "Iyer"));
    apply_one(&database, event(&report)).await;
    assert_eq!(found(&database, by_name("meera")).await, ["Meera Iyer"]);
    assert!(found(&database, by_name("asha")).await.is_empty());
}

#[tokio::test]
async fn a_merged_record_is_shown_as_the_one_it_leads_to_and_only_once() {
    let database = TestDatabase::new().await;
    let mut other = asserted("A2", 9);
    other.name = Patch::Set(name("Aisha", "Rao"));
    apply(
        &database,
        &[
            event(&asserted("A1", 9)),
            event(&other),
            event(&a40("A1", "A2")),
        ],
    )
    .await;
    assert_eq!(found(&database, by_name("aisha")).await, ["Asha Rao"]);
    assert_eq!(found(&database, by_name("rao")).await, ["Asha Rao"]);
    assert_eq!(found(&database, Search::default()).await, ["Asha Rao"]);
}

#[tokio::test]
async fn pages_give_everybody_once() {
    let database = TestDatabase::new().await;
    let batch: Vec<_> = (0..25)
        .map(|n| event(&asserted(&format!("A{n}"), 9)))
        .collect();
    apply(&database, &batch).await;
    for asked in [Search::default(), by_name("asha")] {
        let mut seen = std::collections::BTreeSet::new();
        let mut after = None;
        loop {
            let mut tx = database.tx(&tenant("demo")).await;
            let page = search(
                tx.conn(),
                &Search {
                    after,
                    limit: 10,
                    ..asked.clone()
                },
            )
            .await
            .unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            for patient in &page {
                assert!(seen.insert(patient.id));
            }
        }
        assert_eq!(seen.len(), 25);
    }
}

#[tokio::test]
async fn nobody_is_found_under_an_unknown_id() {
    let database = TestDatabase::new().await;
    let mut tx = database.tx(&tenant("demo")).await;
    assert_eq!(get(tx.conn(), uuid::Uuid::now_v7()).await.unwrap(), None);
    assert!(
        worker_patient::queries::merges(tx.conn(), uuid::Uuid::now_v7())
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn searches_reach_their_indexes_behind_row_level_security() {
    let database = TestDatabase::new().await;
    let mut tx = database.tx(&tenant("demo")).await;
    sqlx::query("set local enable_seqscan = off")
        .execute(tx.conn())
        .await
        .unwrap();
    for (statement, index) in [
        (
            "explain select patient_id from patients.match_keys where kind = 'name' and key >= 'as' and key < 'at'",
            "match_keys_names",
        ),
        (
            "explain select m.patient_id from patients.match_keys m where m.kind = 'name' and m.key < 'at' collate \"C\"
             and (m.key, m.patient_id) > ('as' collate \"C\", '00000000-0000-0000-0000-000000000000'::uuid)
             and strpos(m.words, ' ra') > 0
             order by m.key, m.patient_id limit 5",
            "Index Only Scan using match_keys_names",
        ),
        (
            "explain select patient_id from patients.match_keys where kind = 'mobile' and key = '9876543210'",
            "match_keys_pkey",
        ),
        (
            "explain select patient_id from patients.identifiers where value = 'A1'",
            "identifiers_value",
        ),
        (
            "explain select key from patients.identifiers where key = any(array['00000000-0000-0000-0000-000000000001'::uuid])",
            "identifiers_pkey",
        ),
    ] {
        let plan: Vec<String> = sqlx::query_scalar(statement)
            .fetch_all(tx.conn())
            .await
            .unwrap();
        let plan = plan.join("\n");
        assert!(
            plan.contains(index) && plan.contains("Index Cond") && !plan.contains("Seq Scan"),
            "{plan}"
        );
        let condition = plan
            .lines()
            .find(|line| line.contains("Index Cond"))
            .unwrap();
        assert!(
            condition.contains("key") || condition.contains("value"),
            "{plan}"
        );
    }
}

#[tokio::test]
async fn a_device_is_given_the_number_of_its_own_series_and_the_person_who_stands() {
    let database = TestDatabase::new().await;
    let mut both = asserted("sgm|S-1", 9);
    both.identifiers.push(id("mrn|M-1"));
    // registered twice, and merged: the number of the series stands on the record that went
    let mut twin = asserted("sgm|S-2", 9);
    twin.name = Patch::Set(name("Old", "Record"));
    let mut standing = asserted("abha|A-2", 9);
    standing.name = Patch::Set(name("Meera", "Iyer"));
    let only = asserted("mrn|M-3", 9);
    apply(
        &database,
        &[event(&both), event(&twin), event(&standing), event(&only)],
    )
    .await;
    apply(&database, &[event(&a40("abha|A-2", "sgm|S-2"))]).await;
    let mut tx = database.tx(&tenant("demo")).await;
    let keys = ["mrn|M-1", "abha|A-2", "mrn|M-3", "mrn|nobody"].map(|value| id(value).key.0);
    let mut people: Vec<String> = people_in_system(tx.conn(), &keys, "sgm")
        .await
        .unwrap()
        .into_iter()
        .map(|one| {
            let name = one.name.unwrap();
            format!(
                "{}|{} {}",
                one.system,
                one.value,
                name["family"].as_str().unwrap()
            )
        })
        .collect();
    people.sort();
    assert_eq!(people, ["mrn|M-3 Rao", "sgm|S-1 Rao", "sgm|S-2 Iyer"]);
}

/// One page, in the order in which it is given.
async fn page(database: &TestDatabase, asked: &Search) -> Result<Vec<Patient>, SearchError> {
    let mut tx = database.tx(&tenant("demo")).await;
    search(tx.conn(), asked).await
}

fn displayed(page: &[Patient]) -> Vec<&str> {
    page.iter()
        .filter_map(|patient| patient.display_name.as_deref())
        .collect()
}

fn named(number: &str, given: &str, family: &str) -> schemas::patients::PatientReported {
    let mut report = asserted(number, 9);
    report.name = Patch::Set(name(given, family));
    report
}

#[tokio::test]
async fn people_of_a_name_come_in_the_order_of_the_name_and_each_once_whatever_names_and_records_they_have()
 {
    let database = TestDatabase::new().await;
    apply(
        &database,
        &[
            // two words that begin alike, and so have two places in the walk
            event(&named("A1", "Ashwin", "Ashar")),
            event(&named("A2", "Ashok", "Rao")),
            event(&named("A3", "Asha", "Rao")),
            // both records of one person have such a name
            event(&named("A4", "Ashwini", "Iyer")),
            event(&named("A5", "Asharani", "Iyer")),
            event(&a40("A4", "A5")),
            event(&named("A6", "Meera", "Rao")),
        ],
    )
    .await;
    let asked = Search {
        limit: 100,
        ..by_name("ash")
    };
    let whole = page(&database, &asked).await.unwrap();
    assert_eq!(
        displayed(&whole),
        ["Asha Rao", "Ashwin Ashar", "Ashwini Iyer", "Ashok Rao"]
    );
    // and so do pages of one
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let one = page(
            &database,
            &Search {
                after,
                limit: 1,
                ..asked.clone()
            },
        )
        .await
        .unwrap();
        let Some(last) = one.last() else { break };
        after = Some(last.id);
        seen.push(last.id);
    }
    assert_eq!(
        seen,
        whole.iter().map(|patient| patient.id).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn all_words_must_be_the_names_of_one_record() {
    let database = TestDatabase::new().await;
    apply(
        &database,
        &[
            event(&named("A1", "Asha", "Rao")),
            event(&named("A2", "Ashok", "Iyer")),
            event(&named("A3", "Asha", "Iyer")),
            event(&named("A4", "Meera", "Joshi")),
            event(&named("A5", "Asha Devi", "Iyer")),
            event(&a40("A1", "A4")),
        ],
    )
    .await;
    for (asked, expected) in [
        ("asha iy", vec!["Asha Devi Iyer", "Asha Iyer"]),
        ("iyer as", vec!["Asha Devi Iyer", "Asha Iyer", "Ashok Iyer"]),
        ("ash dev iy", vec!["Asha Devi Iyer"]),
        ("ash dev rao", vec![]),
        // a record that leads to another is that other
        ("meera joshi", vec!["Asha Rao"]),
        ("meera rao", vec![]),
        ("asha joshi", vec![]),
    ] {
        assert_eq!(found(&database, by_name(asked)).await, expected, "{asked}");
    }
}

#[tokio::test]
async fn the_words_beside_a_name_are_those_of_the_record_and_who_has_none_is_found_too() {
    let database = TestDatabase::new().await;
    // more words than stand in an index entry
    let many: String = (0..200).map(|n| format!("Longname{n} ")).collect();
    apply(
        &database,
        &[
            event(&named("A1", "Asha", "Rao")),
            event(&named("A2", "Ashok", "Iyer")),
            event(&named("A3", &many, "Iyer")),
        ],
    )
    .await;
    let mut renamed = asserted("A2", 10);
    renamed.name = Patch::Set(name("Ashok", "Joshi"));
    apply_one(&database, event(&renamed)).await;
    let mut tx = database.tx(&tenant("demo")).await;
    let words: Vec<(String, Option<String>)> = sqlx::query_as(
        "select key, words from patients.match_keys
         where kind = 'name' and key not like 'longname%' order by key, words",
    )
    .fetch_all(tx.conn())
    .await
    .unwrap();
    let words: Vec<(&str, Option<&str>)> = words
        .iter()
        .map(|(key, words)| (key.as_str(), words.as_deref()))
        .collect();
    assert_eq!(
        words,
        [
            ("asha", Some(" asha rao")),
            ("ashok", Some(" ashok joshi")),
            ("iyer", None),
            ("joshi", Some(" ashok joshi")),
            ("rao", Some(" asha rao")),
        ]
    );
    drop(tx);
    let searches = [
        "as ra",
        "ash jos",
        "ash iy",
        "longname17 iy",
        "sha ra",
        "as %",
    ];
    let mut with_words = Vec::new();
    for asked in searches {
        with_words.push(found(&database, by_name(asked)).await.len());
    }
    assert_eq!(with_words, [1, 1, 0, 1, 0, 2]);
    // as the release before wrote them
    let mut tx = database.tx(&tenant("demo")).await;
    sqlx::query("update patients.match_keys set words = null")
        .execute(tx.conn())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    for (asked, expected) in searches.into_iter().zip(with_words) {
        let without = found(&database, by_name(asked)).await.len();
        assert_eq!(without, expected, "{asked}");
    }
}

#[tokio::test]
async fn a_name_beside_a_number_may_be_that_of_any_record_of_the_person() {
    let database = TestDatabase::new().await;
    let mut other = named("A2", "Aisha", "Khan");
    other.telecoms = mobile("9876543219");
    apply(
        &database,
        &[
            event(&named("A1", "Asha", "Rao")),
            event(&other),
            event(&a40("A1", "A2")),
        ],
    )
    .await;
    for (words, expected) in [("asha", 1), ("kha aish", 1), ("asha khan", 0), ("ravi", 0)] {
        let asked = Search {
            mobile: Some("9876543219".into()),
            ..by_name(words)
        };
        assert_eq!(found(&database, asked).await.len(), expected, "{words}");
    }
    let asked = Search {
        identifier: Some("A2".into()),
        mobile: Some("9876543219".into()),
        ..by_name("asha")
    };
    assert_eq!(found(&database, asked).await, ["Asha Rao"]);
}

#[tokio::test]
async fn a_page_after_somebody_who_has_another_name_now_is_refused_and_not_cut_short() {
    let database = TestDatabase::new().await;
    apply(
        &database,
        &[
            event(&named("A1", "Asha", "Rao")),
            event(&named("A2", "Ashok", "Rao")),
        ],
    )
    .await;
    let asked = Search {
        limit: 1,
        ..by_name("ash")
    };
    let first = page(&database, &asked).await.unwrap();
    let mut report = named("A1", "Meera", "Rao");
    report.occurred_at = asserted("A1", 10).occurred_at;
    apply_one(&database, event(&report)).await;
    let next = Search {
        after: Some(first[0].id),
        ..asked
    };
    assert!(matches!(
        page(&database, &next).await,
        Err(SearchError::PlaceGone)
    ));
}
