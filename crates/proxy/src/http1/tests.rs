//! Whatever arrives, reading it does not panic, and what is accepted means the same when it is written again.
//!
//! A failing case is printed at its smallest. `PROPTEST_RNG_SEED` sets the seed of a whole run, `PROPTEST_CASES` its
//! length.

use plimsoll_config::{FieldMode, Forward, HeaderEdit, HostMode, Page, Piece, Template, Variable};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::answer::Answer;
use super::chunked::Chunked;
use super::edits::Edits;
use super::forwarding::ClientFacts;
use super::framing::BodyLength;
use super::request::{HeadRules, RequestHead};
use super::response::ResponseHead;
use super::scan::Scan;
use super::variables::Values;
use super::write::{self, RequestRules};
use super::{Reject, trailers};
use crate::peer::Peer;

/// Pieces that heads are made of, right ones and wrong ones, so that chance comes far enough into the parser.
const PIECES: &[&str] = &[
    "GET / HTTP/1.1\r\n",
    "POST http://a/x?y HTTP/1.1\r\n",
    "OPTIONS * HTTP/1.0\r\n",
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.0 404\r\n",
    "Host: a\r\n",
    "host: [::1]:80\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: 18446744073709551615\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Connection: close, x-y\r\n",
    "Connection: Upgrade\r\nUpgrade: x\r\n",
    "X-Y: z\r\n",
    "X-Forwarded-For:\r\n",
    "Empty: \r\n",
    "Expect: 100-continue\r\n",
    " folded\r\n",
    "A : b\r\n",
    ": b\r\n",
    "A: b\rc\r\n",
    "A: \u{e4}\0\r\n",
    "\r\n",
    "\n",
    "\r",
    "0\r\n",
    "5;x=y\r\nhello\r\n",
    "ffffffffffffffff\r\n",
];

const RIGHT_REQUEST: &str = "PUT http://a.example:80/x?y HTTP/1.1\r\nHost: A.example\r\nConnection: x-y\r\nX-Y: z\r\n\
                          X-Forwarded-For: 1.2.3.4\r\nContent-Length: 10\r\nContent-Length: 10\r\n\r\n";

const RIGHT_RESPONSE: &str = "HTTP/1.1 200 Fine\r\nConnection: x-y\r\nX-Y: z\r\nSet-Cookie: a\r\nContent-Length: 10\r\n\
                              Content-Length: 10\r\n\r\nhello";

const RIGHT_BODY: &str = "5;x=y\r\nhello\r\n01\r\n \r\n5\r\nworld\r\n0\r\nX-Sum: 1\r\n\r\n";

fn pieces() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(select(PIECES), 0..12).prop_map(|pieces| pieces.concat().into_bytes())
}

fn cuts() -> impl Strategy<Value = Vec<Index>> {
    prop::collection::vec(any::<Index>(), 0..5)
}

/// `right` with some of its bytes replaced by others.
fn bent(right: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<Index>(), 0..3_usize, prop::collection::vec(select(b"\r\n\t :;,0f5\0\xffax".as_slice()), 0..3));
    prop::collection::vec(change, 0..3).prop_map(move |changes| {
        let mut bytes = right.as_bytes().to_vec();
        for (at, removed, added) in changes {
            let start = at.index(bytes.len() + 1);
            let end = (start + removed).min(bytes.len());
            bytes.splice(start..end, added);
        }
        bytes
    })
}

/// Requests for anything at all, from hosts of all kinds.
fn targets() -> impl Strategy<Value = Vec<u8>> {
    ("[!-~]{0,30}", "[a-zA-Z0-9:.%-]{0,12}")
        .prop_map(|(path, host)| format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes())
}

/// An edit as the file can ask for it.
fn any_edit() -> impl Strategy<Value = HeaderEdit> {
    let variable = select(Variable::ALL).prop_map(Piece::Variable);
    let piece = prop_oneof!["[ -~\t]{0,6}".prop_map(Piece::Literal), variable];
    let value = prop::collection::vec(piece, 0..4).prop_map(Template);
    let name = prop_oneof![
        select(&["X-Y", "x-y", "Set-Cookie", "Content-Type", "Cache-Control", "User-Agent"][..])
            .prop_map(str::to_owned),
        "X-[!#$%&'*+.^_`|~0-9A-Za-z-]{0,8}",
    ];
    (0..3, name, value).prop_map(|(kind, name, value)| match kind {
        0 => HeaderEdit::Set(name, value),
        1 => HeaderEdit::Add(name, value),
        _ => HeaderEdit::Remove(name),
    })
}

