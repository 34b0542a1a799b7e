//! Several runs of one test on one sample, and how another one is had.

use schemas::ChannelId;
use schemas::care::{Comparator, Observation, Value};
use schemas::verification::RerunResult;
use test_support::tenant;
use worker_clinical::queries::verification_runs;

use super::placing::place;
use super::support::{Ward, at, patient};
use super::verification::{FREE, answer, glucose, lab, measured, pack, rows, seen, states, verify};

#[tokio::test]
async fn all_runs_are_kept_and_the_last_counts() {
    let ward = lab(pack(FREE, "")).await;
    let mut first = measured(0, vec![glucose("412")]);
    first.results[0].value = Value::Quantity {
        comparator: Some(Comparator::Greater),
        number: "412".into(),
    };
    ward.apply_one(at(0, &first)).await;
    assert_eq!(states(&ward).await, ["412 needs_review number"]);
    ward.apply_one(at(1, &measured(9, vec![glucose("250")])))
        .await;
    assert_eq!(states(&ward).await, ["412 rejected run", "250 released -"]);
    // a third one after a release is a correction for a person, who then replaces what went out
    ward.apply_one(at(2, &measured(12, vec![glucose("255")])))
        .await;
    assert_eq!(
        states(&ward).await,
        [
            "412 rejected run",
            "250 released -",
            "255 needs_review correction"
        ]
    );
    let third = rows(&ward).await.pop().unwrap();
    ward.apply_one(verify(&third)).await;
    let shown = ward.results(Default::default()).await;
    let released: Vec<_> = shown
        .iter()
        .filter(|one| one.released)
        .map(|one| one.value_text.as_deref().unwrap())
        .collect();
    assert_eq!(released, ["255"]);
    let mut tx = ward.tx().await;
    let runs = verification_runs(tx.conn(), third.id).await.unwrap();
    let values: Vec<_> = runs
        .iter()
        .map(|row| {
            format!(
                "{}{}",
                row.result.comparator.as_deref().unwrap_or_default(),
                row.result.value_text.as_deref().unwrap()
            )
        })
        .collect();
    assert_eq!(values, [">412", "250", "255"], "with what came with them");
}

#[tokio::test]
async fn a_run_that_measures_what_was_released_confirms_it() {
    let ward = lab(pack(FREE, "")).await;
    for (minute, value) in [(0, "100"), (9, "100.0")] {
        ward.apply_one(at(minute, &measured(minute, vec![glucose(value)])))
            .await;
    }
    assert_eq!(
        states(&ward).await,
        ["100 released -", "100.0 rejected run"]
    );
}

#[tokio::test]
async fn the_first_run_without_alarm_counts_where_the_device_says_so() {
    let more = "[[channel]]\nid = \"lab\"\nruns = \"first_without_alarm\"\n";
    let ward = lab(pack(FREE, more)).await;
    let mut clot = measured(0, vec![glucose("80")]);
    clot.results[0].flags = vec!["CLOT".into()];
    ward.apply_one(at(0, &clot)).await;
    ward.apply_one(at(1, &measured(5, vec![glucose("100")])))
        .await;
    ward.apply_one(at(2, &measured(9, vec![glucose("120")])))
        .await;
    assert_eq!(
        states(&ward).await,
        ["80 rejected run", "100 released -", "120 rejected run"]
    );
    // in one report too: a version that would replace the first without alarm does not
    ward.apply_one(at(3, &measured(5, vec![glucose("130")])))
        .await;
    let all = ward.results(worker_clinical::queries::Versions::All).await;
    let current: Vec<_> = all
        .iter()
        .filter(|row| row.current)
        .map(|row| row.value_text.as_deref().unwrap())
        .collect();
    assert!(
        current.contains(&"100") && !current.contains(&"130"),
        "{current:?}"
    );
    assert_eq!(all.len(), 4, "and is kept");
}

