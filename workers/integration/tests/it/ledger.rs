use hub_core::Verdict;
use schemas::integration::{MessageRefused, TranslationOutcome};
use test_support::{TestDatabase, envelope, event, tenant};
use time::OffsetDateTime;
use uuid::Uuid;
use worker_integration::queries::{
    Cursor, MessageSearch, channel, lineage, message, messages, messages_of_raw,
};

use crate::house::*;

type Set = fn(&mut MessageSearch, String);

fn all() -> MessageSearch {
    MessageSearch {
        limit: 100,
        ..MessageSearch::default()
    }
}

#[tokio::test]
async fn every_arrival_is_a_row_with_all_it_was_searched_by() {
    let database = TestDatabase::new().await;
    let mut body = translated("one", 5);
    for number in ["O1", "O2", "O1"] {
        body.keys.about_order(number);
    }
    body.keys.visit_number = Some("V1".into());
    body.keys.bill_number = Some("B1".into());
    for number in ["P7", "P8", "P7"] {
        body.keys.about_patient(number);
    }
    for number in ["ACC-6", "ACC-5"] {
        body.keys.about_specimen(number);
    }
    body.notes = vec!["charset fallback".into(), "repaired MSH-2, twice".into()];
    body.parent = Some(raw("parent"));
    apply_one(&database, event(&body)).await;
    let page = listed(&database, all()).await;
    let row = &page.items[0];
    assert_eq!(row.id, "5.0");
    assert_eq!(row.raw_id, body.raw_id.0);
    assert_eq!(row.peer, body.peer);
    assert_eq!((row.size, row.outcome.as_str()), (1500, "translated"));
    assert_eq!(row.more_patients.as_deref().unwrap(), ["P7", "P8"]);
    assert_eq!(row.more_accessions.as_deref().unwrap(), ["ACC-6"]);
    assert_eq!(row.more_orders.as_deref().unwrap(), ["O2"]);
    assert_eq!(
        (&row.events, &row.unmapped, &row.notes),
        (&body.events, &body.unmapped, &body.notes)
    );
    assert_eq!(row.parent, body.parent.map(|parent| parent.0));
    assert_eq!(page.next, None);
    let one = |set: Set, value: &str| {
        let mut search = all();
        set(&mut search, value.to_owned());
        search
    };
    let searches: [(Set, &str); 13] = [
        (|search, value| search.patient_number = Some(value), "P2"),
        (|search, value| search.patient_number = Some(value), "P7"),
        (|search, value| search.patient_number = Some(value), "P8"),
        (|search, value| search.accession = Some(value), "ACC-5"),
        (|search, value| search.accession = Some(value), "ACC-6"),
        (|search, value| search.order_number = Some(value), "O1"),
        (|search, value| search.order_number = Some(value), "O2"),
        (|search, value| search.control_id = Some(value), "C5"),
        (|search, value| search.visit_number = Some(value), "V1"),
        (|search, value| search.bill_number = Some(value), "B1"),
        (|search, value| search.channel = Some(value), "lab"),
        (|search, value| search.message_type = Some(value), "ORU^R01"),
        (|search, value| search.outcome = Some(value), "translated"),
    ];
    for (set, value) in searches {
        assert_eq!(
            listed(&database, one(set, value)).await.items.len(),
            1,
            "{value}"
        );
        assert_eq!(
            listed(&database, one(set, "other")).await.items.len(),
            0,
            "{value}"
        );
    }
    let at = row.received_at;
    let within = MessageSearch {
        received_from: Some(at),
        received_to: Some(at + time::Duration::SECOND),
        ..all()
    };
    assert_eq!(listed(&database, within).await.items.len(), 1);
    assert_eq!(
        listed(
            &database,
            MessageSearch {
                received_to: Some(at),
                ..all()
            }
        )
        .await
        .items
        .len(),
        0
    );
}

#[tokio::test]
async fn a_rack_is_found_by_each_tube_page_by_page_and_in_its_own_hospital() {
    let database = TestDatabase::new().await;
    // the tube T0 stands first in every other message, and behind another one in the rest
    let mut bodies = Vec::new();
    for seq in 1..=9 {
        let mut body = translated(&format!("rack {seq}"), seq);
        body.keys.accession = None;
        body.keys.patient_number = None;
        let tubes = if seq % 2 == 0 {
            ["T0", "T1"]
        } else {
            ["T1", "T0"]
        };
        for (patient, tube) in ["PA", "PB"].into_iter().zip(tubes) {
            body.keys.about_patient(patient);
            body.keys.about_specimen(tube);
        }
        bodies.push(event(&body));
    }
    apply(&database, &bodies).await;
    // delivered again: the same rows
    apply(&database, &bodies).await;
    let wanted = |patient: Option<&str>, tube: &str| MessageSearch {
        patient_number: patient.map(str::to_owned),
        accession: Some(tube.to_owned()),
        limit: 4,
        ..MessageSearch::default()
    };
    for patient in [None, Some("PA"), Some("PB")] {
        let mut seen = Vec::new();
        let mut search = wanted(patient, "T0");
        loop {
            let page = listed(&database, search.clone()).await;
            seen.extend(page.items.iter().map(|row| row.stream_seq));
            let Some(next) = page.next else { break };
            search.after = Some(Cursor::decode(&next).unwrap());
        }
        assert_eq!(seen, [9, 8, 7, 6, 5, 4, 3, 2, 1], "{patient:?}");
    }
    assert_eq!(listed(&database, wanted(Some("PC"), "T0")).await.items, []);
    let mut other = database.tx(&tenant("other")).await;
    let found = messages(other.conn(), &wanted(None, "T0")).await.unwrap();
    assert_eq!(found.items, []);
}

