//! The main job as a pipeline of small programs and through the front door, on a small base.

use conformance::{BASE, Machine, mounts_below};

const DOCKERFILE: &str = "\
FROM busybox:base
RUN mkdir -p /opt/tool && echo built > /opt/tool/state
COPY list.txt /app/
RUN wc -l < /app/list.txt > /app/count
COPY . /app
ENTRYPOINT [\"sh\"]
CMD [\"app/main.sh\"]
";

const FILES: &[(&str, &str)] =
    &[("list.txt", "a\nb\nc\n"), ("main.sh", "cat /opt/tool/state /app/count; echo $GREETING\n")];

#[test]
fn a_pipeline_of_programs() {
    let machine = Machine::new();
    let image = machine.build("app", DOCKERFILE, FILES);
    assert!(image.starts_with("sha256:") && image.len() == 71, "{image}");
    machine.ok("tare-store", ["bundle", "-e", "GREETING=hi", "app", "./app-bundle"]);
    let id = format!("pipeline-{}", std::process::id());
    let ran = machine.ok("tare-runtime", ["run", "--bundle", "./app-bundle", &id]);
    assert_eq!(ran.out, "built\n3\nhi");
    machine.ok("tare-store", ["unbundle", "./app-bundle"]);
    assert!(!machine.path("app-bundle").exists());
    assert_eq!(mounts_below(&machine.path("")), [] as [std::path::PathBuf; 0]);
}

#[test]
fn the_front_door() {
    let machine = Machine::new();
    machine.write("app/Dockerfile", DOCKERFILE);
    for (name, text) in FILES {
        machine.write(&format!("app/{name}"), text);
    }
    let built = machine.ok("tare", ["build", "-t", "app", "app"]);
    assert!(built.out.starts_with("sha256:"), "{built:?}");
    let limits = ["-m", "256m", "--cpus", "1.5", "--pids-limit", "100"];
    let ran = machine.sh(&format!("tare run --rm {} -e GREETING=hello app", limits.join(" ")));
    assert_eq!(ran.out, "built\n3\nhello");
    assert_eq!(machine.ok("tare", ["ps", "-aq"]).out, "");
    assert_eq!(mounts_below(&machine.path("")), [] as [std::path::PathBuf; 0]);
}

/// Steps rebuild from the changed one on, and an unchanged build is the same image.
#[test]
fn only_what_changed_is_built_again() {
    let machine = Machine::new();
    let first = machine.build("app", DOCKERFILE, FILES);
    machine.sh("touch app/list.txt app/main.sh");
    assert_eq!(machine.build("app", DOCKERFILE, &[]), first);
    let layers = |machine: &Machine| {
        let manifest = machine.ok("tare-store", ["inspect", "--manifest", "app"]).out;
        let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
        let layers = manifest["layers"].as_array().unwrap();
        layers.iter().map(|it| it["digest"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let before = layers(&machine);
    machine.write("app/main.sh", "echo changed\n");
    assert_ne!(machine.build("app", DOCKERFILE, &[]), first);
    let after = layers(&machine);
    assert_eq!(before.len(), after.len());
    let last = before.len() - 1;
    assert_eq!(before[..last], after[..last]);
    assert_ne!(before[last], after[last]);
}

#[test]
fn both_drivers_show_the_same_files() {
    let machine = Machine::new();
    machine.build("app", DOCKERFILE, FILES);
    let list = "find / -xdev -type f -exec ls -ln {} + | grep -vE ' /(etc/(hosts|hostname|resolv)|dev|proc|sys)'";
    let show = |driver: &str| {
        let args = ["run", "--rm", "--driver", driver, "--entrypoint", "sh", "app", "-c", list];
        machine.ok("tare", args).out
    };
    let erofs = show("erofs");
    assert!(erofs.contains("/opt/tool/state"), "{erofs}");
    assert_eq!(erofs, show("directory"));
}

#[test]
fn a_limit_below_the_least_is_refused() {
    let machine = Machine::new();
    let refused = machine.any("tare", ["run", "--rm", "-m", "5m", BASE, "true"]);
    assert_eq!(refused.status.code(), Some(125));
    let error = String::from_utf8_lossy(&refused.stderr);
    assert!(error.contains("memory") && error.contains('6'), "{error}");
}
