//! One page of matches.

use std::cmp::Ordering;

use hub_fhir::Issue;
use time::OffsetDateTime;

use super::super::asked::{Asked, Place};
use super::super::doors::Doors;
use super::super::fits;
use super::super::include::Visit;
use super::super::source::{self, Found, Ground, Hints, Scope, Stretch};
use super::super::table::{Param, Wired};
use super::Page;
use super::scope::Way;
use crate::page::Cursor;
use crate::problem::Problem;

/// Rows that one page looks at. A search whose conditions few rows fit gives short pages then, each with the next.
const MOST_FOR_A_PAGE: usize = 2_000;
/// Rows that are looked at where all must be known: to sort them, or to count them.
const MOST_FOR_ALL: usize = 20_000;
/// Rows of one walk.
const STRETCH: u16 = 500;

#[allow(clippy::too_many_arguments, reason = "the ground of one search")]
pub(crate) async fn of(
    visit: &Visit<'_>,
    ground: &mut Ground<'_, '_>,
    doors: &mut Doors,
    wired: &'static Wired,
    asked: &mut Asked,
    way: Way,
    now: OffsetDateTime,
) -> Result<Page, Problem> {
    let whole = asked.number_only || !asked.sort.is_empty() || matches!(way, Way::Ids(_));
    let mut search = Search {
        visit,
        ground,
        doors,
        wired,
        asked,
        now,
        hidden: Hidden::LeftOut,
    };
    if whole {
        let all = search.all(way, usize::MAX).await?;
        return search.sorted(all);
    }
    search.next_page(way).await
}

/// The first matches, so many at most. What fits and is not for the caller is no match that is left out, as on a page: it is
/// his refusal, because who asks this acts on there being none.
#[allow(clippy::too_many_arguments, reason = "the ground of one search")]
pub(crate) async fn first(
    visit: &Visit<'_>,
    ground: &mut Ground<'_, '_>,
    doors: &mut Doors,
    wired: &'static Wired,
    asked: &mut Asked,
    way: Way,
    most: usize,
) -> Result<Vec<Found>, Problem> {
    let mut search = Search {
        visit,
        ground,
        doors,
        wired,
        asked,
        now: OffsetDateTime::now_utc(),
        hidden: Hidden::Refused,
    };
    search.all(way, most).await
}

/// What becomes of a match that the caller may not see.
#[derive(Clone, Copy)]
enum Hidden {
    LeftOut,
    Refused,
}

struct Search<'s, 'a, 'tx, 'v> {
    visit: &'s Visit<'v>,
    ground: &'s mut Ground<'a, 'tx>,
    doors: &'s mut Doors,
    wired: &'static Wired,
    asked: &'s mut Asked,
    now: OffsetDateTime,
    hidden: Hidden,
}

impl Search<'_, '_, '_, '_> {
    fn fits(&self, found: &Found) -> bool {
        fits::all(&self.asked.criteria, &found.resource, self.now)
    }

    async fn sees(&mut self, found: &Found) -> Result<bool, Problem> {
        match self.hidden {
            Hidden::LeftOut => self.visit.sees(self.ground, self.doors, found).await,
            Hidden::Refused => {
                let admitted = self.visit.admitted(self.ground, self.doors, found).await;
                admitted.map(|()| true)
            }
        }
    }

    /// The next rows of a walk.
    async fn stretch(
        &mut self,
        scope: &Scope,
        hints: &Hints,
        place: Option<&str>,
        rows: u16,
    ) -> Result<Stretch, Problem> {
        source::walk(self.ground, self.wired.kind, scope, hints, place, rows).await
    }

    /// All matches in the order of the walk, or the first `most` of them.
    async fn all(&mut self, way: Way, most: usize) -> Result<Vec<Found>, Problem> {
        let mut all = Vec::new();
        match way {
            Way::Ids(ids) => {
                for id in ids {
                    let Some(found) = source::one(self.ground, self.wired.kind, &id).await? else {
                        continue;
                    };
                    if self.fits(&found) && self.sees(&found).await? {
                        all.push(found);
                    }
                    if all.len() >= most {
                        return Ok(all);
                    }
                }
            }
            Way::Walk {
                scope,
                hints,
                ask_each,
            } => {
                let mut place: Option<String> = None;
                let mut looked_at = 0;
                loop {
                    let stretch = self
                        .stretch(&scope, &hints, place.as_deref(), STRETCH)
                        .await?;
                    looked_at += stretch.found.len();
                    for found in stretch.found {
                        if self.fits(&found) && (!ask_each || self.sees(&found).await?) {
                            all.push(found);
                        }
                        if all.len() >= most {
                            return Ok(all);
                        }
                    }
                    place = stretch.next;
                    if place.is_none() {
                        break;
                    }
                    if looked_at >= MOST_FOR_ALL {
                        return Err(super::scope::too_costly(
                            "to sort or count them all, narrow it down by date or code",
                        ));
                    }
                }
            }
        }
        Ok(all)
    }