#[tokio::test]
async fn what_a_message_is_found_by_is_looked_up_in_an_index() {
    let database = TestDatabase::new().await;
    let mut tx = database.tx(&tenant("demo")).await;
    sqlx::query("set local enable_seqscan = off")
        .execute(tx.conn())
        .await
        .unwrap();
    let plan: Vec<String> = sqlx::query_scalar(
        "explain select m.raw_id from integration.message_numbers n \
         join integration.messages m using (received_at, stream_seq, record_index) \
         where n.kind = 'specimen' and n.number = 'T0'",
    )
    .fetch_all(tx.conn())
    .await
    .unwrap();
    let plan = plan.join("\n");
    let condition = plan
        .lines()
        .find(|line| line.contains("Index Cond") && line.contains("'T0'"));
    assert!(condition.is_some(), "{plan}");
}

#[tokio::test]
async fn the_same_bytes_again_are_a_duplicate_in_one_batch_and_in_the_next() {
    let database = TestDatabase::new().await;
    let mut within = translated("one", 2);
    within.index = 1;
    apply(
        &database,
        &[
            event(&within),
            event(&translated("one", 1)),
            event(&translated("two", 3)),
        ],
    )
    .await;
    apply_one(&database, event(&translated("one", 4))).await;
    let rows = listed(&database, all()).await.items;
    let outcomes: Vec<_> = rows
        .iter()
        .map(|row| (row.id.as_str(), row.outcome.as_str()))
        .collect();
    assert_eq!(
        outcomes,
        [
            ("4.0", "duplicate"),
            ("3.0", "translated"),
            ("2.1", "duplicate"),
            ("1.0", "translated")
        ]
    );
    let mut tx = database.tx(&tenant("demo")).await;
    assert_eq!(
        messages_of_raw(tx.conn(), raw("one").0)
            .await
            .unwrap()
            .len(),
        3
    );
    assert_eq!(
        message(tx.conn(), &raw("one").to_string())
            .await
            .unwrap()
            .unwrap()
            .id,
        "1.0"
    );
    assert_eq!(message(tx.conn(), "2.1").await.unwrap().unwrap().id, "2.1");
    assert_eq!(message(tx.conn(), "nonsense").await.unwrap(), None);
    assert_eq!(message(tx.conn(), "99.0").await.unwrap(), None);
}

