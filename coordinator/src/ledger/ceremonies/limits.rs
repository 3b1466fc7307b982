//! How large a lock may be that comes by one request, and becomes one entry of the log.

/// The most validators of a lock among four operators.
pub const LOCK_VALIDATORS_MAX: usize = 2_000;

/// Bytes of one validator in a lock's file with two deposits, without its shares: 1,839 measured.
const VALIDATOR_LEN: usize = 1_856;
/// Bytes of one public share in it.
const SHARE_LEN: usize = 107;
/// Bytes of everything else: operators with their wallets' signatures, and names.
const REST_LEN: usize = 64 << 10;

/// Longest body of a request that delivers a lock, in bytes: 4.6 MB. With the keys that follow from it, and their shares, it fits
/// into an entry of the log.
pub const LOCK_LEN_MAX: usize = LOCK_VALIDATORS_MAX * (VALIDATOR_LEN + 4 * SHARE_LEN) + REST_LEN;

/// How many validators a lock among so many operators may have: as many as fit into [`LOCK_LEN_MAX`].
pub const fn validators_max(operators: usize) -> usize {
    (LOCK_LEN_MAX - REST_LEN) / (VALIDATOR_LEN + operators * SHARE_LEN)
}
