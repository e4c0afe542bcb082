//! The `shaper` command.

fn main() -> std::process::ExitCode {
    shaper::cli::main()
}