#[tokio::test]
async fn a_replay_changes_nothing() {
    let database = TestDatabase::new().await;
    let batch = [event(&translated("one", 1)), event(&translated("two", 2))];
    apply(&database, &batch).await;
    let before = listed(&database, all()).await.items;
    apply(&database, &batch).await;
    assert_eq!(listed(&database, all()).await.items, before);
    let mut tx = database.tx(&tenant("demo")).await;
    let lab = channel(tx.conn(), "lab").await.unwrap().unwrap();
    assert_eq!(lab.messages, 2, "counted once");
    assert_eq!(lab.last_message_at, Some(before[0].received_at));
    assert!(lab.last_message_age.is_some());
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_repeat() {
    let database = TestDatabase::new().await;
    let batch: Vec<_> = (0..25_u16)
        .map(|n| {
            // several of the same moment and record
            let mut body = translated(&format!("m{n}"), u64::from(n / 4));
            body.index = n % 4;
            event(&body)
        })
        .collect();
    apply(&database, &batch).await;
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = listed(
            &database,
            MessageSearch {
                after,
                limit: 7,
                ..MessageSearch::default()
            },
        )
        .await;
        seen.extend(
            page.items
                .into_iter()
                .map(|row| (row.stream_seq, row.record_index)),
        );
        match page.next {
            Some(next) => after = Some(Cursor::decode(&next).unwrap()),
            None => break,
        }
    }
    let mut expected: Vec<_> = (0..25_i64)
        .map(|n| (n / 4, i16::try_from(n % 4).unwrap()))
        .collect();
    expected.reverse();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_row_of_any_day_finds_its_partition() {
    let database = TestDatabase::new().await;
    let mut old = translated("old", 1);
    old.received_at = "1999-12-31T23:59:59Z".into();
    let mut wrong = translated("wrong", 2);
    wrong.received_at = "yesterday".into();
    wrong.outcome = TranslationOutcome::Refused;
    let verdicts = apply(&database, &[event(&old), event(&wrong)]).await;
    assert!(matches!(verdicts[0], Verdict::Applied { .. }));
    assert_eq!(refusal_of(&verdicts[1]), "integration.time");
    assert_eq!(listed(&database, all()).await.items.len(), 1);
}

#[tokio::test]
async fn lineage_leads_from_the_bytes_to_effects_dead_letters_and_what_was_said() {
    let database = TestDatabase::new().await;
    let mut child = translated("child", 2);
    child.parent = Some(raw("one"));
    apply(
        &database,
        &[
            event(&translated("one", 1)),
            event(&child),
            event(&dead("one")),
        ],
    )
    .await;
    let first_event = schemas::event_id(raw("one").0, 0);
    let mut tx = database.tx(&tenant("demo")).await;
    sqlx::query("insert into integration.inbox (tenant_id, event_id, worker, outcome) values ('demo', $1, 'patient', 'applied')")
        .bind(first_event)
        .execute(tx.conn())
        .await
        .unwrap();
    sqlx::query(
        "insert into integration.outbox (tenant_id, subject, headers, body, causes, created_at)
         values ('demo', 'event.demo.1.patients.patient.registered', '{}', '', array[$1], $2)",
    )
    .bind(first_event)
    .bind(OffsetDateTime::now_utc().replace_time(time::Time::MIDNIGHT) + time::Duration::HOUR)
    .execute(tx.conn())
    .await
    .unwrap();
    let lineage = lineage(tx.conn(), raw("one").0).await.unwrap().unwrap();
    assert_eq!(lineage.arrivals.len(), 1);
    assert_eq!(lineage.children[0].id, "2.0");
    assert_eq!(lineage.events[0].event_id, first_event);
    assert_eq!(lineage.events[1].name, "lis.result.received");
    assert_eq!(lineage.applied[0].worker, "patient");
    assert_eq!(lineage.dead.len(), 1);
    assert_eq!(lineage.said[0].causes, [first_event]);
    assert!(
        worker_integration::queries::lineage(tx.conn(), Uuid::now_v7())
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn tenants_never_meet_and_a_query_without_one_sees_nothing() {
    let database = TestDatabase::new().await;
    let other = tenant("other");
    apply_one(&database, event(&translated("one", 1))).await;
    apply_one(
        &database,
        envelope(&other, "/channel/other/lab", &translated("two", 2)),
    )
    .await;
    let mut tx = database.tx(&other).await;
    let theirs = messages(tx.conn(), &all()).await.unwrap().items;
    assert_eq!(theirs.len(), 1);
    assert_eq!(theirs[0].id, "2.0");
    assert_eq!(
        channel(tx.conn(), "lab").await.unwrap().unwrap().messages,
        1
    );
    drop(tx);
    for statement in [
        "select count(*) from integration.messages",
        "select count(*) from integration.messages_other",
        "select count(*) from integration.channels",
    ] {
        let seen: i64 = sqlx::query_scalar(statement)
            .fetch_one(database.pool())
            .await
            .unwrap();
        assert_eq!(seen, 0, "{statement}");
    }
    let partition: String = format!(
        "select count(*) from integration.messages_{}",
        OffsetDateTime::now_utc()
            .date()
            .to_string()
            .replace('-', "")
    );
    let seen: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(partition))
        .fetch_one(database.pool())
        .await
        .unwrap();
    assert_eq!(
        seen, 0,
        "a partition asked by its own name is protected too"
    );
}

#[tokio::test]
async fn a_dead_message_and_its_dead_letter_are_seen_together_and_counted_once() {
    let database = TestDatabase::new().await;
    let mut letter = dead("one");
    letter.in_ledger = true;
    // as the translator publishes it: the letter first
    apply_one(&database, event(&letter)).await;
    let letters = "select count(*) from integration.dead_letters";
    assert_eq!(count(&database, letters).await, 0, "not before its message");
    let mut body = translated("one", 5);
    body.outcome = TranslationOutcome::Refused;
    body.events.clear();
    body.refused = Some(MessageRefused {
        stage: letter.stage,
        by: letter.by.clone(),
        reason: letter.reason.clone(),
        detail: letter.detail.clone(),
    });
    let arrived = event(&body);
    apply_one(&database, arrived.clone()).await;
    apply_one(&database, event(&letter)).await;
    let mut tx = database.tx(&tenant("demo")).await;
    let lineage = lineage(tx.conn(), raw("one").0).await.unwrap().unwrap();
    assert_eq!(lineage.arrivals[0].outcome, "dead");
    let [row] = lineage.dead.as_slice() else {
        panic!("{:?}", lineage.dead);
    };
    assert_eq!(
        (row.reason.as_str(), row.attempts, row.state.as_str()),
        (letter.reason.as_str(), 1, "open")
    );
    drop(tx);
    // a letter of a release before, whose event says nothing
    apply_one(&database, event(&dead("two"))).await;
    assert_eq!(count(&database, letters).await, 2);
}
