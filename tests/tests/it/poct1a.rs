//! Bedside devices that speak POCT1-A, against the whole program.

use std::time::{Duration, Instant};

use tests::{
    ChannelToml, HubProcess, HubSettings, Mllp, Poct1a, Servers, encode, eventually, unique,
};

const SOON: Duration = Duration::from_secs(30);

fn glucose(value: &str) -> String {
    format!(
        "   <OBS>\r\n    <OBS.observation_id V=\"2339-0\" DN=\"Glucose\" SN=\"LN\"/>\r\n    <OBS.value V=\"{value}\" U=\"mg/dL\"/>\r\n    \
         <OBS.method_cd V=\"M\"/>\r\n    <OBS.status_cd V=\"A\"/>\r\n   </OBS>\r\n"
    )
}

fn of_patient(patient: &str, value: &str, reason: &str) -> String {
    format!(
        " <SVC>\r\n  <SVC.role_cd V=\"OBS\"/>\r\n  <SVC.observation_dttm V=\"2026-01-15T11:57:30+05:30\"/>\r\n  \
         <SVC.reason_cd V=\"{reason}\"/>\r\n  <PT>\r\n   <PT.patient_id V=\"{patient}\"/>\r\n{}  </PT>\r\n  <OPR>\r\n   \
         <OPR.operator_id V=\"N-2201\"/>\r\n  </OPR>\r\n </SVC>",
        glucose(value)
    )
}

fn of_material(object: &str, lot: &str, value: &str) -> String {
    format!(
        " <SVC>\r\n  <SVC.role_cd V=\"OBS\"/>\r\n  <SVC.observation_dttm V=\"2026-01-15T07:51:00+05:30\"/>\r\n  <{object}>\r\n   \
         <{object}.lot_number V=\"{lot}\"/>\r\n   <{object}.level_cd V=\"1\"/>\r\n{}  </{object}>\r\n </SVC>",
        glucose(value)
    )
}

#[tokio::test]
async fn a_bedside_result_is_on_the_chart_and_controls_are_on_their_worklist() {
    let servers = Servers::start().await;
    let ward = ChannelToml::new("ward").kind("poct1a");
    let mut hub = HubProcess::start(&servers, &HubSettings::new(&servers).channel(ward)).await;
    let rest = hub.sign_in().await;
    let (patient, lot) = (unique("MRN"), unique("QC"));
    let mut device = Poct1a::connect(hub.mllp("ward")).await;
    device.begin("GP-1").await;
    assert_eq!(
        device
            .send("OBS.R01", &of_patient(&patient, "184", "NEW"))
            .await,
        "AA"
    );
    let path = format!("/api/v1/results?patient_identifier={}", encode(&patient));
    let results = eventually("the result", Duration::from_secs(2), || async {
        let items = rest.items(&path).await;
        (items.len() == 1).then_some(items)
    })
    .await;
    assert_eq!(results[0]["loinc"], "2339-0");
    assert_eq!(results[0]["status"], "F");
    assert_eq!(results[0]["device"], "EXAMPLE GP2 GP-1");

    // control and calibration material, which the device calls OBS like everything else
    assert_eq!(
        device
            .send("OBS.R02", &of_material("CTC", &lot, "52"))
            .await,
        "AA"
    );
    assert_eq!(
        device
            .send("OBS.R02", &of_material("CVC", &lot, "301"))
            .await,
        "AA"
    );
    let controls = eventually("both on the worklist", SOON, || async {
        let items = rest.items("/api/v1/worklists/qc").await;
        (items.len() == 2).then_some(items)
    })
    .await;
    let material = format!("{lot}/1");
    assert!(
        controls
            .iter()
            .all(|c| c["material"] == material.as_str() && c["verdict"] == "not_checked"),
        "{controls:?}"
    );
    assert!(
        rest.items("/api/v1/worklists/unmatched").await.is_empty(),
        "no control is looked for among patients"
    );

    // the same observation once more, under another control id, in another session, after a kill
    hub.kill9().await;
    hub.restart().await;
    let rest = hub.sign_in().await;
    let mut device = Poct1a::connect(hub.mllp("ward")).await;
    device.begin("GP-1").await;
    let again = of_patient(&patient, "184", "RES");
    assert_eq!(device.send("OBS.R01", &again).await, "AA");
    // and a result after it, which proves that it was worked off
    let other = unique("MRN");
    assert_eq!(
        device
            .send("OBS.R01", &of_patient(&other, "99", "NEW"))
            .await,
        "AA"
    );
    eventually("all results of the ward in the ledger", SOON, || async {
        let found = rest
            .items(&format!(
                "/api/v1/messages?patient_number={}",
                encode(&patient)
            ))
            .await;
        (found.len() == 2).then_some(())
    })
    .await;
    rest.results(&other, 1).await;
    let results = rest.items(&path).await;
    assert_eq!(results.len(), 1, "filed once");
    assert!(
        results[0]["version"].as_i64().is_none_or(|v| v == 1),
        "{results:?}"
    );
}

