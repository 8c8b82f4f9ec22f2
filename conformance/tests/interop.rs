//! Our images under others' tools, and others' images under ours: skopeo, umoci, podman,
//! oci-image-tool, runc, crun.

use std::path::PathBuf;

use conformance::{Machine, mounts_below};

const DOCKERFILE: &str = "\
FROM busybox:base
RUN mkdir /data && echo one > /data/one && echo two > /data/two && ln /data/one /data/link
RUN rm /data/two && echo > /data/own && chown 1000:1001 /data/own && mkfifo /data/pipe
COPY --chown=app:app --chmod=640 file /data/file
USER app
WORKDIR /data
ENV WHERE=\"a place\"
LABEL kind=test
CMD [\"sh\", \"-c\", \"id -u; id -g; pwd; echo $WHERE; cd /data; stat -c '%n %F %a %u:%g %s' *; cat file\"]
";

const NO_MOUNTS: [PathBuf; 0] = [];

fn machine() -> Machine {
    let machine = Machine::new();
    machine.build("app", DOCKERFILE, &[("file", "content\n")]);
    machine
}

/// What the image prints when our own runtime runs it.
fn expected(machine: &Machine) -> String {
    let printed = machine.ok("tare", ["run", "--rm", "app"]).out;
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines[..4], ["1000", "1001", "/data", "a place"], "{printed}");
    assert!(!printed.contains("two"), "{printed}");
    assert!(printed.ends_with("content"), "{printed}");
    printed
}

#[test]
fn the_validator_accepts_the_store() {
    let machine = machine();
    machine
        .sh("oci-image-tool validate --type image --ref name=docker.io/library/app:latest store");
}

#[test]
fn skopeo_copies_out_and_back_with_the_same_digest() {
    let machine = machine();
    machine.sh(
        "keep=--preserve-digests    # or skopeo compresses
         skopeo copy -q $keep oci:store:docker.io/library/app:latest oci:other:app
         skopeo copy -q $keep oci:other:app oci:store:docker.io/library/back:latest
         test $(tare-store inspect --raw app | sha256sum | cut -c-64) = \
              $(skopeo inspect --raw oci:store:docker.io/library/back:latest | sha256sum | cut -c-64)",
    );
    assert_eq!(machine.ok("tare", ["run", "--rm", "back"]).out, expected(&machine));
}

