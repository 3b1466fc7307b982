//! `dvt-node`: see `dvt-node --help`.

fn main() -> std::process::ExitCode {
    dvt_node::cli::run(std::env::args_os())
}
