//! `tare-store save`, `load` and `export` beside skopeo, podman, umoci and tar.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs::File;
use std::process::Stdio;

use support::{World, said, sh};

/// The digest of the manifest that has this name in a store.
fn digest(world: &World, store: &str, name: &str) -> String {
    sh(
        world,
        &format!(
            "printf sha256:; tare-store --store {store} inspect --raw {name} | sha256sum | cut -c-64"
        ),
    )
}

#[test]
fn both_kinds_go_round_through_pipes_with_their_digests() {
    let world = World::with_image();
    let before = digest(&world, "store", "box");
    for format in ["docker-archive", "oci-archive"] {
        for filter in ["cat", "gzip -1", "zstd -q -1"] {
            let said = sh(
                &world,
                &format!(
                    "rm -rf other; tare-store save -q --format {format} box | {filter} \
                     | tare-store --store other load -q; tare-store --store other ls"
                ),
            );
            assert!(said.starts_with(&before) && said.contains("box"), "{said}");
            assert_eq!(digest(&world, "other", "box"), before);
        }
    }
    // The same images, the same bytes.
    sh(&world, "tare-store save -q -o a.tar box; tare-store save -q -o b.tar box; cmp a.tar b.tar");
}

#[test]
fn skopeo_reads_both_kinds() {
    let world = World::with_image();
    let before = digest(&world, "store", "box");
    sh(
        &world,
        "tare-store save -q -o docker.tar box
         tare-store save -q -o oci.tar --format oci-archive box
         skopeo inspect docker-archive:docker.tar | grep -q 'linux'
         skopeo copy -q docker-archive:docker.tar:docker.io/library/box:latest dir:from-docker
         skopeo copy -q --preserve-digests oci-archive:oci.tar:docker.io/library/box:latest oci:from-oci:box
         skopeo copy -q --preserve-digests oci-archive:docker.tar:docker.io/library/box:latest oci:from-both:box",
    );
    for layout in ["from-oci", "from-both"] {
        let found = sh(
            &world,
            &format!(
                "printf sha256:; skopeo inspect --raw oci:{layout}:box | sha256sum | cut -c-64"
            ),
        );
        assert_eq!(found, before);
    }
}

#[test]
fn archives_of_skopeo_are_loaded() {
    let world = World::with_image();
    let image = "oci:store:docker.io/library/box:latest";
    sh(
        &world,
        &format!(
            "skopeo copy -q {image} docker-archive:docker.tar:team/box:1
             skopeo copy -q --preserve-digests {image} oci-archive:oci.tar:team/box:2
             skopeo copy -q {image} oci-archive:bare.tar"
        ),
    );
    sh(&world, "tare-store load -q -i docker.tar; tare-store load -q -i oci.tar");
    assert_eq!(digest(&world, "store", "team/box:2"), digest(&world, "store", "box"));
    // Docker's archive has no manifest to keep, but the same configuration and layers.
    let config = |name: &str| sh(&world, &format!("tare-store inspect --config --raw {name}"));
    assert_eq!(config("team/box:1"), config("box"));
    // Without a name in it, and with one that is given.
    let bare = sh(&world, "tare-store load -q -i bare.tar");
    assert!(sh(&world, "tare-store ls --digests").contains(&bare));
    sh(
        &world,
        "tare-store load -q -i bare.tar named:1; tare-store export -q named:1 | tar -tf - bin/busybox",
    );
}

#[test]
fn podman_loads_what_is_saved_and_saves_what_is_loaded() {
    let world = World::with_image();
    let podman = "podman --root podman/root --runroot podman/run --storage-driver vfs";
    sh(
        &world,
        &format!(
            "tare-store save -q -o docker.tar box
             {podman} load -q -i docker.tar
             {podman} save -q --format docker-archive -o back.tar docker.io/library/box:latest
             {podman} save -q --format oci-archive -o oci.tar docker.io/library/box:latest
             tare-store --store other load -q -i back.tar
             tare-store --store another load -q -i oci.tar"
        ),
    );
    for store in ["other", "another"] {
        let files =
            sh(&world, &format!("tare-store --store {store} export -q box | tar -xOf - etc/motd"));
        assert_eq!(files, "welcome");
    }
}

#[test]
fn umoci_unpacks_an_oci_archive() {
    let world = World::with_image();
    sh(
        &world,
        "tare-store save -q --format oci-archive -o oci.tar box
         mkdir layout; tar -C layout -xf oci.tar
         umoci unpack --rootless --image layout:docker.io/library/box:latest bundle 2>/dev/null
         grep -q welcome bundle/rootfs/etc/motd",
    );
}

