//! Queries in the ledger, and how they were answered.

use schemas::integration::TranslationOutcome;
use schemas::sending::{QueryAnswered, QueryOutcome};
use test_support::{TestDatabase, event, tenant};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};
use worker_integration::maintain::prune_query_answers;
use worker_integration::queries::{MessageSearch, QueryAnswer, query_answers};

use crate::house::*;

fn answered(seq: u64, outcome: QueryOutcome, later: i64) -> QueryAnswered {
    let at = OffsetDateTime::now_utc() + Duration::seconds(later);
    QueryAnswered {
        raw_id: raw("query"),
        channel: channel("lab"),
        stream_seq: seq,
        index: 0,
        outcome,
        specimens: 1,
        tests: 3,
        took_ms: 12,
        reason: None,
        at: at.format(&Rfc3339).unwrap(),
    }
}

async fn of_query(database: &TestDatabase) -> Vec<QueryAnswer> {
    let mut tx = database.tx(&tenant("demo")).await;
    query_answers(tx.conn(), raw("query").0).await.unwrap()
}

#[tokio::test]
async fn a_query_says_what_it_is_and_each_arrival_how_it_was_answered_whichever_comes_first() {
    let database = TestDatabase::new().await;
    let mut query = translated("query", 5);
    query.outcome = TranslationOutcome::Query;
    query.events.clear();
    apply(
        &database,
        &[
            event(&answered(5, QueryOutcome::Found, 0)),
            event(&query),
            event(&answered(9, QueryOutcome::Found, 1)),
        ],
    )
    .await;
    // it was written, and then the connection was lost
    apply_one(&database, event(&answered(9, QueryOutcome::Undelivered, 2))).await;
    // an older word changes nothing
    apply_one(&database, event(&answered(9, QueryOutcome::Nothing, 1))).await;
    let all = of_query(&database).await;
    let words: Vec<(i64, &str)> = all
        .iter()
        .map(|one| (one.stream_seq, one.outcome.as_str()))
        .collect();
    assert_eq!(words, [(5, "found"), (9, "undelivered")]);
    assert_eq!((all[0].tests, all[0].took_ms), (3, 12));
    let search = MessageSearch {
        outcome: Some("query".into()),
        limit: 10,
        ..MessageSearch::default()
    };
    assert_eq!(listed(&database, search).await.items.len(), 1);
}

#[tokio::test]
async fn an_answer_of_an_instrument_has_an_outcome_of_its_own() {
    let database = TestDatabase::new().await;
    let mut answer = translated("orl", 1);
    answer.outcome = TranslationOutcome::Answer;
    apply_one(&database, event(&answer)).await;
    let all = MessageSearch {
        limit: 10,
        ..MessageSearch::default()
    };
    assert_eq!(listed(&database, all).await.items[0].outcome, "answer");
}

#[tokio::test]
async fn answers_of_long_ago_are_pruned_and_their_queries_stay() {
    let database = TestDatabase::new().await;
    let days = |days: i64| -days * 24 * 3600;
    let mut query = translated("query", 5);
    query.outcome = TranslationOutcome::Query;
    query.events.clear();
    apply(
        &database,
        &[
            event(&query),
            event(&answered(5, QueryOutcome::Found, days(91))),
            event(&answered(9, QueryOutcome::Found, days(89))),
        ],
    )
    .await;
    let prune = |name| {
        let (pool, tenant) = (database.pool(), tenant(name));
        async move {
            prune_query_answers(pool, &tenant, Duration::days(90))
                .await
                .unwrap()
        }
    };
    assert_eq!(prune("other").await, 0, "another tenant's stay");
    assert_eq!(prune("demo").await, 1);
    assert_eq!(prune("demo").await, 0);
    let left = of_query(&database).await;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].stream_seq, 9);
    let mut tx = database.tx(&tenant("demo")).await;
    let rows = worker_integration::queries::messages_of_raw(tx.conn(), raw("query").0)
        .await
        .unwrap();
    assert_eq!(rows.len(), 1, "the query is in the ledger");
}
