//! HTTP/2 held to its RFC, by frames that are made by hand.

mod fields;
mod frames;
mod framing;
mod hostile;
mod servers;
mod smuggling;
