//! Nothing clinical is deleted (g9), unknown is a state (g11), and every wait has a deadline (g12).

use std::time::{Duration, Instant};

use tests::{HubProcess, HubSettings, Mllp, Rest, Servers, eventually, oru, shared, unique};

use super::SOON;

#[tokio::test]
async fn g9_a_correction_keeps_the_old_value_and_the_program_may_delete_nothing_clinical() {
    let world = shared().await;
    let rest = world.hub.sign_in().await;
    let (patient, specimen) = (unique("G9"), unique("G9S"));
    let mut peer = Mllp::connect(world.hub.mllp("lab")).await;
    peer.accepted(oru(
        &unique("C"),
        &patient,
        &specimen,
        &[("GLU", "104", "mg/dL")],
    ))
    .await;
    rest.results(&patient, 1).await;
    let correction = oru(
        &unique("C"),
        &patient,
        &specimen,
        &[("GLU", "140", "mg/dL")],
    )
    .replace("|||||F\r", "|||||C\r");
    peer.accepted(correction).await;
    let path = format!("/api/v1/results?patient_identifier={patient}&versions=all");
    let versions = eventually("two versions", SOON, || async {
        let items = rest.items(&path).await;
        (items.len() == 2).then_some(items)
    })
    .await;
    let value = |current: bool| {
        versions
            .iter()
            .find(|one| one["current"] == current)
            .unwrap()["raw_value"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        (value(true), value(false)),
        ("140".to_owned(), "104".to_owned())
    );

    let deletable = world
        .servers
        .sql("select table_schema || '.' || table_name from information_schema.role_table_grants where grantee = 'hub_app' and privilege_type in ('DELETE', 'TRUNCATE') and table_schema in ('patients', 'clinical', 'billing', 'accounting', 'audit') order by 1")
        .await;
    assert!(
        deletable
            .iter()
            .all(|table| ["patients.match_keys"].contains(&table.as_str())),
        "the program may delete from {deletable:?}"
    );
    let changeable = world.servers.sql("select privilege_type from information_schema.role_table_grants where grantee = 'hub_app' and table_schema = 'audit' and privilege_type not in ('SELECT', 'INSERT')").await;
    assert!(changeable.is_empty(), "{changeable:?}");
}

#[tokio::test]
async fn g9_the_audit_trail_is_sealed_link_by_link() {
    let world = shared().await;
    world.hub.sign_in().await;
    eventually("the trail is sealed", SOON, || async {
        let open = world.servers.count("select count(*) from audit.entries e where not exists (select 1 from audit.chain c where c.entry_id = e.id) and e.recorded_at < now() - interval '20 seconds'").await;
        (world.servers.count("select count(*) from audit.chain").await > 0 && open == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn g11_unknown_is_a_state_what_could_not_be_checked_says_so() {
    let servers = Servers::start().await;
    let hub = HubProcess::start(&servers, &HubSettings::new(&servers)).await;
    servers.postgres.stop().await.unwrap();
    let (status, body) = Rest::new(hub.api()).try_get("/readyz").await;
    assert_eq!(status, 503, "{body}");
    let text = body.to_string();
    assert!(
        text.contains("not_checked") || text.contains("not checked"),
        "migrations can't be checked without Postgres: {body}"
    );
    assert_eq!(Rest::new(hub.api()).try_get("/healthz").await.0, 200);
    // a channel that has not reported yet is unknown, not stopped
    servers.postgres.restart().await.unwrap();
}

#[tokio::test]
async fn g12_every_wait_has_a_deadline_with_nats_frozen_the_sender_hears_ae_within_its_patience() {
    let servers = Servers::start().await;
    let hub = HubProcess::start(&servers, &HubSettings::new(&servers)).await;
    let mut peer = Mllp::connect(hub.mllp("lab")).await;
    let (patient, id) = (unique("G12"), unique("G12C"));
    let message = oru(&id, &patient, &unique("S"), &[("GLU", "1", "mg/dL")]);
    peer.accepted(oru(
        &unique("C"),
        &patient,
        &unique("S"),
        &[("GLU", "1", "mg/dL")],
    ))
    .await;
    servers.nats.freeze();
    let began = Instant::now();
    let answer = peer.send(&message).await;
    let waited = began.elapsed();
    let rest = hub.sign_in();
    let login = tests::within("sign-in without NATS", Duration::from_secs(10), rest).await;
    let (status, body) = login.try_get("/readyz").await;
    servers.nats.thaw();
    assert_eq!(answer.code, "AE");
    assert!(
        waited < Duration::from_secs(5),
        "instruments give up after five seconds; this took {waited:?}"
    );
    assert_eq!(status, 503, "{body}");

    let address = hub.mllp("lab");
    eventually("the repeat is acknowledged", SOON, || async {
        (Mllp::connect(address).await.try_send(&message).await?.code == "AA").then_some(())
    })
    .await;
    let results = login.results(&patient, 2).await;
    assert_eq!(
        results.len(),
        2,
        "the frame that was refused and repeated has one effect"
    );
}
