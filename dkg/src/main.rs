//! `dvt-dkg`: see `dvt-dkg --help`.

/// Freed memory is wiped: key generation leaves copies of coefficients behind.
#[global_allocator]
static ALLOCATOR: keys::frost::WipingAllocator = keys::frost::WipingAllocator(std::alloc::System);

fn main() -> std::process::ExitCode {
    dkg::cli::run(std::env::args_os())
}
