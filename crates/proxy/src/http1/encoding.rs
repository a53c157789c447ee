//! Fields that tell of a body as it came: those that decide whether it is compressed, and those that are not true of it then.

/// What is true of a body only as it came: its length, parts of it, and what checks it (RFC 9530; RFC 1864).
pub(crate) const OF_THE_BODY: [&[u8]; 8] = [
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
pub(crate) const VALIDATORS: usize = 2;

/// What decides whether a body is compressed.
const DECISIVE: [&[u8]; 4] = [b"content-type", b"cache-control", b"content-encoding", b"content-range"];

/// Whether a field decides if a body is compressed, or is not true of it then.
pub(crate) fn tells_of_body(name: &[u8]) -> bool {
    DECISIVE.iter().chain(&OF_THE_BODY).any(|one| one.eq_ignore_ascii_case(name))
}
