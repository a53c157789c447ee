//! HTTP/2 held to its RFC, by frames that are made by hand.

mod client_limits;
mod clients;
mod descriptors;
mod ends;
mod fields;
mod frames;
mod framing;
mod hostile;
mod peers;
mod servers;
mod smuggling;
mod websocket;
