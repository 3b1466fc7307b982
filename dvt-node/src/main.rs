//! `dvt-node`: see `dvt-node --help`.

use dvt_node::bench::memory::CountingAllocator;

#[global_allocator]
static MEMORY: CountingAllocator = CountingAllocator;

fn main() -> std::process::ExitCode {
    dvt_node::cli::run(std::env::args_os())
}
