//! A serial line, opened for as long as the channel runs: a device that is unplugged ends the link, and the next link is
//! there when it is plugged in again.
//!
//! Nothing here looks at a line from time to time: the kernel wakes us for bytes and for the end of the device. Only while
//! a port is missing are there attempts, with growing pauses.

use crate::attempts::{Attempts, PeerState};
use crate::settings::serial::{FlowControl, Parity, SerialSettings};
use crate::stream::{Carrier, LinkStream};
use crate::{Link, LinkError, Peer};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_serial::{
    DataBits, ErrorKind, SerialPort as _, SerialPortBuilder, SerialPortBuilderExt as _,
    SerialStream, StopBits,
};
use tokio_util::sync::CancellationToken;

mod driver;
mod port;
pub(crate) use port::Port;

/// A driver that has not opened its port by then is said to hang. It is still waited for: a second attempt would hang too.
const DRIVER_PATIENCE: Duration = Duration::from_secs(10);

/// Opens a serial port, and opens it again. One link at a time.
pub struct SerialLine {
    settings: SerialSettings,
    attempts: Attempts,
    /// The port is closed behind our back when bytes are left to send; till then our own lock would be in our way.
    turn: Arc<Semaphore>,
}

impl SerialLine {
    /// Opens nothing yet. `channel` names the metrics.
    ///
    /// # Errors
    /// [`LinkError::Settings`] with every fault.
    pub fn new(settings: &SerialSettings, channel: &str) -> Result<Self, LinkError> {
        let faults = settings.validate();
        if !faults.is_empty() {
            return Err(LinkError::Settings(faults));
        }
        Ok(Self {
            attempts: Attempts::new(settings.retry_first_ms, settings.retry_longest_ms, channel),
            settings: settings.clone(),
            turn: Arc::new(Semaphore::new(1)),
        })
    }

    /// The line's state, now and as it changes. Connected means that the port is open: a device that is switched off looks
    /// the same.
    pub fn state(&self) -> watch::Receiver<PeerState> {
        self.attempts.state()
    }

    /// Notes why the last link ended, when its user knows more than that it was closed.
    pub fn note_lost(&mut self, reason: impl Into<String>) {
        self.attempts.note_lost(reason.into());
    }

    /// The next link, however many attempts it takes; `None` once `stop` is cancelled. Drop the last link first.
    ///
    /// Reading from it fails when the device is gone; it never gives an end of stream.
    pub async fn open(&mut self, stop: &CancellationToken) -> Option<Link> {
        let link = stop.run_until_cancelled(self.open_at_last()).await;
        if link.is_none() {
            self.attempts.stopped();
        }
        link
    }

    async fn open_at_last(&mut self) -> Link {
        self.attempts.begin();
        loop {
            self.attempts.wait_turn().await;
            match self.attempt().await {
                Ok(port) => {
                    let peer = Peer::Serial(self.settings.port.clone());
                    let connected = self.attempts.succeeded(peer.clone());
                    return Link {
                        stream: LinkStream::opened(Carrier::Serial(port), connected),
                        peer,
                        tls: false,
                        client_cert_subject: None,
                    };
                }
                Err(reason) => self.attempts.failed(reason),
            }
        }
    }

    async fn attempt(&mut self) -> Result<Port, String> {
        let turn = Arc::clone(&self.turn).acquire_owned();
        let turn = turn.await.map_err(|error| error.to_string())?;
        let settings = self.settings.clone();
        let driver = driver::handle().map_err(|error| error.to_string())?;
        // Converters take up to some seconds to be set up, and the call waits for them.
        let mut opening = driver.spawn_blocking(move || open(&settings, turn));
        loop {
            match tokio::time::timeout(DRIVER_PATIENCE, &mut opening).await {
                Ok(Ok(opened)) => return opened,
                Ok(Err(error)) => return Err(error.to_string()),
                Err(_) => self.attempts.failed(format!(
                    "{}: the driver has not opened the port within {DRIVER_PATIENCE:?}",
                    self.settings.port.display()
                )),
            }
        }
    }
}

/// Takes the port for us alone and sets it up; else why not, with what to do.
fn open(settings: &SerialSettings, turn: OwnedSemaphorePermit) -> Result<Port, String> {
    let mut stream = builder(settings)
        .open_native_async()
        .map_err(|error| explain(&settings.port, &error))?;
    set_wires(settings, &mut stream);
    Ok(Port::new(stream, turn))
}

fn builder(settings: &SerialSettings) -> SerialPortBuilder {
    tokio_serial::new(settings.port.to_string_lossy(), settings.baud)
        .data_bits(match settings.data_bits {
            7 => DataBits::Seven,
            _ => DataBits::Eight,
        })
        .parity(match settings.parity {
            Parity::None => tokio_serial::Parity::None,
            Parity::Even => tokio_serial::Parity::Even,
            Parity::Odd => tokio_serial::Parity::Odd,
        })
        .stop_bits(match settings.stop_bits {
            2 => StopBits::Two,
            _ => StopBits::One,
        })
        .flow_control(match settings.flow_control {
            FlowControl::None => tokio_serial::FlowControl::None,
            FlowControl::XonXoff => tokio_serial::FlowControl::Software,
            FlowControl::RtsCts => tokio_serial::FlowControl::Hardware,
        })
}

/// Pseudo terminals and some converters have no such wires; the line may work all the same, so it is only noted.
fn set_wires(settings: &SerialSettings, stream: &mut SerialStream) {
    let dtr = stream.write_data_terminal_ready(settings.dtr);
    let rts = if settings.flow_control == FlowControl::RtsCts {
        Ok(())
    } else {
        stream.write_request_to_send(settings.rts)
    };
    for (wire, set) in [("DTR", dtr), ("RTS", rts)] {
        if let Err(error) = set {
            tracing::debug!(port = %settings.port.display(), wire, %error, "the port has no such wire");
        }
    }
}

fn explain(port: &Path, error: &tokio_serial::Error) -> String {
    use std::io::ErrorKind as Io;
    use std::os::unix::fs::FileTypeExt as _;
    let no_device = std::fs::metadata(port).is_ok_and(|found| !found.file_type().is_char_device());
    let why = match error.kind() {
        ErrorKind::Io(Io::NotFound) => {
            "there is no such port; is the device plugged in? `ls -l /dev/serial/by-id` shows what is"
                .to_owned()
        }
        ErrorKind::Io(Io::PermissionDenied) => {
            "no permission; add the hub's user to the group dialout and start the hub anew"
                .to_owned()
        }
        _ if no_device => "this is no serial port".to_owned(),
        ErrorKind::NoDevice => {
            "the port is taken: another channel or another program has it open".to_owned()
        }
        _ => error.to_string(),
    };
    format!("{}: {why}", port.display())
}
