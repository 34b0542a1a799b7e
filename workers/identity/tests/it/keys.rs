//! Signing keys: one is made when there is none, the next one when it is due, also when two processes look at once.

use test_support::TestDatabase;
use worker_identity::keys;
use worker_identity::sealing::Sealer;

async fn load(database: &TestDatabase, sealer: &Sealer) -> Vec<keys::SigningKey> {
    let mut connection = database.pool().acquire().await.unwrap();
    keys::load(&mut connection, sealer).await.unwrap()
}

#[tokio::test]
async fn there_is_one_first_key_and_a_successor_is_published_before_it_signs() {
    let database = TestDatabase::new().await;
    let sealer = Sealer::new(&[3; 32]);
    let (one, other) = tokio::join!(
        keys::ensure(database.pool(), &sealer),
        keys::ensure(database.pool(), &sealer)
    );
    let made = [one.unwrap(), other.unwrap()];
    assert_eq!(made.iter().flatten().count(), 1, "{made:?}");
    assert_eq!(load(&database, &sealer).await.len(), 1);
    assert_eq!(keys::ensure(database.pool(), &sealer).await.unwrap(), None);

    // a month later
    sqlx::query("update users.signing_keys set signs_from = signs_from - interval '31 days'")
        .execute(database.pool())
        .await
        .unwrap();
    let next = keys::ensure(database.pool(), &sealer)
        .await
        .unwrap()
        .unwrap();
    let ring = load(&database, &sealer).await;
    assert_eq!(ring.len(), 2);
    let now = time::OffsetDateTime::now_utc();
    assert_eq!(ring[0].kid, next);
    assert!(ring[0].signs_from > now + time::Duration::minutes(5));
    assert!(ring[1].verify_until > ring[0].signs_from + time::Duration::minutes(15));
    assert_eq!(keys::ensure(database.pool(), &sealer).await.unwrap(), None);

    // under another secret nothing opens, and a key of its own is made
    let changed = Sealer::new(&[4; 32]);
    assert!(load(&database, &changed).await.is_empty());
    assert!(
        keys::ensure(database.pool(), &changed)
            .await
            .unwrap()
            .is_some()
    );
    assert_eq!(load(&database, &changed).await.len(), 1);
}
