//! Bodies through the real encoders and back through decoders, and heads that allow it and those that do not.

use std::io::Read;
use std::rc::Rc;
use std::sync::Arc;

use plimsoll_config::{Algorithm, Compress, HeaderEdit, Piece, Template};
use proptest::prelude::*;

use super::*;
use crate::buffer::{Buffer, Buffers, Size};
use crate::flow::Flow;
use crate::http1::edits::Edits;
use crate::http1::framing::BodyLength;
use crate::http1::request::{HeadRules, RequestHead};
use crate::http1::response::ResponseHead;

const ALL: [Algorithm; 3] = [Algorithm::Zstd, Algorithm::Brotli, Algorithm::Gzip];

/// What a decoder makes of as much of a body as is here.
fn decoded(algorithm: Algorithm, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut decoder: Box<dyn Read> = match algorithm {
        Algorithm::Gzip => Box::new(flate2::read::GzDecoder::new(bytes)),
        Algorithm::Brotli => Box::new(brotli::Decompressor::new(bytes, 4096)),
        Algorithm::Zstd => Box::new(zstd::Decoder::new(bytes).unwrap()),
    };
    let mut part = [0; 4096];
    // One that is not whole ends in an error.
    while let Ok(count @ 1..) = decoder.read(&mut part) {
        out.extend_from_slice(&part[..count]);
    }
    out
}

/// A press with what stands around it.
struct Bench {
    press: Box<Press>,
    input: Buffer,
    flow: Flow,
    made: Vec<u8>,
    /// Times that others had their turn.
    rests: usize,
}

impl Bench {
    fn new(algorithm: Algorithm, source: BodyLength) -> Self {
        let home: Rc<Buffers> = Buffers::new(1024, Arc::default());
        let length = if let BodyLength::Known(length) = source { Some(length) } else { None };
        Self {
            press: Press::new(source, (algorithm, length), &home).unwrap(),
            input: Buffer::new(&home, Size::Large),
            flow: Flow::new(BodyLength::UntilClose, BodyLength::Chunked),
            made: Vec::new(),
            rests: 0,
        }
    }

    /// Takes in what comes from the server, as far as that goes.
    fn feed(&mut self, bytes: &[u8]) {
        self.input.fill_by(|room| {
            room[..bytes.len()].copy_from_slice(bytes);
            (bytes.len(), ())
        });
        self.run();
    }

    fn run(&mut self) {
        while !self.flow.source_ended() {
            match self.press.run(&mut self.input, &mut self.flow).unwrap() {
                Step::Input => break,
                Step::Rest => self.rests += 1,
                Step::Staged => {
                    let output = &mut self.press.output;
                    self.made.extend_from_slice(output.filled());
                    output.consume(output.filled().len());
                }
            }
        }
    }

    /// The server has nothing more to say for now.
    fn pause(&mut self) {
        if self.press.pause() {
            self.run();
        }
    }
}

/// Bodies as they are sent and as they are not: words, noise, nothing.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..3000),
        proptest::collection::vec(prop::sample::select(vec!["load ", "line ", "\n", "ship"]), 0..30_000)
            .prop_map(|words| words.concat().into_bytes()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_decoded_is_what_the_server_sent_however_it_came(
        body in bodies(),
        algorithm in prop::sample::select(ALL.to_vec()),
        cuts in proptest::collection::vec((1_usize..9000, any::<bool>()), 1..20),
        chunked in any::<bool>(),
    ) {
        let source = match body.len() {
            0 => BodyLength::Chunked,
            length if !chunked => BodyLength::Known(length as u64),
            _ => BodyLength::Chunked,
        };
        let framed = match source {
            BodyLength::Chunked if body.is_empty() => b"0\r\n\r\n".to_vec(),
            BodyLength::Chunked => [format!("{:x}\r\n", body.len()).as_bytes(), &body, b"\r\n0\r\n\r\n"].concat(),
            _ => body.clone(),
        };
        let mut bench = Bench::new(algorithm, source);
        let (mut rest, mut cuts) = (framed.as_slice(), cuts.iter().cycle());
        while let (false, Some((cut, pauses))) = (rest.is_empty(), cuts.next()) {
            let (now, later) = rest.split_at((*cut).min(rest.len()));
            bench.feed(now);
            if *pauses {
                bench.pause();
                let sent = framed.len() - later.len();
                if source != BodyLength::Chunked {
                    prop_assert_eq!(decoded(algorithm, &bench.made).len(), sent, "all that came is out at a pause");
                }
            }
            rest = later;
        }
        prop_assert!(bench.flow.source_ended());
        prop_assert_eq!(decoded(algorithm, &bench.made), body);
    }
}

