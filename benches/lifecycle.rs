//! What a decision costs: one turn of an app's machine, and one verdict about an ending.
#![allow(missing_docs)] // criterion's macros make items without.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use daemonctl_actors::cell::Policy;
use daemonctl_actors::lifecycle::{Ending, Event, Lifecycle};
use daemonctl_actors::restarts::{History, Verdict, judge};
use daemonctl_actors::value::ExitStatus;

fn decisions(criterion: &mut Criterion) {
    let policy = Policy::default();
    let again = Verdict::Again { after: Duration::ZERO };
    let round = [Event::Executed, Event::Exited(ExitStatus::Code(1).into()), Event::Swept, Event::Judged(again)];
    criterion.bench_function("lifecycle: exec, exit, sweep, restart", |bench| {
        let mut machine = Lifecycle::default();
        machine.step(Duration::ZERO, Event::Start, &policy.timing);
        bench.iter(|| {
            for event in round {
                black_box(machine.step(Duration::from_secs(1), black_box(event), &policy.timing));
            }
        });
    });
    criterion.bench_function("restarts: one verdict", |bench| {
        let zero = Duration::ZERO;
        let ending =
            Ending { status: Some(ExitStatus::Code(1)), cause: None, ran: zero, stable: zero, out_of_memory: false };
        bench.iter(|| judge(&mut History::default(), black_box(&ending), None, &policy.restart, 0.5));
    });
}

criterion_group!(benches, decisions);
criterion_main!(benches);
