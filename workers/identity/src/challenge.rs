//! What is good once: a challenge that was answered is marked, in the transaction of what the answer was used for.

use hub_core::{Refusal, Tx};
use schemas::sign_in::Challenge;

use crate::worker::{Stop, digest, moment};

/// Uses it up. The mark stays when what follows is refused: an answer that led to nothing is not to be tried again.
pub(crate) async fn use_up(tx: &mut Tx<'_>, challenge: &Challenge) -> Result<(), Stop> {
    let mark = digest("challenge", &challenge.digest)?;
    let until = moment("until", &challenge.until)?;
    let tenant = tx.tenant().clone();
    let done = sqlx::query(
        "insert into users.used_challenges (tenant_id, digest, expires_at) values ($1, $2, $3) on conflict do nothing",
    )
    .bind(tenant.as_str())
    .bind(mark)
    .bind(until)
    .execute(tx.conn())
    .await?;
    if done.rows_affected() == 0 {
        return Err(Refusal::new(
            "challenges.already_used",
            "this challenge was answered before; begin again",
        )
        .into());
    }
    Ok(())
}
