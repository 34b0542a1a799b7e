//! What one message of twelve results costs, in the worker and in Postgres, by batch size.
//!
//! `CLINICAL_BENCH_URL` names a migrated database on this machine (as `hub_app`), with the settings to be
//! measured; without it a temporary one is used. Figures are CPU, read from /proc, so that a slow disk
//! does not blur them; wall time is printed beside.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Instant;

use hub_core::{Envelope, Tx, Verdict, Worker};
use schemas::care::{Code, Mapped, Observation, ReferenceRange, ResultReceived, Value};
use schemas::patients::Identifier;
use schemas::{ChannelId, IdentifierKey};
use sqlx::postgres::PgPoolOptions;
use sqlx::{Executor, PgPool};
use test_support::{TestDatabase, event, tenant};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};
use worker_clinical::ClinicalWorker;

const NAMES: [(&str, &str, &str, &str); 12] = [
    ("WBC", "Leukocytes", "10*3/uL", "6690-2"),
    ("RBC", "Erythrocytes", "10*6/uL", "789-8"),
    ("HGB", "Hemoglobin", "g/dL", "718-7"),
    ("HCT", "Hematocrit", "%", "4544-3"),
    ("MCV", "Mean corpuscular volume", "fL", "787-2"),
    ("MCH", "Mean corpuscular hemoglobin", "pg", "785-6"),
    ("MCHC", "MCH concentration", "g/dL", "786-4"),
    ("PLT", "Platelets", "10*3/uL", "777-3"),
    ("RDW", "Erythrocyte distribution width", "%", "788-0"),
    ("MPV", "Platelet mean volume", "fL", "32623-1"),
    ("NEU", "Neutrophils", "%", "770-8"),
    ("LYM", "Lymphocytes", "%", "736-9"),
];

fn message(n: u64, at: OffsetDateTime) -> Envelope {
    let patient = format!("MRN{:06}", n % 50_000);
    let at = (at + Duration::seconds(i64::try_from(n).unwrap()))
        .format(&Rfc3339)
        .unwrap();
    let results = NAMES
        .iter()
        .enumerate()
        .map(|(index, (code, name, unit, loinc))| Observation {
            code: Code {
                code: (*code).into(),
                text: Some((*name).into()),
                system: Some("L".into()),
            },
            alternate: None,
            sub_id: None,
            value_type: Some("NM".into()),
            value: Value::Quantity {
                comparator: None,
                number: format!("{}.{}0", (n + index as u64) % 90, n % 10),
            },
            raw_value: Some(format!("{}.{}0", (n + index as u64) % 90, n % 10)),
            unit: Some((*unit).into()),
            range: Some(ReferenceRange {
                text: "4.0-11.0".into(),
                low: Some("4.0".into()),
                high: Some("11.0".into()),
            }),
            flags: vec!["N".into()],
            status: Some("F".into()),
            observed_at: Some(at.clone()),
            device: None,
            notes: vec![],
            mapped: Some(Mapped {
                loinc: (*loinc).into(),
                display: Some((*name).into()),
                ucum: Some((*unit).into()),
                factor: None,
            }),
            held: None,
        })
        .collect();
    let mut envelope = event(&ResultReceived {
        channel: ChannelId::new("lab").unwrap(),
        subject: Some(Identifier {
            key: IdentifierKey::of(&tenant("demo"), "mrn", &patient),
            system: "mrn".into(),
            value: patient,
            kind: Some("MR".into()),
        }),
        visit_number: Some(format!("V{n}")),
        placer_number: Some(format!("P{n}")),
        filler_number: Some(format!("F{n}")),
        code: Code {
            code: "CBC".into(),
            text: Some("Complete blood count".into()),
            system: Some("L".into()),
        },
        status: Some("F".into()),
        observed_at: Some(at.clone()),
        issued_at: Some(at),
        specimen: None,
        results,
        notes: vec![],
        occurred_at: None,
    });
    envelope.aggregate = format!("{:032x}", n % 50_000);
    envelope
}

/// User and system time of a process, in seconds.
fn cpu(pid: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let after_name = stat.rsplit_once(") ").unwrap().1;
    let fields: Vec<&str> = after_name.split(' ').collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

async fn run(pool: &PgPool, size: usize, total: u64, offset: u64, at: OffsetDateTime) {
    let demo = tenant("demo");
    let backend: i32 = sqlx::query_scalar("select pg_backend_pid()")
        .fetch_one(pool)
        .await
        .unwrap();
    let mut batches: Vec<Vec<Envelope>> = Vec::new();
    let mut next = offset;
    while next < offset + total {
        batches.push((next..next + size as u64).map(|n| message(n, at)).collect());
        next += size as u64;
    }
    let bytes = batches[0][0].body.len();
    let (own, server, started) = (cpu("self"), cpu(&backend.to_string()), Instant::now());
    let mut said = 0usize;
    for batch in &batches {
        let mut tx = Tx::begin(pool, &demo).await.unwrap();
        for verdict in ClinicalWorker::default()
            .apply(&mut tx, batch)
            .await
            .unwrap()
        {
            let Verdict::Applied { outgoing, .. } = verdict else {
                panic!("{verdict:?}");
            };
            said += outgoing.len();
        }
        tx.commit().await.unwrap();
    }
    let messages = (batches.len() * size) as f64;
    let micros = |seconds: f64| seconds * 1e6 / messages;
    println!(
        "batch {size:4}: body {bytes} B, worker {:6.1} µs, postgres backend {:6.1} µs, wall {:6.1} µs a message ({:.0}/s), {said} said",
        micros(cpu("self") - own),
        micros(cpu(&backend.to_string()) - server),
        micros(started.elapsed().as_secs_f64()),
        messages / started.elapsed().as_secs_f64(),
    );
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let pool = match std::env::var("CLINICAL_BENCH_URL") {
        Ok(url) => PgPoolOptions::new()
            .max_connections(1)
            .connect(&url)
            .await
            .unwrap(),
        Err(_) => {
            let database = TestDatabase::new().await;
            PgPoolOptions::new()
                .max_connections(1)
                .connect_with(database.app_options().clone())
                .await
                .unwrap()
        }
    };
    let total: u64 = std::env::var("CLINICAL_BENCH_MESSAGES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(20_480);
    // a run of its own each time: keys begin where no earlier run ended
    let at = OffsetDateTime::now_utc() - Duration::days(3_650);
    pool.execute("select 1").await.unwrap();
    for (nth, size) in [512, 64, 16, 512].into_iter().enumerate() {
        run(&pool, size, total, nth as u64 * total, at).await;
    }
}
