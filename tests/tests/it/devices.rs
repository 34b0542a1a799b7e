//! Bedside devices from outside: a monitor that knows its bed only, movements that arrive in time and late, and alarms.

use std::time::Duration;

use serde_json::{Value, json};
use tests::{
    Answer, ChannelToml, HubProcess, HubSettings, Mllp, Rest, Servers, encode, eventually, unique,
};

const SOON: Duration = Duration::from_secs(20);
const DAY: &str = "20260301";

struct Ward {
    hub: HubProcess,
    rest: Rest,
    // after the hub: fields are dropped in this order
    _servers: Servers,
}

impl Ward {
    /// A hospital system on `lab`, monitors on `icu`; one of them calls its bed otherwise.
    async fn start() -> Self {
        let servers = Servers::start().await;
        let settings = HubSettings::new(&servers).channel(ChannelToml::new("icu"));
        std::fs::write(
            settings.mappings.join("site/beds.toml"),
            "[[bed]]\nid = \"icu-6\"\nsent = \"ICU^^Monitor 6\"\nis = \"ICU^^6^SGM\"\nchannels = [\"icu\"]\n",
        )
        .unwrap();
        let hub = HubProcess::start(&servers, &settings).await;
        let rest = hub.sign_in().await;
        Self {
            hub,
            rest,
            _servers: servers,
        }
    }

    async fn send(&self, channel: &str, text: String) -> Answer {
        Mllp::connect(self.hub.mllp(channel)).await.send(text).await
    }

    /// What the hospital system says at `hhmm` of the patient on the visit `V<patient>`.
    async fn adt(&self, trigger: &str, hhmm: &str, patient: &str, place: &str) {
        let at = format!("{DAY}{hhmm}00+0530");
        let text = format!(
            "MSH|^~\\&|HIS|HOSP|HUB|HOSP|{at}||ADT^{trigger}|{control}|P|2.5.1\rEVN|{trigger}|{at}\r\
             PID|1||{patient}^^^HOSP^MR||Family{patient}^Given||19800517|F\r\
             PV1|1|I|{place}||||||||||||||||V{patient}\r",
            control = unique("C"),
        );
        assert_eq!(self.send("lab", text).await.code, "AA");
    }

    /// A heart rate that the monitor of a bed measured at `hhmm`; it names no patient.
    async fn rate(&self, hhmm: &str, bed: &str, value: &str) -> Answer {
        let at = format!("{DAY}{hhmm}00+0530");
        let text = format!(
            "MSH|^~\\&|CENTRAL^0009FB0A0B0C0D0E^EUI-64||||{at}||ORU^R01^ORU_R01|{control}|P|2.6|||AL|NE|||||\
             IHE_PCD_001^IHE PCD^1.3.6.1.4.1.19376.1.6.1.1.1^ISO\rPID|||\rPV1||I|ICU^^{bed}\r\
             OBR|1||{control}|182777000^monitoring of patient^SCT|||{at}\r\
             OBX|1||69965^MDC_DEV_MON_PHYSIO_MULTI_PARAM_MDS^MDC|1.0.0.0|||||||X|||||||M{bed}^^0009FB0A0B0C0001^EUI-64\r\
             OBX|2|NM|147842^MDC_ECG_HEART_RATE^MDC|1.2.1.147842|{value}|264864^MDC_DIM_BEAT_PER_MIN^MDC|||||R\r\
             OBX|3|NM|150456^MDC_PULS_OXIM_SAT_O2^MDC|1.1.1.150456|8388607|262688^MDC_DIM_PERCENT^MDC|||||R\r",
            control = unique("C"),
        );
        let answer = self.send("icu", text).await;
        assert_eq!(answer.code, "CA");
        answer
    }

    async fn chart(&self, patient: &str) -> Vec<String> {
        let path = format!("/api/v1/vitals?patient_identifier={}", encode(patient));
        let mut values: Vec<String> = self
            .rest
            .items(&path)
            .await
            .iter()
            .map(|item| item["raw_value"].as_str().unwrap().to_owned())
            .collect();
        values.reverse();
        values
    }

    /// Waits until the chart of the patient holds exactly these values, oldest first.
    async fn charted(&self, patient: &str, values: &[&str]) {
        let what = format!("{values:?} on the chart");
        eventually(&what, SOON, || async {
            (self.chart(patient).await == values).then_some(())
        })
        .await;
    }