fn forward() -> Forward {
    Forward {
        x_forwarded_for: FieldMode::Append,
        x_forwarded_host: FieldMode::Set,
        x_forwarded_port: FieldMode::Keep,
        x_forwarded_proto: FieldMode::Off,
        x_real_ip: FieldMode::Set,
        forwarded: FieldMode::Append,
        host: HostMode::Keep,
    }
}

/// What the head of a request at the front of `bytes`, read when so much of it has come as each of `ends` says, is:
/// its length, where it is accepted.
fn read_request(request: &mut RequestHead, bytes: &[u8], ends: &[usize], bare_lf: bool) -> Option<usize> {
    let mut scan = Scan::default();
    for end in ends {
        let rules = HeadRules { max_target: 1000, bare_lf };
        match scan.read(&bytes[..*end], bare_lf, |bytes| request.parse(bytes, rules)) {
            Ok(None) => {}
            done => return done.ok().flatten(),
        }
    }
    None
}

/// The same for a response.
fn read_response(response: &mut ResponseHead, bytes: &[u8], ends: &[usize], to_head: bool) -> Option<usize> {
    let mut scan = Scan::default();
    for end in ends {
        match scan.read(&bytes[..*end], false, |bytes| response.parse(bytes, to_head)) {
            Ok(None) => {}
            done => return done.ok().flatten(),
        }
    }
    None
}

/// Where `cuts` cut something of this length, and its end.
fn ends(cuts: &[Index], length: usize) -> Vec<usize> {
    let mut ends: Vec<_> = cuts.iter().map(|cut| cut.index(length + 1)).chain([length]).collect();
    ends.sort_unstable();
    ends
}

/// Reads `bytes` as a request, whole and cut, and holds what is accepted to what it becomes.
fn look_at_request(bytes: &[u8], cuts: &[Index], bare_lf: bool) -> Result<(), TestCaseError> {
    // Empty lines before a request are skipped before it is read.
    if bytes.starts_with(b"\r\n") {
        return Ok(());
    }
    let mut request = RequestHead::default();
    let cut = read_request(&mut request, bytes, &ends(cuts, bytes.len()), bare_lf);
    let length = read_request(&mut request, bytes, &[bytes.len()], bare_lf);
    prop_assert_eq!(cut, length);
    let Some(length) = length else { return Ok(()) };
    let head = &bytes[..length];
    let forward = forward();
    let peer = Peer {
        address: Some(([192, 0, 2, 1], 4321).into()),
        local: Some(([192, 0, 2, 9], 80).into()),
        ..Peer::default()
    };
    let client = ClientFacts::new(&peer, &forward, false);
    let mut written = Vec::new();
    let rules = RequestRules {
        forward: &forward,
        client: &client,
        server: "s:1",
        target: None,
        edits: None,
        cookies: &[],
        marks: b"",
    };
    write::request(&mut written, head, &request, &rules);
    let mut again = RequestHead::default();
    // Strict now, whatever was accepted before.
    let parsed = read_request(&mut again, &written, &[written.len()], false);
    prop_assert_eq!(parsed, Some(written.len()), "{:?}", String::from_utf8_lossy(&written));
    prop_assert!(!written.windows(2).any(|two| two[1] == b'\n' && two[0] != b'\r'), "a bare LF in {:?}", written);
    prop_assert_eq!(again.method.slice(&written), request.method.slice(head));
    prop_assert_eq!((again.body, again.upgrade), (request.body, request.upgrade));
    Ok(())
}

