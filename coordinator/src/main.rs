//! `dvt-coordinator`: see `dvt-coordinator --help`.

fn main() -> std::process::ExitCode {
    coordinator::cli::run(std::env::args_os())
}
