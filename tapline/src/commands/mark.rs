//! `tapline mark`: tells the baselines of a known event.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat, Utc};
use reqwest::{Client, Method, Url};
use serde_json::{Value, json};

use super::source::now_ms;
use super::{Outcome, environment, printable};
use crate::config::{self, Flags};
use crate::service;

/// How long the collector may take to answer.
const TIMEOUT: Duration = Duration::from_secs(20);
/// The largest answer that is read, bytes: as many marks as there may be.
const ANSWER_BYTES_MAX: usize = 2 << 20;
/// Topics named on one line.
const TOPICS_SHOWN: usize = 5;

/// What `tapline mark` was asked.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct MarkArgs {
    /// Topics whose whole name matches this regular expression; may be repeated
    #[arg(long, short = 't', value_name = "REGEX", required_unless_present_any = ["list", "remove"])]
    pub(crate) topic: Vec<String>,
    /// When it begins: a time (RFC 3339), a date (UTC), or how long ago (-1h); now, if it is not given
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) from: Option<String>,
    /// When it ends: as for --from
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, conflicts_with = "lasts",
          required_unless_present_any = ["lasts", "list", "remove"])]
    pub(crate) to: Option<String>,
    /// How long it lasts, as in 2h
    #[arg(long = "for", value_name = "DURATION", value_parser = crate::cli::duration)]
    pub(crate) lasts: Option<Duration>,
    /// What it is, in a few words
    #[arg(long, short = 'n', value_name = "TEXT", required_unless_present_any = ["list", "remove"])]
    pub(crate) note: Option<String>,
    /// Show the marks there are
    #[arg(long, conflicts_with_all = ["topic", "from", "to", "lasts", "note", "remove"])]
    pub(crate) list: bool,
    /// Take a mark back, by its number
    #[arg(long, value_name = "ID", conflicts_with_all = ["topic", "from", "to", "lasts", "note"])]
    pub(crate) remove: Option<u64>,
    /// JSON, as documented in docs/api.md
    #[arg(long)]
    pub(crate) json: bool,
    /// The collector's address [default: `agent.collector` of the configuration, http://127.0.0.1:9464]
    #[arg(long, value_name = "URL")]
    pub(crate) collector: Option<String>,
    /// Configuration file
    #[arg(long, short = 'c', value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

pub(crate) fn run(args: &MarkArgs) -> anyhow::Result<Outcome> {
    service::install_tls();
    let flags = Flags { config: args.config.clone(), ..Flags::default() };
    let mut settings = config::load(&flags, &environment())?;
    if let Some(url) = &args.collector {
        settings.set_collector(url)?;
    }
    let collector = Collector::new(&settings.agent_collector)?;
    let (method, path, body) = request(args, now_ms())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(collector.ask(method, &path, body))?;
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{answer}")?;
    } else if args.list {
        list(&answer, &mut out)?;
    } else if let Some(id) = args.remove {
        writeln!(out, "Mark {id} is taken back; what it kept from being learned stays unlearned.")?;
    } else {
        told(&answer, &mut out)?;
    }
    Ok(Outcome::Good)
}

/// What the collector is asked.
fn request(args: &MarkArgs, now_ms: i64) -> anyhow::Result<(Method, String, Option<Value>)> {
    if args.list {
        return Ok((Method::GET, "api/v1/marks".to_owned(), None));
    }
    if let Some(id) = args.remove {
        return Ok((Method::DELETE, format!("api/v1/marks/{id}"), None));
    }
    let time = |name: &str, text: &str| time(text, now_ms).with_context(|| name.to_owned());
    let from_ms = args.from.as_deref().map_or(Ok(now_ms), |text| time("--from", text))?;
    let to_ms = match (&args.to, args.lasts) {
        (Some(text), _) => time("--to", text)?,
        (None, Some(lasts)) => from_ms.saturating_add(i64::try_from(lasts.as_millis())?),
        (None, None) => bail!("say when it ends: --to TIME, or --for DURATION"),
    };
    ensure!(from_ms < to_ms, "it ends ({}) before it begins ({})", rfc3339(to_ms)?, rfc3339(from_ms)?);
    let body = json!({
        "topics": args.topic,
        "from": rfc3339(from_ms)?,
        "to": rfc3339(to_ms)?,
        "note": args.note,
    });
    Ok((Method::POST, "api/v1/marks".to_owned(), Some(body)))
}