    async fn waiting(&self, reason: &str) -> Value {
        let path = format!("/api/v1/worklists/vitals?reason={reason}");
        eventually(reason, SOON, || async {
            self.rest.items(&path).await.into_iter().next()
        })
        .await
    }
}

#[tokio::test]
async fn measurements_follow_the_patient_from_bed_to_bed_and_never_a_stale_bed() {
    let ward = Ward::start().await;
    let (asha, ravi) = (unique("MRN"), unique("MRN"));
    // before anybody knows the bed
    let answer = ward.rate("0755", "5", "70").await;
    assert_eq!(answer.field("MSH", 9), "ACK^R01^ACK");
    let item = ward.waiting("bed_unknown").await;
    assert_eq!(item["waiting"], 1);

    // the admission, which arrives after the measurement, explains it
    ward.adt("A01", "0750", &asha, "ICU^^5^SGM").await;
    ward.charted(&asha, &["70"]).await;
    ward.rate("0810", "5", "71").await;
    ward.charted(&asha, &["70", "71"]).await;

    // she moves, another comes into her bed; both monitors send
    ward.adt("A02", "0820", &asha, "ICU^^6^SGM").await;
    ward.adt("A01", "0830", &ravi, "ICU^^5^SGM").await;
    ward.rate("0840", "5", "90").await;
    ward.rate("0841", "Monitor 6", "72").await;
    ward.charted(&asha, &["70", "71", "72"]).await;
    ward.charted(&ravi, &["90"]).await;
    let latest = format!("/api/v1/vitals/latest?patient_identifier={}", encode(&asha));
    let latest = ward.rest.items(&latest).await;
    assert_eq!(latest.len(), 1, "what has no value is nowhere: {latest:?}");
    assert_eq!(
        (
            &latest[0]["raw_value"],
            &latest[0]["loinc"],
            &latest[0]["matched_by"]
        ),
        (&json!("72"), &json!("8867-4"), &json!("bed"))
    );

    // between the two the bed was empty
    ward.rate("0825", "5", "99").await;
    ward.waiting("bed_empty").await;

    // he left at 0835, as the hospital system says only now: what was filed on the stale bed is taken back
    ward.adt("A03", "0835", &ravi, "ICU^^5^SGM").await;
    ward.charted(&ravi, &[]).await;
    let item = eventually("both wait", SOON, || async {
        let item = ward.waiting("bed_empty").await;
        (item["waiting"] == 2).then_some(item)
    })
    .await;
    // the discharge never was
    ward.adt("A13", "0850", &ravi, "ICU^^5^SGM").await;
    ward.charted(&ravi, &["90"]).await;

    // what is left a person claims with two identifiers
    let claim = format!("/api/v1/worklists/vitals/{}/claim", item["id"]);
    let body = json!({ "patient_identifier": asha, "birth_date": "1980-05-17" });
    let answer = ward.rest.command(&claim, &body).await;
    assert_eq!(answer["answer"]["state"], "claimed", "{answer}");
    ward.charted(&asha, &["70", "71", "99", "72"]).await;
    // nothing of it is a laboratory result
    let results = format!("/api/v1/results?patient_identifier={}", encode(&asha));
    assert!(ward.rest.items(&results).await.is_empty());
}

fn alarm(hhmmss: &str, name: &str, parent: Option<&str>, phase: &str, state: &str) -> String {
    let at = format!("{DAY}{hhmmss}+0530");
    let parent = parent.map_or(String::new(), |parent| {
        format!("{}^{parent}&&0009FB0A0B0C0001&EUI-64", "|".repeat(22))
    });
    format!(
        "MSH|^~\\&|CENTRAL^0009FB0A0B0C0D0E^EUI-64||||{at}||ORU^R40^ORU_R40|{control}|P|2.6|||AL|NE|||||\
         IHE_PCD_ACM_001^IHE PCD^1.3.6.1.4.1.19376.1.6.1.4.1^ISO\rPID|||\rPV1||I|ICU^^5\r\
         OBR|1||{name}^^0009FB0A0B0C0001^EUI-64|196616^MDC_EVT_ALARM^MDC|||{at}{parent}\r\
         OBX|1|ST|196674^MDC_EVT_LO_VAL_LT_LIM^MDC|1.1.1.150456.1|SpO2 low|||L~PH~SP|||R|||{at}\r\
         OBX|2|ST|68481^MDC_ATTR_EVENT_PHASE^MDC|1.1.1.150456.3|{phase}||||||R\r\
         OBX|3|ST|68482^MDC_ATTR_ALARM_STATE^MDC|1.1.1.150456.4|{state}||||||R\r",
        control = unique("C"),
    )
}

