//! The three encoders behind one step: bytes in, bytes out, nothing that waits.
//!
//! What each holds is bounded by its level and window, whatever is sent through it: measured over 4 MiB of letters drawn at
//! random, gzip 0.4 MiB, Brotli 2.4, Zstandard 1.4, and less for what is short (README.md says it to users). A window of
//! 256 KiB loses little on what is sent as pages and JSON, and browsers take up to 8 MiB (RFC 9659).

use std::io;

use brotli::enc::StandardAlloc;
use brotli::enc::encode::{BrotliEncoderOperation, BrotliEncoderParameter, BrotliEncoderStateStruct};
use flate2::{Compress, Compression, FlushCompress, Status};
use plimsoll_config::Algorithm;
use zstd::stream::raw::{self, CParameter, InBuffer, Operation, OutBuffer};

/// A balance for what is compressed at each request anew: the next level up costs more CPU than it saves bytes.
const GZIP_LEVEL: u32 = 5;
/// The largest there is.
const GZIP_WINDOW_BITS: u8 = 15;
const BROTLI_QUALITY: u32 = 4;
/// The longest body that Brotli is told of, in bytes: beyond it takes a table of 4 MiB.
const BROTLI_LONGEST: u64 = (1 << 20) - 1;
const ZSTD_LEVEL: i32 = 3;
/// 256 KiB for the two that know larger ones.
const WINDOW_BITS: u32 = 18;

/// A body on its way through one of the libraries.
pub(super) enum Encoder {
    Gzip(Compress),
    Brotli(Box<BrotliEncoderStateStruct<StandardAlloc>>),
    Zstd(raw::Encoder<'static>),
}

/// What a step is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aim {
    /// More of the body goes in.
    Take,
    /// All that went in comes out.
    Flush,
    /// The same, and nothing follows.
    Finish,
}

/// What a step came to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Done {
    /// Bytes that went in.
    pub(super) read: usize,
    /// Bytes that came out.
    pub(super) written: usize,
    /// Nothing of what was aimed at is left; else more room for output is needed.
    pub(super) complete: bool,
}

impl Encoder {
    /// An encoder for a body of `length` bytes, where that is known: it needs no more memory than that.
    pub(super) fn new(algorithm: Algorithm, length: Option<u64>) -> io::Result<Self> {
        Ok(match algorithm {
            Algorithm::Gzip => Self::Gzip(Compress::new_gzip(Compression::new(GZIP_LEVEL), GZIP_WINDOW_BITS)),
            Algorithm::Brotli => {
                let mut state = Box::new(BrotliEncoderStateStruct::new(StandardAlloc::default()));
                let hint = length.unwrap_or(0).min(BROTLI_LONGEST) as u32;
                state.set_parameter(BrotliEncoderParameter::BROTLI_PARAM_QUALITY, BROTLI_QUALITY);
                state.set_parameter(BrotliEncoderParameter::BROTLI_PARAM_LGWIN, WINDOW_BITS);
                state.set_parameter(BrotliEncoderParameter::BROTLI_PARAM_SIZE_HINT, hint);
                Self::Brotli(state)
            }
            Algorithm::Zstd => {
                let mut encoder = raw::Encoder::new(ZSTD_LEVEL)?;
                encoder.set_parameter(CParameter::WindowLog(WINDOW_BITS))?;
                encoder.set_pledged_src_size(length)?;
                Self::Zstd(encoder)
            }
        })
    }

    /// Takes bytes from `input` in, where that is the aim, and puts what comes of it into `output`, which has some room.
    pub(super) fn step(&mut self, input: &[u8], output: &mut [u8], aim: Aim) -> io::Result<Done> {
        let room = output.len();
        let (read, written, complete) = match self {
            Self::Gzip(encoder) => {
                let before = (encoder.total_in(), encoder.total_out());
                let flush = match aim {
                    Aim::Take => FlushCompress::None,
                    Aim::Flush => FlushCompress::Sync,
                    Aim::Finish => FlushCompress::Finish,
                };
                let status = encoder.compress(input, output, flush)?;
                let read = (encoder.total_in() - before.0) as usize;
                let written = (encoder.total_out() - before.1) as usize;
                (read, written, if aim == Aim::Finish { status == Status::StreamEnd } else { written < room })
            }
            Self::Brotli(encoder) => {
                let operation = match aim {
                    Aim::Take => BrotliEncoderOperation::BROTLI_OPERATION_PROCESS,
                    Aim::Flush => BrotliEncoderOperation::BROTLI_OPERATION_FLUSH,
                    Aim::Finish => BrotliEncoderOperation::BROTLI_OPERATION_FINISH,
                };
                let (read, written) = brotli_step(encoder, operation, (input, output))?;
                let complete = if aim == Aim::Finish { encoder.is_finished() } else { !encoder.has_more_output() };
                (read, written, complete)
            }
            Self::Zstd(encoder) => {
                let (mut from, mut to) = (InBuffer::around(input), OutBuffer::around(output));
                let left = match aim {
                    Aim::Take => encoder.run(&mut from, &mut to).map(|_| 0)?,
                    Aim::Flush => encoder.flush(&mut to)?,
                    Aim::Finish => encoder.finish(&mut to, true)?,
                };
                (from.pos(), to.pos(), left == 0)
            }
        };
        Ok(Done { read, written, complete })
    }
}

/// Returns how many bytes went in and came out.
fn brotli_step(
    encoder: &mut BrotliEncoderStateStruct<StandardAlloc>,
    operation: BrotliEncoderOperation,
    (input, output): (&[u8], &mut [u8]),
) -> io::Result<(usize, usize)> {
    let (mut left, mut room) = (input.len(), output.len());
    let (mut read, mut written) = (0, 0);
    let fine = encoder.compress_stream(
        operation,
        &mut left,
        input,
        &mut read,
        &mut room,
        output,
        &mut written,
        &mut None,
        &mut |_, _, _, _| (),
    );
    if fine { Ok((read, written)) } else { Err(io::Error::other("the encoder of Brotli has failed")) }
}
