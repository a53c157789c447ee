//! Answers compressed on their way to clients that take it.
//!
//! `wish` reads what a client takes while its request is at hand; `recoding` decides once the head of the answer is here,
//! and says what becomes of that head; `press` takes the body through an `encoder`.

mod encoder;
mod press;
pub(crate) mod recoding;
mod wish;

pub(crate) use press::{Press, Step};
pub(crate) use recoding::Recoding;
pub(crate) use wish::Wish;

#[cfg(test)]
mod tests;
