//! Words of notes and documents in the database: sealed where columns are, and read by whoever may.

use std::time::{Duration, Instant};

use hub_core::vault::{Columns, LocalMaster, MasterKey, Vault};
use hub_core::{Tx, Worker as _, db};
use schemas::Body;
use schemas::chart::{
    AddToNote, ChangeEntry, Content, Document, DraftNote, EntryAction, FileDocument, Note,
};
use uuid::Uuid;
use worker_clinical::queries::{ChartFilter, ChartRow, chart_entries, chart_entry, chart_history};

use super::support::{Ward, at, key, patient};

const WORD: &str = "QQXTWORDS";

fn columns(masters: &[u8]) -> Columns {
    let masters = masters
        .iter()
        .map(|byte| {
            let text = format!("{byte:02x}").repeat(32);
            Box::new(LocalMaster::parse(&text).unwrap()) as Box<dyn MasterKey>
        })
        .collect();
    Columns::new(Vault::with(masters, true), true)
}

async fn tx(ward: &Ward, columns: &Columns) -> Tx<'static> {
    ward.tx().await.with_columns(columns)
}

async fn tried<B: Body>(ward: &Ward, columns: &Columns, body: &B) -> Result<(), sqlx::Error> {
    let mut tx = tx(ward, columns).await;
    let verdicts = ward.worker.apply(&mut tx, &[at(0, body)]).await;
    let verdicts = verdicts.map_err(|error| error.0)?;
    assert!(
        matches!(verdicts[..], [hub_core::Verdict::Applied { .. }]),
        "{verdicts:?}"
    );
    tx.commit().await
}

async fn apply<B: Body>(ward: &Ward, columns: &Columns, body: &B) {
    tried(ward, columns, body).await.unwrap();
}

fn draft(text: &str) -> DraftNote {
    DraftNote {
        entry_id: Uuid::now_v7(),
        subject: patient("1"),
        visit_number: None,
        note: Note {
            note_kind: "progress".into(),
            title: format!("Round {WORD}"),
            text: format!("{text} {WORD}"),
            signature: None,
            addenda: vec![],
        },
        actor: "asha".into(),
    }
}

fn change(entry_id: Uuid, action: EntryAction, content: Option<Content>) -> ChangeEntry {
    ChangeEntry {
        entry_id,
        seen: None,
        action,
        content,
        reason: None,
        actor: "asha".into(),
    }
}

async fn read(ward: &Ward, columns: &Columns, id: Uuid) -> Result<ChartRow, sqlx::Error> {
    let mut tx = tx(ward, columns).await;
    Ok(chart_entry(&mut tx, id).await?.expect("it stands"))
}

/// What lies in the row.
async fn stored(ward: &Ward, id: Uuid) -> String {
    let mut tx = ward.tx().await;
    sqlx::query_scalar("select body::text from clinical.chart_entries where id = $1")
        .bind(id)
        .fetch_one(tx.conn())
        .await
        .unwrap()
}

/// Tables of the tenant that hold a word, as text or as bytes.
async fn holders(ward: &Ward, word: &str) -> Vec<String> {
    let mut tx = ward.tx().await;
    let tables: Vec<String> = sqlx::query_scalar(
        "select n.nspname || '.' || c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where c.relkind in ('r', 'p') and not c.relispartition and n.nspname not like 'pg\\_%'
           and n.nspname <> 'information_schema' and has_table_privilege(c.oid, 'select') order by 1",
    )
    .fetch_all(tx.conn())
    .await
    .unwrap();
    assert!(tables.len() > 30, "{tables:?}");
    let hex: String = word.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut found = Vec::new();
    for table in tables {
        let query = format!(
            "select count(*) from {table} t where t::text like '%{word}%' or t::text like '%{hex}%'"
        );
        let rows: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(query))
            .fetch_one(tx.conn())
            .await
            .unwrap();
        if rows > 0 {
            found.push(table);
        }
    }
    found
}

