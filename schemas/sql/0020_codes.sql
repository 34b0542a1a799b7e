-- Code systems that charts may use (ICD-10, ICD-10-CM, LOINC): the releases that were imported, and their codes. No row is a
-- tenant's: every tenant reads them, and the installation (tenant `platform`) alone writes them, with `hub codes import`.

-- One row an import, in one transaction with its codes; the highest number of a system is in force. Never changed.
create table clinical.code_releases (
    -- as HL7 table 0396 calls them: ICD-10 of the WHO, ICD-10-CM, LOINC
    system      text        not null check (system in ('I10', 'I10C', 'LN')),
    number      integer     not null check (number > 0),
    -- as its publisher calls it: 2019, 2026, 2.80
    release     text        not null check (release ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$'),
    -- what the file says of itself
    title       text,
    -- SHA-256 of the file
    digest      bytea       not null check (length(digest) = 32),
    codes       integer     not null check (codes > 0),
    -- against the release that was in force before
    added       integer     not null,
    reworded    integer     not null,
    retired     integer     not null,
    imported_at timestamptz not null default now(),
    imported_by text        not null,
    primary key (system, number)
);

-- One row a code, with its newest words. What the newest release has no more stays, so that old entries can be read: `seen` is
-- then below the number in force.
create table clinical.codes (
    system   text              not null check (system in ('I10', 'I10C', 'LN')),
    code     text collate "C"  not null,
    display  text              not null check (display <> ''),
    -- its words in lower case, each after a space: what a search for several words looks at
    words    text              not null,
    kind     text              not null check (kind in ('chapter', 'block', 'category', 'code')),
    -- the code it stands under; class of a LOINC term
    parent   text collate "C",
    -- nothing more exact stands below it
    leaf     boolean           not null,
    -- what its publisher says of it
    standing text              not null check (standing in ('active', 'trial', 'discouraged', 'deprecated')),
    -- copyright of others, which has to be shown with the term
    notice   text,
    -- numbers of the first import that had it, and of the newest
    since    integer           not null,
    seen     integer           not null,
    primary key (system, code),
    check (since <= seen)
);
create index codes_parent on clinical.codes (system, parent, code);

-- Words to find codes by. Behind row-level security only comparisons of text reach an index, so prefixes are ranges of this key.
create table clinical.code_words (
    system text              not null,
    word   text collate "C"  not null,
    code   text collate "C"  not null,
    -- number of the newest import in which the code had the word
    seen   integer           not null,
    primary key (system, word, code)
);

do $$
declare
    target text;
begin
    foreach target in array array['clinical.code_releases', 'clinical.codes', 'clinical.code_words'] loop
        execute format('alter table %s enable row level security', target);
        execute format('alter table %s force row level security', target);
        execute format(
            'create policy platform on %s using (current_setting(''hub.tenant'', true) = ''platform'') '
            'with check (current_setting(''hub.tenant'', true) = ''platform'')', target);
        execute format(
            'create policy tenant on %s for select using (coalesce(current_setting(''hub.tenant'', true), '''') <> '''')', target);
    end loop;
end $$;

grant select, insert on clinical.code_releases to hub_app;
grant select, insert, update on clinical.codes, clinical.code_words to hub_app;
