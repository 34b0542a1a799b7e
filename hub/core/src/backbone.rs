//! JetStream as the hub uses it: connection, streams, durable publishes with our own deadline, atomic
//! batches, and a look at the servers' settings.

use std::time::Duration;

use async_nats::jetstream::{self, stream};
use async_nats::{Client, HeaderMap, Request};
use bytes::Bytes;
use serde::Deserialize;
use tokio::sync::watch;

use crate::config::NatsSettings;
use crate::subject::StreamName;
use crate::vault::{Vault, VaultError};

pub mod reader;
pub mod request_bucket;
pub mod settings_bucket;
pub mod sync_check;

/// Why a publish is not known to be stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// No answer in time: it may or may not be stored.
    #[error("no confirmation within {0} ms")]
    Timeout(u128),
    /// The server said no: it is not stored.
    #[error("refused: {description} (error {code})")]
    Refused { code: u64, description: String },
    /// Somebody else has published on that subject since: our view is old.
    #[error("another process was first")]
    Conflict,
    /// Not connected, or no stream listens.
    #[error("not reachable: {0}")]
    Unreachable(String),
}

/// Server error code: `wrong last sequence`.
const WRONG_LAST_SEQUENCE: [u64; 2] = [10071, 10164];
/// The server takes at most this many messages in an atomic batch.
pub const MAX_ATOMIC: usize = 1000;

/// Answer of a stored publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// Stream sequence; of the last message for a batch.
    pub seq: u64,
    /// The server had this `Nats-Msg-Id` already.
    pub duplicate: bool,
}

/// One message on its way to a stream.
#[derive(Debug, Clone)]
pub struct ToPublish {
    pub subject: String,
    pub headers: HeaderMap,
    pub payload: Bytes,
}

/// User and password.
type Login = (String, String);

/// Addresses of a list, and the user and password that the first of them names.
fn servers_of(urls: &str) -> Result<(Vec<async_nats::ServerAddr>, Option<Login>), BackboneError> {
    let mut servers = Vec::new();
    let mut login = None;
    for url in urls.split(',').map(str::trim) {
        let server: async_nats::ServerAddr =
            url.parse()
                .map_err(|error: std::io::Error| BackboneError::Connect {
                    // without what stands before the @: it may be a password
                    url: url.rsplit('@').next().unwrap_or_default().to_owned(),
                    detail: error.to_string(),
                })?;
        if let (Some(user), Some(password)) = (server.username(), server.password()) {
            login.get_or_insert_with(|| (user.to_owned(), password.to_owned()));
        }
        servers.push(server);
    }
    Ok((servers, login))
}

#[derive(Deserialize)]
struct PubAck {
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    duplicate: bool,
    error: Option<ApiError>,
}

#[derive(Deserialize)]
struct ApiError {
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    description: String,
}

/// The connection to the backbone. Cheap to clone.
#[derive(Clone)]
pub struct Backbone {
    client: Client,
    js: jetstream::Context,
    publish_timeout: Duration,
    replicas: usize,
    vault: Vault,
    /// Counts the connections that were made.
    connections: watch::Receiver<u64>,
}

/// The backbone could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum BackboneError {
    #[error(
        "can't connect to NATS at {url}: {detail}; is nats-server running, and is [nats] url right?"
    )]
    Connect { url: String, detail: String },
    #[error("can't set up stream {stream}: {detail}")]
    Stream {
        stream: &'static str,
        detail: String,
    },
    #[error("JetStream: {0}")]
    JetStream(String),
}

