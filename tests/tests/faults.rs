//! kill -9 of hub, nats-server and Postgres at random moments under load; then everything is counted.
//!
//! What must hold (design.md §4): every acknowledged message has exactly one effect, none twice, the order of each
//! patient's messages is kept, and nobody had to lend a hand. `make faults` runs the long test, `KILLS` says how long;
//! `FAULTS_SEED=<seed>` asks for a run's kills and messages again. With `FAULTS_SABOTAGE=1` the run's own stores are
//! falsified at the end, one row at a time, and the count must notice each.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may end so")]

#[path = "faults/collect.rs"]
mod collect;
#[path = "faults/evidence.rs"]
mod evidence;
#[path = "faults/judge.rs"]
mod judge;
#[path = "faults/message.rs"]
mod message;
#[path = "faults/nats.rs"]
mod nats;
#[path = "faults/random.rs"]
mod random;
#[path = "faults/recovery.rs"]
mod recovery;
#[path = "faults/run.rs"]
mod run;
#[path = "faults/sabotage.rs"]
mod sabotage;
#[path = "faults/sender.rs"]
mod sender;
#[path = "faults/sent.rs"]
mod sent;
#[path = "faults/stand.rs"]
mod stand;

use std::time::Duration;

use run::Plan;

/// What can go wrong beside the findings: a server out of reach, an answer that can't be read.
type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The long test: `make faults`, `make faults KILLS=200`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: make faults"]
async fn what_is_acknowledged_has_exactly_one_effect_in_order_through_many_kills() {
    let kills = std::env::var("KILLS")
        .ok()
        .and_then(|kills| kills.parse().ok());
    let plan = Plan {
        kills: kills.unwrap_or(30),
        connections: 12,
        think: Duration::from_millis(30),
        warm_up: Duration::from_secs(3),
    };
    run::run(plan).await.unwrap();
}

/// The same with one kill of each kind, in every test run.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_acknowledged_has_exactly_one_effect_in_order_through_three_kills() {
    let plan = Plan {
        kills: 3,
        connections: 4,
        think: Duration::from_millis(60),
        warm_up: Duration::from_secs(2),
    };
    run::run(plan).await.unwrap();
}
