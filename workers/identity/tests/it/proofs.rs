//! Passkeys and linked people, where two come at once or one comes twice.

use schemas::TenantId;
use schemas::sign_in::{
    AddPasskey, Challenge, InviteSubject, LinkSubject, Linked, MappedRole, RemovePasskeys,
    UnlinkSubjects, UsePasskey, UseSubject,
};
use test_support::{TestDatabase, tenant};
use uuid::Uuid;
use worker_identity::{hex_digest, maintain};

use super::house::{answer, apply, hours, refusal, user};

fn challenge(word: &str) -> Challenge {
    Challenge {
        digest: hex_digest(word.as_bytes()),
        until: hours(1),
    }
}

fn passkey(user_id: Uuid, word: &str) -> AddPasskey {
    AddPasskey {
        passkey_id: Uuid::now_v7(),
        user_id,
        challenge: challenge(word),
        name: "Telephone".to_owned(),
        // sixteen bytes of nothing
        credential_id: "AAAAAAAAAAAAAAAAAAAAAA==".to_owned(),
        public_key: "AAAA".to_owned(),
        state: "AAAAAAAAAA==".to_owned(),
        sign_count: 3,
        transports: 4,
        synced: false,
        keep_session: None,
        actor: "asha".to_owned(),
    }
}

async fn count(database: &TestDatabase, tenant: &TenantId, sql: &'static str) -> i64 {
    let mut tx = database.tx(tenant).await;
    sqlx::query_scalar(sql).fetch_one(tx.conn()).await.unwrap()
}

#[tokio::test]
async fn a_passkey_is_one_of_one_user_and_its_counter_goes_on() {
    let database = TestDatabase::new().await;
    let demo = tenant("demo");
    let asha = user(&database, &demo, "asha").await;
    let ravi = user(&database, &demo, "ravi").await;
    let added = passkey(asha, "a");
    answer(apply(&database, &demo, &added).await);
    assert_eq!(
        refusal(apply(&database, &demo, &passkey(ravi, "b")).await),
        "passkeys.exists"
    );
    assert_eq!(
        refusal(apply(&database, &demo, &passkey(asha, "a")).await),
        "challenges.already_used"
    );
    assert_eq!(
        refusal(apply(&database, &demo, &passkey(Uuid::now_v7(), "c")).await),
        "users.unknown"
    );
    for (word, shown, says) in [
        ("d", 3, "counter"),
        ("e", 4, "used"),
        ("f", 4, "counter"),
        ("g", 0, "counter"),
        ("h", 9, "used"),
    ] {
        let command = UsePasskey {
            passkey_id: added.passkey_id,
            user_id: asha,
            challenge: challenge(word),
            sign_count: shown,
            state: "AAAAAAAAAA==".to_owned(),
            synced: false,
            actor: "asha".to_owned(),
        };
        let told = answer(apply(&database, &demo, &command).await);
        assert_eq!(told["outcome"], says, "{word}");
    }
    let rows = "select count(*) from audit.entries where action = 'auth.passkey_counter'";
    assert_eq!(count(&database, &demo, rows).await, 3);
    let remove = RemovePasskeys {
        user_id: asha,
        passkey_id: None,
        reason: "lost".to_owned(),
        keep_session: None,
        actor: "admin".to_owned(),
    };
    answer(apply(&database, &demo, &remove).await);
    assert_eq!(
        refusal(apply(&database, &demo, &remove).await),
        "passkeys.unknown"
    );
    // of another hospital nothing is known
    let elsewhere = tenant("other");
    assert_eq!(
        count(&database, &elsewhere, "select count(*) from users.passkeys").await,
        0
    );
}