#[tokio::test]
async fn runs_in_one_message_are_runs_and_an_interpretation_goes_the_way_of_its_number() {
    let more = "[[channel]]\nid = \"lab\"\ninterpretations = [\"I\"]\n";
    let ward = lab(pack(FREE, more)).await;
    let line = |kind: &str, result: Observation| Observation {
        sub_id: Some(kind.into()),
        ..result
    };
    let reading = Observation {
        value: Value::Text {
            text: "Normal".into(),
        },
        value_type: None,
        ..glucose("Normal")
    };
    let body = measured(
        0,
        vec![
            line("F", glucose("100")),
            line("I", reading.clone()),
            line("F", glucose("102")),
        ],
    );
    ward.apply_one(at(0, &body)).await;
    assert_eq!(
        states(&ward).await,
        ["100 rejected run", "Normal rejected run", "102 released -"]
    );
    let mut other = measured(1, vec![line("F", glucose("412")), line("I", reading)]);
    other.specimen.as_mut().unwrap().number = Some("T2".into());
    ward.apply_one(at(1, &other)).await;
    assert_eq!(
        states(&ward).await[3..],
        ["412 needs_review range", "Normal needs_review range"]
    );
}

#[tokio::test]
async fn a_rerun_is_an_order_for_that_instrument_and_its_result_takes_the_place_of_the_first() {
    let ward = lab(pack(FREE, "")).await;
    ward.apply_one(at(0, &place(patient("1"), "GLU", "T1")))
        .await;
    ward.apply_one(at(1, &measured(0, vec![glucose("412")])))
        .await;
    assert_eq!(
        ward.text("select status from clinical.orders").await,
        "completed"
    );
    let row = rows(&ward).await.remove(0);
    let ask = at(
        2,
        &RerunResult {
            item: seen(&row),
            comment: Some("dilute".into()),
            actor: "tech".into(),
        },
    );
    let verdict = ward.apply_one(ask.clone()).await;
    // without tables nothing leads to what the instrument calls it: it is started by hand
    assert_eq!(answer(&verdict)["order_id"], serde_json::Value::Null);
    assert_eq!(answer(&verdict), answer(&ward.apply_one(ask).await));
    let row = rows(&ward).await.remove(0);
    assert_eq!(row.rerun_by.as_deref(), Some("tech"));
    ward.apply_one(at(3, &measured(20, vec![glucose("290")])))
        .await;
    assert_eq!(states(&ward).await, ["412 rejected run", "290 released -"]);
}

#[tokio::test]
async fn a_rerun_reaches_the_instrument_that_the_tables_know_a_name_for() {
    let plain = lab(pack(FREE, "")).await;
    let folder = std::env::temp_dir().join(format!("rerun-tables-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("tables")).unwrap();
    std::fs::write(
        folder.join("tables/lab.toml"),
        "[[code]]\nid = \"glu\"\ncode = \"GLU\"\nchannels = [\"lab\"]\nloinc = \"2345-7\"\n",
    )
    .unwrap();
    let store = hub_core::mappings::MappingStore::load(&folder).unwrap();
    let ward = Ward {
        worker: worker_clinical::ClinicalWorker::new(std::sync::Arc::new(store))
            .with_autoverify(pack(FREE, ""))
            .with_verification([(tenant("demo"), ChannelId::new("lab").unwrap())]),
        ..plain
    };
    ward.apply_one(at(0, &measured(0, vec![glucose("412")])))
        .await;
    let row = rows(&ward).await.remove(0);
    let ask = RerunResult {
        item: seen(&row),
        comment: None,
        actor: "tech".into(),
    };
    let verdict = ward.apply_one(at(1, &ask)).await;
    let order = answer(&verdict)["order_id"].as_str().unwrap().to_owned();
    let mut tx = ward.tx().await;
    let pending = worker_clinical::queries::pending_on(tx.conn(), "lab", &["T1".to_owned()])
        .await
        .unwrap();
    assert_eq!(
        pending
            .iter()
            .map(|test| (test.order_id.to_string(), test.code.as_str()))
            .collect::<Vec<_>>(),
        [(order, "2345-7")]
    );
    let elsewhere = worker_clinical::queries::pending_on(tx.conn(), "other", &["T1".to_owned()])
        .await
        .unwrap();
    assert!(elsewhere.is_empty());
    drop(tx);
    // its result closes it
    ward.apply_one(at(2, &measured(9, vec![glucose("290")])))
        .await;
    assert_eq!(
        ward.text("select status from clinical.orders").await,
        "completed"
    );
    std::fs::remove_dir_all(folder).unwrap();
}
