-- Somebody may say that a report is nobody's: a control that was not marked as one, a tube of water, an instrument's own test. It stays
-- on file and on nobody's chart, with the reason; a claim takes it back.
alter table clinical.unmatched_reports
    add column comment text,
    drop constraint unmatched_reports_state_check,
    drop constraint unmatched_reports_check,
    add constraint unmatched_reports_state_check check (state in ('open', 'matched', 'claimed', 'discarded')),
    add constraint unmatched_reports_subject_check check ((state in ('open', 'discarded')) = (subject_key is null)),
    add constraint unmatched_reports_comment_check check (state <> 'discarded' or comment is not null);
