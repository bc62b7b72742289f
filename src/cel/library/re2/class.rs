//! Character classes and their names.

use std::fmt::Write as _;

/// A class under construction, in the `regex` crate's syntax.
#[derive(Debug, Default)]
pub(super) struct Class {
    items: String,
    negated: bool,
}

/// Go's two-character escapes for ASCII classes.
pub(super) fn perl(letter: u8) -> Option<&'static str> {
    Some(match letter {
        b'd' => "[0-9]",
        b'D' => "[^0-9]",
        b's' => r"[\t\n\x0C\r\x20]",
        b'S' => r"[^\t\n\x0C\r\x20]",
        b'w' => "[0-9A-Za-z_]",
        b'W' => "[^0-9A-Za-z_]",
        _ => return None,
    })
}

/// `[:alpha:]` and `[:^alpha:]`: the ASCII ranges, `None` for an unknown name.
pub(super) fn posix(name: &str) -> Option<String> {
    let (negated, name) = match name.strip_prefix('^') {
        Some(rest) => ("^", rest),
        None => ("", name),
    };
    let ranges = match name {
        "alnum" => "0-9A-Za-z",
        "alpha" => "A-Za-z",
        "ascii" => r"\x00-\x7F",
        "blank" => r"\t\x20",
        "cntrl" => r"\x00-\x1F\x7F",
        "digit" => "0-9",
        "graph" => r"\x21-\x7E",
        "lower" => "a-z",
        "print" => r"\x20-\x7E",
        "punct" => r"\x21-\x2F\x3A-\x40\x5B-\x60\x7B-\x7E",
        "space" => r"\t\n\x0B\x0C\r\x20",
        "upper" => "A-Z",
        "word" => "0-9A-Za-z_",
        "xdigit" => "0-9A-Fa-f",
        _ => return None,
    };
    Some(format!("[{negated}{ranges}]"))
}

/// `\p{name}`: a category, its long name, or a script of one word (Go's lookup drops underscores and so finds no
/// script of several). Case, spaces, hyphens and underscores do not matter.
pub(super) fn unicode(name: &str, mut negated: bool) -> Option<String> {
    let name = name.strip_prefix('^').map_or(name, |rest| {
        negated = !negated;
        rest
    });
    let canonical: String =
        name.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).map(|c| c.to_ascii_lowercase()).collect();
    let mut class = String::new();
    let sign = if negated { 'P' } else { 'p' };
    match canonical.as_str() {
        "any" => class.push_str(if negated { "[^\\x00-\\x{10FFFF}]" } else { "[\\x00-\\x{10FFFF}]" }),
        "ascii" => class.push_str(if negated { "[^\\x00-\\x7F]" } else { "[\\x00-\\x7F]" }),
        "assigned" => class.push_str(if negated { "\\p{Cn}" } else { "\\P{Cn}" }),
        // Surrogates are not characters of a string.
        "cs" | "surrogate" => class.push_str(if negated { "[\\x00-\\x{10FFFF}]" } else { "[^\\x00-\\x{10FFFF}]" }),
        "combiningmark" => {
            let _ = write!(class, "\\{sign}{{gc=M}}");
        }
        name if CATEGORIES.contains(&name) => {
            let _ = write!(class, "\\{sign}{{gc={name}}}");
        }
        name if SCRIPTS.contains(&name) => {
            let _ = write!(class, "\\{sign}{{sc={name}}}");
        }
        _ => return None,
    }
    Some(class)
}

impl Class {
    pub(super) fn negate(&mut self) {
        self.negated = true;
    }

    /// A class inside this one.
    pub(super) fn push_class(&mut self, class: &str) {
        self.items.push_str(class);
    }

    /// A range of code points; surrogates, which no string holds, are left out.
    pub(super) fn push_range(&mut self, low: u32, high: u32) {
        for (low, high) in [(low, high.min(0xD7FF)), (low.max(0xE000), high)] {
            if low <= high {
                let _ = write!(self.items, "\\x{{{low:X}}}-\\x{{{high:X}}}");
            }
        }
    }