impl Backbone {
    /// Begins to connect, and keeps connecting for as long as the program runs. The servers need not be up yet.
    ///
    /// # Errors
    /// An address or a credentials file can't be read.
    pub async fn connect(settings: &NatsSettings) -> Result<Self, BackboneError> {
        let (made, connections) = watch::channel(0);
        let mut options = async_nats::ConnectOptions::new()
            .name("hub")
            .connection_timeout(Duration::from_secs(5))
            .ping_interval(Duration::from_secs(10))
            .request_timeout(Some(Duration::from_secs(5)))
            .client_capacity(4096)
            .subscription_capacity(8192)
            .reconnect_delay_callback(|attempt| {
                Duration::from_millis(
                    u64::try_from(attempt)
                        .unwrap_or(u64::MAX)
                        .saturating_mul(50)
                        .min(1000),
                )
            })
            .event_callback(move |event| {
                if matches!(event, async_nats::Event::Connected) {
                    made.send_modify(|count| *count += 1);
                }
                async move {
                    match event {
                        async_nats::Event::Disconnected => tracing::warn!("NATS connection lost"),
                        async_nats::Event::Connected => tracing::info!("NATS connected"),
                        async_nats::Event::SlowConsumer(id) => {
                            metrics::counter!("hub_nats_slow_consumer_total").increment(1);
                            tracing::warn!(subscription = id, "NATS subscription overflowed");
                        }
                        other => tracing::debug!(event = %other, "NATS"),
                    }
                }
            });
        if let Some(credentials) = &settings.credentials_file {
            options = options
                .credentials_file(credentials)
                .await
                .map_err(|error| BackboneError::Connect {
                    url: settings.url.clone(),
                    detail: format!("credentials file {}: {error}", credentials.display()),
                })?;
        }
        let (servers, login) = servers_of(&settings.url)?;
        if let Some((user, password)) = login {
            options = options.user_and_password(user, password);
        }
        if let (Some(certificate), Some(key)) = (&settings.certificate_file, &settings.key_file) {
            options = options
                .add_client_certificate(certificate.clone(), key.clone())
                .require_tls(true);
        }
        if let Some(ca) = &settings.ca_file {
            options = options.add_root_certificates(ca.clone()).require_tls(true);
        }
        let client = options
            .retry_on_initial_connect()
            .connect(servers)
            .await
            .map_err(|error| BackboneError::Connect {
                url: settings.url.clone(),
                detail: error.to_string(),
            })?;
        let js = jetstream::new(client.clone());
        Ok(Self {
            client,
            js,
            publish_timeout: Duration::from_millis(settings.publish_timeout_ms),
            replicas: settings.replicas,
            vault: Vault::default(),
            connections,
        })
    }

    /// With the keys that seal what is stored and open what was.
    #[must_use]
    pub fn with_vault(mut self, vault: Vault) -> Self {
        self.vault = vault;
        self
    }

    /// The keys.
    #[must_use]
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// Copies of each stream.
    pub(crate) fn replicas(&self) -> usize {
        self.replicas
    }

    /// Waits until the connection stands, at most `limit`; says whether it does.
    pub async fn wait_connected(&self, limit: Duration) -> bool {
        let deadline = tokio::time::Instant::now() + limit;
        while !self.is_connected() {
            if tokio::time::Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        true
    }

    /// The core NATS client.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Changes with every connection that is made: what the server held for the one before may be gone.
    pub(crate) fn connections(&self) -> watch::Receiver<u64> {
        self.connections.clone()
    }

    /// The JetStream context.
    #[must_use]
    pub fn jetstream(&self) -> &jetstream::Context {
        &self.js
    }

    /// True while the connection stands.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == async_nats::connection::State::Connected
    }

    /// Creates a stream, or brings its changeable settings up to date.
    ///
    /// # Errors
    /// The server refused; the text says why.
    pub async fn ensure_stream(
        &self,
        name: StreamName,
        settings: &NatsSettings,
    ) -> Result<(), BackboneError> {
        let config = stream::Config {
            name: name.as_str().to_owned(),
            subjects: vec![name.subjects().to_owned()],
            retention: stream::RetentionPolicy::Limits,
            discard: stream::DiscardPolicy::Old,
            storage: stream::StorageType::File,
            num_replicas: settings.replicas,
            max_age: Duration::from_secs(settings.max_age_days(name) * 86_400),
            duplicate_window: Duration::from_secs(120),
            allow_direct: true,
            allow_atomic_publish: true,
            compression: settings.compress.then_some(stream::Compression::S2),
            ..stream::Config::default()
        };
        let failed = |detail: String| BackboneError::Stream {
            stream: name.as_str(),
            detail,
        };
        let Err(first) = self.js.create_stream(config.clone()).await else {
            return Ok(());
        };
        // it stands already, with other settings
        tracing::info!(stream = name.as_str(), reason = %first, "updating the settings of the stream");
        self.js
            .update_stream(config)
            .await
            .map(|_| ())
            .map_err(|error| failed(error.to_string()))
    }