/// Edits the head of a request and that of its answer, and holds both to be the same messages still, for us and for others.
fn look_at_edits(bytes: &[u8], edits: &[HeaderEdit]) -> Result<(), TestCaseError> {
    let mut request = RequestHead::default();
    let Some(length) = read_request(&mut request, bytes, &[bytes.len()], false) else { return Ok(()) };
    let (head, forward, edits) = (&bytes[..length], forward(), Edits::new(edits));
    let peer = Peer { address: Some(([192, 0, 2, 1], 4321).into()), ..Peer::default() };
    let client = ClientFacts::new(&peer, &forward, false);
    let values = Values {
        head,
        request: &request,
        target: &[],
        client: &client,
        id: b"id",
        route: "r\r\n\r\n",
        pool: "p\0",
        server: "s\ns",
    };
    let edited = || edits.telling(|| values);
    let mut written = Vec::new();
    let rules = RequestRules {
        forward: &forward,
        client: &client,
        server: "s:1",
        target: None,
        edits: edited(),
        cookies: &[],
        marks: b"",
    };
    write::request(&mut written, head, &request, &rules);
    let mut again = RequestHead::default();
    prop_assert_eq!(again_whole(&written, |bytes| read_request(&mut again, bytes, &[bytes.len()], false)), Ok(()));
    prop_assert_eq!((again.body, again.upgrade), (request.body, request.upgrade));

    let mut response = ResponseHead::default();
    read_response(&mut response, RIGHT_RESPONSE.as_bytes(), &[RIGHT_RESPONSE.len()], false);
    written.clear();
    let (body, hsts) = (response.body, "max-age=1");
    let rules = write::ResponseRules {
        body,
        connection: "close",
        hsts,
        edits: edited(),
        recoding: None,
        stick: b"",
        marks: b"",
    };
    write::response(&mut written, RIGHT_RESPONSE.as_bytes(), &response, rules);
    let mut again = ResponseHead::default();
    prop_assert_eq!(again_whole(&written, |bytes| read_response(&mut again, bytes, &[bytes.len()], false)), Ok(()));
    prop_assert_eq!((again.status, again.body), (response.status, response.body));

    let page = Page { content_type: "text/html", content: b"<p>"[..].into() };
    let answer = Answer::plain(502, "so it is").illustrated(Some(&page)).framed(true, true).edited(edited());
    written.clear();
    answer.write(&mut written);
    prop_assert_eq!(again_whole(&written, |bytes| read_response(&mut again, bytes, &[bytes.len()], false)), Ok(()));
    prop_assert_eq!((again.status, again.body), (502, BodyLength::Known(3)));
    Ok(())
}

/// Whether `head` is one head and nothing else, to us and to the parser that others have.
fn again_whole(head: &[u8], read: impl FnOnce(&[u8]) -> Option<usize>) -> Result<(), String> {
    let shown = || String::from_utf8_lossy(head).into_owned();
    let mut fields = [httparse::EMPTY_HEADER; 128];
    let start = head.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
    let lines = head.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let theirs = httparse::parse_headers(&head[lines..], &mut fields);
    let whole = matches!(theirs, Ok(httparse::Status::Complete((length, _))) if lines + length == head.len());
    if whole && start == Some(head.len()) && read(head) == Some(head.len()) { Ok(()) } else { Err(shown()) }
}

/// The same for a response, each time to GET and to HEAD.
fn look_at_response(bytes: &[u8], cuts: &[Index]) -> Result<(), TestCaseError> {
    for to_head in [false, true] {
        let mut response = ResponseHead::default();
        let cut = read_response(&mut response, bytes, &ends(cuts, bytes.len()), to_head);
        let length = read_response(&mut response, bytes, &[bytes.len()], to_head);
        prop_assert_eq!(cut, length);
        let Some(length) = length else { continue };
        let mut written = Vec::new();
        let rules = write::ResponseRules {
            body: response.body,
            connection: "",
            hsts: "",
            edits: None,
            recoding: None,
            stick: b"",
            marks: b"",
        };
        write::response(&mut written, &bytes[..length], &response, rules);
        let mut again = ResponseHead::default();
        let parsed = read_response(&mut again, &written, &[written.len()], to_head);
        prop_assert_eq!(parsed, Some(written.len()), "{:?}", String::from_utf8_lossy(&written));
        prop_assert_eq!((again.status, again.body), (response.status, response.body));
    }
    Ok(())
}

/// A decoded body.
#[derive(Debug, PartialEq)]
struct Whole {
    data: Vec<u8>,
    trailers: Vec<u8>,
    /// Bytes it took.
    used: usize,
}

