//! Whether an answer is compressed, and what its head says then.

use std::io::Write as _;

use plimsoll_config::{Algorithm, Compress};

use super::wish::{Wish, is_weak, says_no_transform};
use crate::http1::edits::Edits;
use crate::http1::encoding::{OF_THE_BODY, VALIDATORS};
use crate::http1::fields::{Kind, list};
use crate::http1::framing::BodyLength;
use crate::http1::response::ResponseHead;

/// What becomes of the head of an answer that is compressed, or could have been.
#[derive(Debug)]
pub(crate) struct Recoding {
    /// How its body is compressed; `None` is as it came.
    pub(crate) coding: Option<Algorithm>,
    /// How long the body is that came, where that is known.
    pub(crate) length: Option<u64>,
    /// The fields that go, in lower case.
    gone: &'static [&'static [u8]],
    /// Field lines that come in place of them.
    pub(crate) lines: Vec<u8>,
}

impl Recoding {
    /// What becomes of the answer with this `head`, where `rule` holds and the client wants `wish`; `None` where it is none
    /// that is compressed. The client gets the head edited: `say` writes the lines that are new.
    ///
    /// `bodiless` says that the request was HEAD: the head is the one that GET would get (RFC 9110, section 9.3.2).
    pub(crate) fn of(
        (head, response): (&[u8], &ResponseHead),
        (rule, wish): (&Compress, Wish),
        bodiless: bool,
        (edits, say): (&Edits, impl FnOnce(&mut Vec<u8>)),
    ) -> Option<Self> {
        let mut said = Vec::new();
        let mut told = Told::default();
        for field in &response.fields {
            let name = field.name.slice(head);
            told.hear((field.kind, name), field.value.slice(head), || edits.remove(field.kind, name))?;
        }
        let whole = match response.status {
            304 => false,
            200..=203 | 207..=299 if bodiless || response.body != BodyLength::None => true,
            _ => return None,
        };
        // Not all servers mean the length of the 200 by that of a 304.
        let large = !whole || told.length.is_none_or(|length| length > 0 && length >= rule.min_size);
        if !large || told.is_fixed || told.media.is_some_and(|media| !names(&rule.types, media)) {
            return None;
        }
        // Only now, as few answers come so far and this takes memory.
        if edits.tells_of_body {
            say(&mut said);
            for (name, value) in lines(&said) {
                told.hear((Kind::Other, name), value, || false)?;
            }
        }
        // A 304 seldom says of what type its 200 would be.
        let listed = told.media.map_or(!whole, |media| names(&rule.types, media));
        if told.is_fixed || !listed {
            return None;
        }
        let seen = Seen { head, response, edits, said: &said };
        Some(if whole { Self::made(&seen, wish, told.length) } else { Self::confirmed(&seen, wish) })
    }

    /// Of a 304, which varies as its 200 would (RFC 9110, section 15.4.5).
    fn confirmed(seen: &Seen<'_>, wish: Wish) -> Self {
        // What it confirms to the client may be what we have compressed.
        let coded = wish.by_weak_tag && wish.coding.is_some();
        let gone = &OF_THE_BODY[usize::from(!coded)..VALIDATORS];
        let mut this = Self { coding: None, length: None, gone, lines: Vec::new() };
        if coded {
            this.write_tag(seen);
        }
        this.write_vary(seen);
        this
    }

    /// Of an answer that is compressed, or would be if the client took that.
    fn made(seen: &Seen<'_>, wish: Wish, length: Option<u64>) -> Self {
        let gone: &[&[u8]] = if wish.coding.is_some() { &OF_THE_BODY } else { &OF_THE_BODY[1..VALIDATORS] };
        let mut this = Self { coding: wish.coding, length, gone, lines: Vec::new() };
        if let Some(coding) = wish.coding {
            // Writing to a Vec cannot fail.
            let _ = write!(this.lines, "Content-Encoding: {}\r\n", name(coding));
            this.write_tag(seen);
        }
        this.write_vary(seen);
        this
    }

    /// Whether a field that came goes.
    pub(crate) fn removes(&self, kind: Kind, name: &[u8]) -> bool {
        // Where there is a body its framing takes the place of the length.
        matches!(kind, Kind::Other | Kind::ContentLength)
            && self.gone.iter().any(|gone| gone.eq_ignore_ascii_case(name))
    }

