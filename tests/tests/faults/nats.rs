//! A look into the streams. The record's codec is read here anew, so that the hub's own reader proves nothing about
//! itself.

use std::collections::HashMap;

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::pull::OrderedConfig;
use async_nats::jetstream::{self, Context};
use futures::StreamExt as _;

use super::Fallible;

/// One message of a stored record: its attributes, own ones before shared ones, and its body.
pub(crate) struct Part<'r> {
    own: HashMap<&'r str, &'r str>,
    shared: &'r HeaderMap,
    pub(crate) body: &'r [u8],
}

impl Part<'_> {
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        let own = self.own.get(name).copied();
        own.or_else(|| self.shared.get(name).map(async_nats::HeaderValue::as_str))
    }
}

/// The messages of a record (hub/core/src/record.rs says how they are laid out).
fn parts<'r>(headers: &'r HeaderMap, payload: &'r [u8]) -> Fallible<Vec<Part<'r>>> {
    let Some(count) = headers.get("hub-count") else {
        return Ok(vec![Part {
            own: HashMap::new(),
            shared: headers,
            body: payload,
        }]);
    };
    let mut rest = payload;
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let head = std::str::from_utf8(take(&mut rest)?)?;
        let body = take(&mut rest)?;
        parts.push(Part {
            own: head
                .lines()
                .filter_map(|line| line.split_once(": "))
                .collect(),
            shared: headers,
            body,
        });
    }
    if parts.len().to_string() != count.as_str() {
        return Err(format!("a record says {count:?} and has {}", parts.len()).into());
    }
    Ok(parts)
}

/// The payload as it was before it was packed.
fn unpacked(headers: &HeaderMap, payload: &[u8]) -> Fallible<Vec<u8>> {
    match headers.get("content-encoding") {
        None => Ok(payload.to_vec()),
        Some(name) if name.as_str() == "lz4" => {
            let bytes = headers
                .get("hub-unpacked")
                .ok_or("a packed record does not say how long it is")?;
            Ok(lz4_flex::block::decompress(
                payload,
                bytes.as_str().parse()?,
            )?)
        }
        Some(other) => Err(format!("a record is packed with {other:?}").into()),
    }
}

fn take<'b>(rest: &mut &'b [u8]) -> Fallible<&'b [u8]> {
    let (length, after) = rest
        .split_first_chunk::<4>()
        .ok_or("a record is cut short")?;
    let length = usize::try_from(u32::from_le_bytes(*length))?;
    let (taken, after) = after
        .split_at_checked(length)
        .ok_or("a record is cut short")?;
    *rest = after;
    Ok(taken)
}

/// A connection.
pub(crate) struct Streams {
    jetstream: Context,
}

impl Streams {
    pub(crate) async fn connect(url: &str) -> Fallible<Self> {
        let client = async_nats::connect(url).await?;
        Ok(Self {
            jetstream: jetstream::new(client),
        })
    }

    /// Sequence of the newest record, and how many there are.
    pub(crate) async fn bounds(&self, stream: &str) -> Fallible<(u64, u64)> {
        let stream = self.jetstream.get_stream(stream).await?;
        let state = &stream.cached_info().state;
        Ok((state.last_sequence, state.messages))
    }

    /// A header of the newest record under a subject (a pattern is allowed).
    pub(crate) async fn newest(
        &self,
        stream: &str,
        subject: &str,
        header: &str,
    ) -> Fallible<Option<String>> {
        let stream = self.jetstream.get_stream(stream).await?;
        match stream.get_last_raw_message_by_subject(subject).await {
            Ok(message) => Ok(message
                .headers
                .get(header)
                .map(|value| value.as_str().to_owned())),
            Err(error)
                if error.kind() == jetstream::stream::LastRawMessageErrorKind::NoMessageFound =>
            {
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Hands over every message of a stream, with the sequence of its record and its place in it.
    pub(crate) async fn scan(
        &self,
        stream: &str,
        mut each: impl FnMut(u64, u16, &Part<'_>) -> Fallible<()>,
    ) -> Fallible<()> {
        let (last, count) = self.bounds(stream).await?;
        if count == 0 {
            return Ok(());
        }
        let stream = self.jetstream.get_stream(stream).await?;
        let consumer = stream.create_consumer(OrderedConfig::default()).await?;
        let mut messages = consumer.messages().await?;
        loop {
            let next =
                tokio::time::timeout(std::time::Duration::from_secs(20), messages.next()).await?;
            let message = next.ok_or("the stream's reader ended")??;
            let seq = message.info()?.stream_sequence;
            let headers = message.headers.clone().unwrap_or_default();
            let payload = unpacked(&headers, &message.payload)?;
            for (index, part) in (0..).zip(parts(&headers, &payload)?) {
                each(seq, index, &part)?;
            }
            if seq >= last {
                return Ok(());
            }
        }
    }
}
