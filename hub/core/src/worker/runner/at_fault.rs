//! A batch that failed, message by message: the one at fault is refused, or waits with what its tenant has in that lane, and the
//! others go on.

use super::held::Held;
use super::{WorkerRunner, database_is_away};
use crate::db::{is_of_key, is_transient, lost_key};
use crate::envelope::Envelope;
use crate::failure::Refusal;
use crate::retry::Pauses;
use crate::worker::Worker;
use crate::worker::lanes::Owned;
use crate::worker::sources::Arrived;
use crate::worker::transaction::{self, Advance, TxError};

/// Tries of one message whose failure looks transient while the rest of the database works, before it is set aside. A key that
/// can't be had is not asked for again at once: a key service takes its time, and everybody else waits meanwhile.
const QUICK_TRIES: u32 = 3;

impl<W: Worker> WorkerRunner<W> {
    /// Each message in its own transaction, in order; the one at fault is refused, or held.
    pub(super) async fn one_by_one(
        &self,
        batch: Vec<Arrived>,
        lanes: &mut Owned,
        held: &mut Held,
    ) -> bool {
        for arrived in batch {
            let Some(arrived) = held.behind(arrived) else {
                continue;
            };
            match self.record_one_by_one(&arrived, lanes, held).await {
                Single::Done => held.applied(&arrived),
                Single::Lost => return false,
                Single::Hold => {
                    metrics::counter!("hub_worker_lane_held_total", "worker" => W::NAME)
                        .increment(1);
                    tracing::warn!(
                        worker = W::NAME,
                        lane = arrived.lane,
                        seq = arrived.seq,
                        tenant = arrived
                            .tenant
                            .as_ref()
                            .map_or("", schemas::TenantId::as_str),
                        "what a tenant has in this lane waits for something transient; the others go on"
                    );
                    held.hold(arrived);
                }
            }
        }
        true
    }

    pub(super) async fn record_one_by_one(
        &self,
        arrived: &Arrived,
        lanes: &mut Owned,
        held: &Held,
    ) -> Single {
        let Some(advance) = held.advance(arrived, lanes) else {
            return Single::Lost;
        };
        let last = arrived.messages.len().saturating_sub(1);
        for (index, message) in arrived.messages.iter().enumerate() {
            let advances: &[Advance] = if index == last {
                std::slice::from_ref(&advance)
            } else {
                &[]
            };
            let started = std::time::Instant::now();
            let mut pauses = Pauses::for_backbone();
            loop {
                let outcome = transaction::apply(
                    self.worker.as_ref(),
                    &mut *self.database.lock().await,
                    &message.tenant,
                    std::slice::from_ref(message),
                    advances,
                )
                .await;
                match outcome {
                    Ok(committed) => {
                        self.done(&committed, started).await;
                        break;
                    }
                    Err(TxError::Fenced) => return Single::Lost,
                    Err(TxError::Database(error)) if database_is_away(&error) => {
                        tracing::warn!(worker = W::NAME, %error, "the database is away; waiting");
                        if !pauses.wait(&self.stop).await {
                            return Single::Lost;
                        }
                    }
                    Err(TxError::Database(error))
                        if is_transient(&error) && lost_key(&error).is_none() =>
                    {
                        if is_of_key(&error) || pauses.tries() >= QUICK_TRIES {
                            return Single::Hold;
                        }
                        if !pauses.wait(&self.stop).await {
                            return Single::Lost;
                        }
                    }
                    Err(error) => match self.park(message, &error, advances).await {
                        Parked::Done => break,
                        Parked::Lost => return Single::Lost,
                        Parked::Hold => return Single::Hold,
                    },
                }
            }
        }
        if arrived.messages.is_empty() && self.together(&[], &[advance], lanes).await.is_err() {
            return Single::Hold;
        }
        if let Some(grant) = lanes.get_mut(&arrived.lane) {
            grant.applied[arrived.source] = grant.applied[arrived.source].max(advance.seq);
        }
        Single::Done
    }

    async fn park(&self, message: &Envelope, error: &TxError, advances: &[Advance]) -> Parked {
        let refusal = refusal_of(W::NAME, error);
        tracing::warn!(worker = W::NAME, event = %message.id, kind = message.name, code = refusal.code, "message refused; it is a dead letter now");
        match transaction::refuse::<W>(
            &mut *self.database.lock().await,
            message,
            &refusal,
            advances,
        )
        .await
        {
            Ok(committed) => {
                self.done(&committed, std::time::Instant::now()).await;
                Parked::Done
            }
            Err(TxError::Fenced) => Parked::Lost,
            Err(_) => Parked::Hold,
        }
    }
}

