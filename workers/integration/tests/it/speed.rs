//! Not a benchmark: prints what a batch costs, so that a change can be judged (`-- --ignored --nocapture`, release).

use std::time::Instant;

use test_support::{TestDatabase, event};

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
async fn a_batch_of_arrivals_is_cheap() {
    let database = TestDatabase::new().await;
    let rounds = 60;
    let batches: Vec<Vec<_>> = (0..rounds)
        .map(|round| {
            (0..512)
                .map(|n| event(&translated(&format!("{round}.{n}"), round * 512 + n)))
                .collect()
        })
        .collect();
    let (started, before) = (Instant::now(), cpu());
    for batch in &batches {
        apply(&database, batch).await;
    }
    let messages = rounds as f64 * 512.0;
    println!(
        "arrivals: {:.2} us a message elapsed, {:.2} us CPU of ours, body {} bytes",
        started.elapsed().as_secs_f64() * 1e6 / messages,
        (cpu() - before) * 1e6 / messages,
        batches[0][0].body.len()
    );
}
