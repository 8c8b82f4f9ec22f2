//! `ADD` and contexts from git repositories: which commit, which files, and what a repository cannot do.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod machine;
mod repository;
mod server;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use machine::{FileInLayer, Machine};
use repository::{Repositories, git};
use server::{Page, Server};

/// The files that `ADD FLAGS URL /x` puts into an empty image, by path below it.
fn added(machine: &Machine, flags: &str, url: &str) -> Vec<FileInLayer> {
    let image = machine.built(&format!("FROM scratch\nADD {flags} {url} /x\n"), &[]);
    let mut files = machine.layer(&machine.layers(&image)[0]);
    files.remove(0);
    let inside = |path: &str| path.strip_prefix("x/").unwrap().trim_end_matches('/').to_owned();
    files.iter_mut().for_each(|file| file.path = inside(&file.path));
    files
}

fn paths(files: &[FileInLayer]) -> String {
    files.iter().map(|file| &*file.path).collect::<Vec<_>>().join(" ")
}

fn text(files: &[FileInLayer], path: &str) -> String {
    let file = files.iter().find(|file| file.path == path).unwrap();
    String::from_utf8(file.content.clone()).unwrap()
}

#[test]
fn refs_commits_and_directories() {
    let (machine, repositories) = (Machine::empty(), Repositories::start());
    let path = repositories.sample("a.git");
    let first = git(&path, &["rev-parse", "light"]);
    let url = repositories.url("a.git");
    for (rest, want, content) in [
        ("", "file", "two\n"),
        ("#main", "file", "two\n"),
        ("#v1", "file", "one\n"),
        ("#refs/tags/v1", "file", "one\n"),
        ("?tag=light", "file", "one\n"),
        (&*format!("#{first}"), "file", "one\n"),
        ("#side", "file sub sub/deep sub/deep/file", "one\n"),
        ("?branch=side", "file sub sub/deep sub/deep/file", "one\n"),
        ("#pull/7/head", "file sub sub/deep sub/deep/file", "one\n"),
        ("#refs/pull/7/head:sub/deep", "file", "side\n"),
        ("?ref=side&subdir=/sub/deep/", "file", "side\n"),
        ("#side:sub/./deep", "file", "side\n"),
    ] {
        let files = added(&machine, "", &format!("{url}{rest}"));
        assert_eq!((&*paths(&files), &*text(&files, "file")), (want, content), "{rest}");
    }
    machine.assert_clean();
}

#[test]
fn modes_owners_and_times_are_the_commits() {
    let (machine, repositories) = (Machine::empty(), Repositories::start());
    let path = repositories.empty("a");
    fs::write(path.join("run"), "#!").unwrap();
    fs::set_permissions(path.join("run"), fs::Permissions::from_mode(0o700)).unwrap();
    symlink("run", path.join("link")).unwrap();
    fs::create_dir(path.join("dir")).unwrap();
    repositories.commit("a", "dir/plain", "x");
    let files = added(&machine, "", &repositories.url("a"));
    let modes: Vec<(&str, u32)> = files.iter().map(|file| (&*file.path, file.mode)).collect();
    let want = [("dir", 0o755), ("dir/plain", 0o644), ("link", 0o777), ("run", 0o755)];
    assert_eq!(modes, want);
    assert!(files.iter().all(|file| file.owner == (0, 0) && file.mtime == 1_000_000_000));
    let files = added(&machine, "--chown=3:4 --chmod=600 --exclude=dir", &repositories.url("a"));
    assert_eq!((&*paths(&files), files[1].mode, files[1].owner), ("link run", 0o600, (3, 4)));
}

