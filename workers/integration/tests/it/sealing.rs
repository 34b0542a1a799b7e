use hub_core::Worker;
use schemas::commands::RecordAccess;
use sqlx::{Connection, PgConnection};
use test_support::{TestDatabase, command, envelope, tenant};
use worker_integration::IntegrationWorker;
use worker_integration::maintain::{
    self, Root, Signatures, Signer, Span, Verification, Wrong, current_root, roots, seal,
    sign_roots,
};

use crate::house::*;

fn look(n: usize) -> RecordAccess {
    RecordAccess {
        action: "message.body_read".into(),
        object: format!("message {n}.0"),
        actor: "user/doctor".into(),
        reason: None,
    }
}

/// A key of the test: it signs with a letter and the text's length, so that what was changed does not hold.
struct Key;

fn signature(text: &[u8]) -> Vec<u8> {
    let sum: u32 = text.iter().map(|byte| u32::from(*byte)).sum();
    sum.to_be_bytes().to_vec()
}

impl Signer for Key {
    fn kid(&self) -> &str {
        "test"
    }
    fn sign(&self, text: &[u8]) -> Vec<u8> {
        signature(text)
    }
}

impl Signatures for Key {
    fn holds(&self, kid: &str, text: &[u8], given: &[u8]) -> Option<bool> {
        (kid == "test").then(|| signature(text) == given)
    }
}

async fn verify(database: &TestDatabase) -> Verification {
    verify_of(database, "demo", &[]).await
}

async fn verify_of(database: &TestDatabase, name: &str, elsewhere: &[Root]) -> Verification {
    maintain::verify(
        database.pool(),
        &tenant(name),
        &Key,
        elsewhere,
        Span::default(),
    )
    .await
    .unwrap()
}

fn whole(intact: i64, unsealed: i64) -> Verification {
    Verification {
        first_position: 1,
        intact,
        unsealed,
        complete: true,
        ..Verification::default()
    }
}

/// What is wrong, its entry and its place.
fn broken(found: &Verification) -> (Wrong, Option<i64>, Option<i64>) {
    let broken = found.broken.as_ref().expect("something is broken");
    (broken.what, broken.entry_id, broken.position)
}

/// Changes behind the program's back: the owner switches its own fence off first.
async fn tamper(database: &TestDatabase, statement: &'static str) {
    let mut owner = PgConnection::connect_with(database.owner_options())
        .await
        .unwrap();
    for table in ["entries", "chain", "roots"] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
            "alter table audit.{table} no force row level security"
        )))
        .execute(&mut owner)
        .await
        .unwrap();
    }
    let done = sqlx::raw_sql(statement).execute(&mut owner).await.unwrap();
    assert!(done.rows_affected() > 0, "{statement}");
    for table in ["entries", "chain", "roots"] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
            "alter table audit.{table} force row level security"
        )))
        .execute(&mut owner)
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn the_chain_holds_until_a_row_is_altered_and_names_the_first_one() {
    let database = TestDatabase::new().await;
    let demo = tenant("demo");
    let batch: Vec<_> = (0..10).map(|n| command(&look(n))).collect();
    apply(&database, &batch[..6]).await;
    assert_eq!(seal(database.pool(), &demo).await.unwrap(), 6);
    assert_eq!(seal(database.pool(), &demo).await.unwrap(), 0);
    apply(&database, &batch[6..]).await;
    assert_eq!(verify(&database).await, whole(6, 4));
    assert_eq!(seal(database.pool(), &demo).await.unwrap(), 4);
    assert_eq!(verify(&database).await, whole(10, 0));
    tamper(
        &database,
        "update audit.entries set actor = 'user/nobody' where object = 'message 7.0'",
    )
    .await;
    tamper(
        &database,
        "update audit.entries set actor = 'user/nobody' where object = 'message 4.0'",
    )
    .await;
    let found = verify(&database).await;
    assert_eq!(found.intact, 4);
    assert_eq!(broken(&found), (Wrong::Altered, Some(5), Some(5)));
}

#[tokio::test]
async fn an_entry_taken_away_and_one_put_in_between_are_named() {
    let database = TestDatabase::new().await;
    let demo = tenant("demo");
    let batch: Vec<_> = (0..10).map(|n| command(&look(n))).collect();
    apply(&database, &batch).await;
    // number 11 was given to a transaction that was taken back
    let mut gone = database.tx(&demo).await;
    IntegrationWorker
        .apply(&mut gone, &[command(&look(10))])
        .await
        .unwrap();
    gone.rollback().await.unwrap();
    apply(&database, &[command(&look(11))]).await;
    assert_eq!(seal(database.pool(), &demo).await.unwrap(), 11);
    // all of it two hours ago
    tamper(
        &database,
        "update audit.chain set sealed_at = sealed_at - interval '2 hours'",
    )
    .await;
    assert_eq!(verify(&database).await, whole(11, 0));
    tamper(
        &database,
        "insert into audit.entries (id, tenant_id, recorded_at, actor, action, object) overriding system value
         values (11, 'demo', now() - interval '2 hours', 'user/doctor', 'message.body_read', 'message 10.0')",
    )
    .await;
    assert_eq!(seal(database.pool(), &demo).await.unwrap(), 1);
    let found = verify(&database).await;
    assert_eq!(broken(&found), (Wrong::Inserted, Some(11), Some(12)));
    assert_eq!(found.intact, 11);

    tamper(
        &database,
        "alter table audit.chain drop constraint chain_entry_id_fkey; delete from audit.entries where id = 3",
    )
    .await;
    assert_eq!(
        broken(&verify(&database).await),
        (Wrong::Missing, Some(3), Some(3))
    );
}