#[tokio::test]
async fn an_alarm_begins_goes_on_and_ends_and_a_late_message_does_not_open_it_again() {
    let ward = Ward::start().await;
    let patient = unique("MRN");
    ward.adt("A01", "0750", &patient, "ICU^^5^SGM").await;
    let name = unique("alarm");
    let answer = ward
        .send("icu", alarm("080000", &name, None, "start", "active"))
        .await;
    assert_eq!(answer.code, "CA");
    assert_eq!(answer.field("MSH", 9), "ACK^R40^ACK");
    let open = eventually("the alarm is open", SOON, || async {
        let items = ward.rest.items("/api/v1/alarms").await;
        items
            .into_iter()
            .find(|item| item["patient_id"].is_string())
    })
    .await;
    assert_eq!(
        (&open["priority"], &open["text"]),
        (&json!("PH"), &json!("SpO2 low"))
    );
    for second in ["10", "20", "30"] {
        let goes_on = alarm(
            &format!("0800{second}"),
            &unique("alarm"),
            Some(&name),
            "continue",
            "active",
        );
        ward.send("icu", goes_on).await;
    }
    ward.send(
        "icu",
        alarm("080100", &unique("alarm"), Some(&name), "end", "inactive"),
    )
    .await;
    // on its way when the alarm ended, and one with a clock that lags
    for late in ["080040", "080105"] {
        let goes_on = alarm(late, &unique("alarm"), Some(&name), "continue", "active");
        ward.send("icu", goes_on).await;
    }
    let path = format!("/api/v1/alarms/{}", open["id"].as_str().unwrap());
    let ended = eventually("all seven messages counted", SOON, || async {
        let alarm = ward.rest.get(&path).await;
        (alarm["messages"] == 7).then_some(alarm)
    })
    .await;
    assert_eq!(ended["status"], "ended", "{ended}");
    assert!(ward.rest.items("/api/v1/alarms").await.is_empty());
    let phases: Vec<&Value> = ended["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| &event["phase"])
        .collect();
    assert!(
        phases.starts_with(&[&json!("start")]) && phases.contains(&&json!("end")),
        "{phases:?}"
    );
}

#[tokio::test]
async fn a_meter_without_an_order_is_answered_by_r33_and_brings_its_order() {
    let ward = Ward::start().await;
    let (patient, number) = (unique("MRN"), unique("POC"));
    ward.adt("A01", "0750", &patient, "ICU^^5^SGM").await;
    let text = format!(
        "MSH|^~\\&|POCT|WARD|HUB|HOSP|{DAY}080000||ORU^R30^ORU_R30|{control}|P|2.5\r\
         PID|1||{patient}^^^HOSP^MR\rORC|NW\rOBR|1||{number}|2339-0^Glucose^LN|||{DAY}075900||||||||||||||||||F\r\
         OBX|1|NM|2339-0^Glucose^LN||162|mg/dL|||||F\r",
        control = unique("C"),
    );
    // the same once more: one order, one result
    for _ in 0..2 {
        let answer = ward.send("lab", text.clone()).await;
        assert_eq!(answer.code, "AA");
        assert_eq!(answer.field("MSH", 9), "ACK^R33^ACK");
    }
    assert_eq!(ward.rest.results(&patient, 1).await[0]["raw_value"], "162");
    let path = format!("/api/v1/orders?patient_identifier={}", encode(&patient));
    let orders = eventually("the order is there and done", SOON, || async {
        let orders = ward.rest.items(&path).await;
        orders
            .iter()
            .any(|order| order["status"] == "completed")
            .then_some(orders)
    })
    .await;
    assert_eq!(orders.len(), 1);
    assert_eq!(orders[0]["filler_number"], number.as_str());
}