#[test]
fn several_images_share_their_layers() {
    let world = World::with_image();
    sh(&world, "tare-store tag box second:2");
    let tar = world.path("image.tar");
    world.ok(&["import", "-q", "-c", "ENV A=1", tar.to_str().unwrap(), "third"]);
    let said = sh(
        &world,
        "tare-store save -q -o all.tar box second:2 third
         tar -tf all.tar | sort | uniq -d
         tar -tf all.tar | grep -c ^blobs/sha256/.
         tar -xOf all.tar manifest.json",
    );
    let mut lines = said.lines();
    // The digests, no file twice: two manifests, two configurations, one layer.
    assert!(lines.by_ref().take(2).all(|line| line.starts_with("sha256:")), "{said}");
    assert_eq!(lines.next(), Some("5"));
    let manifest: serde_json::Value = serde_json::from_str(lines.next().unwrap()).unwrap();
    assert_eq!(manifest[0]["RepoTags"], serde_json::json!(["box:latest", "second:2"]));
    sh(&world, "tare-store --store other load -q -i all.tar");
    let names = sh(&world, "tare-store --store other ls");
    assert!(["box", "second", "third"].iter().all(|name| names.contains(name)), "{names}");
}

#[test]
fn layers_are_compressed_where_that_is_asked_for() {
    let world = World::with_image();
    for (compression, magic) in [("gzip", "1f8b"), ("zstd", "28b5")] {
        let said = sh(
            &world,
            &format!(
                "tare-store save -q --compression {compression} -o x.tar box >/dev/null
                 layer=$(tar -xOf x.tar manifest.json | grep -o 'Layers\":\\[\"[^\"]*' | cut -d'\"' -f3)
                 tar -xOf x.tar $layer | head -c2 | od -An -tx1 | tr -d ' '
                 rm -rf other; tare-store --store other load -q -i x.tar
                 tare-store --store other export -q box | tar -xOf - etc/motd"
            ),
        );
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!((lines[0], lines[2]), (magic, "welcome"), "{said}");
    }
}

#[test]
fn an_exported_root_is_the_fold_of_its_layers() {
    let world = World::new();
    // Two layers by skopeo's kind of archive: the second removes, replaces and links.
    sh(
        &world,
        "mkdir -p one/dir one/gone two/dir
         echo old > one/dir/file; echo kept > one/kept; echo x > one/gone/x
         ln -s kept one/link; mkfifo one/pipe
         echo new > two/dir/file; touch two/.wh.gone; ln two/dir/file two/hard
         flags='--sort=name --mtime=@1000000000 --owner=7 --group=8 --numeric-owner'
         tar $flags -C one -cf 1.tar .; tar $flags -C two -cf 2.tar .
         ids=$(for n in 1 2; do printf '\"sha256:%s\",' $(sha256sum $n.tar | cut -c-64); done)
         printf '{\"os\":\"linux\",\"architecture\":\"amd64\",\"config\":{},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[%s]}}' ${ids%,} > c.json
         printf '[{\"Config\":\"c.json\",\"RepoTags\":[\"two:1\"],\"Layers\":[\"1.tar\",\"2.tar\"]}]' > manifest.json
         tar -cf docker.tar manifest.json c.json 1.tar 2.tar
         tare-store load -q -i docker.tar
         tare-store export -q -o root.tar two:1
         mkdir root; tar -C root --same-owner -xpf root.tar",
    );
    let listed = sh(
        &world,
        "cd root; find . -printf '%y %m %U:%G %T@ %n %P %l\\n' | grep -v '^d' | sort -k6",
    );
    let stamp = "1000000000.0000000000";
    assert_eq!(
        listed,
        format!(
            "f 644 7:8 {stamp} 2 dir/file \nf 644 7:8 {stamp} 2 hard \nf 644 7:8 {stamp} 1 kept \n\
             l 777 7:8 {stamp} 1 link kept\np 644 7:8 {stamp} 1 pipe"
        )
    );
    assert_eq!(sh(&world, "cat root/hard; test ! -e root/gone && echo ok"), "new\nok");
    // And it is an image again.
    sh(
        &world,
        "tare-store export -q two:1 | tare-store import -q - again; tare-store export -q again | cmp - root.tar",
    );
}

/// What loading an archive ends in: an error, and no name.
fn refused(world: &World, script: &str, want: &str) {
    // What the last one left would make the next one whole.
    sh(world, "tare-store gc 2>/dev/null");
    sh(world, &format!("rm -rf bad && mkdir bad && cd bad && {script}"));
    let mut command = world.command(&["load", "-q", "-i", "bad/x.tar"]);
    let said = said(command.current_dir(world.path("")).output().unwrap());
    assert_eq!((said.code, said.out.as_str()), (1, ""), "{script}");
    assert!(said.err.contains(want), "{script}: {}", said.err);
    assert!(said.err.starts_with("tare-store: error: cannot load bad/x.tar\n"), "{}", said.err);
    let left = std::fs::read_dir(world.path("store/tare/tmp")).unwrap().count();
    assert_eq!((world.ok(&["ls", "-q"]).as_str(), left), ("", 0));
}

