//! Runs the health checks of one app, at its interval and never two at a time, and reports to its app.

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message, Recipient, WrapFuture};

use crate::cell::CheckReport;
use crate::health::{Health, HealthPolicy, Vitals};
use crate::ports::Ports;
use crate::value::{AppName, Moment};

/// The actor. It is started when its app is exec'ed and stops with [`End`].
pub struct HealthChecker {
    name: AppName,
    ports: Ports,
    app: Recipient<CheckFinished>,
    policy: HealthPolicy,
    vitals: Vitals,
    due: Moment,
    lost: Recipient<CheckerLost>,
}

/// To the app: the checker was lost to a panic.
#[derive(Message)]
#[rtype(result = "()")]
pub struct CheckerLost;

/// From the app: no more checks. A running one is killed, and its result is not reported.
#[derive(Message)]
#[rtype(result = "()")]
pub struct End;

/// To the app: a check has finished.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct CheckFinished {
    /// What it said.
    pub report: CheckReport,
    /// What is known of the app's health now.
    pub vitals: Vitals,
    /// Whether the verdict changed.
    pub changed: bool,
    /// When the next check is due; nothing when no more are needed.
    pub next: Option<Moment>,
}

impl HealthChecker {
    /// Checks for the app `name`, beginning with what is known in `vitals`.
    pub fn new(
        name: AppName,
        ports: Ports,
        (app, lost): (Recipient<CheckFinished>, Recipient<CheckerLost>),
        policy: HealthPolicy,
        vitals: Vitals,
    ) -> Self {
        let due = ports.clock.now();
        Self { name, ports, app, policy, vitals, due, lost }
    }

    /// Waits for the next check to be due; tells when that is.
    fn schedule(&mut self, ctx: &mut Context<Self>) -> Option<Moment> {
        let now = self.ports.clock.now();
        let due = self.vitals.next(self.due, now, &self.policy)?;
        self.due = due;
        ctx.run_later(due.saturating_sub(now), Self::check);
        Some(due)
    }

    fn check(&mut self, ctx: &mut Context<Self>) {
        let check = self.ports.checker.check(&self.name).into_actor(self).map(|report, checker, ctx| {
            let now = checker.ports.clock.now();
            let changed = checker.vitals.record(now, report.success, &checker.policy);
            let next = checker.schedule(ctx);
            checker.app.do_send(CheckFinished { report, vitals: checker.vitals, changed, next });
        });
        ctx.spawn(check);
    }
}

impl Actor for HealthChecker {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // While starting, the app is asked at once; one that has been healthy before, when it is due.
        match self.vitals.health == Health::Starting {
            true => self.check(ctx),
            false => drop(self.schedule(ctx)),
        }
    }
}

impl Handler<End> for HealthChecker {
    type Result = ();

    fn handle(&mut self, _: End, ctx: &mut Self::Context) {
        // Everything the actor waits for is dropped with it. (To cancel a future here as well would make actix 0.13 spin:
        // a context that stops does not look at its cancelled handles any more, and does not forget them either.)
        ctx.terminate();
    }
}

impl Drop for HealthChecker {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.lost.do_send(CheckerLost);
        }
    }
}
