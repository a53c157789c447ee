//! Taking a body out of the bytes of a connection.

use super::Reject;
use super::chunked::{Chunked, Decoded};
use super::framing::BodyLength;
use super::trailers;

/// What is left of a body.
#[derive(Debug, Default)]
pub(crate) enum Body {
    /// Nothing.
    #[default]
    Ended,
    /// This many bytes, at least one.
    Known(u64),
    Chunked(Chunked),
    UntilClose,
}

impl From<BodyLength> for Body {
    fn from(length: BodyLength) -> Self {
        match length {
            BodyLength::None => Self::Ended,
            BodyLength::Known(length) => Self::Known(length),
            BodyLength::Chunked => Self::Chunked(Chunked::default()),
            BodyLength::UntilClose => Self::UntilClose,
        }
    }
}

impl Body {
    pub(crate) fn ended(&self) -> bool {
        matches!(self, Self::Ended)
    }

    /// Takes body out of `input`: afterwards the first `produced` bytes of it are body, the first `consumed`
    /// are used up, and the rest belongs to what follows. The second result is the trailer section, if any.
    pub(crate) fn decode(&mut self, input: &mut [u8]) -> Result<(Decoded, Vec<u8>), Reject> {
        let mut trailers = Vec::new();
        let done = match self {
            Self::Ended => Decoded { ended: true, ..Decoded::default() },
            Self::Known(left) => {
                let count = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                *left -= count as u64;
                Decoded { consumed: count, produced: count, ended: *left == 0 }
            }
            Self::Chunked(decoder) => {
                let done = decoder.decode(input)?;
                if done.ended {
                    trailers = trailers::rewrite(&decoder.take_trailers())?;
                }
                done
            }
            Self::UntilClose => Decoded { consumed: input.len(), produced: input.len(), ended: false },
        };
        if done.ended {
            *self = Self::Ended;
        }
        Ok((done, trailers))
    }

    /// The connection ended: whether the body may end there.
    pub(crate) fn close(&mut self) -> bool {
        let complete = matches!(self, Self::UntilClose | Self::Ended);
        if complete {
            *self = Self::Ended;
        }
        complete
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_length_leaves_what_follows() {
        let mut body = Body::from(BodyLength::Known(5));
        let (first, _) = body.decode(&mut b"abc".to_vec()).unwrap();
        assert_eq!(first, Decoded { consumed: 3, produced: 3, ended: false });
        assert!(!body.close());
        let (second, _) = body.decode(&mut b"deGET /".to_vec()).unwrap();
        assert_eq!(second, Decoded { consumed: 2, produced: 2, ended: true });
        assert!(body.ended());
    }

    #[test]
    fn only_what_has_no_other_end_may_end_with_the_connection() {
        assert!(Body::from(BodyLength::UntilClose).close());
        assert!(!Body::from(BodyLength::Chunked).close());
    }
}