#[tokio::test]
async fn words_are_in_no_table_and_every_version_is_read() {
    let ward = Ward::new().await;
    let columns = columns(&[1]);
    let note = draft("first");
    let id = note.entry_id;
    apply(&ward, &columns, &note).await;
    let edited = Content::Note(Note {
        text: format!("second {WORD}"),
        ..note.note.clone()
    });
    apply(
        &ward,
        &columns,
        &change(id, EntryAction::Edit, Some(edited)),
    )
    .await;
    apply(&ward, &columns, &change(id, EntryAction::Sign, None)).await;
    let addendum = AddToNote {
        entry_id: id,
        addendum_id: Uuid::now_v7(),
        text: format!("third {WORD}"),
        actor: "asha".into(),
    };
    apply(&ward, &columns, &addendum).await;
    let document = FileDocument {
        entry_id: Uuid::now_v7(),
        subject: patient("1"),
        visit_number: None,
        document: Document {
            title: format!("Letter {WORD}"),
            document_kind: "referral".into(),
            media_type: "application/pdf".into(),
            bytes: 1,
            sha256: "00".repeat(32),
        },
        actor: "asha".into(),
    };
    apply(&ward, &columns, &document).await;
    assert_eq!(holders(&ward, WORD).await, Vec::<String>::new());

    let row = read(&ward, &columns, id).await.unwrap();
    assert_eq!(row.title, Some(format!("Round {WORD}")));
    assert_eq!(row.body["text"], format!("second {WORD}"));
    assert_eq!(row.body["addenda"][0]["text"], format!("third {WORD}"));
    let row = read(&ward, &columns, document.entry_id).await.unwrap();
    assert_eq!(row.title, Some(format!("Letter {WORD}")));
    let mut tx = tx(&ward, &columns).await;
    let filter = ChartFilter {
        // what lists are filtered by stays open
        code: Some("progress".into()),
        limit: 10,
        ..ChartFilter::default()
    };
    let listed = chart_entries(&mut tx, "note", &[key("1").0], &filter)
        .await
        .unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].body["text"], format!("second {WORD}"));
    let versions: Vec<String> = chart_history(&mut tx, id)
        .await
        .unwrap()
        .iter()
        .map(|one| format!("{} {}", one.version, one.body["text"].as_str().unwrap()))
        .collect();
    assert_eq!(
        versions,
        [
            format!("1 first {WORD}"),
            format!("2 second {WORD}"),
            format!("3 second {WORD}"),
            format!("4 second {WORD}")
        ]
    );
}

#[tokio::test]
async fn what_was_written_before_is_read_and_sealed_with_its_next_version() {
    let ward = Ward::new().await;
    let (off, on) = (Columns::default(), columns(&[1]));
    let note = draft("open");
    apply(&ward, &off, &note).await;
    // the look finds what lies open
    assert_eq!(
        holders(&ward, WORD).await,
        ["clinical.chart_entries", "clinical.chart_history"]
    );
    let row = read(&ward, &on, note.entry_id).await.unwrap();
    assert_eq!(row.body["text"], format!("open {WORD}"));
    apply(&ward, &on, &change(note.entry_id, EntryAction::Sign, None)).await;
    assert!(!stored(&ward, note.entry_id).await.contains(WORD));
    let mut tx = tx(&ward, &on).await;
    let versions = chart_history(&mut tx, note.entry_id).await.unwrap();
    assert_eq!(versions.len(), 2);
    for one in versions {
        assert_eq!(one.body["text"], format!("open {WORD}"), "{}", one.version);
    }
}

#[tokio::test]
async fn a_sealed_row_that_was_put_elsewhere_does_not_open() {
    let ward = Ward::new().await;
    let columns = columns(&[1]);
    let (first, second) = (draft("first"), draft("second"));
    apply(&ward, &columns, &first).await;
    apply(&ward, &columns, &second).await;
    let mut moving = ward.tx().await;
    sqlx::query(
        "update clinical.chart_entries set body = (select body from clinical.chart_entries where id = $1) where id = $2",
    )
    .bind(first.entry_id)
    .bind(second.entry_id)
    .execute(moving.conn())
    .await
    .unwrap();
    moving.commit().await.unwrap();
    let row = read(&ward, &columns, first.entry_id).await.unwrap();
    assert_eq!(row.body["text"], format!("first {WORD}"));
    let moved = read(&ward, &columns, second.entry_id).await.unwrap_err();
    assert!(!db::is_transient(&moved), "{moved}");
    // nor is it written on
    let signed = change(second.entry_id, EntryAction::Sign, None);
    assert!(tried(&ward, &columns, &signed).await.is_err());
}

