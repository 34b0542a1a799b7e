//! The line to the hub: TCP dialled or awaited, a serial port, or a pseudo terminal that is plugged in for the hub.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use adapter_link::{SerialLine, SerialSettings};
use anyhow::{Context as _, bail};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_serial::{SerialPort as _, SerialStream};
use tokio_util::sync::CancellationToken;

/// A hub that is being started needs some seconds to open its port.
const DIAL: Duration = Duration::from_secs(15);
const AGAIN: Duration = Duration::from_millis(300);

/// Bytes both ways.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// Where the hub is.
pub(crate) enum Place {
    Dial(SocketAddr),
    Listen(TcpListener),
    Serial(Box<SerialSettings>),
    /// The path at which the hub will find the instrument.
    Pty {
        port: PathBuf,
        plug: Option<Plug>,
    },
}

/// A plugged-in pseudo terminal. Dropping it pulls the plug.
pub(crate) struct Plug {
    /// The hub's end, held so that its hanging up does not end the line.
    _other: SerialStream,
    port: PathBuf,
}

impl Drop for Plug {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.port);
    }
}

impl Place {
    /// A pseudo terminal at this path.
    pub(crate) fn pty(port: PathBuf) -> Self {
        Self::Pty { port, plug: None }
    }

    /// Opens the line, or opens it anew.
    ///
    /// # Errors
    /// It can't be had.
    pub(crate) async fn open(&mut self) -> anyhow::Result<Box<dyn Wire>> {
        match self {
            Self::Dial(address) => Ok(Box::new(dial(*address).await?)),
            Self::Listen(listener) => {
                let (stream, _) = listener.accept().await.context("no connection came")?;
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
            Self::Serial(settings) => {
                let mut line = SerialLine::new(settings, "simulate")
                    .map_err(|error| anyhow::anyhow!("{error}"))?;
                let opened = tokio::time::timeout(DIAL, line.open(&CancellationToken::new())).await;
                match opened {
                    Ok(Some(link)) => Ok(Box::new(link.stream)),
                    Ok(None) => bail!("{} was not opened", settings.port.display()),
                    Err(_) => {
                        let state = line.state();
                        let state = state.borrow().clone();
                        bail!("{} can't be opened: {state:?}", settings.port.display())
                    }
                }
            }
            Self::Pty { port, plug } => {
                // the old plug goes first: one path, one line
                drop(plug.take());
                let (line, new) = plug_in(port)?;
                *plug = Some(new);
                Ok(Box::new(line))
            }
        }
    }
}

async fn dial(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let until = tokio::time::Instant::now() + DIAL;
    loop {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) if tokio::time::Instant::now() > until => {
                return Err(error).with_context(|| format!("can't connect to {address}"));
            }
            Err(_) => tokio::time::sleep(AGAIN).await,
        }
    }
}

fn plug_in(port: &Path) -> anyhow::Result<(SerialStream, Plug)> {
    let (line, other) = SerialStream::pair().context("no pseudo terminal")?;
    let terminal = other.name().context("the pseudo terminal has no name")?;
    // left behind by a run that was killed
    if port
        .symlink_metadata()
        .is_ok_and(|found| found.file_type().is_symlink())
    {
        let _ = std::fs::remove_file(port);
    }
    std::os::unix::fs::symlink(terminal, port).with_context(|| {
        format!(
            "can't make {}: something else is there, or the folder is not yours",
            port.display()
        )
    })?;
    let plug = Plug {
        _other: other,
        port: port.to_owned(),
    };
    Ok((line, plug))
}
