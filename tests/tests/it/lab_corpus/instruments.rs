//! The instruments of the corpus: one channel each, and which file comes from which. This is the one place where settings
//! of a channel stand; where an instrument has a pack, `pack = "…"` takes their place.

use std::fmt::Write as _;

use tests::{ChannelToml, HubSettings, Servers};

/// What the cable is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    Tcp,
    /// A serial line, played over a pseudo terminal.
    Serial,
}

/// How the bytes of a file reach the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    /// E1381: each frame, or each record in a frame of its own, is answered before the next is sent.
    Astm,
    /// No handshake: the file as it is.
    Bare,
    /// Beckman AU: one block.
    Au,
    /// MLLP.
    Hl7,
}

impl Wire {
    fn kind(self) -> &'static str {
        match self {
            Self::Hl7 => "hl7v2",
            Self::Astm | Self::Bare | Self::Au => "astm",
        }
    }
}

/// One channel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Instrument {
    pub(super) id: &'static str,
    pub(super) link: Link,
    pub(super) wire: Wire,
    /// Tables below `[channel.settings]`.
    settings: &'static str,
    /// What differs from the defaults, for the page.
    pub(super) said: &'static str,
}

/// Places where Sysmex writes the number on the tube, in results and in queries.
const SYSMEX: &str =
    "[channel.settings.dialect]\nspecimen = [\"O.4.3\"]\nquery_specimen = [\"Q.3.3\"]\n";
const ROCHE: &str = "[channel.settings.dialect]\ncode_endings = [\"/\"]\nsilent_comments = [\"0\"]\nquery_specimen = [\"Q.3.3\"]\n";
/// Nothing that these send is ever a message; what is kept of it is known after a second of silence.
const NO_RECORDS: &str =
    "[channel.settings.link]\nmode = \"bare\"\nquiet_end_ms = 500\nreceive_timeout_ms = 1000\n";

const INSTRUMENTS: [Instrument; 30] = [
    tcp("ih-com", Wire::Astm, "", ""),
    tcp("echo", Wire::Astm, "", ""),
    tcp(
        "euroimmun",
        Wire::Astm,
        "[channel.settings.dialect]\nspecimen = [\"P.4\"]\npatient = []\ndecimal_comma = true\n",
        "number in `P.4`, decimal comma",
    ),
    tcp("vision", Wire::Astm, "", ""),
    tcp("afinion", Wire::Astm, "", ""),
    serial(
        "c111",
        Wire::Astm,
        ROCHE,
        "codes end in `/`, comment `0` says nothing",
    ),
    serial(
        "c111-logged",
        Wire::Astm,
        "[channel.settings.link]\nchecksum = \"warn\"\n",
        "`checksum = \"warn\"`: the logger lost bytes of a frame",
    ),
    serial(
        "c311",
        Wire::Astm,
        ROCHE,
        "codes end in `/`, comment `0` says nothing",
    ),
    tcp(
        "architect",
        Wire::Astm,
        "[channel.settings.dialect]\nline_kind = \"R.3.11\"\nside_kinds = [\"P\"]\n",
        "line kind in `R.3.11`, `P` is a side line",
    ),
    serial("h500", Wire::Astm, "", ""),
    tcp(
        "yumizen",
        Wire::Astm,
        "[channel.settings.link]\nframe_number = \"warn\"\n",
        "`frame_number = \"warn\"`: its curves repeat number 1",
    ),
    serial("pentra60", Wire::Astm, "", ""),
    tcp(
        "hema-580",
        Wire::Astm,
        "[channel.settings.dialect]\ncontrol = [{ path = \"O.3.1\", begins = [\"Dil\"] }, { path = \"O.12.1\", is = [\"Q\"] }]\n",
        "control: `O.3` begins with `Dil`",
    ),
    tcp(
        "mispa-nano",
        Wire::Astm,
        "[channel.settings.dialect]\nspecimen = [\"O.4.1\"]\nspecimen_endings = [\"/F\"]\ntest_code = [\"R.3.2\", \"R.3.1\"]\ntest_name = []\n",
        "number in `O.4.1` without `/F`, code in `R.3.2`",
    ),
    tcp("sysmex-xp", Wire::Astm, SYSMEX, "number in `O.4.3`"),
    tcp("sysmex-xn", Wire::Astm, SYSMEX, "number in `O.4.3`"),
    serial(
        "au480",
        Wire::Au,
        "[channel.settings.link]\nmode = \"au\"\n",
        "`mode = \"au\"`",
    ),
    tcp(
        "mini-vidas",
        Wire::Bare,
        NO_RECORDS,
        "`mode = \"bare\"`; it speaks no E1394",
    ),
    tcp(
        "spotchem",
        Wire::Bare,
        NO_RECORDS,
        "`mode = \"bare\"`; it speaks no E1394",
    ),
    serial("micros60", Wire::Astm, "", ""),
    serial("start4", Wire::Astm, "", ""),
    serial("ba88a", Wire::Astm, "", ""),
    tcp("astm-samples", Wire::Astm, "", ""),
    tcp(
        "maglumi",
        Wire::Hl7,
        "[channel.settings.ack]\nanswer_always = true\n",
        "`answer_always`: says NE and waits all the same",
    ),
    tcp("ba400", Wire::Hl7, "", ""),
    tcp("hl7-architect", Wire::Hl7, "", ""),
    tcp(
        "hl7-mindray",
        Wire::Hl7,
        "[channel.settings.ack]\ncode_in_msa6 = true\n",
        "MSA-6 carries a code",
    ),
    tcp("hl7-genexpert", Wire::Hl7, "", ""),
    serial("abl735", Wire::Hl7, "", ""),
    tcp("his", Wire::Hl7, "", ""),
];