    /// Stores one record and returns when JetStream has it (on disk, when the server syncs always).
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn publish(
        &self,
        subject: String,
        mut headers: HeaderMap,
        payload: Bytes,
        msg_id: Option<&str>,
    ) -> Result<Published, PublishError> {
        if let Some(id) = msg_id {
            headers.insert("Nats-Msg-Id", id);
        }
        self.request(ToPublish {
            subject,
            headers,
            payload,
        })
        .await
    }

    /// Stores several messages of one stream, all or none. `expected`: the message at this place must be the
    /// successor of this sequence on its subject (0: the first), or [`PublishError::Conflict`]; it must be the
    /// first of its subject in the batch.
    ///
    /// # Errors
    /// [`PublishError`]; after a time-out it is unknown whether all or none are stored.
    pub async fn publish_atomic(
        &self,
        mut messages: Vec<ToPublish>,
        expected: Option<(usize, u64)>,
    ) -> Result<Published, PublishError> {
        for message in &mut messages {
            self.seal(message).await?;
        }
        if let Some((place, seq)) = expected
            && let Some(message) = messages.get_mut(place)
        {
            message.headers.insert(
                "Nats-Expected-Last-Subject-Sequence",
                seq.to_string().as_str(),
            );
        }
        let Some(mut last) = messages.pop() else {
            return Err(PublishError::Refused {
                code: 0,
                description: "a batch of nothing".into(),
            });
        };
        if messages.is_empty() {
            return self.send(last).await;
        }
        let batch = uuid::Uuid::now_v7().simple().to_string();
        let mut sequence = 0_u32;
        for mut message in messages {
            sequence += 1;
            message.headers.insert("Nats-Batch-Id", batch.as_str());
            message
                .headers
                .insert("Nats-Batch-Sequence", sequence.to_string().as_str());
            if sequence == 1 {
                // the server answers the first one, so that a stream without atomic batches is noticed
                let reply = self.client.new_inbox();
                self.client
                    .publish_with_reply_and_headers(
                        message.subject,
                        reply,
                        message.headers,
                        message.payload,
                    )
                    .await
                    .map_err(|error| PublishError::Unreachable(error.to_string()))?;
            } else {
                self.client
                    .publish_with_headers(message.subject, message.headers, message.payload)
                    .await
                    .map_err(|error| PublishError::Unreachable(error.to_string()))?;
            }
        }
        last.headers.insert("Nats-Batch-Id", batch.as_str());
        last.headers
            .insert("Nats-Batch-Sequence", (sequence + 1).to_string().as_str());
        last.headers.insert("Nats-Batch-Commit", "1");
        self.send(last).await
    }

    async fn request(&self, mut message: ToPublish) -> Result<Published, PublishError> {
        self.seal(&mut message).await?;
        self.send(message).await
    }

    /// What can't be sealed is not stored in the open.
    async fn seal(&self, message: &mut ToPublish) -> Result<(), PublishError> {
        if !self.vault.seals() {
            return Ok(());
        }
        let sealing = self.vault.seal(self, message);
        match tokio::time::timeout(self.publish_timeout, sealing).await {
            Ok(Ok(())) => Ok(()),
            // senders hear what follows: not where the key service is, nor its words. The log has them
            Ok(Err(VaultError::Service(..))) => Err(PublishError::Unreachable(
                "the key that encrypts can't be had now".to_owned(),
            )),
            Ok(Err(error @ VaultError::Away(_))) => {
                Err(PublishError::Unreachable(error.to_string()))
            }
            Ok(Err(error)) => {
                metrics::counter!("hub_vault_failures_total").increment(1);
                tracing::error!(%error, "a record can't be encrypted, so it is not stored");
                Err(PublishError::Unreachable(error.in_short().to_owned()))
            }
            Err(_) => Err(PublishError::Timeout(self.publish_timeout.as_millis())),
        }
    }