#[test]
fn the_commit_is_the_key() {
    let (machine, repositories) = (Machine::empty(), Repositories::start());
    repositories.sample("a.git");
    let text = format!("FROM scratch\nADD {} /x\n", repositories.url("a.git"));
    let image = machine.built(&text, &[]);
    let again = machine.build(&text, &[]);
    assert_eq!((again.out.trim_end(), again.cached()), (&*image, 1), "{}", again.err);
    let anew = machine.built(&text, &["--no-cache"]);
    assert_eq!(machine.layers(&anew), machine.layers(&image), "the same commit, the same layer");
    repositories.commit("a.git", "file", "three\n");
    let changed = machine.build(&text, &[]);
    assert_eq!((changed.code, changed.cached()), (Some(0), 0), "{}", changed.err);
    assert_ne!(changed.out.trim_end(), image);
}

#[test]
fn checksums_are_commits() {
    let (machine, repositories) = (Machine::empty(), Repositories::start());
    let path = repositories.sample("a.git");
    let commit = git(&path, &["rev-parse", "v1^{commit}"]);
    let tag = git(&path, &["rev-parse", "v1"]);
    let url = repositories.url("a.git");
    for flags in [&commit, &tag, &commit[..7]] {
        let flags = format!("--checksum={flags}");
        assert_eq!(text(&added(&machine, &flags, &format!("{url}#v1")), "file"), "one\n");
    }
    assert_eq!(text(&added(&machine, "", &format!("{url}?commit={commit}")), "file"), "one\n");
    for (flags, rest, words) in [
        (format!("--checksum={commit}"), "#main".to_owned(), "checksum does not match"),
        (String::new(), format!("?ref=main&checksum={commit}"), "checksum does not match"),
        ("--checksum=abc".to_owned(), "?commit=def".to_owned(), "contradicts"),
        ("--checksum=sha256:12".to_owned(), String::new(), "not the name of a commit"),
    ] {
        let said = machine.build(&format!("FROM scratch\nADD {flags} {url}{rest} /x\n"), &[]);
        said.refused(&["Dockerfile:2", words]);
    }
}

#[test]
fn the_git_directory_is_kept_when_asked_for() {
    let (machine, repositories) = (Machine::empty(), Repositories::start());
    repositories.sample("a.git");
    let url = repositories.url("a.git");
    assert!(!paths(&added(&machine, "", &url)).contains(".git"));
    for (flags, rest) in [("--keep-git-dir", "#side"), ("", "?branch=side&keep-git-dir=1")] {
        let files = added(&machine, flags, &format!("{url}{rest}"));
        assert!(text(&files, ".git/config").contains(&format!("url = {url}")));
        assert!(files.iter().any(|file| file.path == ".git/refs/heads/side"));
        assert!(!files.iter().any(|file| file.path == ".git/FETCH_HEAD"));
        let checkout = machine.path("checkout");
        files.iter().filter(|file| !file.content.is_empty()).for_each(|file| {
            let path = checkout.join(&file.path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, &file.content).unwrap();
        });
        fs::create_dir_all(checkout.join(".git/refs")).unwrap();
        assert_eq!(git(&checkout, &["status", "--porcelain"]), "");
        fs::remove_dir_all(checkout).unwrap();
    }
    let said = machine.build(
        &format!("FROM scratch\nADD --keep-git-dir=false {url}?keep-git-dir=true /x\n"),
        &[],
    );
    said.refused(&["Dockerfile:2", "contradicts"]);
}

#[test]
fn submodules_come_along() {
    let (machine, repositories) = (Machine::empty(), Repositories::start());
    repositories.sample("inner.git");
    repositories.sample("middle.git");
    let add = |to: &str, url: &str, at: &str| {
        git(&repositories.path(to), &["submodule", "--quiet", "add", url, at]);
        repositories.commit_all(to);
    };
    add("middle.git", &repositories.url("inner.git"), "in");
    let outer = repositories.sample("outer.git");
    add("outer.git", &repositories.url("middle.git"), "lib/mid");
    // Relative to where the outer one is.
    let modules = fs::read_to_string(outer.join(".gitmodules")).unwrap();
    let relative = modules.replace(&repositories.url(""), "../");
    repositories.commit("outer.git", ".gitmodules", &relative);
    let url = repositories.url("outer.git");
    let files = added(&machine, "", &url);
    let want =
        ".gitmodules file lib lib/mid lib/mid/.gitmodules lib/mid/file lib/mid/in lib/mid/in/file";
    assert_eq!(paths(&files), want);
    let files = added(&machine, "", &format!("{url}?submodules=false"));
    assert_eq!(paths(&files), ".gitmodules file lib lib/mid");
    machine.assert_clean();
}

