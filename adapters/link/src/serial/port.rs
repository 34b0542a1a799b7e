//! An open serial port as a stream of bytes.

use super::driver::{self, Counted};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio_serial::{ClearBuffer, SerialPort as _, SerialStream};

/// An answer that was written just before the end gets this long to leave: 4 KB at 9600 bits a second.
const LAST_BYTES: Duration = Duration::from_secs(4);
/// Between two looks whether it has left.
const LOOK: Duration = Duration::from_millis(20);

/// What the kernel answers when the device has been unplugged, or the other side of a pty closed.
const GONE: [nix::errno::Errno; 3] = [
    nix::errno::Errno::EIO,
    nix::errno::Errno::ENXIO,
    nix::errno::Errno::ENODEV,
];

/// The port, ours alone until it is closed.
pub(crate) struct Port {
    /// `None` only while it is dropped.
    stream: Option<SerialStream>,
    turn: Option<OwnedSemaphorePermit>,
    _counted: Counted,
}

impl Port {
    pub(crate) fn new(stream: SerialStream, turn: OwnedSemaphorePermit) -> Self {
        Self {
            stream: Some(stream),
            turn: Some(turn),
            _counted: Counted::new(),
        }
    }

    fn stream(&mut self) -> io::Result<Pin<&mut SerialStream>> {
        self.stream.as_mut().map(Pin::new).ok_or_else(gone)
    }
}

fn gone() -> io::Error {
    io::Error::new(
        io::ErrorKind::NotConnected,
        "the device is gone (unplugged or reset)",
    )
}

fn named(error: io::Error) -> io::Error {
    let is_gone = error
        .raw_os_error()
        .is_some_and(|raw| GONE.contains(&nix::errno::Errno::from_raw(raw)));
    if is_gone { gone() } else { error }
}

impl AsyncRead for Port {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let read = ready!(self.stream()?.poll_read(cx, buf));
        Poll::Ready(match read {
            // A line has no end: no bytes where bytes were promised is a terminal that was hung up.
            Ok(()) if buf.filled().len() == before => Err(gone()),
            Ok(()) => Ok(()),
            Err(error) => Err(named(error)),
        })
    }
}

impl AsyncWrite for Port {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write(cx, bytes).map_err(named)
    }

    /// The kernel sends what it was given without being asked. The port's own flush would hold this thread, and every
    /// channel on it, until the last bit has left: a third of a second for an answer at 9600 bits a second, for ever when
    /// the device has stopped the flow.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Drop for Port {
    /// Closing waits in the kernel until all is sent (up to half a minute when the device has stopped the flow), so a
    /// port with bytes to send is closed on a thread that may wait, and what does not leave in time is thrown away.
    fn drop(&mut self) {
        let Some(stream) = self.stream.take() else {
            return;
        };
        let waiting = |stream: &SerialStream| stream.bytes_to_write().is_ok_and(|left| left > 0);
        if !waiting(&stream) {
            drop(stream);
            return;
        }
        let turn = self.turn.take();
        let close = move || {
            let began = Instant::now();
            while waiting(&stream) {
                if began.elapsed() > LAST_BYTES {
                    let _ = stream.clear(ClearBuffer::Output);
                    break;
                }
                std::thread::sleep(LOOK);
            }
            drop(stream);
            drop(turn);
        };
        match driver::handle() {
            Ok(driver) => drop(driver.spawn_blocking(close)),
            Err(_) => close(),
        }
    }
}
