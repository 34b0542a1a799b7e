//! Whatever is merged, and in whatever order that is heard of, of a patient's log-ins one is left (EM7).

use hub_core::Verdict;

use super::Index;
use crate::it::house::refusal;

/// EM7
#[tokio::test]
async fn of_two_log_ins_the_surviving_records_own_survives_a_merge() {
    let index = Index::new().await;
    let (survivor, retired) = (index.record().await, index.record().await);
    // the retired record's is the older one
    let theirs = index.login(retired, "asha.old").await;
    let own = index.login(survivor, "asha").await;
    index.lead(retired, Some(survivor)).await;
    assert!(matches!(
        index.merged(survivor, retired).await,
        Verdict::Applied { .. }
    ));
    assert_eq!(index.standing().await, [(own, survivor)]);
    assert_eq!(
        (index.sessions(own).await, index.sessions(theirs).await),
        (1, 0)
    );
    assert_eq!(
        (index.sees(own).await, index.sees(theirs).await),
        (Some(survivor), None)
    );
    let trail = index.trail(theirs).await;
    assert_eq!(
        trail.last(),
        Some(&(
            "users.patient_login.end".to_owned(),
            "hub".to_owned(),
            Some("records of one patient were merged: registered twice".to_owned())
        ))
    );
    assert!(matches!(
        index.merged(survivor, retired).await,
        Verdict::Unchanged
    ));
    // by whichever record it is asked for
    for patient in [survivor, retired] {
        assert_eq!(
            refusal(index.open(patient, "asha.three").await),
            "logins.exists"
        );
    }

    // parted again: what was ended stays so, and the trail says it to who looks at either
    index.lead(retired, None).await;
    assert!(matches!(
        index.unmerged(survivor, retired).await,
        Verdict::Applied { .. }
    ));
    assert_eq!(index.standing().await, [(own, survivor)]);
    let trail = index.trail(theirs).await;
    assert_eq!(
        trail.last(),
        Some(&(
            "users.patient_login.stays_ended".to_owned(),
            "hub".to_owned(),
            Some("a merge was taken back: twins".to_owned())
        ))
    );
    let fresh = index.login(retired, "asha.three").await;
    assert_eq!(index.sees(fresh).await, Some(retired));
}

/// EM7
#[tokio::test]
async fn a_log_in_goes_along_with_its_record_and_comes_home_with_it() {
    let index = Index::new().await;
    let (survivor, retired) = (index.record().await, index.record().await);
    let login = index.login(retired, "asha").await;
    index.lead(retired, Some(survivor)).await;
    // whose record it shows does not wait for the fact
    assert_eq!(index.sees(login).await, Some(survivor));
    index.merged(survivor, retired).await;
    assert_eq!(index.standing().await, [(login, survivor)]);
    assert_eq!(index.sessions(login).await, 1, "he goes on");
    assert_eq!(
        refusal(index.open(survivor, "asha.two").await),
        "logins.exists"
    );

    index.lead(retired, None).await;
    assert_eq!(
        index.sees(login).await,
        Some(retired),
        "of two people none sees the other's record, not for a moment"
    );
    // a desk may be faster than the fact
    let other = index.login(survivor, "ravi").await;
    assert!(matches!(
        index.unmerged(survivor, retired).await,
        Verdict::Unchanged
    ));
    assert_eq!(
        index.standing().await,
        [(login, retired), (other, survivor)]
    );
    let moves: Vec<String> = index
        .trail(login)
        .await
        .into_iter()
        .map(|(action, ..)| action)
        .collect();
    assert_eq!(
        moves,
        [
            "users.patient_login.open",
            "users.patient_login.move",
            "users.patient_login.move"
        ]
    );
}

/// Facts about different survivors come by different lanes.
#[tokio::test]
async fn in_whatever_order_merges_are_heard_of_the_nearest_log_in_survives() {
    for late in [false, true] {
        let index = Index::new().await;
        let (first, second, last) = (
            index.record().await,
            index.record().await,
            index.record().await,
        );
        let far = index.login(first, "asha").await;
        let near = index.login(second, "asha.two").await;
        index.lead(first, Some(second)).await;
        if late {
            index.lead(second, Some(last)).await;
            index.merged(last, second).await;
            index.merged(second, first).await;
        } else {
            index.merged(second, first).await;
            index.lead(second, Some(last)).await;
            index.merged(last, second).await;
        }
        assert_eq!(index.standing().await, [(near, last)], "late: {late}");
        assert_eq!(
            (index.sees(near).await, index.sees(far).await),
            (Some(last), None)
        );
    }
}

#[tokio::test]
async fn a_log_in_that_is_made_before_the_merge_is_heard_of_is_counted_where_it_belongs() {
    let index = Index::new().await;
    let (survivor, retired) = (index.record().await, index.record().await);
    index.lead(retired, Some(survivor)).await;
    let login = index.login(retired, "asha").await;
    assert_eq!(index.standing().await, [(login, survivor)]);
    assert_eq!(
        refusal(index.open(survivor, "asha.two").await),
        "logins.exists"
    );
    assert!(matches!(
        index.merged(survivor, retired).await,
        Verdict::Unchanged
    ));
    // it was made for the record that the desk had before it
    index.lead(retired, None).await;
    index.unmerged(survivor, retired).await;
    assert_eq!(index.standing().await, [(login, retired)]);
}

/// What was parted and what was merged are heard of late, and in any order: the place of the one is where the other is still counted.
#[tokio::test]
async fn one_log_in_goes_home_while_another_comes_to_the_place_that_it_leaves() {
    for parted_first in [true, false] {
        let index = Index::new().await;
        let (survivor, restored, retired) = (
            index.record().await,
            index.record().await,
            index.record().await,
        );
        let home = index.login(restored, "asha").await;
        index.lead(restored, Some(survivor)).await;
        index.merged(survivor, restored).await;
        assert_eq!(index.standing().await, [(home, survivor)]);
        let along = index.login(retired, "ravi").await;
        index.lead(restored, None).await;
        index.lead(retired, Some(survivor)).await;
        if parted_first {
            index.unmerged(survivor, restored).await;
            index.merged(survivor, retired).await;
        } else {
            index.merged(survivor, retired).await;
            index.unmerged(survivor, restored).await;
        }
        assert_eq!(
            index.standing().await,
            [(home, restored), (along, survivor)],
            "parted first: {parted_first}"
        );
        assert_eq!(
            (index.sees(home).await, index.sees(along).await),
            (Some(restored), Some(survivor))
        );
        assert_eq!(
            (index.sessions(home).await, index.sessions(along).await),
            (1, 1)
        );
    }
}

#[tokio::test]
async fn two_log_ins_change_places() {
    let index = Index::new().await;
    let (one, other) = (index.record().await, index.record().await);
    let (first, second) = (index.record().await, index.record().await);
    let ones = index.login(first, "asha").await;
    let others = index.login(second, "ravi").await;
    index.lead(first, Some(one)).await;
    index.lead(second, Some(other)).await;
    index.merged(one, first).await;
    index.merged(other, second).await;
    index.lead(first, Some(other)).await;
    index.lead(second, Some(one)).await;
    index.merged(other, first).await;
    assert_eq!(index.standing().await, [(ones, other), (others, one)]);
}