/// A decoder that sees everything at once and is written for nothing but to be read; `None` where `body` is wrong or
/// not whole.
fn decode_all(body: &[u8]) -> Option<Whole> {
    let (mut data, mut at) = (Vec::new(), 0);
    let line =
        |from: usize| body[from..].windows(2).position(|two| two == b"\r\n").map(|length| &body[from..from + length]);
    loop {
        let size_line = line(at)?;
        at += size_line.len() + 2;
        let digits = size_line.split(|byte| *byte == b';').next()?;
        let extension = &size_line[digits.len()..];
        let hexadecimal = (1..=16).contains(&digits.len()) && digits.iter().all(u8::is_ascii_hexdigit);
        let printable = extension.iter().all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f));
        if !hexadecimal || !printable {
            return None;
        }
        let size = usize::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        if size == 0 {
            break;
        }
        data.extend_from_slice(body.get(at..at.checked_add(size)?)?);
        at += size;
        if body.get(at..at + 2)? != b"\r\n" {
            return None;
        }
        at += 2;
    }
    let start = at;
    loop {
        let trailer = line(at)?;
        at += trailer.len() + 2;
        if trailer.is_empty() {
            break;
        }
        if trailer.contains(&b'\n') {
            return None;
        }
    }
    Some(Whole { data, trailers: body[start..at].to_vec(), used: at })
}

/// The decoder that is used, fed with the pieces of `body` up to each of `ends`.
fn decode_cut(body: &[u8], ends: &[usize]) -> Result<Option<Whole>, Reject> {
    let mut decoder = Chunked::default();
    let (mut data, mut from) = (Vec::new(), 0);
    for &cut in ends {
        let mut piece = body[from..cut].to_vec();
        let done = decoder.decode(&mut piece)?;
        data.extend_from_slice(&piece[..done.produced]);
        from += done.consumed;
        if done.ended {
            return Ok(Some(Whole { data, trailers: decoder.take_trailers(), used: from }));
        }
        assert_eq!(from, cut, "what comes before the end is used up");
    }
    Ok(None)
}

fn look_at_chunks(body: &[u8], cuts: &[Index]) -> Result<(), TestCaseError> {
    let decoded = decode_cut(body, &ends(cuts, body.len()));
    prop_assert_eq!(decoded.ok().flatten(), decode_all(body));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200), cuts in cuts(), bare_lf in any::<bool>()) {
        look_at_request(&bytes, &cuts, bare_lf)?;
        look_at_response(&bytes, &cuts)?;
        let _ = trailers::rewrite(&bytes);
    }

    #[test]
    fn any_pieces(bytes in pieces(), cuts in cuts(), bare_lf in any::<bool>()) {
        look_at_request(&bytes, &cuts, bare_lf)?;
        look_at_response(&bytes, &cuts)?;
        let _ = trailers::rewrite(&bytes);
    }

    #[test]
    fn a_right_request_bent(bytes in bent(RIGHT_REQUEST), cuts in cuts(), bare_lf in any::<bool>()) {
        look_at_request(&bytes, &cuts, bare_lf)?;
    }

    #[test]
    fn a_right_response_bent(bytes in bent(RIGHT_RESPONSE), cuts in cuts()) {
        look_at_response(&bytes, &cuts)?;
    }

    #[test]
    fn edits_cannot_make_an_invalid_head(
        bytes in prop_oneof![bent(RIGHT_REQUEST), pieces(), targets()],
        edits in prop::collection::vec(any_edit(), 0..8),
    ) {
        look_at_edits(&bytes, &edits)?;
    }

    #[test]
    fn chunks_bent_and_cut(body in bent(RIGHT_BODY), cuts in cuts()) {
        look_at_chunks(&body, &cuts)?;
    }

    #[test]
    fn chunks_of_pieces(body in pieces(), cuts in cuts()) {
        look_at_chunks(&body, &cuts)?;
    }

    #[test]
    fn trailers_written_anew_stay_as_they_are(lines in prop::collection::vec("[A-Za-z-]{1,8}:[ \t]?[a-z ]{0,8}\r\n", 0..5)) {
        let once = trailers::rewrite(&[lines.concat().as_bytes(), b"\r\n"].concat()).unwrap();
        prop_assert_eq!(trailers::rewrite(&once).unwrap(), once);
    }
}
