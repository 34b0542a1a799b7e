//! Finds the groups of an order or result message: who it is about, and which segments belong to one OBR.
//!
//! One walk over the segments, tolerant of the order in which devices write them. A segment that belongs nowhere
//! (an OBX before the first OBR, an NTE after PID) is left alone, so that it is listed as not read. Of a message
//! without any OBR the OBX are one report.

use super::scope::{Scope, Seg};

/// A PID and its PV1.
#[derive(Debug)]
pub(super) struct Patient<'s, 'm> {
    pub(super) pid: &'s Seg<'m>,
    pub(super) pv1: Option<&'s Seg<'m>>,
}

/// One specimen: SPM, SAC or both.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tube<'s, 'm> {
    pub(super) spm: Option<&'s Seg<'m>>,
    pub(super) sac: Option<&'s Seg<'m>>,
}

/// One OBX and the NTE after it.
#[derive(Debug)]
pub(super) struct Line<'s, 'm> {
    pub(super) obx: &'s Seg<'m>,
    pub(super) notes: Vec<&'s Seg<'m>>,
}

/// One OBR with what belongs to it; or one ORC that stands alone.
#[derive(Debug, Default)]
pub(super) struct Group<'s, 'm> {
    /// Place in [`Groups::patients`].
    pub(super) patient: Option<usize>,
    pub(super) orc: Option<&'s Seg<'m>>,
    /// The ORC is that of an OBR before.
    pub(super) orc_shared: bool,
    pub(super) obr: Option<&'s Seg<'m>>,
    pub(super) tq1: Option<&'s Seg<'m>>,
    pub(super) tubes: Vec<Tube<'s, 'm>>,
    pub(super) lines: Vec<Line<'s, 'm>>,
    pub(super) notes: Vec<&'s Seg<'m>>,
}

/// What a message holds.
#[derive(Debug, Default)]
pub(super) struct Groups<'s, 'm> {
    pub(super) patients: Vec<Patient<'s, 'm>>,
    pub(super) groups: Vec<Group<'s, 'm>>,
    /// OBX that stand before the first OBR.
    pub(super) stray_results: usize,
    /// There is no OBR at all.
    pub(super) no_obr: bool,
}

/// The kinds of message that are built of OBR groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// ORM
    Order,
    /// OML: a second PID begins prior results.
    LabOrder,
    /// ORU
    Result,
    /// OUL: an ORC may follow its OBR.
    SpecimenResult,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    Nothing,
    Specimen,
    Order,
    Line,
}

pub(super) fn groups<'s, 'm>(scope: &'s Scope<'m>, form: Form) -> Groups<'s, 'm> {
    let first_of = |ids: &[&str]| scope.segments().iter().position(|s| ids.contains(&s.id()));
    let specimen = first_of(&["SPM", "SAC"]);
    let mut walk = Walk {
        form,
        specimen_first: specimen.is_some() && specimen < first_of(&["OBR", "ORC"]),
        found: Groups {
            no_obr: first_of(&["OBR"]).is_none(),
            ..Groups::default()
        },
        open: None,
        orc: None,
        last_orc: None,
        tq1: None,
        tubes: Vec::new(),
        after: After::Nothing,
        prior: false,
    };
    for segment in scope.segments() {
        walk.take(segment);
    }
    walk.close_orc();
    walk.close();
    walk.found
}

struct Walk<'s, 'm> {
    form: Form,
    /// Specimens stand before their orders (OML^O33, OUL^R22) rather than after (OML^O21, ORU).
    specimen_first: bool,
    found: Groups<'s, 'm>,
    open: Option<Group<'s, 'm>>,
    /// An ORC that waits for its OBR.
    orc: Option<&'s Seg<'m>>,
    last_orc: Option<&'s Seg<'m>>,
    tq1: Option<&'s Seg<'m>>,
    /// Specimens that the next OBR belong to.
    tubes: Vec<Tube<'s, 'm>>,
    after: After,
    /// Inside the prior results of an OML.
    prior: bool,
}

impl<'s, 'm> Walk<'s, 'm> {
    fn take(&mut self, segment: &'s Seg<'m>) {
        let id = segment.id();
        if self.prior && !self.prior_ends(segment) {
            return;
        }
        match id {
            "PID" => self.pid(segment),
            "PV1" => {
                if let Some(patient) = self.found.patients.last_mut()
                    && patient.pv1.is_none()
                {
                    segment.enter();
                    patient.pv1 = Some(segment);
                }
            }
            "ORC" => self.orc(segment),
            "TQ1" => self.tq1(segment),
            "OBR" => self.obr(segment),
            "SPM" => self.spm(segment),
            "SAC" => self.sac(segment),
            "OBX" => self.obx(segment),
            "NTE" => self.nte(segment),
            _ => {}
        }
    }

    /// Prior results end with the next order: an ORC that says so.
    fn prior_ends(&mut self, segment: &Seg<'m>) -> bool {
        let control = segment.peek(1).raw();
        if segment.id() == "ORC" && !control.is_empty() && control != "PR" {
            self.prior = false;
        }
        !self.prior
    }

