//! Logging programs, by containerd's `binary://` URIs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::containerd::{Containerd, RUNC, TARE, is_alive, processes, text, until};

/// A program that logs into its folder, and what else it was given; its URI.
fn program(containerd: &Containerd) -> String {
    let folder = containerd.path("logged");
    fs::create_dir(&folder).expect("a folder can be made");
    let script = format!(
        "#!/bin/sh\ncd {}\necho \"$CONTAINER_ID $CONTAINER_NAMESPACE $*\" >> given\n\
         cat <&3 5>&- >> out &\ncat <&4 5>&- >> err &\nexec 5>&-\nwait\necho done >> given\n",
        folder.display()
    );
    let program = write_program(containerd, "log-program", &script);
    format!("binary://{}?--tag=a%20b", program.display())
}

fn write_program(containerd: &Containerd, name: &str, script: &str) -> PathBuf {
    let program = containerd.path(name);
    fs::write(&program, script).expect("a file can be written");
    let executable = fs::Permissions::from_mode(0o755);
    fs::set_permissions(&program, executable).expect("it is ours");
    program
}

fn read(containerd: &Containerd, name: &str) -> String {
    fs::read_to_string(containerd.path("logged").join(name)).unwrap_or_default()
}

/// A container's output arrives, all of it, by the time that the container is deleted.
fn logged(runtime: &str) {
    let containerd = Containerd::new();
    let uri = program(&containerd);
    let script = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; echo err >&2";
    let flags = ["-d", "--log-uri", &uri];
    let output = containerd.run(runtime, &flags, "logged", &["/bin/sh", "-c", script]);
    assert!(output.status.success(), "{}\n{}", text(&output.stderr), containerd.log());
    containerd.wait_for("logged", "STOPPED");
    if runtime != TARE {
        // containerd's own shim ends the program, whatever is still to be read.
        until("all is read", || read(&containerd, "out").lines().count() == 20_000);
    }
    containerd.ok(&["task", "delete", "logged"]);
    assert_eq!(read(&containerd, "out").lines().count(), 20_000);
    assert_eq!(read(&containerd, "err"), "err\n");
    let given = format!("logged {} --tag a b\n", containerd.namespace);
    assert!(read(&containerd, "given").starts_with(&given), "{}", read(&containerd, "given"));
    containerd.ok(&["container", "delete", "logged"]);
    containerd.assert_clean();
}

#[test]
fn output_goes_to_a_program_with_ours() {
    logged(TARE);
}

#[test]
fn output_goes_to_a_program_with_containerds_own() {
    logged(RUNC);
}

#[test]
fn an_exec_logs_too() {
    let containerd = Containerd::new();
    let uri = program(&containerd);
    containerd.detach(TARE, "long", &["/bin/sleep", "1000"]);
    let exec =
        ["task", "exec", "-d", "--log-uri", &uri, "--exec-id", "e", "long", "/bin/echo", "x"];
    containerd.ok(&exec);
    until("the exec's output is logged", || read(&containerd, "out") == "x\n");
    assert!(read(&containerd, "given").starts_with("e "), "{}", read(&containerd, "given"));
}

#[test]
fn a_program_that_is_missing_or_does_not_end_is_dealt_with() {
    let containerd = Containerd::new();
    let uri = "binary:///no/such/program";
    let missing = containerd.run(TARE, &["-d", "--log-uri", uri], "missing", &["/bin/true"]);
    assert!(text(&missing.stderr).contains("/no/such/program"), "{}", text(&missing.stderr));
    containerd.assert_clean();

    let mark = format!("{}", 300_000 + std::process::id());
    let script = format!("#!/bin/sh\nexec 5>&-\nexec sleep {mark}\n");
    let stubborn = write_program(&containerd, "stubborn", &script);
    let uri = format!("binary://{}", stubborn.display());
    let output = containerd.run(TARE, &["-d", "--log-uri", &uri], "stubborn", &["/bin/true"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    containerd.wait_for("stubborn", "STOPPED");
    let logger = processes().find(|(_, line)| line.contains(&mark)).expect("it runs").0;
    containerd.ok(&["task", "delete", "stubborn"]);
    assert!(!is_alive(logger));
    containerd.ok(&["container", "delete", "stubborn"]);
    containerd.assert_clean();
}