#[test]
fn a_long_body_lets_others_have_their_turn_and_leaves_in_parts() {
    for algorithm in ALL {
        let mut bench = Bench::new(algorithm, BodyLength::Known(1 << 20));
        let mut random = fastrand::Rng::with_seed(1);
        let body: Vec<u8> = (0..1 << 20).map(|_| random.u8(b'a'..=b'p')).collect();
        for part in body.chunks(1 << 17) {
            bench.feed(part);
        }
        assert!(bench.flow.source_ended() && bench.rests >= 16, "{algorithm:?}: {}", bench.rests);
        assert!(bench.made.len() < body.len() * 6 / 10, "{algorithm:?}: {}", bench.made.len());
        assert_eq!(decoded(algorithm, &bench.made), body);
    }
}

#[test]
fn a_body_that_is_cut_short_is_never_finished() {
    for algorithm in ALL {
        let mut bench = Bench::new(algorithm, BodyLength::Known(1000));
        bench.feed(&[b'a'; 999]);
        bench.pause();
        assert!(!bench.flow.source_ended() && !bench.press.source_ended());
        assert_eq!(decoded(algorithm, &bench.made).len(), 999);
        bench.feed(b"aGET /");
        assert!(bench.flow.source_ended());
        assert_eq!(bench.input.filled(), b"GET /", "what follows the body is left");
    }
}

fn rule() -> Compress {
    let types = ["text/*", "application/json"].map(str::to_owned).to_vec();
    Compress { algorithms: ALL.to_vec(), types, min_size: 100 }
}

/// What becomes of an answer to `method` with this status and these fields, for a client that says so.
fn recoded(method: &str, asked: &str, status: u16, fields: &str) -> Option<Recoding> {
    edited(&[], (method, asked), status, fields)
}

/// The same on a route that edits it.
fn edited(edits: &[HeaderEdit], (method, asked): (&str, &str), status: u16, fields: &str) -> Option<Recoding> {
    let request = format!("{method} / HTTP/1.1\r\nHost: a\r\n{asked}\r\n");
    let mut parsed = RequestHead::default();
    parsed.parse(request.as_bytes(), HeadRules { max_target: 100, bare_lf: false }).unwrap();
    let wish = Wish::read(request.as_bytes(), &parsed, &rule());
    let head = format!("HTTP/1.1 {status} So\r\n{fields}\r\n");
    let mut response = ResponseHead::default();
    response.parse(head.as_bytes(), method == "HEAD").unwrap();
    let new = |out: &mut Vec<u8>| {
        for edit in edits {
            if let HeaderEdit::Set(name, value) | HeaderEdit::Add(name, value) = edit {
                out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
            }
        }
    };
    let edits = &Edits::new(edits);
    Recoding::of((head.as_bytes(), &response), (&rule(), wish), method == "HEAD", (edits, new))
}

fn set(name: &str, value: &str) -> HeaderEdit {
    HeaderEdit::Set(name.to_owned(), Template(vec![Piece::Literal(value.to_owned())]))
}

/// How an answer with these fields is compressed for a client that takes gzip.
fn coded(fields: &str) -> Option<Algorithm> {
    recoded("GET", "Accept-Encoding: gzip\r\n", 200, fields).and_then(|recoding| recoding.coding)
}

fn lines(recoding: &Recoding) -> &str {
    std::str::from_utf8(&recoding.lines).unwrap()
}

