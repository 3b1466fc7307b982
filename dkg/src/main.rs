//! `dvt-dkg`: see `dvt-dkg --help`.

fn main() -> std::process::ExitCode {
    dkg::cli::run(std::env::args_os())
}