#[tokio::test]
async fn a_person_is_one_user_and_an_invitation_is_good_once() {
    let database = TestDatabase::new().await;
    let demo = tenant("demo");
    let asha = user(&database, &demo, "asha").await;
    let ravi = user(&database, &demo, "ravi").await;
    let invite = |secret: &str| InviteSubject {
        digest: hex_digest(secret.as_bytes()),
        user_id: asha,
        provider: "staff".to_owned(),
        expires_at: hours(72),
        actor: "admin".to_owned(),
    };
    answer(apply(&database, &demo, &invite("first")).await);
    answer(apply(&database, &demo, &invite("second")).await);
    let link = |user_id: Uuid, subject: &str, word: &str, invitation: Option<&str>| LinkSubject {
        link_id: Uuid::now_v7(),
        user_id,
        provider: "staff".to_owned(),
        issuer: "https://sso.example".to_owned(),
        subject: subject.to_owned(),
        challenge: challenge(word),
        linked: match invitation {
            Some(_) => Linked::Invitation,
            None => Linked::Himself,
        },
        invitation: invitation.map(|text| hex_digest(text.as_bytes())),
        actor: "asha".to_owned(),
    };
    for (user_id, invitation, word) in [(asha, "first", "a"), (ravi, "second", "b")] {
        let command = link(user_id, "s1", word, Some(invitation));
        assert_eq!(
            refusal(apply(&database, &demo, &command).await),
            "invitations.unknown",
            "{invitation}"
        );
    }
    let good = link(asha, "s1", "c", Some("second"));
    answer(apply(&database, &demo, &good).await);
    for (user_id, subject, word) in [(ravi, "s1", "d"), (asha, "s2", "e")] {
        let command = link(user_id, subject, word, None);
        assert_eq!(
            refusal(apply(&database, &demo, &command).await),
            "subjects.exists"
        );
    }
    let used = |word: Option<&str>, roles: Option<&[&str]>| UseSubject {
        link_id: good.link_id,
        user_id: asha,
        challenge: word.map(challenge),
        roles: roles.map(|roles| {
            roles
                .iter()
                .map(|role| MappedRole {
                    role: (*role).to_owned(),
                    facility: None,
                    department: None,
                })
                .collect()
        }),
        actor: "asha".to_owned(),
    };
    answer(apply(&database, &demo, &used(Some("f"), None)).await);
    assert_eq!(
        refusal(apply(&database, &demo, &used(Some("f"), None)).await),
        "challenges.already_used"
    );
    for (roles, changed) in [
        (&["nurse", "nurse", "no_such_role"][..], 1),
        (&["nurse"][..], 0),
        (&["doctor"][..], 2),
        (&[][..], 1),
    ] {
        let told = answer(apply(&database, &demo, &used(None, Some(roles))).await);
        assert_eq!(told["grants_changed"], changed, "{roles:?}");
    }
    let unlink = UnlinkSubjects {
        user_id: asha,
        link_id: None,
        reason: "left".to_owned(),
        actor: "admin".to_owned(),
    };
    answer(apply(&database, &demo, &unlink).await);
    assert_eq!(
        refusal(apply(&database, &demo, &used(None, None)).await),
        "subjects.unknown"
    );
    // a person ended it: a claim of the provider does not begin it anew, for the user or for the person
    let by_claim = |user_id: Uuid, subject: &str, word: &str| LinkSubject {
        linked: Linked::Claim,
        ..link(user_id, subject, word, None)
    };
    for (user_id, subject, word) in [(asha, "s1", "h"), (asha, "s2", "i"), (ravi, "s1", "j")] {
        let command = by_claim(user_id, subject, word);
        assert_eq!(
            refusal(apply(&database, &demo, &command).await),
            "subjects.claim_not_allowed",
            "{word}"
        );
    }
    answer(apply(&database, &demo, &by_claim(ravi, "s9", "k")).await);
    let unlink = UnlinkSubjects {
        user_id: ravi,
        ..unlink
    };
    answer(apply(&database, &demo, &unlink).await);
    answer(apply(&database, &demo, &link(ravi, "s1", "g", None)).await);
}

#[tokio::test]
async fn marks_of_challenges_are_kept_while_they_could_be_answered() {
    let database = TestDatabase::new().await;
    let demo = tenant("demo");
    let asha = user(&database, &demo, "asha").await;
    answer(apply(&database, &demo, &passkey(asha, "a")).await);
    for (age, deleted) in [(0, 0), (-2, 1)] {
        let age = time::Duration::hours(age);
        let done = maintain::prune_used_challenges(database.pool(), &demo, age)
            .await
            .unwrap();
        assert_eq!(done, deleted);
    }
}

#[tokio::test]
async fn a_refused_link_does_not_use_up_its_invitation() {
    let database = TestDatabase::new().await;
    let demo = tenant("demo");
    let asha = user(&database, &demo, "asha").await;
    let ravi = user(&database, &demo, "ravi").await;
    let invite = InviteSubject {
        digest: hex_digest(b"secret"),
        user_id: asha,
        provider: "staff".to_owned(),
        expires_at: hours(72),
        actor: "admin".to_owned(),
    };
    answer(apply(&database, &demo, &invite).await);
    let link = |user_id: Uuid, subject: &str, word: &str, linked: Linked| LinkSubject {
        link_id: Uuid::now_v7(),
        user_id,
        provider: "staff".to_owned(),
        issuer: "https://sso.example".to_owned(),
        subject: subject.to_owned(),
        challenge: challenge(word),
        invitation: (linked == Linked::Invitation).then(|| hex_digest(b"secret")),
        linked,
        actor: "asha".to_owned(),
    };
    answer(apply(&database, &demo, &link(ravi, "s1", "a", Linked::Himself)).await);
    // she signed in there as somebody who is linked already
    let wrong = link(asha, "s1", "b", Linked::Invitation);
    assert_eq!(
        refusal(apply(&database, &demo, &wrong).await),
        "subjects.exists"
    );
    let right = link(asha, "s2", "c", Linked::Invitation);
    answer(apply(&database, &demo, &right).await);
    let again = link(asha, "s3", "d", Linked::Invitation);
    assert_eq!(
        refusal(apply(&database, &demo, &again).await),
        "invitations.unknown"
    );
}
