//! Names and hashes of passwords, as `htpasswd` writes them.

mod file;

use std::sync::Arc;

use crate::wording::quoted;

/// Names and hashes in the order of the names, the path of their file, and whether every user of the machine can read it.
#[derive(Debug, Clone)]
pub(crate) struct Users {
    pub(crate) by_name: Arc<[(String, String)]>,
    pub(crate) file: String,
    pub(crate) exposed: bool,
}

/// Why a file of users cannot be used, and what to write instead. A hash is never repeated.
#[derive(Debug, PartialEq, Eq)]
struct Fault {
    what: String,
    help: String,
}

impl Fault {
    fn new<T>(what: impl Into<String>, help: impl Into<String>) -> Result<T, Self> {
        Err(Self { what: what.into(), help: help.into() })
    }
}

/// The users in a file, in the order of their names. Empty lines and those that begin with a `#` make no difference.
fn read(content: &[u8]) -> Result<Vec<(String, String)>, Fault> {
    let Ok(text) = std::str::from_utf8(content) else {
        return Fault::new("this is not saved as UTF-8", "save it as UTF-8");
    };
    let mut users = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if !line.is_empty() && !line.starts_with('#') {
            let (name, hash) = user(index + 1, line)?;
            users.push((name, hash, index + 1));
        }
    }
    if users.is_empty() {
        return Fault::new("nobody is in it", HTPASSWD);
    }
    users.sort();
    if let Some([first, again]) = users.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        let what = format!("{} is in line {} and again in line {}", quoted(&first.0), first.2, again.2);
        return Fault::new(what, "remove one of the two lines");
    }
    Ok(users.into_iter().map(|(name, hash, _)| (name, hash)).collect())
}

const HTPASSWD: &str = "write lines with `htpasswd -B FILE NAME`";

fn user(number: usize, line: &str) -> Result<(String, String), Fault> {
    let Some((name, hash)) = line.split_once(':') else {
        return Fault::new(format!("line {number} has no colon between a name and a hash"), HTPASSWD);
    };
    if name.is_empty() || name.chars().any(char::is_control) {
        return Fault::new(format!("line {number} has no name before its colon"), HTPASSWD);
    }
    if is_bcrypt(hash) || is_argon2(hash) {
        return Ok((name.to_owned(), hash.to_owned()));
    }
    if let Some(fault) = excess(number, name, hash) {
        return Err(fault);
    }
    let kind = kind_of(hash);
    let what = format!("in line {number} the password of {} is {kind}", quoted(name));
    Fault::new(
        what,
        format!("only bcrypt and Argon2 are taken: write the line with `htpasswd -B FILE {}`", shown(name)),
    )
}

/// A name as a command line has it, where it can stand there as it is.
fn shown(name: &str) -> &str {
    if name.chars().all(|c| c.is_alphanumeric() || "-_.@".contains(c)) { name } else { "NAME" }
}

/// The fault of a hash whose work is out of bounds.
fn excess(number: usize, name: &str, hash: &str) -> Option<Fault> {
    let of = format!("in line {number} the password of {}", quoted(name));
    if let Some(cost) = bcrypt_cost(hash).filter(|cost| !BCRYPT_COSTS.contains(cost)) {
        let (least, most) = (BCRYPT_COSTS.start(), BCRYPT_COSTS.end());
        let what = format!("{of} has a bcrypt cost of {cost}, out of bounds");
        let help = format!("costs from {least} to {most} are taken: `htpasswd -B -C 10 FILE {}`", shown(name));
        return Some(Fault { what, help });
    }
    let costs = hash.starts_with("$argon2").then(|| hash.split('$').find(|part| part.starts_with("m=")))??;
    let numbers =
        |part: &str| part.split(',').all(|cost| cost.get(2..).is_some_and(|number| number.parse::<u64>().is_ok()));
    (numbers(costs) && !are_costs(costs)).then(|| Fault {
        what: format!("{of} has costs of Argon2 that are out of bounds"),
        help: format!(
            "at most m={MOST_MEMORY} (KiB), t={MOST_PASSES} and p={MOST_PASSES} are taken, and 8 KiB for each lane"
        ),
    })
}

/// What stands in the place of a hash that is taken, in words that do not repeat it.
fn kind_of(hash: &str) -> &'static str {
    if hash.starts_with("$2") || hash.starts_with("$argon2") {
        "a hash that is broken"
    } else if hash.starts_with("$apr1$") || hash.starts_with("$1$") {
        "hashed by MD5"
    } else if hash.starts_with("{SHA}") || hash.starts_with("{SSHA}") {
        "hashed by SHA-1"
    } else if hash.starts_with("$5$") || hash.starts_with("$6$") || hash.starts_with("$y$") {
        "hashed by `crypt`"
    } else {
        "not hashed, or by `crypt`"
    }
}

/// Bounds on the work of one look, as a power of two: less is guessed too fast, and more than some seconds for each
/// request is a way to stop the machine.
const BCRYPT_COSTS: std::ops::RangeInclusive<u32> = 4..=14;

/// Whether this is bcrypt's own form: its variant, a cost, and 22 letters of salt and 31 of hash.
fn is_bcrypt(hash: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'/';
    let rest = hash.get("$2y$05".len()..).and_then(|rest| rest.strip_prefix('$'));
    bcrypt_cost(hash).is_some_and(|cost| BCRYPT_COSTS.contains(&cost))
        && rest.is_some_and(|rest| rest.len() == 53 && rest.bytes().all(allowed))
}