    pub(super) fn finish(self) -> String {
        match (self.items.is_empty(), self.negated) {
            (true, false) => "[^\\x00-\\x{10FFFF}]".to_owned(),
            (true, true) => "[\\x00-\\x{10FFFF}]".to_owned(),
            (false, false) => format!("[{}]", self.items),
            (false, true) => format!("[^{}]", self.items),
        }
    }
}

/// Unicode general categories, short and long, canonical.
const CATEGORIES: &[&str] = &[
    "c",
    "cc",
    "cf",
    "cn",
    "co",
    "l",
    "lc",
    "ll",
    "lm",
    "lo",
    "lt",
    "lu",
    "m",
    "mc",
    "me",
    "mn",
    "n",
    "nd",
    "nl",
    "no",
    "p",
    "pc",
    "pd",
    "pe",
    "pf",
    "pi",
    "po",
    "ps",
    "s",
    "sc",
    "sk",
    "sm",
    "so",
    "z",
    "zl",
    "zp",
    "zs",
    "casedletter",
    "closepunctuation",
    "connectorpunctuation",
    "control",
    "currencysymbol",
    "dashpunctuation",
    "decimalnumber",
    "enclosingmark",
    "finalpunctuation",
    "format",
    "initialpunctuation",
    "letter",
    "letternumber",
    "lineseparator",
    "lowercaseletter",
    "mark",
    "mathsymbol",
    "modifierletter",
    "modifiersymbol",
    "nonspacingmark",
    "number",
    "openpunctuation",
    "other",
    "otherletter",
    "othernumber",
    "otherpunctuation",
    "othersymbol",
    "paragraphseparator",
    "privateuse",
    "punctuation",
    "separator",
    "spaceseparator",
    "spacingmark",
    "symbol",
    "titlecaseletter",
    "unassigned",
    "uppercaseletter",
    "cntrl",
    "digit",
    "punct",
];

/// Scripts of one word in Unicode 15, canonical.
const SCRIPTS: &[&str] = &[
    "adlam",
    "ahom",
    "arabic",
    "armenian",
    "avestan",
    "balinese",
    "bamum",
    "batak",
    "bengali",
    "bhaiksuki",
    "bopomofo",
    "brahmi",
    "braille",
    "buginese",
    "buhid",
    "carian",
    "chakma",
    "cham",
    "cherokee",
    "chorasmian",
    "common",
    "coptic",
    "cuneiform",
    "cypriot",
    "cyrillic",
    "deseret",
    "devanagari",
    "dogra",
    "duployan",
    "elbasan",
    "elymaic",
    "ethiopic",
    "georgian",
    "glagolitic",
    "gothic",
    "grantha",
    "greek",
    "gujarati",
    "gurmukhi",
    "han",
    "hangul",
    "hanunoo",
    "hatran",
    "hebrew",
    "hiragana",
    "inherited",
    "javanese",
    "kaithi",
    "kannada",
    "katakana",
    "kawi",
    "kharoshthi",
    "khmer",
    "khojki",
    "khudawadi",
    "lao",
    "latin",
    "lepcha",
    "limbu",
    "lisu",
    "lycian",
    "lydian",
    "mahajani",
    "makasar",
    "malayalam",
    "mandaic",
    "manichaean",
    "marchen",
    "medefaidrin",
    "miao",
    "modi",
    "mongolian",
    "mro",
    "multani",
    "myanmar",
    "nabataean",
    "nandinagari",
    "newa",
    "nko",
    "nushu",
    "ogham",
    "oriya",
    "osage",
    "osmanya",
    "palmyrene",
    "phoenician",
    "rejang",
    "runic",
    "samaritan",
    "saurashtra",
    "sharada",
    "shavian",
    "siddham",
    "sinhala",
    "sogdian",
    "soyombo",
    "sundanese",
    "syriac",
    "tagalog",
    "tagbanwa",
    "takri",
    "tamil",
    "tangsa",
    "tangut",
    "telugu",
    "thaana",
    "thai",
    "tibetan",
    "tifinagh",
    "tirhuta",
    "toto",
    "ugaritic",
    "vai",
    "vithkuqi",
    "wancho",
    "yezidi",
    "yi",
];