#[test]
fn repositories_of_plain_files_and_behind_logins() {
    let (machine, repositories) = (Machine::empty(), Repositories::start());
    let path = repositories.sample("a");
    git(&path, &["clone", "--quiet", "--bare", ".", "../bare.git"]);
    let bare = repositories.path("bare.git");
    git(&bare, &["update-server-info"]);
    let server = Server::start();
    serve(&server, &bare, "/bare.git");
    let url = server.url("/bare.git").replace("http://", "http://user:hunter2@");
    let said = machine.build(&format!("FROM scratch\nADD {url}#v1 /x\n"), &["--progress=plain"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let logins = server.requests();
    assert!(logins.iter().all(|request| !request.line.contains("hunter2")));
    let kept = machine.build(&format!("FROM scratch\nADD --keep-git-dir {url}#v1 /x\n"), &[]);
    assert_eq!(kept.code, Some(0), "{}", kept.err);
    let failed = machine.build(&format!("FROM scratch\nADD {url}#none /x\n"), &[]);
    failed.refused(&["Dockerfile:2", "no such ref"]);
    for said in [said, kept, failed] {
        assert!(!said.err.contains("hunter2"), "{}", said.err);
    }
    let grep = std::process::Command::new("grep")
        .args(["-r", "-l", "-a", "hunter2"])
        .arg(machine.path("store"))
        .output();
    assert_eq!(String::from_utf8_lossy(&grep.unwrap().stdout), "", "in the store");
}

/// Serves a folder's files as they are.
fn serve(server: &Server, folder: &Path, at: &str) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{at}/{}", entry.file_name().to_str().unwrap());
        match entry.file_type().unwrap().is_dir() {
            true => serve(server, &entry.path(), &name),
            false => {
                let page = Page::of(fs::read(entry.path()).unwrap());
                server.put(&format!("{name}?service=git-upload-pack"), page.clone());
                server.put(&name, page);
            }
        }
    }
}

#[test]
fn nothing_outside_is_read_or_written() {
    let (machine, repositories) = (Machine::empty(), Repositories::start());
    let path = repositories.empty("a");
    fs::write(machine.path("secret"), "secret").unwrap();
    symlink(machine.path(""), path.join("out")).unwrap();
    symlink("../../../../..", path.join("up")).unwrap();
    symlink("/etc/passwd", path.join("passwd")).unwrap();
    symlink("real", path.join("inside")).unwrap();
    repositories.commit("a", "real/file", "x");
    let url = repositories.url("a");
    let files = added(&machine, "", &url);
    assert_eq!(paths(&files), "inside out passwd real real/file up");
    assert_eq!(paths(&added(&machine, "", &format!("{url}#:inside"))), "file");
    // Above the root there is nothing but the root.
    assert_eq!(paths(&added(&machine, "", &format!("{url}#:up"))), paths(&files));
    for subdir in ["out", "up/etc", "../..", "real/../..", "passwd", "none", "real/file"] {
        let said = machine.build(&format!("FROM scratch\nADD {url}#:{subdir} /x\n"), &[]);
        said.refused(&["Dockerfile:2", "no such directory"]);
    }
    machine.assert_clean();
}