/// The cost that a hash of bcrypt's form tells, whatever comes behind it.
fn bcrypt_cost(hash: &str) -> Option<u32> {
    let rest = ["$2a$", "$2b$", "$2y$"].iter().find_map(|variant| hash.strip_prefix(variant))?;
    let cost = rest.get(..2).filter(|cost| cost.bytes().all(|byte| byte.is_ascii_digit()))?;
    cost.parse().ok()
}

/// The most memory that one look may take, in KiB: each takes it anew.
const MOST_MEMORY: u32 = 256 << 10;
/// The most passes and lanes of one look.
const MOST_PASSES: u32 = 64;

/// Whether this is the form in which Argon2 is written down (the PHC string format): its variant, perhaps a version, memory,
/// passes and lanes, salt and hash.
fn is_argon2(hash: &str) -> bool {
    let mut parts = hash.split('$').skip(1).peekable();
    if !hash.starts_with('$') || !matches!(parts.next(), Some("argon2id" | "argon2i" | "argon2d")) {
        return false;
    }
    let version = parts.next_if(|part| part.starts_with("v="));
    if version.is_some_and(|version| !matches!(version, "v=16" | "v=19")) {
        return false;
    }
    let base64 = |part: Option<&str>, least: usize| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
        part.is_some_and(|part| (least..=128).contains(&part.len()) && part.bytes().all(allowed))
    };
    let costs = parts.next().is_some_and(are_costs);
    // The shortest of both that Argon2 itself takes: 8 and 4 bytes, in base64.
    costs && base64(parts.next(), 11) && base64(parts.next(), 6) && parts.next().is_none()
}

/// Whether memory, passes and lanes are such as Argon2 takes: it needs 8 KiB for each lane (RFC 9106, section 3.1).
fn are_costs(text: &str) -> bool {
    let mut costs = text.split(',');
    let mut cost = |key: &str, most: u32| {
        let number = costs.next().and_then(|cost| cost.strip_prefix(key)?.parse::<u32>().ok());
        number.filter(|number| (1..=most).contains(number))
    };
    let costs_of = (cost("m=", MOST_MEMORY), cost("t=", MOST_PASSES), cost("p=", MOST_PASSES));
    matches!(costs_of, (Some(memory), Some(_), Some(lanes)) if memory >= 8 * lanes) && costs.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BCRYPT: &str = "$2y$05$abcdefghijklmnopqrstuuabcdefghijklmnopqrstuvwxyzABCDE";
    const ARGON2: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$aGFzaGhhc2hoYXNo";

    #[test]
    fn users_are_put_in_order_and_comments_left_out() {
        let text = format!("# staff\nzoe:{BCRYPT}\n\namy:{ARGON2}\r\n");
        let names: Vec<_> = read(text.as_bytes()).unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["amy", "zoe"]);
    }

    #[test]
    fn each_fault_is_told_with_its_line_and_without_the_hash() {
        let cases = [
            (String::new(), "nobody is in it"),
            ("# nobody\n".to_owned(), "nobody is in it"),
            ("\namy".to_owned(), "line 2 has no colon between a name and a hash"),
            (format!(":{BCRYPT}"), "line 1 has no name before its colon"),
            ("amy:$apr1$x$y".to_owned(), "in line 1 the password of `amy` is hashed by MD5"),
            ("amy:{SHA}x".to_owned(), "in line 1 the password of `amy` is hashed by SHA-1"),
            ("amy:$6$x$y".to_owned(), "in line 1 the password of `amy` is hashed by `crypt`"),
            ("amy:open sesame".to_owned(), "in line 1 the password of `amy` is not hashed, or by `crypt`"),
            (format!("amy:{}", &BCRYPT[..40]), "in line 1 the password of `amy` is a hash that is broken"),
            (
                format!("amy:{}", BCRYPT.replace("$05$", "$15$")),
                "in line 1 the password of `amy` has a bcrypt cost of 15, out of bounds",
            ),
            (
                format!("amy:{}", ARGON2.replace("m=19456", "m=4294967296")),
                "in line 1 the password of `amy` has costs of Argon2 that are out of bounds",
            ),
            (
                format!("amy:{}", ARGON2.replace("m=19456", "m=é")),
                "in line 1 the password of `amy` is a hash that is broken",
            ),
            (format!("amy:{BCRYPT}\nbob:{BCRYPT}\namy:{ARGON2}"), "`amy` is in line 1 and again in line 3"),
        ];
        for (text, what) in cases {
            assert_eq!(read(text.as_bytes()).unwrap_err().what, what);
        }
        assert_eq!(read(b"\xff").unwrap_err().what, "this is not saved as UTF-8");
    }

    #[test]
    fn a_hash_that_would_take_a_machine_down_is_refused() {
        assert!(is_bcrypt(BCRYPT) && is_bcrypt(&BCRYPT.replace("$2y$", "$2a$")) && is_argon2(ARGON2));
        for cost in ["03", "15", "31", "5$", "+5"] {
            assert!(!is_bcrypt(&BCRYPT.replace("$05$", &format!("${cost}$"))), "{cost}");
        }
        for (one, other) in [
            ("m=19456", "m=4294967295"),
            ("m=19456,t=2,p=1", "m=8,t=2,p=2"),
            ("t=2", "t=0"),
            ("p=1", "p=1,x=1"),
            ("v=19", "v=20"),
            ("2id", "2x"),
        ] {
            assert!(!is_argon2(&ARGON2.replace(one, other)), "{other}");
        }
        assert!(is_argon2(&ARGON2.replace("v=19$", "")));
    }
}
