//! The bytes of one connection, whatever carries them.

use crate::attempts::Connected;
use crate::peers::Place;
use crate::serial::Port;
use std::future::Future as _;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;
use tokio_util::sync::WaitForCancellationFutureOwned;

/// An open connection. Reading fails with `ConnectionAborted` once a newer connection of the same peer has replaced it.
pub struct LinkStream {
    carrier: Carrier,
    standing: Standing,
    held: Held,
}

enum Standing {
    /// No other connection takes its place.
    Firm,
    Replaceable(Pin<Box<WaitForCancellationFutureOwned>>),
    Replaced,
}

pub(crate) enum Carrier {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Serial(Port),
}

/// What ends with the connection.
pub(crate) enum Held {
    Accepted { _place: Place },
    Opened { connected: Connected },
}

impl LinkStream {
    pub(crate) fn accepted(carrier: Carrier, place: Place, replaceable: bool) -> Self {
        let standing = if replaceable {
            Standing::Replaceable(Box::pin(place.replaced.clone().cancelled_owned()))
        } else {
            Standing::Firm
        };
        Self {
            carrier,
            standing,
            held: Held::Accepted { _place: place },
        }
    }

    pub(crate) fn opened(carrier: Carrier, connected: Connected) -> Self {
        Self {
            carrier,
            standing: Standing::Firm,
            held: Held::Opened { connected },
        }
    }
}

impl std::fmt::Debug for LinkStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.carrier {
            Carrier::Plain(_) => "Plain",
            Carrier::Tls(_) => "Tls",
            Carrier::Serial(_) => "Serial",
        };
        f.debug_tuple("LinkStream").field(&kind).finish()
    }
}

impl AsyncRead for LinkStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Standing::Replaceable(replaced) = &mut self.standing
            && replaced.as_mut().poll(cx).is_ready()
        {
            self.standing = Standing::Replaced;
        }
        if matches!(self.standing, Standing::Replaced) {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "replaced by a newer connection of the same peer",
            )));
        }
        let read = match &mut self.carrier {
            Carrier::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Carrier::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
            Carrier::Serial(stream) => Pin::new(stream).poll_read(cx, buf),
        };
        if let (Poll::Ready(Err(error)), Held::Opened { connected }) = (&read, &mut self.held) {
            connected.broken(error.to_string());
        }
        read
    }
}

impl AsyncWrite for LinkStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.carrier {
            Carrier::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Carrier::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
            Carrier::Serial(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.carrier {
            Carrier::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Carrier::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Carrier::Serial(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.carrier {
            Carrier::Plain(stream) => stream.is_write_vectored(),
            Carrier::Tls(stream) => stream.is_write_vectored(),
            Carrier::Serial(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.carrier {
            Carrier::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Carrier::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Carrier::Serial(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.carrier {
            Carrier::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Carrier::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Carrier::Serial(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