#[tokio::test]
async fn a_chain_laid_anew_over_altered_entries_does_not_agree_with_the_signed_root() {
    let database = TestDatabase::new().await;
    let demo = tenant("demo");
    let batch: Vec<_> = (0..6).map(|n| command(&look(n))).collect();
    apply(&database, &batch[..4]).await;
    seal(database.pool(), &demo).await.unwrap();
    tamper(
        &database,
        "update audit.chain set sealed_at = sealed_at - interval '1 day'",
    )
    .await;
    let now = time::OffsetDateTime::now_utc();
    apply(&database, &batch[4..]).await;
    seal(database.pool(), &demo).await.unwrap();
    // at the beginning of a day its yesterday is not closed yet
    let later = now + time::Duration::minutes(10);
    assert_eq!(
        sign_roots(database.pool(), &demo, &Key, later)
            .await
            .unwrap(),
        1
    );
    assert_eq!(
        sign_roots(database.pool(), &demo, &Key, later)
            .await
            .unwrap(),
        0
    );
    let kept = roots(database.pool(), &demo, None, None).await.unwrap();
    assert_eq!(
        (kept[0].first_position, kept[0].last_position, kept.len()),
        (1, 4, 1)
    );
    let found = verify(&database).await;
    assert_eq!((found.intact, found.roots.hold, found.broken), (6, 1, None));

    // from the day of the second part on, the root before it is the beginning
    let today = Span {
        from: Some(now.date()),
        ..Span::default()
    };
    let part = maintain::verify(database.pool(), &demo, &Key, &[], today)
        .await
        .unwrap();
    assert_eq!(
        (part.first_position, part.intact, part.broken),
        (5, 2, None)
    );

    // elsewhere a root of this moment is kept, and then the end of the chain is cut off
    let elsewhere = current_root(database.pool(), &demo, &Key, now)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((elsewhere.first_position, elsewhere.last_position), (5, 6));
    tamper(
        &database,
        "delete from audit.chain where position = 6; delete from audit.entries where id = 6",
    )
    .await;
    assert_eq!(verify(&database).await.broken, None);
    let found = verify_of(&database, "demo", &[elsewhere]).await;
    assert_eq!(broken(&found), (Wrong::CutOff, None, Some(6)));

    // whoever may write everything alters an entry and computes all digests anew
    tamper(
        &database,
        "update audit.entries set actor = 'user/nobody' where id = 2",
    )
    .await;
    assert_eq!(
        broken(&verify(&database).await),
        (Wrong::Altered, Some(2), Some(2))
    );
    tamper(&database, "delete from audit.chain").await;
    seal(database.pool(), &demo).await.unwrap();
    assert_eq!(
        broken(&verify(&database).await),
        (Wrong::Relaid, None, Some(4))
    );
    // and the root, which he can't sign
    tamper(
        &database,
        "update audit.roots r set digest = c.digest from audit.chain c where c.position = r.last_position",
    )
    .await;
    let found = verify(&database).await;
    assert_eq!(broken(&found), (Wrong::RootAltered, None, Some(1)));
}

#[tokio::test]
async fn each_tenant_has_a_chain_of_its_own() {
    let database = TestDatabase::new().await;
    for name in ["demo", "other", "demo"] {
        apply_one(&database, envelope(&tenant(name), "/api", &look(1))).await;
    }
    assert_eq!(seal(database.pool(), &tenant("demo")).await.unwrap(), 2);
    assert_eq!(seal(database.pool(), &tenant("other")).await.unwrap(), 1);
    for name in ["demo", "other"] {
        assert_eq!(verify_of(&database, name, &[]).await.broken, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sealers_that_meet_lay_one_chain_and_late_entries_are_sealed_later() {
    let database = TestDatabase::new().await;
    let demo = tenant("demo");
    let mut late = database.tx(&demo).await;
    IntegrationWorker
        .apply(&mut late, &[command(&look(0))])
        .await
        .unwrap();
    let batch: Vec<_> = (1..2_500).map(|n| command(&look(n))).collect();
    apply(&database, &batch).await;
    let mut sealers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (database, demo) = (database.clone(), demo.clone());
        sealers.spawn(async move { seal(database.pool(), &demo).await.unwrap() });
    }
    assert_eq!(sealers.join_all().await.into_iter().sum::<u64>(), 2_499);
    late.commit().await.unwrap();
    assert_eq!(verify(&database).await.unsealed, 1);
    assert_eq!(seal(database.pool(), &demo).await.unwrap(), 1);
    assert_eq!(verify(&database).await, whole(2_500, 0));
}

#[tokio::test]
async fn the_program_can_neither_change_nor_delete_an_entry() {
    let database = TestDatabase::new().await;
    apply_one(&database, command(&look(1))).await;
    for statement in [
        "update audit.entries set actor = 'x'",
        "delete from audit.entries",
        "delete from audit.chain",
        "update audit.chain set position = 1",
        "delete from audit.roots",
        "update audit.roots set day = now()",
    ] {
        let mut tx = database.tx(&tenant("demo")).await;
        let error = sqlx::query(statement).execute(tx.conn()).await.unwrap_err();
        assert!(
            error.to_string().contains("permission denied"),
            "{statement}: {error}"
        );
    }
}