#[tokio::test]
async fn a_key_that_cannot_be_had_waits_and_stores_nothing() {
    let ward = Ward::new().await;
    let right = columns(&[1]);
    let note = draft("kept");
    apply(&ward, &right, &note).await;
    let wrong = columns(&[2]);
    let refused = tried(&ward, &wrong, &draft("lost")).await.unwrap_err();
    assert!(
        db::is_transient(&refused) && db::is_of_key(&refused),
        "{refused}"
    );
    let unread = read(&ward, &wrong, note.entry_id).await.unwrap_err();
    assert!(db::is_transient(&unread), "{unread}");
    let unread = read(&ward, &Columns::default(), note.entry_id).await;
    assert!(db::is_transient(&unread.unwrap_err()));
    assert_eq!(
        ward.count("select count(*) from clinical.chart_entries")
            .await,
        1
    );
    assert_eq!(
        ward.count("select count(*) from integration.data_keys")
            .await,
        1
    );
}

/// A transaction may be taken back after it made a key: nothing is ever sealed with that one.
#[tokio::test]
async fn a_key_of_a_transaction_that_was_taken_back_is_never_used() {
    let ward = Ward::new().await;
    let columns_of_writer = columns(&[1]);
    let mut taken_back = tx(&ward, &columns_of_writer).await;
    let lost = [at(0, &draft("lost"))];
    ward.worker.apply(&mut taken_back, &lost).await.unwrap();
    taken_back.rollback().await.unwrap();
    let note = draft("kept");
    apply(&ward, &columns_of_writer, &note).await;
    let row = read(&ward, &columns(&[1]), note.entry_id).await.unwrap();
    assert_eq!(row.body["text"], format!("kept {WORD}"));
}

#[tokio::test]
async fn after_a_rotation_old_and_new_are_read_also_under_a_new_master_key() {
    let ward = Ward::new().await;
    let before = columns(&[1]);
    let mut early = tx(&ward, &before).await;
    assert_eq!(before.rotate(&mut early).await.unwrap(), None);
    early.rollback().await.unwrap();
    let old = draft("old");
    apply(&ward, &before, &old).await;
    assert!(stored(&ward, old.entry_id).await.contains("sealed:v1:1:"));

    // the new master key wraps, the one before still opens
    let both = columns(&[2, 1]);
    let mut rotating = tx(&ward, &both).await;
    assert_eq!(both.rotate(&mut rotating).await.unwrap(), Some(2));
    rotating.commit().await.unwrap();
    let (new, after) = (draft("new"), columns(&[2]));
    apply(&ward, &after, &new).await;
    assert!(stored(&ward, new.entry_id).await.contains("sealed:v1:2:"));
    for (note, text) in [(&old, "old"), (&new, "new")] {
        let row = read(&ward, &after, note.entry_id).await.unwrap();
        assert_eq!(row.body["text"], format!("{text} {WORD}"));
    }
    let mut looking = tx(&ward, &after).await;
    let facts = after.facts(&mut looking).await.unwrap();
    assert!(
        facts.len() == 2 && facts.iter().all(|fact| fact.opens && fact.of == "columns"),
        "{facts:?}"
    );
    // the old one's next version is sealed with the new key
    apply(
        &ward,
        &after,
        &change(old.entry_id, EntryAction::Sign, None),
    )
    .await;
    assert!(stored(&ward, old.entry_id).await.contains("sealed:v1:2:"));
}

#[tokio::test]
async fn of_two_rotations_at_once_each_makes_a_key_of_its_own() {
    let ward = Ward::new().await;
    let columns = columns(&[1]);
    apply(&ward, &columns, &draft("first")).await;
    let (mut one, mut other) = (tx(&ward, &columns).await, tx(&ward, &columns).await);
    assert_eq!(columns.rotate(&mut one).await.unwrap(), Some(2));
    let ended = async {
        let deadline = Instant::now() + Duration::from_secs(10);
        let waiting = "select count(*) from pg_stat_activity \
             where datname = current_database() and wait_event_type = 'Lock'";
        while ward.count(waiting).await == 0 {
            assert!(Instant::now() < deadline, "the second waits for the first");
        }
        one.commit().await.unwrap();
    };
    let (second, ()) = tokio::join!(columns.rotate(&mut other), ended);
    assert_eq!(second.unwrap(), Some(3));
    other.commit().await.unwrap();
    assert_eq!(
        ward.count("select count(*) from integration.data_keys")
            .await,
        3
    );
}