#[test]
fn only_what_is_worth_it_and_may_be_changed_is_compressed() {
    for fields in [
        "Content-Type: text/html\r\nContent-Length: 100\r\n",
        "content-type: TEXT/Html ; charset=utf-8\r\nContent-Length: 5000\r\n",
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n",
        "Content-Type: text/event-stream\r\n",
    ] {
        assert_eq!(coded(fields), Some(Algorithm::Gzip), "{fields}");
    }
    for fields in [
        "Content-Length: 100\r\n",
        "Content-Type: text/html\r\nContent-Length: 99\r\n",
        "Content-Type: text/html\r\nContent-Length: 0\r\n",
        "Content-Type: image/png\r\n",
        "Content-Type: texts/html\r\n",
        "Content-Type: application/jsonp\r\n",
        "Content-Type: text/html\r\nContent-Type: text/css\r\n",
        "Content-Type: text/html\r\nContent-Encoding: br\r\n",
        "Content-Type: text/html\r\nContent-Encoding: identity\r\n",
        "Content-Type: text/html\r\nContent-Range: bytes 0-99/200\r\n",
        "Content-Type: text/html\r\nCache-Control: public, No-Transform\r\n",
    ] {
        let recoding = recoded("GET", "Accept-Encoding: gzip\r\n", 200, fields);
        assert!(recoding.is_none(), "{fields}: {recoding:?}");
    }
    let html = "Content-Type: text/html\r\n";
    for status in [204, 205, 206, 301, 404, 500] {
        assert!(recoded("GET", "Accept-Encoding: gzip\r\n", status, html).is_none(), "{status}");
    }
    assert!(recoded("POST", "Accept-Encoding: gzip\r\n", 201, html).unwrap().coding.is_some());
}

#[test]
fn an_answer_to_head_says_what_one_to_get_would() {
    let html = "Content-Type: text/html\r\nETag: \"a\"\r\nContent-Length: 100\r\n";
    let [head, get] = ["HEAD", "GET"].map(|method| recoded(method, "Accept-Encoding: gzip\r\n", 200, html).unwrap());
    assert_eq!((head.coding, lines(&head)), (get.coding, lines(&get)));
    for fields in
        ["Content-Type: text/html\r\nContent-Length: 0\r\n", "Content-Type: text/html\r\nContent-Length: 9\r\n"]
    {
        assert!(recoded("HEAD", "Accept-Encoding: gzip\r\n", 200, fields).is_none(), "{fields}");
    }
}

#[test]
fn what_was_true_of_the_body_as_it_came_goes_and_the_tag_becomes_weak() {
    let fields = "Content-Type: text/html\r\nETag: \"a\"\r\nVary: Origin , Cookie\r\nvary: X\r\n";
    let recoding = recoded("GET", "Accept-Encoding: br\r\n", 200, fields).unwrap();
    assert_eq!(
        lines(&recoding),
        "Content-Encoding: br\r\nETag: W/\"a\"\r\nVary: Origin, Cookie, X, Accept-Encoding\r\n"
    );
    let gone = |name: &str| recoding.removes(crate::http1::fields::Kind::of(name.as_bytes()), name.as_bytes());
    for name in ["ETag", "vary", "Accept-Ranges", "Content-MD5", "Digest", "Content-Digest", "Repr-Digest"] {
        assert!(gone(name), "{name}");
    }
    for name in ["Content-Type", "Transfer-Encoding", "Last-Modified", "Connection", "Cache-Control"] {
        assert!(!gone(name), "{name}");
    }
    let tag = |tag: &str| {
        let fields = format!("Content-Type: text/html\r\nETag: {tag}\r\n");
        let recoding = recoded("GET", "Accept-Encoding: br\r\n", 200, &fields).unwrap();
        lines(&recoding).lines().find_map(|line| line.strip_prefix("ETag: ")).map(str::to_owned)
    };
    assert_eq!(tag("W/\"b\"").as_deref(), Some("W/\"b\""));
    assert_eq!(tag("unquoted"), None);
}

#[test]
fn what_could_have_been_compressed_varies_too_and_is_else_as_it_came() {
    let fields = "Content-Type: text/html\r\nETag: \"a\"\r\n";
    let recoding = recoded("GET", "", 200, fields).unwrap();
    assert_eq!((recoding.coding, lines(&recoding)), (None, "Vary: Accept-Encoding\r\n"));
    assert!(!recoding.removes(crate::http1::fields::Kind::Other, b"ETag"));
    for vary in ["*", "accept-ENCODING", "Origin, Accept-Encoding"] {
        let recoding = recoded("GET", "", 200, &format!("{fields}Vary: {vary}\r\n")).unwrap();
        assert_eq!(lines(&recoding), format!("Vary: {vary}\r\n"));
    }
}

