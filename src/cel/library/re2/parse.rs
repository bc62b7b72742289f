//! Reads Go's syntax, writes the `regex` crate's.

use super::MAX_DEPTH;
use super::class::{self, Class};

/// What Go's parser objects to.
#[derive(Debug)]
pub(super) struct Fault<'p> {
    pub(super) code: &'static str,
    /// The offending part of the pattern.
    pub(super) part: &'p str,
}

type Parsed<'p, T> = Result<T, Fault<'p>>;

/// Largest count of a repetition, and of nested ones multiplied.
const MAX_REPEAT: u64 = 1000;

/// Most bytes written for one pattern: classes are spelled out, so the result may be longer than the pattern.
const MAX_TRANSLATED_BYTES: usize = 1 << 20;

#[derive(Debug, Clone, Copy, Default)]
struct Flags {
    fold_case: bool,
    multi_line: bool,
    dot_newline: bool,
    ungreedy: bool,
}

/// The latest complete item of a group: what a repetition operator applies to.
#[derive(Debug, Clone, Copy)]
struct Atom {
    /// Where it starts in the output.
    start: usize,
    /// How often its innermost part occurs through counted repetitions.
    weight: u64,
    /// Whether the output is a single item of the crate's syntax.
    single: bool,
}

#[derive(Debug, Default)]
struct Group {
    start: usize,
    flags: Flags,
    weight: u64,
}

struct Parser<'p> {
    pattern: &'p str,
    /// What is not read yet.
    rest: &'p str,
    out: String,
    flags: Flags,
    last: Option<Atom>,
    /// Heaviest item of the group so far.
    weight: u64,
    groups: Vec<Group>,
}

/// Rewrites a pattern.
pub(super) fn translate(pattern: &str) -> Parsed<'_, String> {
    let mut parser = Parser {
        pattern,
        rest: pattern,
        out: String::with_capacity(pattern.len() + 16),
        flags: Flags::default(),
        last: None,
        weight: 0,
        groups: Vec::new(),
    };
    parser.run()?;
    Ok(parser.out)
}

fn fault<'p, T>(code: &'static str, part: &'p str) -> Parsed<'p, T> {
    Err(Fault { code, part })
}

/// `from` up to where `rest`, a suffix of it, begins.
fn before<'p>(from: &'p str, rest: &str) -> &'p str {
    &from[..from.len() - rest.len()]
}