#[tokio::test]
async fn nothing_is_accepted_while_nothing_can_be_stored_and_what_is_broken_is_shown() {
    let servers = Servers::start().await;
    let ward = ChannelToml::new("ward").kind("poct1a");
    let hub = HubProcess::start(&servers, &HubSettings::new(&servers).channel(ward)).await;
    let rest = hub.sign_in().await;
    let patient = unique("MRN");
    let mut device = Poct1a::connect(hub.mllp("ward")).await;
    device.begin("GP-2").await;
    servers.nats.freeze();
    let body = of_patient(&patient, "101", "NEW");
    assert_eq!(device.send("OBS.R01", &body).await, "AE");
    servers.nats.thaw();
    let thawed = Instant::now();
    while device.send("OBS.R01", &body).await != "AA" {
        assert!(thawed.elapsed() < SOON, "the store is back");
    }
    rest.results(&patient, 1).await;

    // half a document, then the line is cut
    let text = device.message("OBS.R01", &body);
    device.write(&text[..text.len() / 2]).await;
    drop(device);
    let letter = eventually("the part is kept as a dead letter", SOON, || async {
        rest.items("/api/v1/dead-letters?channel=ward").await.pop()
    })
    .await;
    assert_eq!(letter["stage"], "edge", "{letter}");
    let detail = letter["detail"].as_str().unwrap();
    assert!(detail.ends_with("poct1a_incomplete"), "{letter}");
}

/// What a hospital system says of the patient on the visit `V<patient>`.
fn adt(trigger: &str, hhmm: &str, patient: &str, ward: &str) -> String {
    let at = format!("20260301{hhmm}00+0530");
    format!(
        "MSH|^~\\&|HIS|HOSP|HUB|HOSP|{at}||ADT^{trigger}|{control}|P|2.5.1\rEVN|{trigger}|{at}\r\
         PID|1||{patient}^^^HOSP^MR||Rao^Asha||19751021|F\r\
         PV1|1|I|{ward}^^5^HOSP||||||||||||||||V{patient}\r",
        control = unique("C"),
    )
}

