//! A second connection for orders: analyzers that send on one link and take orders on another, where the hub is the one who dials.
//!
//! What follows a query waits here until that connection takes it, for as long as an analyzer waits at most; what is told without
//! asking is looked for by that connection itself.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::exchange::{Exchange, Finished, MOST_WAITING, Outgoing, unanswered};

/// An analyzer that asked has gone on without an answer by then.
const FRESH: Duration = Duration::from_secs(60);

/// Where messages of ours go.
#[derive(Clone, Copy)]
pub(super) enum Ways<'o> {
    /// Over the connection that received the query.
    Both,
    /// Over another: this one only receives.
    In(&'o Outlet),
    /// This is the other.
    Out(&'o Outlet),
}

/// What waits for the second connection.
#[derive(Debug, Default)]
pub(super) struct Outlet {
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<(Instant, Outgoing)>,
    /// Queries that were taken back and whose messages the connection may have.
    withdrawn: Vec<String>,
}

impl Outlet {
    fn state(&self) -> MutexGuard<'_, State> {
        // every change is one assignment: a panic elsewhere leaves nothing half done
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps messages for the second connection; gives what is given up for them.
    pub(super) fn put(&self, messages: Vec<Outgoing>, now: Instant) -> Vec<Finished> {
        let mut state = self.state();
        let mut given_up = Vec::new();
        for message in messages {
            state.waiting.push_back((now, message));
        }
        while state.waiting.len() > MOST_WAITING
            && let Some((_, old)) = state.waiting.pop_front()
        {
            given_up.push(unanswered(
                old,
                "too many messages wait for this instrument",
            ));
        }
        drop(state);
        self.arrived.notify_one();
        given_up
    }

    /// A query is taken back; gives what was not sent.
    pub(super) fn withdraw(&self, tag: &str) -> Vec<Finished> {
        let mut state = self.state();
        let (gone, kept) = std::mem::take(&mut state.waiting)
            .into_iter()
            .partition::<VecDeque<_>, _>(|(_, one)| one.tag == tag);
        state.waiting = kept;
        state.withdrawn.push(tag.to_owned());
        drop(state);
        self.arrived.notify_one();
        gone.into_iter()
            .map(|(_, one)| unanswered(one, "the instrument took its query back"))
            .collect()
    }

    /// Returns when there may be something to take.
    pub(super) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Hands over to the second connection; gives what is over.
    pub(super) fn take(&self, exchange: &mut Exchange, now: Instant) -> Vec<Finished> {
        let State { waiting, withdrawn } = std::mem::take(&mut *self.state());
        let mut over = Vec::new();
        for tag in withdrawn {
            over.extend(exchange.withdraw(&tag));
        }
        let mut fresh = Vec::new();
        for (since, message) in waiting {
            if now.duration_since(since) > FRESH {
                let reason = "the connection for orders was not there in time";
                over.push(unanswered(message, reason));
            } else {
                fresh.push(message);
            }
        }
        over.extend(exchange.push(fresh));
        over
    }
}