pub(super) enum Single {
    Done,
    Lost,
    Hold,
}

enum Parked {
    Done,
    Lost,
    Hold,
}

/// For who looks into it: what kind of failure it was, never what the database says of it, which may be a patient's name.
pub(super) fn batch_failed(worker: &'static str, error: &TxError) {
    let code = match error {
        TxError::Database(error) => error
            .as_database_error()
            .and_then(|error| error.code().map(std::borrow::Cow::into_owned)),
        _ => None,
    };
    tracing::debug!(
        worker,
        error = kind_of(error),
        code,
        "a batch failed; looking for the message at fault"
    );
}

/// What an operator is told of a message that no transaction could take.
fn refusal_of(worker: &'static str, error: &TxError) -> Refusal {
    match error {
        TxError::Database(sqlx::Error::Database(database)) => Refusal::new(
            "worker.constraint",
            format!(
                "the database refused it (SQLSTATE {}, constraint {}, table {}); repair the message or the rule, then replay",
                database.code().unwrap_or_default(),
                database.constraint().unwrap_or("none"),
                database.table().unwrap_or("none"),
            ),
        ),
        other => match lost_key_of(other) {
            Some(why) => Refusal::new(
                "worker.key_lost",
                format!(
                    "a key of sealed columns can't be had, and no further try brings it: {why}; hub doctor names the key: bring it back, then replay (a command: send it anew)"
                ),
            ),
            None => Refusal::new(
                "worker.defect",
                format!("worker {worker} could not take it: {}", kind_of(other)),
            ),
        },
    }
}

fn lost_key_of(error: &TxError) -> Option<&'static str> {
    match error {
        TxError::Database(error) => lost_key(error),
        _ => None,
    }
}

fn kind_of(error: &TxError) -> String {
    match error {
        // sqlx texts of decode and encode errors can quote values
        TxError::Database(_) => "a value could not be written or read".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex as Held};

    use super::*;
    use crate::vault::VaultError;

    #[derive(Clone, Default)]
    struct Lines(Arc<Held<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What the database says of a value may be a patient's name.
    #[test]
    fn a_batch_that_failed_is_told_by_its_kind_and_not_by_what_the_database_says() {
        let lines = Lines::default();
        let to = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(move || to.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            let said = sqlx::Error::Decode("invalid input: \"Asha Sharma\"".into());
            batch_failed("patients", &TxError::Database(said));
            batch_failed("patients", &TxError::Contract { asked: 2, got: 1 });
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert!(
            text.contains("a value could not be written or read"),
            "{text}"
        );
        assert!(text.contains("1 verdicts for 2 messages"), "{text}");
        assert!(!text.contains("Asha"), "{text}");
    }

    fn of_vault(error: VaultError) -> TxError {
        TxError::Database(sqlx::Error::Decode(Box::new(error)))
    }

    /// A key that nobody will give stops its message and no other; one that may come is waited for.
    #[test]
    fn a_key_that_is_lost_for_good_refuses_its_message_and_says_so_without_the_services_words() {
        for lost in [
            VaultError::Unknown("demo.1".into()),
            VaultError::Lost("demo.1".into()),
            VaultError::WrongMaster("demo.1".into()),
            VaultError::Refused("demo.1".into(), "vault.example: no".into()),
        ] {
            let refusal = refusal_of("clinical", &of_vault(lost.clone()));
            assert_eq!(refusal.code, "worker.key_lost", "{lost}");
            assert!(!refusal.detail.contains("vault.example"), "{refusal}");
        }
        for waits in [
            VaultError::Away("NATS".into()),
            VaultError::Service("demo.1".into(), "sealed".into()),
            VaultError::NoMaster,
        ] {
            let error = sqlx::Error::Decode(Box::new(waits));
            assert!(
                is_transient(&error) && lost_key(&error).is_none(),
                "{error}"
            );
        }
        let damaged = of_vault(VaultError::Damaged("of clinical.x".into()));
        assert_eq!(refusal_of("clinical", &damaged).code, "worker.defect");
    }
}
