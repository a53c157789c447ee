//! Bounds that several settings have in common.

// Bounds on durations, in milliseconds. None may be zero where that would refuse everyone, and none may outlast a
// day: what waits longer is a mistake of units.
pub(super) const MILLISECOND: u64 = 1;
pub(super) const SECOND: u64 = 1000;
pub(super) const DAY: u64 = 24 * 3600 * SECOND;

// Bounds on heads. Below 1 KiB ordinary browsers are refused; a head is held in memory whole, so above 1 MiB a few
// thousand clients could fill it.
pub(super) const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;

/// 1 TiB: above it a limit protects nothing, and is a slip of the keyboard.
pub(super) const LARGEST_BODY: u64 = 1 << 40;
/// Above what one machine can hold in sockets.
pub(super) const MOST_CLIENTS: u64 = 10_000_000;
