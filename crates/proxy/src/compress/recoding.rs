//! Whether an answer is compressed, and what its head says then.

use std::io::Write as _;

use plimsoll_config::{Algorithm, Compress};

use super::wish::{Wish, is_weak, says_no_transform};
use crate::http1::fields::{Field, Kind, list};
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

/// What is true of a body only as it came: its length, parts of it, and what checks it (RFC 9530; RFC 1864).
const OF_THE_BODY: [&[u8]; 8] = [
    b"etag",
    b"vary",
    b"accept-ranges",
    b"content-length",
    b"content-md5",
    b"content-digest",
    b"repr-digest",
    b"digest",
];

/// The first two of them: what also an answer without a body says of the one with.
const VALIDATORS: usize = 2;

impl Recoding {
    /// What becomes of the answer with this `head`, where `rule` holds and the client wants `wish`; `None` where it is none
    /// that is compressed. `kept` says which of its fields the client gets at all.
    ///
    /// `bodiless` says that the request was HEAD: the head is the one that GET would get (RFC 9110, section 9.3.2).
    pub(crate) fn of(
        (head, response): (&[u8], &ResponseHead),
        (rule, wish): (&Compress, Wish),
        bodiless: bool,
        kept: impl Fn(&Field) -> bool,
    ) -> Option<Self> {
        let told = Told::read(head, response)?;
        let length = match response.status {
            // What it confirms to the client may be what we have compressed.
            304 if wish.by_weak_tag && wish.coding.is_some() => {
                let mut this = Self { coding: None, length: None, gone: &OF_THE_BODY[..VALIDATORS], lines: Vec::new() };
                this.write_tag(head, response, &kept);
                this.write_vary(head, response, &kept);
                return Some(this);
            }
            200..=203 | 207..=299 => told.length,
            _ => return None,
        };
        let has_body = bodiless || response.body != BodyLength::None;
        let large = length.is_none_or(|length| length > 0 && length >= rule.min_size);
        if !has_body || !large || told.is_fixed || !told.media.is_some_and(|media| names(&rule.types, media)) {
            return None;
        }
        let gone: &[&[u8]] = if wish.coding.is_some() { &OF_THE_BODY } else { &OF_THE_BODY[1..VALIDATORS] };
        let mut this = Self { coding: wish.coding, length, gone, lines: Vec::new() };
        if let Some(coding) = wish.coding {
            // Writing to a Vec cannot fail.
            let _ = write!(this.lines, "Content-Encoding: {}\r\n", name(coding));
            this.write_tag(head, response, &kept);
        }
        this.write_vary(head, response, &kept);
        Some(this)
    }

    /// Whether a field that came goes.
    pub(crate) fn removes(&self, kind: Kind, name: &[u8]) -> bool {
        // Where there is a body its framing takes the place of the length.
        matches!(kind, Kind::Other | Kind::ContentLength)
            && self.gone.iter().any(|gone| gone.eq_ignore_ascii_case(name))
    }

    /// Two bodies under one tag are the same in every byte, unless the tag is weak.
    fn write_tag(&mut self, head: &[u8], response: &ResponseHead, kept: impl Fn(&Field) -> bool) {
        let Some(tag) = values(head, response, b"ETag", kept).next() else { return };
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
    fn write_vary(&mut self, head: &[u8], response: &ResponseHead, kept: impl Fn(&Field) -> bool) {
        const DEPENDS: &[u8] = b"Accept-Encoding";
        let mut named = false;
        self.lines.extend_from_slice(b"Vary: ");
        for name in values(head, response, b"Vary", kept).flat_map(list) {
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
    /// `None` where it is said in two ways what it is.
    fn read(head: &'a [u8], response: &ResponseHead) -> Option<Self> {
        let mut told = Self::default();
        for field in &response.fields {
            let (name, value) = (field.name.slice(head), field.value.slice(head));
            match (name.len(), field.kind) {
                (_, Kind::ContentLength) => told.length = std::str::from_utf8(value).ok()?.parse().ok(),
                (12, _) if name.eq_ignore_ascii_case(b"Content-Type") => {
                    let media = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
                    if told.media.replace(media).is_some() {
                        return None;
                    }
                }
                (13, _) if name.eq_ignore_ascii_case(b"Cache-Control") => told.is_fixed |= says_no_transform(value),
                (13, _) if name.eq_ignore_ascii_case(b"Content-Range") => told.is_fixed = true,
                (16, _) if name.eq_ignore_ascii_case(b"Content-Encoding") => told.is_fixed = true,
                _ => {}
            }
        }
        Some(told)
    }
}

/// The values of the fields of this name that the client gets.
fn values<'a>(
    head: &'a [u8],
    response: &'a ResponseHead,
    name: &'a [u8],
    kept: impl Fn(&Field) -> bool + 'a,
) -> impl Iterator<Item = &'a [u8]> {
    let wanted = move |field: &&Field| field.name.slice(head).eq_ignore_ascii_case(name) && kept(field);
    response.fields.iter().filter(wanted).map(|field| field.value.slice(head))
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