    /// Two bodies under one tag are the same in every byte, unless the tag is weak.
    fn write_tag(&mut self, seen: &Seen<'_>) {
        let Some(tag) = seen.values(b"ETag").next() else { return };
        let prefix: &[u8] = match tag {
            _ if is_weak(tag) => b"",
            [b'"', ..] => b"W/",
            // It is no tag, so nobody can ask by it.
            _ => return,
        };
        for part in [b"ETag: ", prefix, tag, b"\r\n"] {
            self.lines.extend_from_slice(part);
        }
    }

    /// A cache must not give to one client what was made for another.
    fn write_vary(&mut self, seen: &Seen<'_>) {
        const DEPENDS: &[u8] = b"Accept-Encoding";
        let mut named = false;
        self.lines.extend_from_slice(b"Vary: ");
        for name in seen.values(b"Vary").flat_map(list) {
            named |= name == b"*" || name.eq_ignore_ascii_case(DEPENDS);
            self.lines.extend_from_slice(name);
            self.lines.extend_from_slice(b", ");
        }
        if named {
            self.lines.truncate(self.lines.len() - b", ".len());
        } else {
            self.lines.extend_from_slice(DEPENDS);
        }
        self.lines.extend_from_slice(b"\r\n");
    }
}

/// What a head tells that matters here.
#[derive(Default)]
struct Told<'a> {
    media: Option<&'a [u8]>,
    length: Option<u64>,
    /// It is compressed already, is a part of something, or is not to be changed.
    is_fixed: bool,
}

impl<'a> Told<'a> {
    /// Takes in a field, by its kind and name. `gone` says whether the client does not get it. `None` where it is said in two
    /// ways what the answer is.
    fn hear(&mut self, (kind, name): (Kind, &[u8]), value: &'a [u8], gone: impl FnOnce() -> bool) -> Option<()> {
        match (name.len(), kind) {
            (_, Kind::ContentLength) => self.length = std::str::from_utf8(value).ok()?.parse().ok(),
            (12, _) if name.eq_ignore_ascii_case(b"Content-Type") && !gone() => {
                let media = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
                if self.media.replace(media).is_some() {
                    return None;
                }
            }
            // What the body of a server is, and what that asks of those on the way, is so whatever the client is told.
            (13, _) if name.eq_ignore_ascii_case(b"Cache-Control") => self.is_fixed |= says_no_transform(value),
            (13, _) if name.eq_ignore_ascii_case(b"Content-Range") => self.is_fixed = true,
            (16, _) if name.eq_ignore_ascii_case(b"Content-Encoding") => self.is_fixed = true,
            _ => {}
        }
        Some(())
    }
}

/// A head as the client is to get it, but for what becomes of it here.
struct Seen<'a> {
    head: &'a [u8],
    response: &'a ResponseHead,
    edits: &'a Edits,
    /// Lines that are new.
    said: &'a [u8],
}

impl<'a> Seen<'a> {
    /// The values of the fields of this name.
    fn values(&self, name: &'static [u8]) -> impl Iterator<Item = &'a [u8]> {
        let Self { head, response, edits, said } = *self;
        let came = response.fields.iter().filter(move |field| {
            let own = field.name.slice(head);
            own.eq_ignore_ascii_case(name) && !edits.remove(field.kind, own)
        });
        let new = lines(said).filter(move |(own, _)| own.eq_ignore_ascii_case(name));
        came.map(move |field| field.value.slice(head)).chain(new.map(|(_, value)| value))
    }
}

/// Names and values of field lines that we wrote.
fn lines(written: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    written.split(|byte| *byte == b'\n').filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        Some((&line[..colon], line[colon + 1..].trim_ascii()))
    })
}

/// Whether `media` is among `types`.
fn names(types: &[String], media: &[u8]) -> bool {
    types.iter().any(|one| match one.strip_suffix('*') {
        Some(kind) => media.get(..kind.len()).is_some_and(|start| start.eq_ignore_ascii_case(kind.as_bytes())),
        None => media.eq_ignore_ascii_case(one.as_bytes()),
    })
}

/// As it stands in `Content-Encoding`.
fn name(coding: Algorithm) -> &'static str {
    match coding {
        Algorithm::Gzip => "gzip",
        Algorithm::Brotli => "br",
        Algorithm::Zstd => "zstd",
    }
}

/// The trailers without what is true of the body only as it came. They end in an empty line, unless there are none.
pub(super) fn trailers(section: Vec<u8>) -> Vec<u8> {
    let stays = |line: &&[u8]| {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        !OF_THE_BODY.iter().any(|gone| gone.eq_ignore_ascii_case(name))
    };
    if section.is_empty() {
        section
    } else {
        section.split_inclusive(|byte| *byte == b'\n').filter(stays).flatten().copied().collect()
    }
}
