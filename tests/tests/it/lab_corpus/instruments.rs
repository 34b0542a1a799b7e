//! The instruments of the corpus: one channel each, as an engineer would configure it, and which file comes from which. Where
//! an instrument has a pack, the pack is what is configured.

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
    /// The instrument pack that an engineer would take.
    pub(super) pack: Option<&'static str>,
    /// Tables below `[channel.settings]`, beside the pack's.
    settings: &'static str,
    /// What those say, for the page.
    pub(super) said: &'static str,
}

impl Instrument {
    const fn of(self, pack: &'static str) -> Self {
        let pack = Some(pack);
        Self { pack, ..self }
    }

    const fn with(self, settings: &'static str, said: &'static str) -> Self {
        Self {
            settings,
            said,
            ..self
        }
    }
}

/// Nothing that these send is ever a message; what is kept of it is known after a second of silence.
const NO_RECORDS: &str =
    "[channel.settings.link]\nmode = \"bare\"\nquiet_end_ms = 500\nreceive_timeout_ms = 1000\n";
const SPEAKS_NO_E1394: &str = "`mode = \"bare\"`: it speaks no E1394, and there is no pack for it";

const INSTRUMENTS: [Instrument; 30] = [
    tcp("ih-com", Wire::Astm),
    tcp("echo", Wire::Astm),
    tcp("euroimmun", Wire::Astm).with(
        "[channel.settings.dialect]\nspecimen = [\"P.4\"]\npatient = []\ndecimal_comma = true\n",
        "number in `P.4`, decimal comma",
    ),
    tcp("vision", Wire::Astm).of("ortho-vision"),
    tcp("afinion", Wire::Astm),
    serial("c111", Wire::Astm).of("roche-c111"),
    serial("c111-logged", Wire::Astm).of("roche-c111").with(
        "[channel.settings.link]\nchecksum = \"warn\"\n",
        "`checksum = \"warn\"`: the logger lost bytes of a frame",
    ),
    serial("c311", Wire::Astm).of("roche-c311"),
    tcp("architect", Wire::Astm).of("abbott-architect"),
    serial("h500", Wire::Astm).of("horiba-yumizen"),
    tcp("yumizen", Wire::Astm).of("horiba-yumizen"),
    serial("pentra60", Wire::Astm).of("horiba-yumizen"),
    tcp("hema-580", Wire::Astm).of("siemens-atellica"),
    tcp("mispa-nano", Wire::Astm).of("agappe-mispa"),
    tcp("sysmex-xp", Wire::Astm).of("sysmex-xp"),
    tcp("sysmex-xn", Wire::Astm).of("sysmex-xn"),
    serial("au480", Wire::Au).of("beckman-au"),
    tcp("mini-vidas", Wire::Bare).with(NO_RECORDS, SPEAKS_NO_E1394),
    tcp("spotchem", Wire::Bare).with(NO_RECORDS, SPEAKS_NO_E1394),
    serial("micros60", Wire::Astm).of("horiba-yumizen"),
    serial("start4", Wire::Astm),
    serial("ba88a", Wire::Astm),
    tcp("astm-samples", Wire::Astm),
    tcp("maglumi", Wire::Hl7).of("snibe-maglumi"),
    tcp("ba400", Wire::Hl7).of("biosystems-ba400"),
    tcp("hl7-architect", Wire::Hl7),
    tcp("hl7-mindray", Wire::Hl7).with(
        "[channel.settings.ack]\ncode_in_msa6 = true\n",
        "MSA-6 carries a code; made up, not the form of the packs",
    ),
    tcp("hl7-genexpert", Wire::Hl7),
    serial("abl735", Wire::Hl7).of("radiometer-abl"),
    tcp("his", Wire::Hl7),
];

const fn tcp(id: &'static str, wire: Wire) -> Instrument {
    Instrument {
        id,
        link: Link::Tcp,
        wire,
        pack: None,
        settings: "",
        said: "",
    }
}

const fn serial(id: &'static str, wire: Wire) -> Instrument {
    Instrument {
        link: Link::Serial,
        ..tcp(id, wire)
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
    let said = match file {
        "openelis/qc-control-results.astm" => {
            "made up: values in Q records, which E1394 does not know"
        }
        "openelis/malformed.astm" => "made up of mistakes",
        _ => "",
    };
    (bytes, said)
}

/// Where a serial instrument is plugged in.
pub(super) fn port(servers: &Servers, instrument: &Instrument) -> std::path::PathBuf {
    servers.folder().join(format!("tty-{}", instrument.id))
}

/// What the site calls what [`Patients`](super::orders::Patients) order, on the instruments that ask.
const ROWS: &str = "[[order]]\nid = \"corpus\"\ncode = \"CORPUS\"\nchannels = [\"ba400\", \"vision\"]\ninstrument = [\"CORPUS\"]\n";

/// Settings of a hub that has a channel for each instrument.
pub(super) fn settings(servers: &Servers) -> HubSettings {
    let mut settings = HubSettings::new(servers);
    std::fs::write(settings.mappings.join("site/corpus.toml"), ROWS).unwrap();
    for one in &INSTRUMENTS {
        if one.link == Link::Tcp {
            let channel = ChannelToml::new(one.id)
                .kind(one.wire.kind())
                .pack(one.pack);
            settings = settings.channel(channel.tables(one.settings));
            continue;
        }
        let pack = one.pack.map(|pack| format!("pack = \"{pack}\"\n"));
        write!(
            settings.more,
            "\n[[channel]]\nid = \"{}\"\ntenant = \"demo\"\nkind = \"{}\"\n{}[channel.settings.serial]\nport = \"{}\"\nretry_first_ms = 50\nretry_longest_ms = 200\n{}",
            one.id,
            one.wire.kind(),
            pack.unwrap_or_default(),
            port(servers, one).display(),
            one.settings,
        )
        .unwrap();
    }
    settings
}