/// A time as people write them: RFC 3339, seconds or not, a date (its midnight in UTC), or `-1h`.
fn time(text: &str, now_ms: i64) -> anyhow::Result<i64> {
    if let Some(ago) = text.strip_prefix('-') {
        let ms = checks::yaml::parse_duration_ms(ago)
            .map_err(|error| anyhow::anyhow!("{}: {}", error.message, error.help))?;
        return Ok(now_ms.saturating_sub(ms));
    }
    if text == "now" {
        return Ok(now_ms);
    }
    let whole = DateTime::parse_from_rfc3339(text).or_else(|_| {
        // The same without seconds.
        ["%Y-%m-%dT%H:%M%#z", "%Y-%m-%d %H:%M%#z"]
            .iter()
            .find_map(|format| DateTime::parse_from_str(text, format).ok())
            .ok_or(())
    });
    let utc = |naive: NaiveDateTime| naive.and_utc().timestamp_millis();
    let zulu = text
        .strip_suffix('Z')
        .and_then(|text| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M").ok().map(utc));
    let date = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0).map(utc);
    whole.ok().map(|time| time.timestamp_millis()).or(zulu).or_else(date).with_context(|| {
        format!("{text:?} is no time: write 2026-11-27T18:00Z, 2026-11-27, or how long ago, as in -1h")
    })
}

