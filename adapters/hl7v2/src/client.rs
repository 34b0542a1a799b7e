//! The sending side: one message in flight, the acknowledgement matched by MSA-2, the same bytes sent again
//! when no answer comes (lab-devices §1.3).

use std::time::{Duration, Instant};

use adapter_link::LinkStream;
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::ack::ReceivedAck;
use crate::frame::{self, FrameEvent, FrameReader, FrameSettings};
use crate::header::Header;

/// Why no acknowledgement was had.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    #[error("no acknowledgement within {0:?}")]
    Timeout(Duration),
    #[error("the connection was lost: {0}")]
    Lost(#[from] std::io::Error),
    #[error("the peer closed the connection before it answered")]
    Closed,
}

/// A connection over which messages are sent.
pub struct Sender<S = LinkStream> {
    stream: S,
    reader: FrameReader,
    buffer: Vec<u8>,
    timeout: Duration,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Sender<S> {
    /// Sends over an open stream; `timeout` is the wait for one acknowledgement.
    pub fn new(stream: S, timeout: Duration) -> Self {
        Self {
            stream,
            reader: FrameReader::new(FrameSettings::default()),
            buffer: vec![0; 4096],
            timeout,
        }
    }

    /// Sends a message and waits for its acknowledgement. An accept acknowledgement (CA) ends the wait too. An
    /// answer to another message (a late one) is passed over.
    ///
    /// # Errors
    /// [`SendError`]; whether the peer has the message is then unknown: send the same bytes again.
    pub async fn send(&mut self, content: &[u8]) -> Result<ReceivedAck, SendError> {
        let timeout = self.timeout;
        tokio::time::timeout(timeout, self.exchange(content))
            .await
            .map_err(|_| SendError::Timeout(timeout))?
    }

    async fn exchange(&mut self, content: &[u8]) -> Result<ReceivedAck, SendError> {
        let wanted = Header::read(content)
            .map(|header| header.control_id().to_vec())
            .unwrap_or_default();
        self.stream.write_all(&frame::encode(content)).await?;
        self.stream.flush().await?;
        loop {
            while let Some(event) = self.reader.next(Instant::now()) {
                if let FrameEvent::Message { bytes, .. } = event
                    && let Some(ack) = matching(&bytes, &wanted)
                {
                    return Ok(ack);
                }
            }
            let count = self.stream.read(&mut self.buffer).await?;
            if count == 0 {
                return Err(SendError::Closed);
            }
            self.reader.push(&self.buffer[..count]);
        }
    }
}

fn matching(content: &Bytes, wanted: &[u8]) -> Option<ReceivedAck> {
    let ack = ReceivedAck::read(content).ok()?;
    (wanted.is_empty() || ack.control_id.is_empty() || ack.control_id == wanted).then_some(ack)
}