const fn tcp(
    id: &'static str,
    wire: Wire,
    settings: &'static str,
    said: &'static str,
) -> Instrument {
    let link = Link::Tcp;
    Instrument {
        id,
        link,
        wire,
        settings,
        said,
    }
}

const fn serial(
    id: &'static str,
    wire: Wire,
    settings: &'static str,
    said: &'static str,
) -> Instrument {
    let link = Link::Serial;
    Instrument {
        id,
        link,
        wire,
        settings,
        said,
    }
}

/// Which instrument a file comes from; `None` for a file that nobody has looked at yet.
pub(super) fn of(file: &str) -> Option<Instrument> {
    let (folder, name) = file.split_once('/')?;
    let id = match folder {
        "go-astm" => match name {
            "bloodtype.astm" => "ih-com",
            "order.astm" | "result.astm" => "echo",
            "sampleigg.astm" => "euroimmun",
            _ => return None,
        },
        "ortho-vision" => "vision",
        "senaite-astm" => match name {
            "abbott_afinion2.txt" => "afinion",
            "cobas_c111.txt" => "c111",
            "cobas_c311.txt" => "c311",
            "mini_vidas.txt" => "mini-vidas",
            "spotchem_el.txt" => "spotchem",
            "sysmex_xp100.txt" => "sysmex-xp",
            "yumizen_h500.txt" => "yumizen",
            _ => return None,
        },
        "lab_lis" => by_beginning(
            name,
            &[
                ("au_480", "au480"),
                ("c_111", "c111-logged"),
                ("c_311", "c311"),
                ("h500", "h500"),
                ("hema_580", "hema-580"),
                ("mispa_nano", "mispa-nano"),
                ("snibe", "maglumi"),
                ("xn_330_2024-08-02_17-26-50", "sysmex-xn"),
                // an XP-100 in spite of its name
                ("xn_330", "sysmex-xp"),
                ("xp_100", "sysmex-xp"),
            ],
        )?,
        "law-slices" => "ba400",
        "openelis" => match name {
            "abbott-architect-result.hl7" => "hl7-architect",
            "genexpert-result.hl7" => "hl7-genexpert",
            "expected-order.hl7" => "his",
            "horiba-micros60-cbc.astm" => "micros60",
            "stago-start4-coagulation.astm" => "start4",
            "mindray-ba88a-result.txt" => "ba88a",
            _ if name.ends_with(".hl7") => "hl7-mindray",
            _ => "astm-samples",
        },
        "senaite-lis2a" => "astm-samples",
        "transcribed" => by_beginning(
            name,
            &[
                ("abbott-architect", "architect"),
                ("horiba-pentra60", "pentra60"),
                ("ortho-vision", "vision"),
                ("radiometer", "abl735"),
                ("oml-o33", "his"),
            ],
        )?,
        "hl7-edge" | "hl7-lab" => "his",
        _ => return None,
    };
    INSTRUMENTS.into_iter().find(|one| one.id == id)
}

fn by_beginning(name: &str, ids: &[(&str, &'static str)]) -> Option<&'static str> {
    let found = ids.iter().find(|(start, _)| name.starts_with(start));
    found.map(|(_, id)| *id)
}

/// What is done to the bytes before they are played: the logger's line ends, as the corpus' own README says.
pub(super) fn repaired(file: &str, bytes: Vec<u8>) -> (Vec<u8>, &'static str) {
    let windows_log = file.starts_with("lab_lis/");
    if windows_log && (file.contains("/c_111") || file.contains("/c_311")) {
        let without = bytes.into_iter().filter(|byte| *byte != b'\n');
        return (without.collect(), "logger's LF removed");
    }
    if file == "lab_lis/h500.txt" || file.starts_with("lab_lis/mispa_nano") {
        let cr = |byte: u8| if byte == b'\n' { b'\r' } else { byte };
        return (bytes.into_iter().map(cr).collect(), "logger's LF made CR");
    }
    (bytes, "")
}

/// Where a serial instrument is plugged in.
pub(super) fn port(servers: &Servers, instrument: &Instrument) -> std::path::PathBuf {
    servers.folder().join(format!("tty-{}", instrument.id))
}

/// Settings of a hub that has a channel for each instrument.
pub(super) fn settings(servers: &Servers) -> HubSettings {
    let mut settings = HubSettings::new(servers);
    for one in &INSTRUMENTS {
        if one.link == Link::Tcp {
            let channel = ChannelToml::new(one.id).kind(one.wire.kind());
            settings = settings.channel(channel.tables(one.settings));
            continue;
        }
        write!(
            settings.more,
            "\n[[channel]]\nid = \"{}\"\ntenant = \"demo\"\nkind = \"{}\"\n[channel.settings.serial]\nport = \"{}\"\nretry_first_ms = 50\nretry_longest_ms = 200\n{}",
            one.id,
            one.wire.kind(),
            port(servers, one).display(),
            one.settings,
        )
        .unwrap();
    }
    settings
}
