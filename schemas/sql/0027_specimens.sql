-- The way of a specimen: labelled, collected, received in the laboratory, rejected. Where it stands is told by its times, which hospital
-- systems report too (SPM-17, SPM-18); no column repeats it, so the two can't disagree.
alter table clinical.specimens
    add column collected_by  text,
    add column received_by   text,
    add column rejected_at   timestamptz,
    add column rejected_by   text,
    -- schemas::specimens::RejectReason
    add column reject_reason text,
    add column reject_text   text,
    -- its orders wait for another one; else they were revoked
    add column recollect     boolean,
    -- rises with every change; who takes a step may say which one he saw
    add column version       integer not null default 1,
    add constraint specimens_rejected_check check (
        (rejected_at is null) = (reject_reason is null) and (rejected_at is null) = (rejected_by is null)
        and (rejected_at is null) = (recollect is null)),
    add constraint specimens_other_check check (reject_reason <> 'other' or reject_text is not null);
-- A result is looked up here by its tube's number; few tubes are rejected.
create index specimens_rejected on clinical.specimens (tenant_id, (coalesce(number, filler_number))) where rejected_at is not null;

-- Why an order is not offered to instruments although it is open: its tube was rejected, and another is to be collected.
alter table clinical.orders
    drop constraint orders_held_check,
    add constraint orders_held_check check (held in ('specimen_in_use', 'specimen_rejected'));
-- A tube that was rejected carries its orders no more, whatever becomes of them.
alter table clinical.order_tubes
    add column rejected_at timestamptz,
    add constraint order_tubes_rejected_check check (rejected_at is null or state = 'off');
-- An instrument that was told of such an order is told anew of the tube that takes its place.
create index order_tubes_rejected on clinical.order_tubes (tenant_id, rejected_at) where rejected_at is not null;

-- Somebody must collect again.
alter table clinical.tasks
    drop constraint tasks_kind_check,
    add constraint tasks_kind_check check (kind in ('deterioration', 'recollection'));

-- What one person did, newest first.
create index entries_actor on audit.entries (tenant_id, actor, id);
