//! The line, the translation and the edge against files, noise and sockets. One binary, for link time.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may end so")]

#[path = "it/bare.rs"]
mod bare;
#[path = "it/bench.rs"]
mod bench;
#[path = "it/blocks.rs"]
mod blocks;
#[expect(
    unreachable_pub,
    reason = "public in the harness of the black-box tests"
)]
#[path = "../../../tests/src/corpus.rs"]
mod corpus;
#[path = "it/edge.rs"]
mod edge;
#[path = "it/noise.rs"]
mod noise;
#[path = "it/orders.rs"]
mod orders;
#[path = "it/peer.rs"]
mod peer;
#[path = "it/played.rs"]
mod played;
#[path = "it/properties.rs"]
mod properties;
#[path = "it/receiving.rs"]
mod receiving;
#[path = "it/rules.rs"]
mod rules;
#[path = "it/sending.rs"]
mod sending;
#[path = "it/smoke.rs"]
mod smoke;
#[path = "it/specimen_types.rs"]
mod specimen_types;
#[path = "it/translating.rs"]
mod translating;
