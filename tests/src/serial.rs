//! A device on a serial line, as a pseudo terminal. It follows the written protocols and shares no code with our adapters.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio_serial::{SerialPort as _, SerialStream};

/// Longer than the hub's own time for an answer (3 s).
const ANSWER: Duration = Duration::from_secs(8);

/// A device that is plugged in. Dropping it pulls the plug.
pub struct SerialDevice {
    line: SerialStream,
    /// The hub's end of the cable; held, or the device would see a hang-up before the hub has opened it.
    _other: SerialStream,
    port: PathBuf,
}

impl SerialDevice {
    /// Plugs it in: `port` becomes a symbolic link to the terminal, as udev makes them.
    ///
    /// # Panics
    /// When there is no pseudo terminal, or the port is there already.
    #[must_use]
    pub fn plug_in(port: &Path) -> Self {
        let (line, other) = SerialStream::pair().expect("a pseudo terminal");
        let terminal = other.name().expect("the end of the cable has a name");
        std::os::unix::fs::symlink(terminal, port).expect("nothing else is plugged in there");
        Self {
            line,
            _other: other,
            port: port.to_owned(),
        }
    }

    /// Sends bytes as they are.
    ///
    /// # Panics
    /// When the line does not take them in time.
    pub async fn write(&mut self, bytes: &[u8]) {
        tokio::time::timeout(ANSWER, self.line.write_all(bytes))
            .await
            .expect("the line takes the bytes in time")
            .expect("the line is open");
    }

    /// So many bytes.
    ///
    /// # Panics
    /// When they do not come in time.
    pub async fn read_exact(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        tokio::time::timeout(ANSWER, self.line.read_exact(&mut bytes))
            .await
            .expect("an answer in time")
            .expect("the line is open");
        bytes
    }

    /// The next frame or block that the hub sends, from its VT to FS CR.
    ///
    /// # Panics
    /// When none comes in time.
    pub async fn read(&mut self) -> Vec<u8> {
        let mut frame = Vec::new();
        let read = async {
            while !frame.ends_with(b"\x1c\r") {
                frame.push(self.line.read_u8().await.expect("the line is open"));
            }
        };
        tokio::time::timeout(ANSWER, read)
            .await
            .expect("an answer in time");
        frame
    }
}

impl AsyncRead for SerialDevice {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.line).poll_read(cx, buffer)
    }
}

impl AsyncWrite for SerialDevice {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.line).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.line).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.line).poll_shutdown(cx)
    }
}

impl Drop for SerialDevice {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.port);
    }
}

/// A data block of the hybrid lower layer protocol, version 2.3.
#[must_use]
pub fn hybrid_block(content: &[u8]) -> Vec<u8> {
    let mut block = [b"\x0bD23\r", content].concat();
    let sum = block.iter().fold(0_u8, |sum, byte| sum ^ byte);
    block.extend(format!("{:05}{sum:03}\x1c\r", block.len()).into_bytes());
    block
}