    /// The page of a list of which all is known.
    fn sorted(&mut self, mut all: Vec<Found>) -> Result<Page, Problem> {
        let total = Some(all.len());
        if self.asked.number_only {
            return Ok(Page {
                matches: Vec::new(),
                total,
                next: None,
            });
        }
        let sort = self.asked.sort.clone();
        let mut keyed: Vec<(Vec<Option<String>>, Found)> = all
            .drain(..)
            .map(|found| (keys(&sort, &found), found))
            .collect();
        if !sort.is_empty() {
            keyed.sort_by(|(a, one), (b, other)| {
                compare(&sort, (a, &one.resource.id), (b, &other.resource.id))
            });
        }
        match self.asked.cursor.take() {
            None => {}
            Some(Place::After(at, id)) if at.len() == sort.len() && !sort.is_empty() => {
                keyed.retain(|(keys, found)| {
                    compare(&sort, (keys, &found.resource.id), (&at, &id)) == Ordering::Greater
                });
            }
            Some(_) => return Err(Cursor::refused()),
        }
        let more = keyed.len() > self.asked.count && !sort.is_empty();
        if more {
            keyed.truncate(self.asked.count);
        }
        let next = keyed
            .last()
            .filter(|_| more)
            .map(|(keys, found)| Place::After(keys.clone(), found.resource.id.clone()));
        Ok(Page {
            matches: keyed.into_iter().map(|(_, found)| found).collect(),
            total,
            next,
        })
    }

    /// The next matches in the order of the walk.
    async fn next_page(&mut self, way: Way) -> Result<Page, Problem> {
        let Way::Walk {
            scope,
            hints,
            ask_each,
        } = way
        else {
            return Ok(Page {
                matches: Vec::new(),
                total: Some(0),
                next: None,
            });
        };
        let begins = self.asked.cursor.is_none();
        let mut place = match self.asked.cursor.take() {
            None => None,
            Some(Place::Row(place)) => Some(place),
            Some(Place::After(..)) => return Err(Cursor::refused()),
        };
        let wanted = self.asked.count;
        let rows = u16::try_from(wanted + 1)
            .unwrap_or(STRETCH)
            .clamp(20, STRETCH);
        let mut matches: Vec<Found> = Vec::new();
        let mut looked_at = 0;
        loop {
            let stretch = self.stretch(&scope, &hints, place.as_deref(), rows).await?;
            for found in stretch.found {
                looked_at += 1;
                let at = found.place.clone();
                let fits = self.fits(&found) && (!ask_each || self.sees(&found).await?);
                if fits {
                    if matches.len() == wanted {
                        // one more is there: the next page begins with it
                        return Ok(Page {
                            matches,
                            total: None,
                            next: place.map(Place::Row),
                        });
                    }
                    matches.push(found);
                }
                place = Some(at);
            }
            let Some(next) = stretch.next else {
                let total = begins.then_some(matches.len());
                return Ok(Page {
                    matches,
                    total,
                    next: None,
                });
            };
            place = Some(next);
            if looked_at >= MOST_FOR_A_PAGE {
                self.asked.remarks.push(Issue::warning(
                    "incomplete",
                    format!("{looked_at} rows were looked at for this page; the next link goes on"),
                ));
                return Ok(Page {
                    matches,
                    total: None,
                    next: place.map(Place::Row),
                });
            }
        }
    }
}

fn keys(sort: &[(&'static Param, bool)], found: &Found) -> Vec<Option<String>> {
    sort.iter()
        .map(|(param, _)| fits::sort_key(param, &found.resource))
        .collect()
}

/// What has no value comes last, whichever way it is sorted; ids decide between equals.
fn compare(
    sort: &[(&'static Param, bool)],
    (a, one): (&[Option<String>], &str),
    (b, other): (&[Option<String>], &str),
) -> Ordering {
    for ((_, down), (a, b)) in sort.iter().zip(a.iter().zip(b)) {
        let order = match (a, b) {
            (Some(a), Some(b)) if *down => b.cmp(a),
            (Some(a), Some(b)) => a.cmp(b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    one.cmp(other)
}
