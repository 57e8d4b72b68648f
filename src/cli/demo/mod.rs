//! `ingate demo`: the first contact. A real daemon on free loopback ports, with the shipped templates, takes
//! one signed sample of each of five vendors and delivers it to a target on this machine.
//!
//! Nothing here is simulated: samples go in over HTTP, signed as the vendor would, and what is shown comes from
//! the daemon's answers, its operator's door, and what the target received. Whatever ends it, Ctrl-C at any moment
//! too, its folder is removed.

mod folder;
mod page;
mod peer;

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use http::{HeaderMap, HeaderName, StatusCode};
use jiff::Timestamp;
use serde_json::Value;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;

use self::folder::{Folder, VENDORS, pasted};
use self::page::Page;
use self::peer::Received;
use super::http::Caller;
use super::input::sender_keys;
use super::send::play_vendor;
use super::sign::new_message_id;
use super::{Exit, Failure, Outcome, block_on, print, say};
use crate::app::App;
use crate::clock::SystemClock;
use crate::plan::Plan;
use crate::signature::{self, Inbound, Preset, Verdict};

/// How long a delivery on this machine may take before the demo gives up.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the target received that is worth a look.
const SIGNED: [&str; 3] = ["webhook-id", "webhook-timestamp", "webhook-signature"];

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Exit after the samples instead of staying up
    #[arg(long)]
    once: bool,
}

pub(super) fn run(args: &DemoArgs) -> Outcome {
    block_on(demo(args.once))?
}

async fn demo(once: bool) -> Outcome {
    // First of all, so that no signal ends the process before the folder is removed.
    let mut end = End::new().map_err(io)?;
    let folder = Folder::make()?;
    let (target, received) = peer::start().await.map_err(io)?;
    let target = format!("http://{target}/hooks");
    folder.fill("127.0.0.1:0", "127.0.0.1:0", &target)?;
    let plan = Arc::new(folder.load()?.plan);
    let app = App::build(Arc::clone(&plan), Arc::new(SystemClock))
        .await
        .map_err(super::run::failure)?;
    let (public, admin) = (app.public_addr(), app.admin_addr());
    // The ports are known now: from here on the file works for other commands as well.
    folder.fill(&public.to_string(), &admin.to_string(), &target)?;

    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(app.serve(async {
        // An error is a dropped sender, which means the same.
        let _ = stopped.await;
    }));
    let mut show = Show {
        plan,
        public: format!("http://{public}"),
        admin: format!("http://{admin}"),
        target,
        received,
        page: Page::of_stdout(),
    };
    let shown = tokio::select! {
        shown = show.all() => shown,
        () = end.comes() => Err(failed("stopped before the samples were through")),
    };
    let shown = match shown {
        Ok(()) if !once => {
            invite(&folder, &show);
            tokio::select! {
                shown = show.whatever_comes() => shown,
                () = end.comes() => Ok(()),
            }
        }
        shown => shown,
    };
    drop(stop);
    serving
        .await
        .map_err(|error| Failure::caused(Exit::Io, &error))?;
    shown.map(|()| Exit::Done)
}

fn io(error: std::io::Error) -> Failure {
    Failure::caused(Exit::Io, &error)
}

fn failed(words: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, format!("error: {words}"))
}