#[test]
fn bad_archives_are_refused() {
    let world = World::with_image();
    sh(
        &world,
        "tare-store save -q -o good.tar box; mkdir good; tar -C good -xf good.tar; tare-store rm box; tare-store gc 2>/dev/null",
    );
    let config = "$(grep -o 'Config\":\"[^\"]*' manifest.json | cut -d'\"' -f3)";
    let layer = "$(grep -o 'Layers\":\\[\"[^\"]*' manifest.json | cut -d'\"' -f3)";
    refused(
        &world,
        "head -c 100000 ../good.tar > x.tar",
        "the archive ends in the middle of blobs/sha256/",
    );
    refused(&world, "seq 1 9999 > x.tar", "it is no tar archive");
    refused(&world, ": > x.tar", "this is no archive of images");
    refused(&world, "echo > y; tar -cf x.tar y", "neither index.json nor manifest.json");
    let with = |change: &str| format!("cp -r ../good/. . && {change} && tar -cf x.tar *");
    refused(
        &world,
        &with(&format!("printf x | dd of={layer} bs=1 seek=700 conv=notrunc 2>/dev/null")),
        "what was received is not sha256:",
    );
    refused(&world, &with(&format!("rm {layer}")), "is missing from the store");
    refused(&world, &with(&format!("rm {config}")), "is missing from the store");
    refused(&world, &with("echo '{' > index.json"), "cannot understand index.json of the archive");
    refused(
        &world,
        &with("echo '{\"schemaVersion\":2,\"manifests\":[]}' > index.json"),
        "the archive has no images",
    );
    let legacy = |change: &str| with(&format!("rm index.json && {change}"));
    refused(
        &world,
        &legacy(&format!("rm {layer}")),
        "the archive is not whole: it names blobs/sha256/",
    );
    refused(
        &world,
        &legacy(&format!(
            "mv {layer} l && printf x | dd of=l bs=1 seek=700 conv=notrunc 2>/dev/null && sed -i 's,Layers\":..[^\"]*,Layers\":[\"l,' manifest.json"
        )),
        "but the image configuration says",
    );
    refused(
        &world,
        &legacy("sed -i 's,Layers\":..[^]]*,Layers\":[,' manifest.json"),
        "has 0 layers, not 1",
    );
    refused(
        &world,
        &legacy("echo '[{\"Config\":\"../../../etc/passwd\"}]' > manifest.json"),
        "no such file",
    );
    refused(
        &world,
        &legacy("ln -s /etc/passwd c && echo '[{\"Config\":\"c\"}]' > manifest.json"),
        "no such file",
    );
    refused(
        &world,
        &legacy("ln -s d c && ln -s c d && echo '[{\"Config\":\"c\"}]' > manifest.json"),
        "no such file",
    );
}

#[test]
fn a_destination_that_cannot_be_written_leaves_what_was_there() {
    let world = World::with_image();
    let full = world.run(&["save", "-q", "-o", "/dev/full", "box"]);
    assert_eq!(full.code, 1);
    assert!(
        full.err.contains("cannot save box") && full.err.contains("No space left"),
        "{}",
        full.err
    );
    let nowhere = world.run(&["export", "-q", "-o", "/nowhere/x.tar", "box"]);
    assert!(nowhere.err.contains("cannot write /nowhere/x.tar"), "{}", nowhere.err);
    // A damaged layer shows before the archive has its name.
    let layer = std::fs::read_dir(world.path("store/blobs/sha256")).unwrap();
    let largest = layer.map(|it| it.unwrap().path()).max_by_key(|it| it.metadata().unwrap().len());
    let path = largest.unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100_000] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let output = world.path("x.tar");
    std::fs::write(&output, "old").unwrap();
    let damaged = world.run(&["save", "-q", "-o", output.to_str().unwrap(), "box"]);
    assert!(damaged.err.contains("is corrupt"), "{}", damaged.err);
    assert_eq!(std::fs::read_to_string(&output).unwrap(), "old");
    let names: Vec<_> =
        std::fs::read_dir(world.path("")).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| !name.to_string_lossy().starts_with('.')), "{names:?}");
}

#[test]
fn a_reader_that_goes_is_no_error() {
    let world = World::with_image();
    let mut save = world
        .command(&["save", "-q", "box"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(save.stdout.take());
    let output = save.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn a_name_can_be_given_to_one_image_only() {
    let world = World::with_image();
    let tar = world.path("image.tar");
    world.ok(&["import", "-q", "-c", "ENV A=1", tar.to_str().unwrap(), "other"]);
    sh(&world, "tare-store save -q -o two.tar box other");
    let mut command = world.command(&["load", "-q", "one:1"]);
    let said = said(command.stdin(File::open(world.path("two.tar")).unwrap()).output().unwrap());
    assert_eq!(said.code, 1);
    assert!(
        said.err.contains("standard input has 2 images, and one:1 can name only one"),
        "{}",
        said.err
    );
}
