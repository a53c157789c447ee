//! Plimsoll proxy.
