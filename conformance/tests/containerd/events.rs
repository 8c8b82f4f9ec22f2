//! What containerd tells of its containers.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Child;

use super::{Containerd, TARE, until};

/// `ctr events`, until it is dropped.
pub(crate) struct Events {
    listener: Child,
    file: PathBuf,
}

impl Events {
    /// Listens, and has heard something before it returns: what happens earlier is not told.
    pub(crate) fn listen(containerd: &Containerd) -> Self {
        let file = containerd.path("events");
        let told = File::create(&file).expect("a file can be made");
        let listener = containerd.command(&["events"]).stdout(told).spawn();
        let events = Self { listener: listener.expect("ctr is installed"), file };
        let mut number = 0;
        until("events are heard", || {
            number += 1;
            let id = format!("try-{number}");
            containerd.run(TARE, &["--rm"], &id, &["/bin/true"]);
            !events.of(&id).is_empty()
        });
        events
    }

    /// The topics of a container's tasks, in order.
    pub(crate) fn of(&self, id: &str) -> Vec<String> {
        let text = fs::read_to_string(&self.file).expect("the file is there");
        let about = format!("\"container_id\":\"{id}\"");
        let lines = text.lines().filter(|line| line.contains(&about));
        let topics =
            lines.filter_map(|it| it.split_whitespace().find(|word| word.starts_with("/tasks/")));
        topics.map(str::to_owned).collect()
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let _ = self.listener.kill();
        let _ = self.listener.wait();
    }
}
