//! Two at once: one wins, the other is told.

use schemas::identity::{
    ConfirmFactor, EnrolFactor, ProveFactor, RotateSession, SetPassword, SetUserState, UserState,
};
use test_support::{TestDatabase, tenant};
use uuid::Uuid;
use worker_identity::hex_digest;

use super::house::{answer, apply, hours, refusal, session, user};

fn rotation(session_id: Uuid, presented: &str, next: &str) -> RotateSession {
    RotateSession {
        session_id,
        presented: hex_digest(presented.as_bytes()),
        next: hex_digest(next.as_bytes()),
        next_until: hours(12),
        peer: None,
        actor: "asha".to_owned(),
    }
}

#[tokio::test]
async fn of_two_who_show_one_refresh_token_at_once_one_goes_on_and_then_nobody() {
    let (database, tenant) = (TestDatabase::new().await, tenant("demo"));
    let asha = user(&database, &tenant, "asha").await;
    let id = session(&database, &tenant, asha, "first").await;
    let (ours, theirs) = (rotation(id, "first", "a"), rotation(id, "first", "b"));
    let (one, other) = tokio::join!(
        apply(&database, &tenant, &ours),
        apply(&database, &tenant, &theirs)
    );
    let mut outcomes = [one, other].map(|verdict| answer(verdict)["outcome"].to_string());
    outcomes.sort();
    assert_eq!(outcomes, ["\"reused\"", "\"rotated\""]);
    for token in ["a", "b"] {
        let next = apply(&database, &tenant, &rotation(id, token, "c")).await;
        match next {
            hub_core::Verdict::Refused(refusal) => assert_eq!(refusal.code, "sessions.unknown"),
            applied => assert_eq!(answer(applied)["outcome"], "ended"),
        }
    }
    let mut tx = database.tx(&tenant).await;
    let rows: i64 = sqlx::query_scalar(
        "select count(*) from audit.entries where action = 'auth.refresh_reused'",
    )
    .fetch_one(tx.conn())
    .await
    .unwrap();
    assert_eq!(rows, 1);
}

#[tokio::test]
async fn a_code_is_used_up_by_the_first_of_two_and_by_any_later_one() {
    let (database, tenant) = (TestDatabase::new().await, tenant("demo"));
    let asha = user(&database, &tenant, "asha").await;
    let enrol = EnrolFactor {
        factor_id: Uuid::now_v7(),
        user_id: asha,
        sealed: "AAAA".to_owned(),
        actor: "asha".to_owned(),
    };
    answer(apply(&database, &tenant, &enrol).await);
    let prove = |step, recovery: Option<&str>| ProveFactor {
        factor_id: enrol.factor_id,
        step,
        recovery: recovery.map(|code| hex_digest(code.as_bytes())),
        actor: "asha".to_owned(),
    };
    let early = apply(&database, &tenant, &prove(Some(99), None)).await;
    assert_eq!(refusal(early), "factors.already_used", "not confirmed");
    let confirm = ConfirmFactor {
        factor_id: enrol.factor_id,
        user_id: asha,
        step: 100,
        recovery: vec![hex_digest(b"one"), hex_digest(b"two")],
        keep_session: None,
        actor: "asha".to_owned(),
    };
    answer(apply(&database, &tenant, &confirm).await);
    assert_eq!(
        refusal(apply(&database, &tenant, &confirm).await),
        "factors.unknown"
    );
    for (proof, good) in [
        (prove(Some(100), None), false),
        (prove(Some(101), None), true),
        (prove(Some(101), None), false),
        (prove(Some(100), None), false),
        (prove(None, Some("one")), true),
        (prove(None, Some("one")), false),
        (prove(None, Some("three")), false),
        (prove(None, Some("two")), true),
    ] {
        let verdict = apply(&database, &tenant, &proof).await;
        if good {
            answer(verdict);
        } else {
            assert_eq!(refusal(verdict), "factors.already_used", "{proof:?}");
        }
    }
    let at_once = prove(Some(102), None);
    let (one, other) = tokio::join!(
        apply(&database, &tenant, &at_once),
        apply(&database, &tenant, &at_once)
    );
    let refused = [one, other]
        .into_iter()
        .filter(|verdict| matches!(verdict, hub_core::Verdict::Refused(_)))
        .count();
    assert_eq!(refused, 1);
}

#[tokio::test]
async fn of_two_password_changes_at_once_one_is_refused() {
    let (database, tenant) = (TestDatabase::new().await, tenant("demo"));
    let asha = user(&database, &tenant, "asha").await;
    let keep = session(&database, &tenant, asha, "here").await;
    session(&database, &tenant, asha, "there").await;
    let change = |to: &str| SetPassword {
        user_id: asha,
        password_hash: to.to_owned(),
        replaces: Some(hex_digest(b"$argon2id$")),
        one_time_until: None,
        keep_session: Some(keep),
        actor: "asha".to_owned(),
    };
    let first = answer(apply(&database, &tenant, &change("$argon2id$a")).await);
    assert_eq!(first["sessions_ended"], 1);
    assert_eq!(
        refusal(apply(&database, &tenant, &change("$argon2id$b")).await),
        "users.stale"
    );
}

#[tokio::test]
async fn nobody_who_is_shut_out_gets_a_session() {
    let (database, tenant) = (TestDatabase::new().await, tenant("demo"));
    let asha = user(&database, &tenant, "asha").await;
    let id = session(&database, &tenant, asha, "first").await;
    let lock = SetUserState {
        user_id: asha,
        state: UserState::Locked,
        reason: "badge lost".to_owned(),
        actor: "admin".to_owned(),
    };
    answer(apply(&database, &tenant, &lock).await);
    assert!(matches!(
        apply(&database, &tenant, &lock).await,
        hub_core::Verdict::Unchanged
    ));
    let rotated = apply(&database, &tenant, &rotation(id, "first", "next")).await;
    assert_eq!(answer(rotated)["outcome"], "ended");
    let open = schemas::identity::OpenSession {
        session_id: Uuid::now_v7(),
        user_id: asha,
        amr: vec!["pwd".to_owned()],
        peer: None,
        agent: None,
        refresh_digest: hex_digest(b"x"),
        refresh_until: hours(1),
        expires_at: hours(1),
        actor: "asha".to_owned(),
    };
    assert_eq!(
        refusal(apply(&database, &tenant, &open).await),
        "auth.user_forbidden"
    );
}