/// skopeo writes an image under a bare name, compressed; it runs under that name.
#[test]
fn an_image_that_others_put_into_the_store_runs() {
    let machine = machine();
    machine.sh("skopeo copy -q oci:store:docker.io/library/app:latest dir:plain
         skopeo copy -q --dest-compress dir:plain dir:packed
         skopeo copy -q dir:packed oci:store:packed");
    assert_eq!(machine.ok("tare", ["run", "--rm", "packed"]).out, expected(&machine));
}

#[test]
fn umoci_unpacks_what_we_show() {
    let machine = machine();
    machine.sh(
        "skopeo copy -q oci:store:docker.io/library/app:latest oci:other:app
         umoci unpack --image other:app umoci-bundle
         tare-store bundle app tare-bundle
         list() { cd $1/rootfs; find . -printf '%P %y %m %U:%G %s %l %n\\n' | grep -v '^ ' | sort; cd ../..; }
         list umoci-bundle > umoci.list; list tare-bundle > tare.list
         sed -i -E 's/( d [0-9]+ [0-9:]+) [0-9]+ /\\1 /; s/( d .*) [0-9]+$/\\1/' umoci.list tare.list
         tare-store unbundle tare-bundle
         diff umoci.list tare.list",
    );
}

/// A directory that we unpack, somebody changes and we commit is the same where umoci unpacks the new image; and
/// what umoci unpacked is taken, too.
#[test]
fn umoci_unpacks_what_we_commit_of_a_directory() {
    let machine = machine();
    machine.sh(
        "tare-store unpack app files
         cd files/data
         echo more >> one; rm own; mkdir -p new/deep; echo x > new/deep/x; ln new/deep/x new/y; chmod 600 file
         chown 7:8 pipe; rm ../bin/sh; ln -s busybox ../bin/sh; setfattr -n user.a -v b file; mknod null c 1 3
         cd ../..; rm -r files/tmp; echo a file > files/tmp
         tare-store commit files changed
         skopeo copy -q oci:store:docker.io/library/changed:latest oci:other:changed
         umoci unpack --image other:changed umoci-bundle
         list() { cd $1; find . -printf '%P %y %m %U:%G %s %l %n %T@\\n' | sort; cd $OLDPWD; }
         list umoci-bundle/rootfs > umoci.list; list files > our.list
         sed -i -E 's/^( d [0-9]+ [0-9:]+) [0-9]+ /\\1 /; s/^(.* d [0-9]+ [0-9:]+) [0-9]+ +[0-9]+ /\\1 /' umoci.list our.list
         diff umoci.list our.list
         diff -r --no-dereference --exclude pipe --exclude null umoci-bundle/rootfs files
         getfattr --only-values -n user.a umoci-bundle/rootfs/data/file | grep -qx b
         if tare-store commit umoci-bundle again 2> err; then exit 9; fi; grep -q 'bundle of umoci' err
         rm umoci-bundle/rootfs/data/null
         tare-store commit --base changed umoci-bundle/rootfs again
         tare-store diff --files changed again > diff.list; test \"$(sed -E 's/ +/ /g' diff.list)\" = 'D /data/null'",
    );
}

/// umoci changes our image; the change is there when we run the result.
#[test]
fn umoci_adds_a_layer_to_our_image() {
    let machine = machine();
    machine.sh("skopeo copy -q oci:store:docker.io/library/app:latest oci:other:app
         echo inserted > new.txt
         umoci insert --image other:app --tag changed new.txt /data/new.txt
         umoci config --image other:changed --config.cmd cat --config.cmd /data/new.txt
         skopeo copy -q oci:other:changed oci:store:changed");
    assert_eq!(machine.ok("tare", ["run", "--rm", "changed"]).out, "inserted");
}

#[test]
fn podman_runs_our_image() {
    let machine = machine();
    let printed = machine.sh(
        "cleanup() { podman --root $PWD/podman --runroot $PWD/podman-run rmi -af >/dev/null 2>&1 || true; umount podman/overlay 2>/dev/null || true; }
         trap cleanup EXIT
         podman --root $PWD/podman --runroot $PWD/podman-run pull -q oci:store:docker.io/library/app:latest > id
         podman --root $PWD/podman --runroot $PWD/podman-run --cgroup-manager cgroupfs --runtime runc \
             run --rm --network host --ulimit nofile=512:512 --ulimit nproc=512:512 --security-opt label=disable $(tail -n 1 id)",
    );
    assert_eq!(printed.out, expected(&machine));
}

#[test]
fn other_runtimes_run_our_bundle() {
    let machine = machine();
    let expected = expected(&machine);
    let id = format!("interop-{}", std::process::id());
    for runtime in [
        "runc",
        // crun refuses the layout in which cgroup v1 and v2 are both mounted.
        "unshare --mount sh -c 'umount /sys/fs/cgroup/unified 2>/dev/null; exec crun \"$@\"' crun",
        "tare-runtime",
    ] {
        let printed = machine.sh(&format!(
            "tare-store bundle app b
             {runtime} --root $PWD/state run --bundle b {id}
             tare-store unbundle b"
        ));
        assert_eq!(printed.out, expected, "{runtime}");
    }
    assert_eq!(mounts_below(&machine.path("")), NO_MOUNTS);
}

/// Steps that another runtime ran give the same image.
#[test]
fn a_build_may_use_another_runtime() {
    let machine = Machine::new();
    machine.write("app/Dockerfile", "FROM busybox:base\nRUN echo $((6 * 7)) > /answer\n");
    let env = "SOURCE_DATE_EPOCH=1700000000 tare-build -q --no-cache";
    let ours = machine.sh(&format!("{env} app")).out;
    let theirs = machine.sh(&format!("{env} --runtime runc app")).out;
    assert_eq!(ours, theirs);
}

/// The same Dockerfile by buildah and by us: the same files.
#[test]
fn buildah_builds_the_same_files() {
    let machine = machine();
    machine.sh(
        "b() { buildah --root $PWD/buildah --runroot $PWD/buildah-run \"$@\"; }
         cleanup() { b rmi -af >/dev/null 2>&1 || true; umount buildah/overlay 2>/dev/null || true; }
         trap cleanup EXIT
         b pull -q oci:store:docker.io/library/busybox:base > pulled
         sed \"s|^FROM .*|FROM $(tail -n 1 pulled)|\" app/Dockerfile > app/Dockerfile.buildah
         b build -q --isolation chroot --network host -f app/Dockerfile.buildah -t theirs app
         b push -q theirs oci:theirs:app
         umoci unpack --image theirs:app theirs-bundle
         tare-store bundle app ours-bundle
         list() { cd $1/rootfs; find . -printf '%P %y %m %U:%G %s %l %n\\n' | grep -vE '^( |dev|proc|sys|run|etc/(hosts|resolv.conf|hostname))' | sort; cd ../..; }
         list theirs-bundle > theirs.list; list ours-bundle > ours.list
         sed -i -E 's/( d [0-9]+ [0-9:]+) [0-9]+ /\\1 /; s/( d .*) [0-9]+$/\\1/' theirs.list ours.list
         tare-store unbundle ours-bundle
         diff theirs.list ours.list",
    );
}
