//! `devnet`: see `devnet --help`.

/// As in `dvt-dkg`: this program is the ceremony's process too.
#[global_allocator]
static ALLOCATOR: keys::frost::WipingAllocator = keys::frost::WipingAllocator(std::alloc::System);

fn main() -> std::process::ExitCode {
    devnet::cli::run(std::env::args_os())
}
