//! The clinical worker against a real Postgres.

#![allow(clippy::unwrap_used, clippy::panic)]

mod it {
    mod alarms;
    mod amending;
    mod beds;
    mod charts;
    mod codes;
    mod controls;
    mod criticals;
    mod encounters;
    mod matching;
    mod orders;
    mod placing;
    mod queries;
    mod receipts;
    mod results;
    mod rosters;
    mod rounds;
    mod runs;
    mod sendings;
    mod specimens;
    mod stays;
    mod support;
    mod terminology;
    mod verification;
    mod verifying;
    mod vitals;
    mod waiting;
    mod words;
    mod worklist;
}
