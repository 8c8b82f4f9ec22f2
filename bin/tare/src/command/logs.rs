//! `tare logs`: print what a container wrote.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;

use crate::Context;
use crate::container::Container;
use crate::log::{LogLine, Stream};

/// How often a log that is followed is looked at.
const INTERVAL: Duration = Duration::from_millis(50);

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Print what comes, until the container ends
    #[arg(short, long)]
    follow: bool,
    /// Print only the last lines
    #[arg(short = 'n', long, value_name = "NUMBER", default_value = "all", allow_hyphen_values = true, value_parser = tail)]
    tail: Tail,
    /// Print the time of each line
    #[arg(short, long)]
    timestamps: bool,
    /// Print only what came since then: 2026-01-31T10:20:30Z, or 10m
    #[arg(long, value_name = "TIME", value_parser = cli::parse_time)]
    since: Option<SystemTime>,
    /// Print only what came until then
    #[arg(long, value_name = "TIME", value_parser = cli::parse_time)]
    until: Option<SystemTime>,
    /// Name or id
    container: String,
}

/// How many lines; none is all.
#[derive(Clone, Copy, Debug)]
struct Tail(Option<usize>);

fn tail(word: &str) -> Result<Tail, String> {
    match word {
        "all" => Ok(Tail(None)),
        // As docker: a negative number is all.
        word if word.starts_with('-') && word[1..].parse::<u64>().is_ok() => Ok(Tail(None)),
        word => word
            .parse()
            .map(|number| Tail(Some(number)))
            .map_err(|_| "want a number of lines, or all".to_owned()),
    }
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> anyhow::Result<ExitCode> {
    let container = context.root.find(&arguments.container)?;
    let path = container.log_path();
    let file = File::open(&path).with_context(|| {
        format!("container {} has no log at {}", container.record.name, path.display())
    })?;
    let mut log = Reader { input: BufReader::new(file), line: Vec::new() };
    let mut printer = Printer::new(arguments);
    let mut kept = VecDeque::new();
    while log.next()? {
        kept.push_back(log.line.clone());
        if arguments.tail.0.is_some_and(|limit| kept.len() > limit) {
            kept.pop_front();
        }
        if arguments.tail.0.is_none() {
            kept.drain(..).try_for_each(|line| printer.print(&line))?;
        }
        log.line.clear();
    }
    kept.iter().try_for_each(|line| printer.print(line))?;
    printer.flush()?;
    if arguments.follow {
        follow(&container, &mut log, &mut printer)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn follow(
    container: &Container,
    log: &mut Reader,
    printer: &mut Printer<'_>,
) -> anyhow::Result<()> {
    loop {
        // Asked before the log is read: what is written before the end is then in it.
        let ended = !container.is_watched();
        while log.next()? {
            printer.print(&log.line)?;
            log.line.clear();
        }
        printer.flush()?;
        if ended {
            return Ok(());
        }
        std::thread::sleep(INTERVAL);
    }
}

/// Lines of a log that grows.
struct Reader {
    input: BufReader<File>,
    /// The line without its end; the beginning of one while its end is not written yet.
    line: Vec<u8>,
}

impl Reader {
    /// Whether there is a whole line now.
    fn next(&mut self) -> anyhow::Result<bool> {
        self.input.read_until(b'\n', &mut self.line).context("cannot read the log")?;
        Ok(self.line.last() == Some(&b'\n'))
    }
}

/// Prints lines of the log where the container wrote them: standard output or error.
struct Printer<'a> {
    arguments: &'a Arguments,
    out: cli::Out,
    err: io::BufWriter<io::Stderr>,
    /// Whether the next piece begins a line, for each stream.
    begins: [bool; 2],
    /// The stream that was last printed to.
    stream: Stream,
}

impl<'a> Printer<'a> {
    fn new(arguments: &'a Arguments) -> Self {
        let err = io::BufWriter::new(io::stderr());
        Self { arguments, out: cli::Out::new(), err, begins: [true; 2], stream: Stream::Stdout }
    }

    /// Passes over lines that are not in the format: a machine that crashed may leave half of one.
    fn print(&mut self, line: &[u8]) -> anyhow::Result<()> {
        let Some(line) = LogLine::parse(line.strip_suffix(b"\n").unwrap_or(line)) else {
            return Ok(());
        };
        if !self.is_wanted(&line) {
            return Ok(());
        }
        let stamp = self.arguments.timestamps;
        let index = usize::from(line.stream == Stream::Stderr);
        let begins = std::mem::replace(&mut self.begins[index], line.whole);
        if std::mem::replace(&mut self.stream, line.stream) != line.stream {
            // Where both go to one place they appear as they were written.
            self.flush()?;
        }
        match line.stream {
            Stream::Stdout => write(&mut self.out, &line, stamp && begins)?,
            Stream::Stderr => write(&mut self.err, &line, stamp && begins)?,
        }
        Ok(())
    }

    fn is_wanted(&self, line: &LogLine<'_>) -> bool {
        let (since, until) = (self.arguments.since, self.arguments.until);
        if since.is_none() && until.is_none() {
            return true;
        }
        let Ok(time) = cli::parse_time(line.time) else { return true };
        since.is_none_or(|since| time >= since) && until.is_none_or(|until| time <= until)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()?;
        self.err.flush()
    }
}

fn write(out: &mut impl Write, line: &LogLine<'_>, stamp: bool) -> io::Result<()> {
    if stamp {
        write!(out, "{} ", line.time)?;
    }
    out.write_all(line.text)?;
    if line.whole { out.write_all(b"\n") } else { Ok(()) }
}