#[test]
fn a_304_names_the_tag_that_the_client_knows() {
    let fields = "ETag: \"a\"\r\nVary: Origin\r\n";
    let weakly = "Accept-Encoding: gzip\r\nIf-None-Match: W/\"a\"\r\n";
    let recoding = recoded("GET", weakly, 304, fields).unwrap();
    assert_eq!((recoding.coding, lines(&recoding)), (None, "ETag: W/\"a\"\r\nVary: Origin, Accept-Encoding\r\n"));
    for asked in ["Accept-Encoding: gzip\r\nIf-None-Match: \"a\"\r\n", "If-None-Match: W/\"a\"\r\n"] {
        let recoding = recoded("GET", asked, 304, fields).unwrap();
        assert_eq!((recoding.coding, lines(&recoding)), (None, "Vary: Origin, Accept-Encoding\r\n"), "{asked}");
        assert!(!recoding.removes(crate::http1::fields::Kind::Other, b"ETag"));
    }
    // What it says of its 200 may tell that this does not vary.
    for says in ["Content-Type: image/png", "Cache-Control: no-transform"] {
        assert!(recoded("GET", weakly, 304, &format!("{fields}{says}\r\n")).is_none(), "{says}");
    }
    for says in ["Content-Type: text/css", "Content-Length: 0"] {
        assert!(recoded("GET", weakly, 304, &format!("{fields}{says}\r\n")).is_some(), "{says}");
    }
}

const GZIP: (&str, &str) = ("GET", "Accept-Encoding: gzip\r\n");

#[test]
fn what_a_route_takes_away_does_not_come_back() {
    let fields = "Content-Type: text/html\r\nETag: \"a\"\r\nVary: Cookie\r\n";
    let removed = ["etag", "Vary"].map(|name| HeaderEdit::Remove(name.to_owned()));
    let recoding = edited(&removed, GZIP, 200, fields).unwrap();
    assert_eq!(lines(&recoding), "Content-Encoding: gzip\r\nVary: Accept-Encoding\r\n");
}

#[test]
fn what_a_route_says_is_what_counts() {
    let fields = "Content-Type: text/html\r\nETag: \"a\"\r\nVary: Cookie\r\n";
    for fixed in [set("Cache-Control", "no-transform"), set("Content-Type", "image/png"), set("Content-Encoding", "x")]
    {
        assert!(edited(std::slice::from_ref(&fixed), GZIP, 200, fields).is_none(), "{fixed:?}");
    }
    let another = HeaderEdit::Add("Content-Type".to_owned(), Template(vec![Piece::Literal("text/css".to_owned())]));
    assert!(edited(&[another], GZIP, 200, fields).is_none(), "two types are none");
    let said = [set("etag", "\"b\""), set("Vary", "Origin"), set("Digest", "x"), set("X-A", "b")];
    let recoding = edited(&said, GZIP, 200, fields).unwrap();
    assert_eq!(lines(&recoding), "Content-Encoding: gzip\r\nETag: W/\"b\"\r\nVary: Origin, Accept-Encoding\r\n");
    let text = "Content-Type: image/png\r\n";
    assert!(edited(&[set("Content-Type", "text/css")], GZIP, 200, text).is_some());
    // What the server asks, and what its body is, is not undone by what the client is told of it.
    for fixed in ["Cache-Control: no-transform", "Content-Encoding: br", "Content-Range: bytes 0-1/2"] {
        let name = fixed.split(':').next().unwrap_or_default();
        let removed = HeaderEdit::Remove(name.to_owned());
        assert!(edited(&[removed], GZIP, 200, &format!("{fields}{fixed}\r\n")).is_none(), "{fixed}");
    }
}

#[test]
fn trailers_lose_what_checks_the_body_as_it_came() {
    let section = b"X-Sum: 1\r\nContent-Digest: sha-256=:a:\r\netag: \"b\"\r\n\r\n".to_vec();
    assert_eq!(recoding::trailers(section), b"X-Sum: 1\r\n\r\n");
    assert_eq!(recoding::trailers(Vec::new()), b"");
}
