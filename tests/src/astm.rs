//! An instrument with full control of the bytes. It follows LIS01-A2 and shares no code with our adapter.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::SerialDevice;

/// Longer than the hub's own time for a durable write (3 s).
const ANSWER: Duration = Duration::from_secs(8);

/// `STX FN record CR ETX checksum CR LF`
#[must_use]
pub fn astm_frame(number: usize, record: &str) -> Vec<u8> {
    let summed = format!("{}{record}\r\u{3}", number % 8);
    let sum: u32 = summed.bytes().map(u32::from).sum();
    format!("\u{2}{summed}{:02X}\r\n", sum % 256).into_bytes()
}

/// What carries the bytes.
trait Cable: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Cable for T {}

/// One line.
pub struct Astm {
    stream: Box<dyn Cable>,
}

impl Astm {
    pub const ENQ: u8 = 0x05;
    pub const ACK: u8 = 0x06;
    pub const NAK: u8 = 0x15;
    pub const EOT: u8 = 0x04;

    /// # Panics
    /// When nobody listens.
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await;
        Self {
            stream: Box::new(stream.expect("the channel listens")),
        }
    }

    /// On a serial line: see [`SerialDevice::plug_in`].
    #[must_use]
    pub fn plug_in(port: &Path) -> Self {
        Self {
            stream: Box::new(SerialDevice::plug_in(port)),
        }
    }

    /// Writes without waiting for an answer.
    ///
    /// # Panics
    /// When the hub has hung up.
    pub async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("the hub listens");
    }

    /// The next byte.
    ///
    /// # Panics
    /// When none comes in time.
    pub async fn hear(&mut self) -> u8 {
        tokio::time::timeout(ANSWER, self.stream.read_u8())
            .await
            .expect("the hub answers in time")
            .expect("the hub does not hang up")
    }

    /// Writes, and hears one byte.
    ///
    /// # Panics
    /// As [`hear`](Self::hear).
    pub async fn say(&mut self, bytes: &[u8]) -> u8 {
        self.write(bytes).await;
        self.hear().await
    }

    /// A whole session, one record a frame.
    ///
    /// # Panics
    /// When anything is not acknowledged.
    pub async fn session(&mut self, records: &[String]) {
        assert_eq!(self.say(&[Self::ENQ]).await, Self::ACK);
        for (n, record) in records.iter().enumerate() {
            assert_eq!(
                self.say(&astm_frame(n + 1, record)).await,
                Self::ACK,
                "record {n}"
            );
        }
        self.write(&[Self::EOT]).await;
    }

    /// Takes a message from the hub: its frames' records.
    ///
    /// # Panics
    /// When the hub does not bid, or a frame's number or checksum is wrong.
    pub async fn take(&mut self) -> Vec<String> {
        assert_eq!(self.hear().await, Self::ENQ);
        self.write(&[Self::ACK]).await;
        let mut records = Vec::new();
        let mut frame = Vec::new();
        loop {
            let byte = self.hear().await;
            if byte == Self::EOT && frame.is_empty() {
                return records;
            }
            frame.push(byte);
            if byte == b'\n' {
                let text = String::from_utf8_lossy(&frame).into_owned();
                let record = text.split('\r').next().unwrap_or_default();
                let record: String = record.chars().skip(2).collect();
                let number = records.len() + 1;
                assert_eq!(frame, astm_frame(number, &record), "{text:?}");
                records.push(record);
                frame.clear();
                self.write(&[Self::ACK]).await;
            }
        }
    }
}
