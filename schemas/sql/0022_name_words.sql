-- A search for several words of a name walks the index of one of them, and looked up every record that it passed for the others:
-- thousands of look-ups for one page. With the other words beside each name the walk reads its index and nothing else.

alter table patients.match_keys
    -- of kind name: all words of the record's names, each after a space. Null: written by an earlier release, or too long for an
    -- index entry; such a record is looked up.
    add column words text collate "C" check (kind = 'name' or words is null);

create index match_keys_names on patients.match_keys (tenant_id, key, patient_id) include (words) where kind = 'name';
