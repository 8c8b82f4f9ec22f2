//! HEALTHCHECK.

use std::time::Duration;

use crate::duration;
use crate::flags::{Flags, Takes};
use crate::instruction::{HealthTest, Healthcheck};
use crate::list;
use crate::parse::Parts;
use crate::problem::Problem;
use crate::suggest::nearest;

const HEALTH_FLAGS: &[(&str, Takes)] = &[
    ("interval", Takes::Value),
    ("timeout", Takes::Value),
    ("start-period", Takes::Value),
    ("start-interval", Takes::Value),
    ("retries", Takes::Value),
];

/// The shortest duration that a health check takes; zero means the default.
const SHORTEST: Duration = Duration::from_millis(1);

pub(super) fn healthcheck(parts: &Parts<'_>) -> Result<Healthcheck, Problem> {
    let text = parts.arguments;
    let (kind, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let test = health_test(kind, rest.trim_start())?;
    if test == HealthTest::None {
        // Nothing is checked, so that no flag has a meaning; BuildKit does not read them either.
        return Ok(Healthcheck::none());
    }
    let flags = Flags::read("HEALTHCHECK", &parts.flags, HEALTH_FLAGS)?;
    Ok(Healthcheck {
        test,
        interval: interval(&flags, "interval")?,
        timeout: interval(&flags, "timeout")?,
        start_period: interval(&flags, "start-period")?,
        start_interval: interval(&flags, "start-interval")?,
        retries: retries(&flags)?,
    })
}

fn health_test(kind: &str, rest: &str) -> Result<HealthTest, Problem> {
    match kind.to_ascii_uppercase().as_str() {
        "" => Err(Problem::NoArgument { instruction: "HEALTHCHECK".to_owned() }),
        "NONE" if rest.is_empty() => Ok(HealthTest::None),
        "NONE" => Err(Problem::HealthcheckNone),
        "CMD" => match list::command("HEALTHCHECK", rest)? {
            command if command.is_empty() => Err(Problem::HealthcheckNoCommand),
            command => Ok(HealthTest::Command(command)),
        },
        _ => {
            let suggestion = nearest(kind, &["CMD", "NONE"]).map(str::to_owned);
            Err(Problem::HealthcheckType { name: kind.to_owned(), suggestion })
        }
    }
}

fn interval(flags: &Flags, flag: &'static str) -> Result<Option<Duration>, Problem> {
    let Some(value) = flags.value(flag).filter(|value| !value.is_empty()) else { return Ok(None) };
    match duration::parse(value) {
        Ok(Duration::ZERO) => Ok(None),
        Ok(duration) if duration < SHORTEST => Err(invalid(flag, value, "it is less than 1ms")),
        Ok(duration) => Ok(Some(duration)),
        Err(why) => Err(invalid(flag, value, &why)),
    }
}

/// Zero means the default, as an interval of zero does.
fn retries(flags: &Flags) -> Result<Option<u32>, Problem> {
    let Some(value) = flags.value("retries").filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let retries = value.parse::<u32>().ok().filter(|retries| i32::try_from(*retries).is_ok());
    let why = "it is not a number of retries";
    retries.map(|n| (n > 0).then_some(n)).ok_or_else(|| invalid("retries", value, why))
}

fn invalid(flag: &str, value: &str, why: &str) -> Problem {
    Problem::InvalidFlagValue {
        flag: flag.to_owned(),
        value: value.to_owned(),
        why: why.to_owned(),
        suggestion: None,
    }
}
