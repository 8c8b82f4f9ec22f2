//! Which stage is built when: each in a thread of its own, as soon as all that it needs is there.

use std::sync::mpsc::{Sender, channel};

use super::Solver;
use crate::Error;

/// Builds for all platforms at once. The first failure of any stops the others.
pub(crate) fn solve(solvers: &[Solver<'_>]) -> Result<(), Error> {
    if let [only] = solvers {
        return schedule(only);
    }
    let results: Vec<_> = std::thread::scope(|scope| {
        let works: Vec<_> = solvers.iter().map(|solver| scope.spawn(|| schedule(solver))).collect();
        let ended = |_| Err(Error::internal("a platform's thread ended"));
        works.into_iter().map(|work| work.join().unwrap_or_else(ended)).collect()
    });
    let failed = results.into_iter().filter_map(Result::err);
    // The others were only stopped.
    let failed = failed.reduce(|one, two| match one {
        Error::Interrupted => two,
        one => one,
    });
    failed.map_or(Ok(()), Err)
}

/// Builds all stages of the plan. After the first failure no stage is started, and those at work are
/// stopped.
fn schedule(solver: &Solver<'_>) -> Result<(), Error> {
    if solver.plan.stages.len() == 1 {
        return solver.stage(0).inspect_err(|_| solver.interrupt.set());
    }
    std::thread::scope(|scope| {
        let (done, results) = channel();
        let mut board = Board::new(solver);
        loop {
            for index in board.ready() {
                let done = done.clone();
                scope.spawn(move || work(solver, index, &done));
            }
            if board.running == 0 {
                return board.failed.map_or(Ok(()), Err);
            }
            let Ok((index, result)) = results.recv() else { return Ok(()) };
            board.ended(index, result);
        }
    })
}

fn work(solver: &Solver<'_>, index: usize, done: &Sender<(usize, Result<(), Error>)>) {
    let built = std::panic::AssertUnwindSafe(|| solver.stage(index));
    let result = std::panic::catch_unwind(built)
        .unwrap_or_else(|_| Err(Error::internal("a stage's thread ended")));
    let _ = done.send((index, result));
}

struct Board<'a> {
    solver: &'a Solver<'a>,
    /// How many stages each one still waits for; `None` once it was started.
    missing: Vec<Option<usize>>,
    running: usize,
    failed: Option<Error>,
}

impl<'a> Board<'a> {
    fn new(solver: &'a Solver<'a>) -> Self {
        let missing = solver.plan.stages.iter().map(|stage| Some(stage.needs.len())).collect();
        Self { solver, missing, running: 0, failed: None }
    }

    /// The stages to start now.
    fn ready(&mut self) -> Vec<usize> {
        if self.failed.is_some() {
            return Vec::new();
        }
        let free = |(index, missing): (usize, &mut Option<usize>)| {
            missing.take_if(|count| *count == 0).map(|_| index)
        };
        let ready: Vec<usize> = self.missing.iter_mut().enumerate().filter_map(free).collect();
        self.running += ready.len();
        ready
    }

    fn ended(&mut self, index: usize, result: Result<(), Error>) {
        self.running -= 1;
        match result {
            Ok(()) => {
                let stages = self.solver.plan.stages.iter().zip(&mut self.missing);
                for (_, missing) in stages.filter(|(stage, _)| stage.needs.contains(&index)) {
                    *missing = missing.map(|count| count - 1);
                }
            }
            Err(error) => {
                self.solver.interrupt.set();
                // The first to fail is the reason; the others were only stopped.
                if self.failed.as_ref().is_none_or(|known| matches!(known, Error::Interrupted)) {
                    self.failed = Some(error);
                }
            }
        }
    }
}
