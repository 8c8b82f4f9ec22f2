//! buildah's RUN in an OCI runtime.

use std::path::Path;
use std::process::Command;

use crate::support::{Scratch, ended, over_both};

fn buildah(scratch: &Scratch, runtime: &Path) -> Command {
    let mut command = Command::new("buildah");
    command.arg("--root").arg(scratch.path("root")).arg("--runroot").arg(scratch.path("run"));
    command.args(["bud", "--isolation=oci", "--network=none", "--runtime"]).arg(runtime);
    // Without CAP_SYS_RESOURCE buildah's own limits cannot be raised to.
    command.args(["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"]);
    command.args(["-f"]).arg(scratch.path("Dockerfile")).arg(scratch.path("context"));
    command
}

fn write(scratch: &Scratch, steps: &str) {
    std::fs::create_dir_all(scratch.path("context")).expect("a folder can be made");
    std::fs::copy(scratch.path("base.tar"), scratch.path("context/base.tar")).expect("it is there");
    let text = format!("FROM scratch\nADD base.tar /\n{steps}");
    std::fs::write(scratch.path("Dockerfile"), text).expect("a file can be written");
}

#[test]
fn steps_run() {
    over_both(|runtime| {
        let scratch = Scratch::new();
        write(
            &scratch,
            "RUN chmod 1777 /tmp\nUSER app\nWORKDIR /tmp\nENV A=b\nRUN id -u; pwd; echo $A; echo made > file\nRUN cat file\n",
        );
        let (code, printed) =
            ended(&buildah(&scratch, runtime).output().expect("buildah is installed"));
        assert_eq!(code, 0, "{printed}");
        for line in ["1000\n", "/tmp\n", "b\n", "made\n"] {
            assert!(printed.contains(line), "{line}: {printed}");
        }
    });
}

#[test]
fn a_failing_step_tells_its_end() {
    over_both(|runtime| {
        let scratch = Scratch::new();
        write(&scratch, "RUN exit 7\n");
        let (code, printed) =
            ended(&buildah(&scratch, runtime).output().expect("buildah is installed"));
        assert!(code != 0 && printed.contains("exit status 7"), "{code} {printed}");
        write(&scratch, "RUN [\"nosuch\"]\n");
        let (code, printed) =
            ended(&buildah(&scratch, runtime).output().expect("buildah is installed"));
        assert!(
            code != 0 && printed.contains("executable file not found in $PATH"),
            "{code} {printed}"
        );
    });
}
