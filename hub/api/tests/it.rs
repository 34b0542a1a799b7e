//! The API from outside: requests in, responses out, a real Postgres below, and a backbone in memory that hands
//! commands to the real workers.

mod it {
    mod care;
    mod contract;
    mod decisions;
    mod house;
    mod messages;
    mod problems;
    mod serving;
    mod sign_in;
}
