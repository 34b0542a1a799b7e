//! Composition of the rooms; see main.rs.
