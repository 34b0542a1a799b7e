//! An MLLP peer with full control of the bytes. It follows the written protocol and shares no code with our adapter.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longer than the hub's own time for an answer (3 s).
const ANSWER: Duration = Duration::from_secs(8);

/// `0B content 1C 0D`
#[must_use]
pub fn frame(content: &[u8]) -> Vec<u8> {
    [b"\x0b", content, b"\x1c\r"].concat()
}

/// One acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// MSA-1: `AA`, `AE`, `AR`, `CA`, `CE`, `CR`; empty for a commit block.
    pub code: String,
    /// MSA-2, the sender's control id.
    pub control_id: String,
    /// MSA-3.
    pub text: String,
    /// The frame's content.
    pub raw: Vec<u8>,
}

impl Answer {
    fn of(content: &[u8]) -> Self {
        let text = String::from_utf8_lossy(content);
        let separator = text
            .strip_prefix("MSH")
            .and_then(|rest| rest.chars().next())
            .unwrap_or('|');
        let msa = text
            .split('\r')
            .find(|line| line.starts_with("MSA"))
            .unwrap_or_default();
        let field = |number: usize| {
            msa.split(separator)
                .nth(number)
                .unwrap_or_default()
                .to_owned()
        };
        Self {
            code: field(1),
            control_id: field(2),
            text: field(3),
            raw: content.to_vec(),
        }
    }

    /// A field of the answer, as text: `("ERR", 3)`.
    #[must_use]
    pub fn field(&self, segment: &str, number: usize) -> String {
        let text = String::from_utf8_lossy(&self.raw);
        let separator = text
            .strip_prefix("MSH")
            .and_then(|rest| rest.chars().next())
            .unwrap_or('|');
        let line = text
            .split('\r')
            .find(|line| line.starts_with(segment))
            .unwrap_or_default()
            .to_owned();
        // MSH-1 is the separator itself
        let number = if segment == "MSH" { number - 1 } else { number };
        line.split(separator)
            .nth(number)
            .unwrap_or_default()
            .to_owned()
    }
}

/// Every whole frame in `bytes`, and how many bytes they take.
#[must_use]
pub fn parse_answers(bytes: &[u8]) -> (Vec<Answer>, usize) {
    let mut answers = Vec::new();
    let mut at = 0;
    while let Some(start) = bytes[at..].iter().position(|byte| *byte == 0x0b) {
        let content = &bytes[at + start + 1..];
        let Some(end) = content.windows(2).position(|pair| pair == b"\x1c\r") else {
            break;
        };
        answers.push(Answer::of(&content[..end]));
        at += start + 1 + end + 2;
    }
    (answers, at)
}

/// A connection to a channel.
pub struct Mllp {
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

impl Mllp {
    /// Connects.
    ///
    /// # Panics
    /// When nobody listens.
    pub async fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address)
            .await
            .expect("the channel listens")
    }

    /// Connects, or says why not.
    ///
    /// # Errors
    /// Of the socket.
    pub async fn try_connect(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::new(),
        })
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// When the hub has closed the connection.
    pub async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Sends one message in a frame and reads its answer.
    ///
    /// # Panics
    /// When there is none in time.
    pub async fn send(&mut self, content: impl AsRef<[u8]>) -> Answer {
        self.try_send(content)
            .await
            .expect("an answer within its time")
    }

    /// Sends one message that must be taken: AA.
    ///
    /// # Panics
    /// When it is answered otherwise, or not in time.
    pub async fn accepted(&mut self, content: impl AsRef<[u8]>) {
        let answer = self.send(content).await;
        assert_eq!(answer.code, "AA", "{}: {}", answer.control_id, answer.text);
    }

    /// As [`send`](Self::send); `None` when there is no answer in time or the connection ends.
    pub async fn try_send(&mut self, content: impl AsRef<[u8]>) -> Option<Answer> {
        self.write(&frame(content.as_ref())).await.ok()?;
        self.answer(ANSWER).await
    }

    /// The next answer; `None` when the hub closes or stays silent for so long.
    pub async fn answer(&mut self, deadline: Duration) -> Option<Answer> {
        tokio::time::timeout(deadline, async {
            loop {
                if let Some(answer) = self.take() {
                    return Some(answer);
                }
                if !self.read_more().await {
                    return None;
                }
            }
        })
        .await
        .ok()
        .flatten()
    }

    /// So many answers, in their order.
    ///
    /// # Panics
    /// When one of them is missing.
    pub async fn answers(&mut self, count: usize) -> Vec<Answer> {
        let mut all = Vec::with_capacity(count);
        while all.len() < count {
            let answer = self.answer(ANSWER).await;
            assert!(answer.is_some(), "{} of {count} answers came", all.len());
            all.extend(answer);
        }
        all
    }

    /// True when the hub has closed the connection, or does so in time.
    pub async fn is_closed_within(&mut self, deadline: Duration) -> bool {
        tokio::time::timeout(deadline, async { while self.read_more().await {} })
            .await
            .is_ok()
    }

    /// Bytes received that belong to no whole answer.
    #[must_use]
    pub fn rest(&self) -> &[u8] {
        &self.buffer
    }

    fn take(&mut self) -> Option<Answer> {
        let start = self.buffer.iter().position(|byte| *byte == 0x0b)?;
        let end = self.buffer[start..]
            .windows(2)
            .position(|pair| pair == b"\x1c\r")?;
        let answer = Answer::of(&self.buffer[start + 1..start + end]);
        self.buffer.drain(..start + end + 2);
        Some(answer)
    }

    async fn read_more(&mut self) -> bool {
        let mut piece = [0_u8; 16 * 1024];
        match self.stream.read(&mut piece).await {
            Ok(0) | Err(_) => false,
            Ok(count) => {
                self.buffer.extend_from_slice(&piece[..count]);
                true
            }
        }
    }
}
