//! Records a program: `record OUTPUT PROGRAM [ARGUMENT]…`, as `malloscope record` does, with nothing around it.

use std::env;
use std::error::Error;
use std::process::ExitCode;

use malloscope_recorder::{Options, Target, WhenFull, record};

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let (Some(output), Some(program)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: record OUTPUT PROGRAM [ARGUMENT]…");
        return ExitCode::from(2);
    };
    let target = Target { program, arguments: arguments.collect() };
    let when_full = if env::var_os("DROP").is_some() { WhenFull::Drop } else { WhenFull::Wait };
    let options = Options { output: output.into(), when_full, clock: None, stacks: None };
    match record(&target, &options, &mut |_| ()) {
        Ok(recorded) => {
            if env::var_os("QUIET").is_none() {
                eprintln!("{recorded:#?}");
            }
            ExitCode::from(recorded.exit_code())
        }
        Err(error) => {
            let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            eprintln!("record: {error}{cause}");
            ExitCode::FAILURE
        }
    }
}