#[tokio::test]
async fn a_meter_knows_who_may_measure_and_who_lies_in_its_ward() {
    let servers = Servers::start().await;
    let meters = ChannelToml::new("meters").kind("poct1a").tables(
        "[channel.settings.lists]\noperators = \"always\"\npatients = \"always\"\nward = \"icu\"\nrefresh_s = 5\n",
    );
    let settings = HubSettings::new(&servers).channel(meters);
    let site = settings.mappings.join("site");
    // the hospital's numbers are one series, whoever sends them
    std::fs::write(
        site.join("assigners.toml"),
        "[[assigner]]\nid = \"hosp\"\nauthority = [\"HOSP\", \"\"]\nsystem = \"hosp\"\n",
    )
    .unwrap();
    let staff = site.join("operators.toml");
    let asha_sharma =
        "[[operator]]\nid = \"N-2201\"\nname = \"Sharma, Asha\"\nchannels = [\"meters\"]\n";
    let expired = "[[operator]]\nid = \"N-1\"\nuntil = \"2020-01-01\"\n";
    std::fs::write(&staff, format!("{asha_sharma}{expired}")).unwrap();
    let hub = HubProcess::start(&servers, &settings).await;
    let rest = hub.sign_in().await;
    let mut his = Mllp::connect(hub.mllp("lab")).await;
    let patient = unique("MRN");
    let answer = his.send(adt("A01", "0800", &patient, "ICU")).await;
    assert_eq!(answer.code, "AA");
    let charts = format!("/api/v1/patients?identifier={}", encode(&patient));
    eventually("the patient is registered", SOON, || async {
        rest.items(&charts).await.into_iter().next()
    })
    .await;
    eventually("and in the ward", SOON, || async {
        let path = format!("/api/v1/encounters?patient_identifier={}", encode(&patient));
        rest.items(&path).await.into_iter().next()
    })
    .await;

    let mut meter = Poct1a::connect(hub.mllp("meters")).await;
    let hello = " <DEV>\r\n  <DEV.vendor_id V=\"EXAMPLE\"/>\r\n  <DEV.serial_id V=\"GM-7\"/>\r\n  \
                 <DSC><DSC.directives_supported_cd V=\"START_CONTINUOUS\"/></DSC>\r\n </DEV>";
    assert_eq!(meter.send("HEL.R01", hello).await, "AA");
    let status = " <DST>\r\n  <DST.new_observations_qty V=\"0\"/>\r\n </DST>";
    assert_eq!(meter.send("DST.R01", status).await, "AA");
    let operators = meter.take_it().await;
    assert!(operators.starts_with("<OPL.R01>"), "{operators}");
    assert!(operators.contains("V=\"N-2201\"") && !operators.contains("N-1\""));
    assert!(meter.take_it().await.contains("EOT.topic_cd V=\"OPL\""));
    let patients = meter.take_it().await;
    assert!(patients.starts_with("<PTL.R01>"), "{patients}");
    for said in [
        &format!("<PT.patient_id V=\"{patient}\"/><PT.location V=\"ICU^^5^HOSP\"/>"),
        "<GIV V=\"Asha\"/><FAM V=\"Rao\"/>",
        "<PT.birth_date V=\"1975-10-21\"/><PT.gender_cd V=\"F\"/>",
    ] {
        assert!(patients.contains(said), "{said} in {patients}");
    }
    assert!(meter.take_it().await.contains("EOT.topic_cd V=\"PTL\""));
    assert!(meter.take_it().await.contains("START_CONTINUOUS"));

    // measured under the number of the list: on her chart, and nobody new is registered
    assert_eq!(
        meter
            .send("OBS.R01", &of_patient(&patient, "184", "NEW"))
            .await,
        "AA"
    );
    rest.results(&patient, 1).await;
    assert_eq!(rest.items(&charts).await.len(), 1);

    // she is moved, and another nurse is certified: the meter is told while it is connected
    let moved = his.send(adt("A02", "0900", &patient, "MED")).await;
    assert_eq!(moved.code, "AA");
    let empty = meter.take_it().await;
    assert!(empty.starts_with("<PTL.R01>"), "{empty}");
    assert!(!empty.contains("<PT>"), "{empty}");
    assert!(meter.take_it().await.starts_with("<EOT.R01>"));
    let both = format!("{asha_sharma}[[operator]]\nid = \"N-3\"\nlevel = \"4\"\n");
    std::fs::write(&staff, both).unwrap();
    let changed = meter.take_it().await;
    assert!(
        changed.contains("V=\"N-2201\"") && changed.contains("V=\"N-3\""),
        "{changed}"
    );
    assert!(meter.take_it().await.starts_with("<EOT.R01>"));

    // nobody is certified any more: the meter keeps its list, and the channel says why
    std::fs::write(&staff, expired).unwrap();
    let error = eventually("the channel says so", SOON, || async {
        let channels = rest.items("/api/v1/channels").await;
        let meters = channels.into_iter().find(|c| c["channel"] == "meters")?;
        meters["error"].as_str().map(str::to_owned)
    })
    .await;
    assert!(
        error.contains("EXAMPLE GM-7 has no operator list: nobody is certified"),
        "{error}"
    );
    std::fs::write(&staff, asha_sharma).unwrap();
    assert!(meter.take_it().await.starts_with("<OPL.R01>"));
    assert!(meter.take_it().await.starts_with("<EOT.R01>"));
    eventually("the channel is well again", SOON, || async {
        let channels = rest.items("/api/v1/channels").await;
        let meters = channels.into_iter().find(|c| c["channel"] == "meters")?;
        meters["error"].is_null().then_some(())
    })
    .await;
}
