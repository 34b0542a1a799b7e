//! Rows on their way into a table by COPY, as its owner.
//!
//! The policies of row-level security are forced on the owner too, and COPY into a table whose policies bind is refused. So
//! they are not forced on him within the transaction that copies: nobody else sees that state, and whatever ends the
//! transaction ends it. Constraints, foreign keys and indexes hold as ever.

use sqlx::{AssertSqlSafe, PgConnection};

/// As much is sent at once.
const PIECE: usize = 64 * 1024;

/// Rows of one table in the text format of COPY.
#[derive(Debug, Default)]
pub(super) struct Rows {
    text: String,
    count: u64,
}

impl Rows {
    /// One row; `None` is null.
    pub(super) fn push(&mut self, fields: &[Option<&str>]) {
        for (place, field) in fields.iter().enumerate() {
            if place > 0 {
                self.text.push('\t');
            }
            match field {
                None => self.text.push_str("\\N"),
                Some(field) => self.escaped(field),
            }
        }
        self.text.push('\n');
        self.count += 1;
    }

    fn escaped(&mut self, field: &str) {
        for character in field.chars() {
            match character {
                '\\' => self.text.push_str("\\\\"),
                '\t' => self.text.push_str("\\t"),
                '\n' => self.text.push_str("\\n"),
                '\r' => self.text.push_str("\\r"),
                other => self.text.push(other),
            }
        }
    }

    /// Copies all rows into the table and begins anew.
    ///
    /// # Errors
    /// What Postgres says, or it took another number of rows.
    pub(super) async fn load(
        &mut self,
        connection: &mut PgConnection,
        table: &'static str,
        columns: &'static str,
    ) -> anyhow::Result<()> {
        let mut copy = connection
            .copy_in_raw(&format!("copy {table} ({columns}) from stdin"))
            .await?;
        for piece in self.text.as_bytes().chunks(PIECE) {
            copy.send(piece).await?;
        }
        let taken = copy.finish().await?;
        anyhow::ensure!(
            taken == self.count,
            "{table} took {taken} of {} rows",
            self.count
        );
        self.text.clear();
        self.count = 0;
        Ok(())
    }
}

/// Whether the policies of these tables bind their owner, until the end of the transaction at most.
///
/// # Errors
/// Somebody else holds a table for longer than the transaction waits, or the role owns them not.
pub(super) async fn force(
    connection: &mut PgConnection,
    tables: &[&str],
    forced: bool,
) -> Result<(), sqlx::Error> {
    let how = if forced { "force" } else { "no force" };
    let statements: Vec<String> = tables
        .iter()
        .map(|table| format!("alter table {table} {how} row level security"))
        .collect();
    sqlx::raw_sql(AssertSqlSafe(statements.join("; ")))
        .execute(connection)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_field_or_a_row_is_written_so_that_it_does_not() {
        let mut rows = Rows::default();
        rows.push(&[Some("a\tb"), None, Some("c\\\n"), Some("")]);
        assert_eq!(rows.text, "a\\tb\t\\N\tc\\\\\\n\t\n");
        assert_eq!(rows.count, 1);
    }
}
