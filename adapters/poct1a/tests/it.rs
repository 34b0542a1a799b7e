//! The splitter, the conversation, the translation and the edge against files, tables and sockets. One binary, for link time.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may end so")]

#[path = "it/conversation.rs"]
mod conversation;
#[path = "it/edge.rs"]
mod edge;
#[path = "it/golden.rs"]
mod golden;
#[path = "it/lists.rs"]
mod lists;
#[path = "it/messages.rs"]
mod messages;
#[path = "it/reading.rs"]
mod reading;
#[path = "it/rules.rs"]
mod rules;
#[path = "it/smoke.rs"]
mod smoke;
#[path = "it/splitting.rs"]
mod splitting;
#[path = "it/timers.rs"]
mod timers;
#[path = "it/translating.rs"]
mod translating;
