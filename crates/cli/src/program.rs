//! The frame of every `main`: runs the program, prints its error once, gives the exit code.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use crate::output::ClosedOutput;
use crate::{error, output};

/// Runs `f` and turns its error into one report on standard error and an exit code.
///
/// * A result that nobody reads any more (`tare-store ls | head -1`) is no error.
/// * A panic is a defect of ours: it is reported in one line, without a backtrace, as exit code 1.
///
/// The report is `PROGRAM: error: what was being done`, then each cause and each hint on a line.
pub fn run(program: &str, f: impl FnOnce() -> anyhow::Result<ExitCode>) -> ExitCode {
    report_panics(program.to_owned());
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f));
    match result {
        Ok(Ok(code)) => code,
        Ok(Err(error)) if is_closed_output(&error) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            output::to_stderr(&report(program, &error, std::io::stderr().is_terminal()));
            ExitCode::from(error::code(&error))
        }
        Err(_reported) => ExitCode::FAILURE,
    }
}

fn is_closed_output(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|link| link.downcast_ref::<std::io::Error>())
        .any(|error| error.get_ref().is_some_and(|inner| inner.is::<ClosedOutput>()))
}

fn report(program: &str, error: &anyhow::Error, color: bool) -> String {
    let (red, bold, off) = if color { ("\x1b[1;31m", "\x1b[1m", "\x1b[0m") } else { ("", "", "") };
    let mut text = String::new();
    let mut messages = error::messages(error).into_iter();
    let first = messages.next().unwrap_or_default();
    let _ = writeln!(text, "{program}: {red}error:{off} {first}");
    for cause in messages {
        let _ = writeln!(text, "  caused by: {cause}");
    }
    for hint in error::hints(error) {
        let _ = writeln!(text, "  {bold}hint:{off} {hint}");
    }
    text
}

fn report_panics(program: String) {
    std::panic::set_hook(Box::new(move |panic| {
        let message = panic.payload_as_str().unwrap_or("no message");
        // println! panics where nobody reads any more.
        if !message.starts_with("failed printing to stdout") {
            let place = panic.location().map(|place| format!(" ({place})")).unwrap_or_default();
            let _ = writeln!(
                std::io::stderr(),
                "{program}: internal error: {message}{place}\n  hint: this is a defect of {program}; please report it with the command that shows it"
            );
        }
        // Where panics abort, the process would end by a signal and leave a core file.
        if cfg!(panic = "abort") {
            #[expect(clippy::exit, reason = "the programs' only panic handler")]
            std::process::exit(1);
        }
    }));
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;
    use crate::ErrorExt as _;

    #[test]
    fn a_report_is_one_line_then_causes_then_hints() {
        let error = Err::<(), _>(std::io::Error::other("no such image"))
            .context("cannot bundle app")
            .hint("tare-store ls shows the images")
            .unwrap_err();
        assert_eq!(
            report("tare-store", &error, false),
            "tare-store: error: cannot bundle app\n  caused by: no such image\n  hint: tare-store ls shows the images\n"
        );
    }

    #[test]
    fn only_a_closed_standard_output_is_silent() {
        let ours = anyhow::Error::new(ClosedOutput::wrap()).context("cannot print");
        assert!(is_closed_output(&ours));
        let other = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert!(!is_closed_output(&anyhow::Error::new(other)));
    }
}