    fn pid(&mut self, segment: &'s Seg<'m>) {
        self.close_orc();
        self.close();
        if self.form == Form::LabOrder && !self.found.patients.is_empty() {
            self.prior = true;
            return;
        }
        self.last_orc = None;
        self.tubes.clear();
        self.after = After::Nothing;
        self.found.patients.push(Patient {
            pid: segment,
            pv1: None,
        });
    }

    fn orc(&mut self, segment: &'s Seg<'m>) {
        if self.form == Form::SpecimenResult
            && self.after == After::Order
            && let Some(open) = &mut self.open
            && (open.orc.is_none() || open.orc_shared)
        {
            segment.enter();
            open.orc = Some(segment);
            open.orc_shared = false;
            self.last_orc = Some(segment);
            return;
        }
        self.close_orc();
        self.close();
        self.orc = Some(segment);
        self.after = After::Order;
    }

    fn tq1(&mut self, segment: &'s Seg<'m>) {
        let place = match &mut self.open {
            Some(open) if self.orc.is_none() => &mut open.tq1,
            _ => &mut self.tq1,
        };
        if place.is_none() {
            segment.enter();
            *place = Some(segment);
        }
    }

    fn obr(&mut self, segment: &'s Seg<'m>) {
        self.close();
        segment.enter();
        let own = self.orc.take();
        if let Some(orc) = own {
            orc.enter();
            self.last_orc = own;
        }
        self.open = Some(Group {
            patient: self.patient(),
            orc: own.or(self.last_orc),
            orc_shared: own.is_none() && self.last_orc.is_some(),
            obr: Some(segment),
            tq1: self.tq1.take(),
            tubes: if self.specimen_first {
                self.tubes.clone()
            } else {
                Vec::new()
            },
            ..Group::default()
        });
        self.after = After::Order;
    }

    fn spm(&mut self, segment: &'s Seg<'m>) {
        segment.enter();
        let tube = Tube {
            spm: Some(segment),
            sac: None,
        };
        if !self.specimen_first {
            match &mut self.open {
                Some(open) => open.tubes.push(tube),
                None => self.tubes.push(tube),
            }
            return;
        }
        if self.after != After::Specimen {
            self.close_orc();
            self.close();
            self.last_orc = None;
            self.tubes.clear();
        }
        self.tubes.push(tube);
        self.after = After::Specimen;
    }

    fn sac(&mut self, segment: &'s Seg<'m>) {
        let tubes = match &mut self.open {
            Some(open) if !self.specimen_first => &mut open.tubes,
            _ => &mut self.tubes,
        };
        let new = Tube {
            spm: None,
            sac: Some(segment),
        };
        match tubes.last_mut() {
            Some(tube) if tube.sac.is_none() => tube.sac = Some(segment),
            // A container of its own: the next specimen, where containers come first.
            Some(_) | None if self.specimen_first && self.after != After::Specimen => {
                self.close_orc();
                self.close();
                self.last_orc = None;
                self.tubes = vec![new];
                self.after = After::Specimen;
            }
            Some(_) => return,
            None => tubes.push(new),
        }
        segment.enter();
    }

    fn obx(&mut self, segment: &'s Seg<'m>) {
        if matches!(self.form, Form::Order | Form::LabOrder) {
            return;
        }
        if self.open.is_none() && self.found.no_obr {
            let orc = self.orc.take();
            if let Some(orc) = orc {
                orc.enter();
            }
            self.open = Some(Group {
                patient: self.patient(),
                orc,
                tubes: self.tubes.clone(),
                ..Group::default()
            });
        }
        match &mut self.open {
            Some(open) => {
                segment.enter();
                open.lines.push(Line {
                    obx: segment,
                    notes: Vec::new(),
                });
                self.after = After::Line;
            }
            None => self.found.stray_results += 1,
        }
    }

    fn nte(&mut self, segment: &'s Seg<'m>) {
        let Some(open) = &mut self.open else {
            return;
        };
        segment.enter();
        match (self.after, open.lines.last_mut()) {
            (After::Line, Some(line)) => line.notes.push(segment),
            _ => open.notes.push(segment),
        }
    }

    fn close(&mut self) {
        if let Some(group) = self.open.take() {
            self.found.groups.push(group);
        }
    }

    /// An ORC without OBR is an order of its own (a cancellation, say); in a result it is no result.
    fn close_orc(&mut self) {
        let Some(orc) = self.orc.take() else {
            return;
        };
        if matches!(self.form, Form::Order | Form::LabOrder) {
            orc.enter();
            self.close();
            let group = Group {
                patient: self.patient(),
                orc: Some(orc),
                tq1: self.tq1.take(),
                tubes: if self.specimen_first {
                    self.tubes.clone()
                } else {
                    Vec::new()
                },
                ..Group::default()
            };
            self.found.groups.push(group);
        }
    }

    fn patient(&self) -> Option<usize> {
        self.found.patients.len().checked_sub(1)
    }
}
