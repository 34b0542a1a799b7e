//! The guarantees of design.md §4, as far as they can be seen from outside. Those that need a kill -9 under load are in
//! `faults`.

use std::time::Duration;

use async_nats::jetstream;
use futures::StreamExt as _;

mod acknowledged;
mod lasting;
mod once;
mod private;

const SOON: Duration = Duration::from_secs(30);

/// Subject, headers as text and payload of everything in a stream.
async fn stored(context: &jetstream::Context, stream: &str) -> Vec<(String, String, Vec<u8>)> {
    let stream = context.get_stream(stream).await.unwrap();
    let last = stream.cached_info().state.last_sequence;
    let mut all = Vec::new();
    if stream.cached_info().state.messages == 0 {
        return all;
    }
    let consumer = stream
        .create_consumer(jetstream::consumer::pull::OrderedConfig::default())
        .await
        .unwrap();
    let mut messages = consumer.messages().await.unwrap();
    while let Some(message) = tests::within("the stream is read", SOON, messages.next()).await {
        let message = message.unwrap();
        let sequence = message.info().unwrap().stream_sequence;
        all.push((
            message.subject.to_string(),
            format!("{:?}\n", message.headers),
            message.payload.to_vec(),
        ));
        if sequence >= last {
            break;
        }
    }
    all
}
