//! Plimsoll config.