#[test]
fn what_git_would_take_for_something_else() {
    let (machine, repositories) = (Machine::empty(), Repositories::start());
    repositories.sample("a");
    let mark = machine.path("mark");
    let touch = format!("touch {}", mark.display());
    let url = repositories.url("a");
    for source in [
        format!("{url}#--upload-pack={}", touch.replace(' ', "${IFS}")),
        format!("{url}#-x"),
        "ssh://-oProxyCommand=true/x".to_owned(),
        "git://127.0.0.1:1/a#main".to_owned(),
        format!("{url}?what=1"),
    ] {
        let said = machine.build(&format!("FROM scratch\nADD [\"{source}\", \"/x\"]\n"), &[]);
        assert_eq!(said.code, Some(1), "{source}: {}", said.err);
    }
    let modules = |url: &str| format!("[submodule \"m\"]\n\tpath = m\n\turl = {url}\n");
    let commit = git(&repositories.path("a"), &["rev-parse", "HEAD"]);
    for bad in [
        format!("ext::sh -c {touch}"),
        format!("--upload-pack={touch}"),
        repositories.path("a").display().to_string(),
        format!("file://{}", repositories.path("a").display()),
    ] {
        let path = repositories.path("a");
        fs::write(path.join(".gitmodules"), modules(&bad)).unwrap();
        git(&path, &["add", ".gitmodules"]);
        let entry = format!("160000,{commit},m");
        git(&path, &["update-index", "--add", "--cacheinfo", &entry]);
        git(&path, &["commit", "-q", "--allow-empty", "-m", "bad"]);
        let said = machine.build(&format!("FROM scratch\nADD {url} /x\n"), &[]);
        assert_eq!(said.code, Some(1), "{bad}");
        assert!(said.err.contains("submodule") || said.err.contains("not allowed"), "{}", said.err);
    }
    assert!(!mark.exists());
    machine.assert_clean();
}

#[test]
fn hooks_filters_and_the_users_configuration_do_nothing() {
    let (machine, repositories) = (Machine::empty(), Repositories::start());
    repositories.empty("a");
    let mark = machine.path("mark");
    repositories.commit("a", ".gitattributes", "* filter=bad\n");
    repositories.commit("a", "file", "x");
    let home = machine.path("home");
    fs::create_dir_all(home.join("hooks")).unwrap();
    let bad = format!("touch {}", mark.display());
    let config = format!(
        "[filter \"bad\"]\n\tsmudge = {bad}\n[core]\n\thooksPath = {}\n[url \"git://127.0.0.1:1/\"]\n\tinsteadOf = git://\n",
        home.join("hooks").display()
    );
    fs::write(home.join(".gitconfig"), config).unwrap();
    let hook = home.join("hooks/post-checkout");
    fs::write(&hook, format!("#!/bin/sh\n{bad}\n")).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    machine.file("Dockerfile", format!("FROM scratch\nADD {} /x\n", repositories.url("a")));
    let mut command = machine.command("tare-build");
    command.arg("ctx").env("HOME", &home).env("GIT_DIR", "/nonexistent");
    let said = machine::Said::new(&command.output().unwrap());
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(!mark.exists());
}

#[test]
fn ssh_is_spoken_by_the_ssh_program() {
    let (machine, repositories) = (Machine::empty(), Repositories::start());
    repositories.sample("a.git");
    // An ssh that stays here, and writes down how it was called.
    let folder = machine.path("bin");
    fs::create_dir(&folder).unwrap();
    let script = "#!/bin/sh\necho \"$SSH_AUTH_SOCK:$*\" >> \"${0%/*}/calls\"\nshift $(($# - 1))\nexec sh -c \"$1\"\n";
    fs::write(folder.join("ssh"), script).unwrap();
    fs::set_permissions(folder.join("ssh"), fs::Permissions::from_mode(0o755)).unwrap();
    let url = format!("git@example.com:{}", repositories.path("a.git").display());
    machine.file("Dockerfile", format!("FROM scratch\nADD {url}#v1 /x\n"));
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", folder.display());
    let mut command = machine.command("tare-build");
    command.arg("ctx").env("PATH", path).env("SSH_AUTH_SOCK", "/agent");
    let said = machine::Said::new(&command.output().unwrap());
    assert_eq!(said.code, Some(0), "{}", said.err);
    let calls = fs::read_to_string(folder.join("calls")).unwrap();
    assert!(calls.lines().all(|line| line.starts_with(":-F /dev/null")), "no agent: {calls}");
    assert!(calls.contains("BatchMode=yes"));
}
