//! Pages of a long worklist take milliseconds.

use worker_clinical::queries::{VerificationFilter, VerificationState, verifications};

use super::{FREE, lab, pack};

/// Pages of a long worklist: `cargo test -p worker-clinical --test it pages_of -- --ignored --nocapture`.
#[tokio::test]
#[ignore = "measures; needs a quiet machine and half a minute"]
async fn pages_of_a_worklist_of_100_000_results_take_milliseconds() {
    let ward = lab(pack(FREE, "")).await;
    let mut tx = ward.tx().await;
    for statement in [
        "insert into clinical.reports (tenant_id, id, report_key, subject_key, source_event, received_at, fact_at, channel, code, specimen_number) \
         select 'demo', md5('r' || n)::uuid, md5('k' || n)::uuid, md5('s' || n % 5000)::uuid, md5('e' || n)::uuid, now(), now(), \
         'lab' || n % 20, 'CHEM', 'T' || n from generate_series(1, 100000) as n",
        "insert into clinical.results (tenant_id, report_id, item, version, code, value_kind, value_text, loinc, ucum, status) \
         select 'demo', md5('r' || n)::uuid, 0, 1, 'GLU', 'quantity', '412', '2345-7', 'mg/dL', 'F' from generate_series(1, 100000) as n",
        "insert into clinical.verifications (tenant_id, report_id, item, version, channel, code, loinc, ucum, subject_key, specimen_number, \
         measured_at, state, failed, reason, pack, decided_by, decided_at, released_at) \
         select 'demo', md5('r' || n)::uuid, 0, 1, 'lab' || n % 20, 'GLU', '2345-7', 'mg/dL', md5('s' || n % 5000)::uuid, 'T' || n, now(), \
         case when n % 3 = 0 then 'released' else 'needs_review' end, 'range', 'x', 't1', case when n % 3 = 0 then 'rules' end, \
         case when n % 3 = 0 then now() end, case when n % 3 = 0 then now() end from generate_series(1, 100000) as n",
    ] {
        sqlx::query(statement).execute(tx.conn()).await.unwrap();
    }
    tx.commit().await.unwrap();
    let subject: uuid::Uuid = {
        let mut tx = ward.tx().await;
        sqlx::query_scalar("select md5('s1234')::uuid")
            .fetch_one(tx.conn())
            .await
            .unwrap()
    };
    let open = VerificationFilter {
        limit: 50,
        ..VerificationFilter::default()
    };
    for (name, filter) in [
        ("first page", open.clone()),
        (
            "deep page",
            VerificationFilter {
                after: Some(90_000),
                ..open.clone()
            },
        ),
        (
            "channel",
            VerificationFilter {
                channel: Some("lab7".into()),
                ..open.clone()
            },
        ),
        (
            "patient",
            VerificationFilter {
                subjects: Some(vec![subject]),
                ..open.clone()
            },
        ),
        (
            "specimen",
            VerificationFilter {
                specimen: Some("T77777".into()),
                ..open.clone()
            },
        ),
        (
            "released",
            VerificationFilter {
                state: VerificationState::One("released".into()),
                ..open.clone()
            },
        ),
    ] {
        let mut tx = ward.tx().await;
        verifications(tx.conn(), &filter).await.unwrap();
        let began = std::time::Instant::now();
        let found = verifications(tx.conn(), &filter).await.unwrap();
        println!("{name}: {} rows in {:?}", found.len(), began.elapsed());
        assert!(!found.is_empty(), "{name}");
        assert!(
            began.elapsed() < std::time::Duration::from_millis(100),
            "{name}: {:?}",
            began.elapsed()
        );
    }
}
