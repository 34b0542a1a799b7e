//! Not a benchmark: prints what a batch costs, so that a change can be judged (`-- --ignored --nocapture`, release).

use std::time::Instant;

use hub_core::Worker;
use test_support::{TestDatabase, event, tenant};
use worker_patient::PatientWorker;

use crate::house::*;

fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .unwrap()
        .1
        .split_whitespace()
        .collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

#[tokio::test]
#[ignore = "measures"]
async fn a_batch_of_known_mentions_is_cheap() {
    let database = TestDatabase::new().await;
    let people: Vec<_> = (0..512)
        .map(|n| {
            let mut report = mentioned(&format!("P{n:06}"));
            report.telecoms = mobile(&format!("98{n:08}"));
            report.birth_date = schemas::Patch::Set("1980-05-17".into());
            report.identifiers.push(id(&format!("LAB|{n}")));
            event(&report)
        })
        .collect();
    let (started, before) = (Instant::now(), cpu());
    apply(&database, &people).await;
    println!(
        "512 registrations: {:?}, {:.1} us CPU each",
        started.elapsed(),
        (cpu() - before) * 1e6 / 512.0
    );
    let rounds = 400;
    let (started, before) = (Instant::now(), cpu());
    for _ in 0..rounds {
        let mut tx = database.tx(&tenant("demo")).await;
        PatientWorker.apply(&mut tx, &people).await.unwrap();
        tx.commit().await.unwrap();
    }
    let messages = f64::from(rounds) * 512.0;
    println!(
        "known mentions: {:.2} us a message elapsed, {:.2} us CPU of ours, body {} bytes",
        started.elapsed().as_secs_f64() * 1e6 / messages,
        (cpu() - before) * 1e6 / messages,
        people[0].body.len()
    );
}