impl<'p> Parser<'p> {
    fn run(&mut self) -> Parsed<'p, ()> {
        // The operator just read, of which another may not follow directly.
        let mut last_repeat = None;
        while let Some(&first) = self.rest.as_bytes().first() {
            let here = self.rest;
            let mut repeat = None;
            match first {
                b'(' => self.open()?,
                b')' => self.close()?,
                b'|' => {
                    self.rest = &here[1..];
                    self.out.push('|');
                    self.last = None;
                }
                b'^' => self.step(1, if self.flags.multi_line { "(?m:^)" } else { r"(?:\A)" }),
                b'$' => self.step(1, if self.flags.multi_line { "(?m:$)" } else { r"(?:\z)" }),
                b'.' => self.step(1, if self.flags.dot_newline { r"[\x00-\x{10FFFF}]" } else { r"[^\n]" }),
                b'[' => self.bracket()?,
                b'*' | b'+' | b'?' => {
                    self.rest = &here[1..];
                    self.repeat(here, &here[..1], None, last_repeat)?;
                    repeat = Some(here);
                }
                b'{' => match count(here) {
                    None => {
                        self.rest = &here[1..];
                        self.literal(u32::from('{'));
                    }
                    Some((bounds, rest)) => {
                        self.rest = rest;
                        let written = before(here, rest);
                        let Some(bounds) = bounds else { return fault("invalid repeat count", written) };
                        self.repeat(here, written, Some(bounds), last_repeat)?;
                        repeat = Some(here);
                    }
                },
                b'\\' => self.escape()?,
                _ => {
                    let c = self.next_char().unwrap_or_default();
                    self.literal(u32::from(c));
                }
            }
            last_repeat = repeat;
            if self.out.len() > MAX_TRANSLATED_BYTES {
                return fault("expression too large", self.pattern);
            }
        }
        if self.groups.is_empty() { Ok(()) } else { fault("missing closing )", self.pattern) }
    }

    fn next_char(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    /// Reads `len` bytes and writes one item for them.
    fn step(&mut self, len: usize, item: &str) {
        self.rest = &self.rest[len..];
        self.push(item);
    }

    /// Writes one item.
    fn push(&mut self, item: &str) {
        self.last = Some(Atom { start: self.out.len(), weight: 1, single: true });
        self.weight = self.weight.max(1);
        self.out.push_str(item);
    }

    /// Writes a class, letter case ignored if that is asked for.
    fn push_folded(&mut self, class: &str) {
        if self.flags.fold_case { self.push(&format!("(?i:{class})")) } else { self.push(class) }
    }

    fn literal(&mut self, code: u32) {
        match char::from_u32(code) {
            Some(c) if c.is_ascii_alphanumeric() && !self.flags.fold_case => self.push(c.encode_utf8(&mut [0; 4])),
            Some(_) => self.push_folded(&format!("\\x{{{code:X}}}")),
            // A surrogate, which no string holds.
            None => self.push("[^\\x00-\\x{10FFFF}]"),
        }
    }

    /// `(`, `(?:`, `(?i:`, `(?P<name>`, or only a change of flags `(?i)`.
    fn open(&mut self) -> Parsed<'p, ()> {
        let start = self.rest;
        let outer = self.flags;
        if let Some(rest) = start.strip_prefix("(?") {
            let name = match rest.strip_prefix("P<") {
                // Go asks for something behind the bracket before it takes this for a name.
                Some(name) if !name.is_empty() => Some(name),
                _ => rest.strip_prefix('<').filter(|name| !name.is_empty()),
            };
            match name {
                Some(name) => self.group_name(start, name)?,
                None => {
                    if !self.flag_group(start)? {
                        return Ok(());
                    }
                }
            }
        } else {
            self.rest = &start[1..];
        }
        if self.groups.len() >= MAX_DEPTH {
            return fault("expression nests too deeply", self.pattern);
        }
        self.last = None;
        self.groups.push(Group { start: self.out.len(), flags: outer, weight: self.weight });
        self.weight = 0;
        self.out.push_str("(?:");
        Ok(())
    }

    fn group_name(&mut self, start: &'p str, name: &'p str) -> Parsed<'p, ()> {
        let Some(end) = name.find('>') else { return fault("invalid named capture", start) };
        self.rest = &name[end + 1..];
        let name = &name[..end];
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return fault("invalid named capture", before(start, self.rest));
        }
        Ok(())
    }

    /// Flags behind `(?`; whether a group opens after them.
    fn flag_group(&mut self, start: &'p str) -> Parsed<'p, bool> {
        self.rest = &start[2..];
        let mut flags = self.flags;
        let mut on = true;
        let mut seen = false;
        while let Some(c) = self.next_char() {
            match c {
                'i' => flags.fold_case = on,
                'm' => flags.multi_line = on,
                's' => flags.dot_newline = on,
                'U' => flags.ungreedy = on,
                '-' if on => {
                    on = false;
                    seen = false;
                    continue;
                }
                ':' | ')' if on || seen => {
                    self.flags = flags;
                    return Ok(c == ':');
                }
                _ => break,
            }
            seen = true;
        }
        fault("invalid or unsupported Perl syntax", before(start, self.rest))
    }

    fn close(&mut self) -> Parsed<'p, ()> {
        let Some(group) = self.groups.pop() else { return fault("unexpected )", self.pattern) };
        self.rest = &self.rest[1..];
        self.out.push(')');
        self.flags = group.flags;
        self.last = Some(Atom { start: group.start, weight: self.weight.max(1), single: true });
        self.weight = self.weight.max(group.weight).max(1);
        Ok(())
    }

    /// Repeats the latest item. `here` starts at the operator, `self.rest` behind it.
    fn repeat(
        &mut self,
        here: &'p str,
        operator: &str,
        bounds: Option<(u64, Option<u64>)>,
        last_repeat: Option<&'p str>,
    ) -> Parsed<'p, ()> {
        let mut lazy = self.flags.ungreedy;
        if let Some(rest) = self.rest.strip_prefix('?') {
            self.rest = rest;
            lazy = !lazy;
        }
        if let Some(last) = last_repeat {
            return fault("invalid nested repetition operator", before(last, self.rest));
        }
        let Some(atom) = self.last else {
            return fault("missing argument to repetition operator", before(here, self.rest));
        };
        let mut weight = atom.weight;
        if let Some((min, max)) = bounds {
            weight = match max.unwrap_or(min) {
                0 if max.is_some() => 1,
                0 => weight,
                n => weight.saturating_mul(n),
            };
            if weight > MAX_REPEAT && (min >= 2 || max.is_some_and(|m| m >= 2)) {
                return fault("invalid repeat count", before(here, self.rest));
            }
        }
        if !atom.single {
            self.out.insert_str(atom.start, "(?:");
            self.out.push(')');
        }
        self.out.push_str(operator);
        if lazy {
            self.out.push('?');
        }
        self.last = Some(Atom { start: atom.start, weight, single: false });
        self.weight = self.weight.max(weight);
        Ok(())
    }

    fn escape(&mut self) -> Parsed<'p, ()> {
        let here = self.rest;
        match here.as_bytes().get(1) {
            Some(b'A') => self.step(2, r"(?:\A)"),
            Some(b'b') => self.step(2, r"(?-u:\b)"),
            Some(b'B') => self.step(2, r"(?-u:\B)"),
            Some(b'z') => self.step(2, r"(?:\z)"),
            Some(b'C') => return fault("invalid escape sequence", &here[..2]),
            Some(b'Q') => {
                let (literal, rest) = here[2..].split_once("\\E").unwrap_or((&here[2..], ""));
                self.rest = rest;
                for c in literal.chars() {
                    self.literal(u32::from(c));
                }
            }
            _ => {
                if let Some(class) = self.class_escape()? {
                    self.push_folded(&class);
                } else {
                    let code = self.char_escape()?;
                    self.literal(code);
                }
            }
        }
        Ok(())
    }

    /// `\pN`, `\p{Greek}`, `\d`: read if it is there.
    fn class_escape(&mut self) -> Parsed<'p, Option<String>> {
        let here = self.rest;
        let Some(&[b'\\', letter]) = here.as_bytes().get(..2) else { return Ok(None) };
        if let Some(class) = class::perl(letter) {
            self.rest = &here[2..];
            return Ok(Some(class.to_owned()));
        }
        if !matches!(letter, b'p' | b'P') {
            return Ok(None);
        }
        self.rest = &here[2..];
        let name = match self.next_char() {
            // Go reads a missing letter as one it does not know.
            None => "",
            Some('{') => {
                let Some(end) = here.find('}') else { return fault("invalid character class range", here) };
                self.rest = &here[end + 1..];
                &here[3..end]
            }
            Some(_) => &before(here, self.rest)[2..],
        };
        match class::unicode(name, letter == b'P') {
            Some(class) => Ok(Some(class)),
            None => fault("invalid character class range", before(here, self.rest)),
        }
    }

    /// An escape that stands for one character; its code point.
    fn char_escape(&mut self) -> Parsed<'p, u32> {
        let here = self.rest;
        self.rest = &here[1..];
        let Some(c) = self.next_char() else { return fault("trailing backslash at end of expression", "") };
        let octal_next = matches!(self.rest.as_bytes().first(), Some(b'0'..=b'7'));
        let code = match c {
            '0'..='7' if c == '0' || octal_next => {
                let mut code = u32::from(c) - u32::from('0');
                for _ in 0..2 {
                    let Some(&digit @ b'0'..=b'7') = self.rest.as_bytes().first() else { break };
                    code = code * 8 + u32::from(digit - b'0');
                    self.rest = &self.rest[1..];
                }
                Some(code)
            }
            'x' => self.hex(),
            'a' => Some(7),
            'f' => Some(12),
            'n' => Some(10),
            'r' => Some(13),
            't' => Some(9),
            'v' => Some(11),
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => Some(u32::from(c)),
            _ => None,
        };
        match code {
            Some(code) => Ok(code),
            None => fault("invalid escape sequence", before(here, self.rest)),
        }
    }

    /// What follows `\x`: two digits or any number in braces.
    fn hex(&mut self) -> Option<u32> {
        let first = self.next_char()?;
        if first != '{' {
            // Go reads both characters before it looks at them.
            let second = self.next_char()?;
            return Some(first.to_digit(16)? * 16 + second.to_digit(16)?);
        }
        let mut code = 0;
        let mut digits = 0;
        loop {
            match self.next_char()? {
                '}' if digits > 0 => return Some(code),
                c => {
                    code = code * 16 + c.to_digit(16)?;
                    digits += 1;
                    if code > u32::from(char::MAX) {
                        return None;
                    }
                }
            }
        }
    }

    /// `[…]`
    fn bracket(&mut self) -> Parsed<'p, ()> {
        let whole = self.rest;
        self.rest = &whole[1..];
        let mut class = Class::default();
        if let Some(rest) = self.rest.strip_prefix('^') {
            self.rest = rest;
            class.negate();
        }
        let mut first = true;
        while first || !self.rest.starts_with(']') {
            first = false;
            let here = self.rest;
            if let Some(posix) = self.posix()? {
                class.push_class(&posix);
                continue;
            }
            if let Some(named) = self.class_escape()? {
                class.push_class(&named);
                continue;
            }
            let low = self.class_char(whole)?;
            let mut high = low;
            if let Some(rest) = self.rest.strip_prefix('-')
                && !rest.is_empty()
                && !rest.starts_with(']')
            {
                self.rest = rest;
                high = self.class_char(whole)?;
                if high < low {
                    return fault("invalid character class range", before(here, self.rest));
                }
            }
            class.push_range(low, high);
        }
        self.rest = &self.rest[1..];
        let class = class.finish();
        self.push_folded(&class);
        Ok(())
    }

    /// `[:alpha:]`, read if it is there.
    fn posix(&mut self) -> Parsed<'p, Option<String>> {
        let here = self.rest;
        let Some(rest) = here.strip_prefix("[:") else { return Ok(None) };
        let Some(end) = rest.find(":]") else { return Ok(None) };
        self.rest = &rest[end + 2..];
        match class::posix(&rest[..end]) {
            Some(class) => Ok(Some(class)),
            None => fault("invalid character class range", before(here, self.rest)),
        }
    }

    fn class_char(&mut self, whole: &'p str) -> Parsed<'p, u32> {
        if self.rest.starts_with('\\') {
            return self.char_escape();
        }
        match self.next_char() {
            Some(c) => Ok(u32::from(c)),
            None => fault("missing closing ]", whole),
        }
    }
}

/// Bounds of a counted repetition; inner `None` when Go finds them too large or the wrong way round.
type Bounds = Option<(u64, Option<u64>)>;

/// `{2}`, `{2,}`, `{2,5}` and what follows; `None` when the brace is only a brace.
fn count(text: &str) -> Option<(Bounds, &str)> {
    let (min, rest) = integer(text.strip_prefix('{')?)?;
    let (max, rest) = match rest.strip_prefix(',') {
        None => (Some(min), rest),
        Some(rest) if rest.starts_with('}') => (None, rest),
        Some(rest) => {
            let (max, rest) = integer(rest)?;
            (Some(max), rest)
        }
    };
    let rest = rest.strip_prefix('}')?;
    let valid = min <= MAX_REPEAT && max.is_none_or(|max| max <= MAX_REPEAT && min <= max);
    Some((valid.then_some((min, max)), rest))
}

/// A decimal number without leading zeros.
fn integer(text: &str) -> Option<(u64, &str)> {
    let len = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at(len);
    if len == 0 || (len > 1 && digits.starts_with('0')) {
        return None;
    }
    Some((digits.parse().unwrap_or(u64::MAX), rest))
}