fn rfc3339(ms: i64) -> anyhow::Result<String> {
    let time = DateTime::<Utc>::from_timestamp_millis(ms).context("a time from 1970 to 9999 is meant")?;
    Ok(time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

/// The way to a collector.
struct Collector {
    client: Client,
    base: Url,
}

impl Collector {
    fn new(address: &str) -> anyhow::Result<Self> {
        let mut base = Url::parse(address).context("the collector's address")?;
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        // Redirects are not followed: what is told goes where the user said.
        let client =
            Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none()).build()?;
        Ok(Self { client, base })
    }

    /// The address without what may be secret in it.
    fn shown(&self) -> String {
        let mut shown = self.base.clone();
        // They fail where there are none.
        let _ = (shown.set_username(""), shown.set_password(None));
        shown.set_query(None);
        printable(shown.as_str())
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
        let mut request = self.client.request(method, self.base.join(path)?);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let away = |error: reqwest::Error| {
            let error = error.without_url();
            anyhow::Error::new(error).context(format!(
                "the collector at {} does not answer: start it, or name it with --collector",
                self.shown()
            ))
        };
        let mut response = request.send().await.map_err(away)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(away)? {
            body.extend_from_slice(&chunk);
            ensure!(body.len() <= ANSWER_BYTES_MAX, "the answer of {} is too large", self.shown());
        }
        let answer: Value = serde_json::from_slice(&body).unwrap_or_else(|_| {
            // Not in JSON are what the server says before it has looked at a request, and strangers.
            json!({"error": String::from_utf8_lossy(&body[..body.len().min(500)]).trim()})
        });
        if !status.is_success() || answer["version"] != 1 {
            let why = answer["error"].as_str().unwrap_or("it answers what no collector of this version does");
            bail!("the collector at {} says {status}: {}", self.shown(), printable(why));
        }
        Ok(answer)
    }
}

fn text(value: &Value) -> String {
    value.as_str().map(printable).unwrap_or_default()
}

fn names(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(text).collect()
}

/// A few of many names.
fn some(value: &Value, total: u64) -> String {
    let names = names(value);
    let shown = names.iter().take(TOPICS_SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = total.saturating_sub(names.len().min(TOPICS_SHOWN) as u64);
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

fn told(answer: &Value, out: &mut impl Write) -> std::io::Result<()> {
    let mark = &answer["mark"];
    writeln!(
        out,
        "Mark {}: {}, {} to {}",
        mark["id"],
        text(&mark["note"]),
        text(&mark["from"]),
        text(&mark["to"])
    )?;
    match answer["topics_total"].as_u64().unwrap_or(0) {
        0 => writeln!(out, "No topic that is known by now has such a name; it holds for those to come.")?,
        n => writeln!(out, "It is about {}.", some(&answer["topics"], n))?,
    }
    if let n @ 1.. = answer["already_learned_total"].as_u64().unwrap_or(0) {
        writeln!(
            out,
            "Of {} some of it was learned before it was told; that can't be taken back, and is forgotten \
             as the past is. Baselines of checks leave it out all the same.",
            some(&answer["already_learned"], n)
        )?;
    }
    if answer["kept"] == false {
        writeln!(out, "The collector keeps no history: the mark is gone when it is restarted.")?;
    }
    Ok(())
}

fn list(answer: &Value, out: &mut impl Write) -> std::io::Result<()> {
    let marks: Vec<&Value> = answer["marks"].as_array().into_iter().flatten().collect();
    if marks.is_empty() {
        return writeln!(out, "There are no marks.");
    }
    let head = ["ID", "FROM", "TO", "TOPICS", "NOTE"].map(str::to_owned);
    let row = |mark: &&Value| {
        let id = mark["id"].to_string();
        [id, text(&mark["from"]), text(&mark["to"]), names(&mark["topics"]).join(" "), text(&mark["note"])]
    };
    let rows: Vec<[String; 5]> = std::iter::once(head).chain(marks.iter().map(row)).collect();
    let widest = |i: usize| rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..4).map(widest).collect();
    for row in &rows {
        for (cell, width) in row.iter().zip(&widths) {
            write!(out, "{cell:<width$}  ")?;
        }
        writeln!(out, "{}", row[4])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_790_000_000_000;

    #[test]
    fn times_are_as_people_write_them() {
        let at = |text: &str| time(text, NOW_MS).map(|ms| rfc3339(ms).unwrap()).map_err(|e| e.to_string());
        for text in [
            "2026-11-27T18:00Z",
            "2026-11-27T18:00:00Z",
            "2026-11-27T19:00+01:00",
            "2026-11-27T19:00:00+01:00",
        ] {
            assert_eq!(at(text).as_deref(), Ok("2026-11-27T18:00:00Z"), "{text}");
        }
        assert_eq!(at("2026-11-27").as_deref(), Ok("2026-11-27T00:00:00Z"));
        assert_eq!(time("-1h", NOW_MS).unwrap(), NOW_MS - 3_600_000);
        assert_eq!(time("now", NOW_MS).unwrap(), NOW_MS);
        for text in ["yesterday", "", "-", "-1x", "2026-13-01", "18:00", "2026-11-27T18:00"] {
            assert!(at(text).is_err(), "{text}");
        }
        assert!(at("yesterday").unwrap_err().contains("2026-11-27T18:00Z"));
    }

    #[test]
    fn what_is_told_is_what_was_asked() {
        use clap::Parser as _;
        #[derive(clap::Parser)]
        struct Only {
            #[command(flatten)]
            mark: MarkArgs,
        }
        let asked = |line: &str| {
            let given = Only::try_parse_from(std::iter::once("mark").chain(line.split(' ')));
            given.map_err(anyhow::Error::from).and_then(|only| request(&only.mark, NOW_MS))
        };
        let (method, path, body) = asked("-t orders -t pay.* --from -1h --for 2h --note sale").unwrap();
        assert_eq!((method, path.as_str()), (Method::POST, "api/v1/marks"));
        let times = json!({"topics": ["orders", "pay.*"], "note": "sale",
            "from": rfc3339(NOW_MS - 3_600_000).unwrap(), "to": rfc3339(NOW_MS + 3_600_000).unwrap()});
        assert_eq!(body, Some(times));
        assert_eq!(asked("--remove 7").unwrap().1, "api/v1/marks/7");
        assert_eq!(asked("--list").unwrap().0, Method::GET);
        for wrong in [
            "-t orders --note x",
            "-t orders --for 2h",
            "--for 2h --note x",
            "--list --remove 1",
            "--remove -1",
            "-t a --to 2026-11-27 --for 1h --note x",
            "-t a --from 2026-11-28 --to 2026-11-27 --note x",
        ] {
            assert!(asked(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_answer_says_what_can_not_be_taken_back() {
        let answer = json!({"version": 1, "mark": {"id": 3, "topics": ["o.*"], "from": "A", "to": "B",
            "note": "sale\u{1b}[31m"}, "topics": ["a", "b", "c", "d", "e", "f"], "topics_total": 120,
            "already_learned": ["a"], "already_learned_total": 1, "kept": false});
        let mut out = Vec::new();
        told(&answer, &mut out).unwrap();
        let said = String::from_utf8(out).unwrap();
        assert!(said.contains("a, b, c, d, e and 115 more"), "{said}");
        assert!(said.contains("Of a some of it was learned before"), "{said}");
        assert!(said.contains("gone when it is restarted") && !said.contains('\u{1b}'), "{said}");
        let mut out = Vec::new();
        list(&json!({"marks": [answer["mark"]]}), &mut out).unwrap();
        assert!(
            String::from_utf8(out)
                .unwrap()
                .starts_with("ID  FROM  TO  TOPICS  NOTE\n3   A     B   o.*     sale")
        );
    }
}