    async fn opened(
        &self,
        mut message: jetstream::message::StreamMessage,
    ) -> Result<jetstream::message::StreamMessage, BackboneError> {
        if message.headers.get(crate::vault::HEADER).is_none() {
            return Ok(message);
        }
        let mut headers = Some(std::mem::take(&mut message.headers));
        self.vault
            .open(self, &message.subject, &mut headers, &mut message.payload)
            .await
            .map_err(|error| BackboneError::JetStream(error.to_string()))?;
        message.headers = headers.unwrap_or_default();
        Ok(message)
    }

    async fn send(&self, message: ToPublish) -> Result<Published, PublishError> {
        let timeout = self.publish_timeout;
        let request = Request::new()
            .headers(message.headers)
            .payload(message.payload)
            .timeout(Some(timeout));
        let answer =
            match tokio::time::timeout(timeout, self.client.send_request(message.subject, request))
                .await
            {
                Err(_) => return Err(PublishError::Timeout(timeout.as_millis())),
                Ok(Err(error)) if error.kind() == async_nats::RequestErrorKind::TimedOut => {
                    return Err(PublishError::Timeout(timeout.as_millis()));
                }
                Ok(Err(error)) => return Err(PublishError::Unreachable(error.to_string())),
                Ok(Ok(answer)) => answer,
            };
        let ack: PubAck = serde_json::from_slice(&answer.payload).map_err(|_| {
            PublishError::Unreachable("the answer is not a JetStream acknowledgement".into())
        })?;
        match ack.error {
            Some(error) if WRONG_LAST_SEQUENCE.contains(&error.err_code) => {
                Err(PublishError::Conflict)
            }
            Some(error) => Err(PublishError::Refused {
                code: error.err_code,
                description: error.description,
            }),
            None => Ok(Published {
                seq: ack.seq,
                duplicate: ack.duplicate,
            }),
        }
    }

    /// The newest stored message of a subject.
    ///
    /// # Errors
    /// The stream is out of reach.
    pub async fn last_of_subject(
        &self,
        stream: StreamName,
        subject: &str,
    ) -> Result<Option<jetstream::message::StreamMessage>, BackboneError> {
        let stream = self
            .js
            .get_stream_no_info(stream.as_str())
            .await
            .map_err(|error| BackboneError::JetStream(error.to_string()))?;
        match stream.get_last_raw_message_by_subject(subject).await {
            Ok(message) => self.opened(message).await.map(Some),
            Err(error) if error.kind() == stream::LastRawMessageErrorKind::NoMessageFound => {
                Ok(None)
            }
            Err(error) => Err(BackboneError::JetStream(error.to_string())),
        }
    }

    /// A stored message by its sequence; `None` when it has aged out.
    ///
    /// # Errors
    /// The stream is out of reach.
    pub async fn by_sequence(
        &self,
        stream: StreamName,
        seq: u64,
    ) -> Result<Option<jetstream::message::StreamMessage>, BackboneError> {
        let stream = self
            .js
            .get_stream_no_info(stream.as_str())
            .await
            .map_err(|error| BackboneError::JetStream(error.to_string()))?;
        match stream.get_raw_message(seq).await {
            Ok(message) => self.opened(message).await.map(Some),
            Err(error) if error.kind() == stream::RawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(BackboneError::JetStream(error.to_string())),
        }
    }

    /// First and last sequence that a stream holds, and how many messages.
    ///
    /// # Errors
    /// The stream is out of reach.
    pub async fn bounds(&self, stream: StreamName) -> Result<stream::State, BackboneError> {
        let stream = self
            .js
            .get_stream_no_info(stream.as_str())
            .await
            .map_err(|error| BackboneError::JetStream(error.to_string()))?;
        stream
            .get_info()
            .await
            .map(|info| info.state)
            .map_err(|error| BackboneError::JetStream(error.to_string()))
    }
}