/// What asks the demo to end: Ctrl-C, SIGTERM, or its terminal closing.
struct End {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl End {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn comes(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

/// What to try while the demo stays up; every line works as it stands in another terminal.
fn invite(folder: &Folder, show: &Show) {
    let ingate = std::env::current_exe().map_or("ingate".to_owned(), |path| pasted(&path));
    let config = folder.pasted("config.yaml");
    let template = folder.pasted("templates/wreno-vendor.json.liquid");
    let admin = &show.admin;
    say(&format!(
        "\nThe daemon stays up until Ctrl-C, and what the target receives is shown here.\n\
         To play with it, in another terminal:\n\n\
         send the sample once more\n\
         \x20 {ingate} send -c {config} --source wreno\n\
         see which routes take it, and why the others do not\n\
         \x20 {ingate} explain -c {config} --source wreno\n\
         see what a template makes of it\n\
         \x20 {ingate} render {template} -c {config} --source wreno\n\
         see what the daemon has kept\n\
         \x20 {ingate} events list --admin {admin}\n\
         \x20 curl {admin}/metrics\n\
         see it in a browser, and try the templates there\n\
         \x20 {admin}/\n",
    ));
}

/// What the demo looks at while it shows the five ways.
struct Show {
    plan: Arc<Plan>,
    public: String,
    admin: String,
    target: String,
    received: UnboundedReceiver<Received>,
    page: Page,
}

impl Show {
    async fn all(&mut self) -> Result<(), Failure> {
        say(&format!(
            "public door    {}\noperator door  {}\ntarget         {}\n",
            self.public, self.admin, self.target
        ));
        for (vendor, _) in VENDORS {
            let text = self.one(vendor).await?;
            print(&format!("{text}\n"))?;
            // The blank line between two vendors.
            print("")?;
        }
        print(&self.page.bold(&format!(
            "{0} vendors, {0} deliveries, every signature verified",
            VENDORS.len()
        )))
    }

    /// Sends one sample and tells its way.
    async fn one(&mut self, vendor: &str) -> Result<String, Failure> {
        let plan = Arc::clone(&self.plan);
        let source = plan
            .sources
            .get(vendor)
            .ok_or_else(|| failed(format!("no source {vendor}")))?;
        let url = format!("{}{}", self.public, source.path);
        let body = Preset::sample(vendor)
            .ok_or_else(|| failed(format!("no sample of {vendor}")))?
            .body;
        let (keys, id) = (sender_keys(source)?, new_message_id());
        let sent = play_vendor(source, &keys, &url, &id, "demo", body)?;
        let (headers, body) = (sent.headers, sent.body);
        let caller = Caller::plain();
        let answer = caller.post(&url, &headers, body.clone()).await?;
        if answer.status != StatusCode::OK {
            return Err(failed(format!(
                "{vendor}: the daemon answered {}",
                answer.status
            )));
        }
        let answer: Value = serde_json::from_slice(&answer.body)
            .map_err(|error| Failure::caused(Exit::Failed, &error))?;
        let event = answer.get("id").and_then(Value::as_str).unwrap_or_default();

        let received = tokio::time::timeout(PATIENCE, self.received.recv())
            .await
            .map_err(|_| failed(format!("{vendor}: nothing reached the target")))?
            .ok_or_else(|| failed("the target is gone"))?;
        let seen = caller
            .get_json(&format!("{}/api/v1/events/{event}", self.admin))
            .await?;
        let delivery = seen
            .pointer("/deliveries/0")
            .ok_or_else(|| failed(format!("{vendor}: the event has no delivery")))?;
        let verified = self.check(&received)?;

        let text = |value: &Value, name: &str| match value.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => "-".to_owned(),
        };
        let page = &self.page;
        let sent: HeaderMap = headers.into_iter().collect();
        let names: Vec<&str> = sent.keys().map(HeaderName::as_str).collect();
        let lines = [
            page.bold(&format!("== {vendor}")),
            page.row(
                "came in",
                &format!("POST {} (type {})", source.path, text(&seen, "type")),
            ),
            page.headers(&sent, &names),
            page.json(&body),
            page.row("answered", &format!("200, event {event}, on disk")),
            page.row(
                "routed",
                &format!(
                    "{} -> {}",
                    text(delivery, "route"),
                    text(delivery, "target")
                ),
            ),
            page.row("rendered", ""),
            page.json(&received.body),
            page.row(
                "received",
                &format!("{} {}", received.head.method, received.head.uri),
            ),
            page.headers(&received.head.headers, &SIGNED),
            page.row("signature", verified),
        ];
        Ok(lines.join("\n"))
    }

    /// Shows what else the target receives, for as long as the demo stays up.
    async fn whatever_comes(&mut self) -> Result<(), Failure> {
        while let Some(received) = self.received.recv().await {
            let page = &self.page;
            // Anybody may post to the target; that is no reason to end.
            let verified = self.check(&received).map_or_else(
                |failure| failure.words.trim_start_matches("error: ").to_owned(),
                str::to_owned,
            );
            let lines = [
                page.row(
                    "received",
                    &format!("{} {}", received.head.method, received.head.uri),
                ),
                page.headers(&received.head.headers, &SIGNED),
                page.json(&received.body),
                page.row("signature", &verified),
            ];
            print(&lines.join("\n"))?;
            print("")?;
        }
        Ok(())
    }

    /// Verifies what the target received as any receiver of Standard Webhooks would.
    fn check(&self, received: &Received) -> Result<&'static str, Failure> {
        let signer = self
            .plan
            .targets
            .values()
            .find_map(|target| target.sign.as_ref())
            .ok_or_else(|| failed("the target is not signed for"))?;
        let head = &received.head;
        let request = Inbound::new(&head.method, &head.headers, &received.body);
        match signature::verify(&signer.scheme, &signer.keys, &request, Timestamp::now()) {
            Ok(Verdict::Event(_)) => Ok("verifies (standard-webhooks)"),
            Ok(Verdict::Reply(_)) => Err(failed("the target received a challenge")),
            Err(error) => Err(failed(format!("does not verify: {error}"))),
        }
    }
}
