//! What the builder asks of parsed instructions: expansion, mounts, ports, stages, triggers, places.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Instant;

use dockerfile::{
    Dockerfile, Expander, Kind, Lines, MAX_INSTRUCTION, MAX_TEXT, Mount, MountKind, MountOptions,
    Problem, Sharing, exposed_ports, parse, parse_trigger,
};

fn file(text: &str) -> Dockerfile {
    parse(text.as_bytes(), "Dockerfile").unwrap()
}

fn lookup(name: &str) -> Option<String> {
    match name {
        "A" => Some("alpha".to_owned()),
        "B" => Some("two words".to_owned()),
        "ID" => Some("1000".to_owned()),
        _ => None,
    }
}

/// The only instruction behind `FROM x`, expanded, as text.
fn expanded(instruction: &str) -> String {
    let file = file(&format!("FROM x\n{instruction}\n"));
    let mut expander = Expander::new(file.escape, &lookup);
    format!("{:?}", file.stages[0].instructions[0].expanded(&mut expander).unwrap())
}

#[test]
fn each_instruction_expands_what_buildkit_expands() {
    for (instruction, expected) in [
        ("USER $ID:${G:-0}", r#"User("1000:0")"#),
        ("WORKDIR /$A/\"$B\"", r#"Workdir("/alpha/two words")"#),
        ("STOPSIGNAL SIG$A", r#"StopSignal("SIGalpha")"#),
        ("EXPOSE 80 $B \"$B\"", r#"Expose(["two words", "two", "words", "80"])"#),
        ("VOLUME /$A [", r#"Volume(["/alpha", "["])"#),
        ("VOLUME [\"/$A\", \"/$B\"]", r#"Volume(["/alpha", "/two words"])"#),
        (
            "ENV $A=$B C='$A'",
            r#"Env([Pair { key: "alpha", value: "two words" }, Pair { key: "C", value: "$A" }])"#,
        ),
        ("ENV OLD a \"$B\"  c", r#"Env([Pair { key: "OLD", value: "a two words  c" }])"#),
        ("LABEL \"$A b\"=c\\ d", r#"Label([Pair { key: "alpha b", value: "c d" }])"#),
        (
            "RUN echo $A",
            r#"Run(Run { line: Shell("echo $A"), heredocs: [], mounts: [], network: Default, security: Sandbox, devices: [] })"#,
        ),
        ("CMD echo $A", r#"Cmd(Shell("echo $A"))"#),
        ("ENTRYPOINT [\"$A\"]", r#"Entrypoint(Exec(["$A"]))"#),
        ("MAINTAINER $A", r#"Maintainer("$A")"#),
        ("SHELL [\"$A\"]", r#"Shell(["$A"])"#),
    ] {
        assert_eq!(expanded(instruction), expected, "{instruction}");
    }
    assert!(expanded("ONBUILD RUN $A").contains("RUN $A"));
    assert!(expanded("HEALTHCHECK CMD $A").contains("Shell(\"$A\")"));
    assert!(expanded("ARG C=$A").contains("default: Some(\"alpha\")"));
}

#[test]
fn copy_and_add_expand_paths_and_flags() {
    let copy = expanded("COPY --chown=$ID --chmod=$A --exclude=$A* --from=b $A \"$B\" '$A' /$A/");
    for part in [
        r#"sources: ["alpha", "two words", "$A"]"#,
        r#"destination: "/alpha/""#,
        r#"chown: Some("1000")"#,
        r#"chmod: Some("alpha")"#,
        r#"exclude: ["$A*"]"#,
        r#"from: Some("b")"#,
    ] {
        assert!(copy.contains(part), "{part} {copy}");
    }
    let add = expanded("ADD --checksum=$A <<X <<'Y' /d\n$A\nX\n$A\nY");
    for part in [
        r#"checksum: Some("alpha")"#,
        r#"InlineFile { name: "X", content: "alpha\n", expand: true }"#,
        r#"InlineFile { name: "Y", content: "$A\n", expand: false }"#,
    ] {
        assert!(add.contains(part), "{part} {add}");
    }
}

#[test]
fn an_expansion_that_fails_names_its_lines() {
    let file = file("FROM x\n\nUSER ${U:?who}\n");
    let mut expander = Expander::new('\\', &lookup);
    let instruction = &file.stages[0].instructions[0];
    let error = instruction.expanded(&mut expander).unwrap_err();
    assert_eq!(error.lines, Lines::one(3));
    assert_eq!(error.to_string(), "cannot expand \"${U:?who}\": U: who");
    let placed = file.source.error(error.lines, &error);
    assert_eq!(placed.to_string(), "Dockerfile:3: cannot expand \"${U:?who}\": U: who");
    assert_eq!(placed.excerpt(), "   1 |     FROM x\n   2 |\n   3 | >>> USER ${U:?who}\n");
}

fn mounts(flags: &str) -> Vec<Mount> {
    let file = file(&format!("FROM x\nRUN {flags} y\n"));
    let mut expander = Expander::new('\\', &lookup);
    match file.stages[0].instructions[0].expanded(&mut expander).unwrap() {
        Kind::Run(run) => run.mounts.iter().map(|mount| mount.resolve().unwrap()).collect(),
        kind => panic!("{kind:?}"),
    }
}

#[test]
fn mounts_are_typed_once_expanded() {
    let all = mounts(
        "--mount=type=cache,id=c-$A,target=/c,uid=$ID,gid=2,mode=0755,sharing=private,from=s,source=d \
         --mount=target=/b,rw --mount=type=tmpfs,target=/t,size=1.5g --mount=type=secret,id=s,env=S,required \
         --mount=type=ssh,ro=false",
    );
    let [cache, bind, tmpfs, secret, ssh] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!((cache.kind, cache.sharing), (MountKind::Cache, Sharing::Private));
    assert_eq!((cache.id.as_deref(), cache.target.as_deref()), (Some("c-alpha"), Some("/c")));
    assert_eq!((cache.uid, cache.gid, cache.mode), (Some(1000), Some(2), Some(0o755)));
    assert_eq!((cache.from.as_deref(), cache.source.as_deref()), (Some("s"), Some("d")));
    assert_eq!((bind.kind, bind.read_only, cache.read_only), (MountKind::Bind, false, false));
    assert_eq!((tmpfs.size, tmpfs.read_only), (Some(3 << 29), false));
    assert_eq!((secret.required, secret.read_only, secret.target.clone()), (true, true, None));
    assert_eq!(secret.env.as_deref(), Some("S"));
    assert_eq!((ssh.kind, ssh.read_only), (MountKind::Ssh, false));
    assert!(mounts("--mount=target=/b")[0].read_only);
}

#[test]
fn mounts_that_do_not_fit_are_refused() {
    for fields in [
        "target",
        "gid",
        "type=bind",
        "type=secret",
        "type=secret,id=a,source=b",
        "type=nfs,target=/x",
        "type=secret,id=a,from=b",
        "target=/x,mode=755",
        "type=tmpfs,target=/x,uid=0",
        "nonsense",
        "type=cache,target=/x,uid=-1",
        "type=cache,target=/x,mode=9",
        "target=/x,sharing=shared",
        "type=cache,target=/x,required",
        "type=tmpfs,target=/x,size=much",
        "target=/x,ro=maybe",
        "type=cache,target=/x,uid=+1",
        "type=tmpfs,target=/x,size=-1",
    ] {
        let pairs = fields.split(',').map(|field| match field.split_once('=') {
            Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
            None => (field.to_owned(), None),
        });
        let options = MountOptions { fields: pairs.collect() };
        assert!(options.resolve().is_err(), "{fields}");
    }
}

#[test]
fn ports_are_named_as_in_a_config() {
    for (spec, expected) in [
        ("80", &["80/tcp"][..]),
        ("80/", &["80/tcp"]),
        ("53/UDP", &["53/udp"]),
        ("7/sctp", &["7/sctp"]),
        ("8000-8002", &["8000/tcp", "8001/tcp", "8002/tcp"]),
        ("8080:80", &["80/tcp"]),
        ("127.0.0.1:8080:80/udp", &["80/udp"]),
        ("[::1]:8080:80", &["80/tcp"]),
        ("127.0.0.1::80", &["80/tcp"]),
        ("9000-9001:80-81", &["80/tcp", "81/tcp"]),
        ("9000-9005:80", &["80/tcp"]),
        ("65535", &["65535/tcp"]),
    ] {
        assert_eq!(exposed_ports(spec).unwrap(), expected, "{spec}");
    }
    for spec in [
        "",
        "/tcp",
        "x",
        "65536",
        "-1",
        "80-",
        "82-80",
        "80/icmp",
        "80:",
        "x:80",
        "1.2:1:80",
        "1-3:80-81",
        "+80",
    ] {
        assert!(exposed_ports(spec).is_err(), "{spec}");
    }
}

#[test]
fn stages_are_found_by_name_and_index() {
    let file = file("FROM a AS One\nFROM b AS two\nFROM c AS one\nFROM d\n");
    assert_eq!(file.stage_named("ONE", 4), Some(2));
    assert_eq!(file.stage_named("one", 2), Some(0));
    assert_eq!(file.stage_named("one", 0), None);
    assert_eq!(file.stage_named("1", 4), None);
    assert_eq!(file.stage_referred("1", 4), Some(1));
    assert_eq!(file.stage_referred("3", 3), None);
    assert_eq!(file.stage_referred("9", 99), None);
    assert_eq!(file.stage_referred("two", 4), Some(1));
}

#[test]
fn triggers_are_read_back_from_a_config() {
    let source = file("FROM x\nONBUILD RUN cat <<A <<B\na\nA\nb\nB\n");
    let Kind::OnBuild(on_build) = &source.stages[0].instructions[0].kind else { panic!() };
    let trigger = parse_trigger(&on_build.expression, '\\').unwrap();
    assert_eq!(trigger.kind, on_build.instruction.kind);
    assert_eq!(trigger.text, "RUN cat <<A <<B");
    for bad in ["", "FROM x", "ONBUILD RUN x", "RNU x", "RUN a\nRUN b", "COPY a", "RUN <<E\nx"] {
        assert!(parse_trigger(bad, '\\').is_err(), "{bad}");
    }
}

#[test]
fn sizes_are_bounded() {
    let problem = |text: &[u8]| parse(text, "D").unwrap_err().problem().clone();
    let long = "x".repeat(MAX_INSTRUCTION);
    let limit = MAX_INSTRUCTION;
    let too_long = Problem::InstructionTooLong { limit };
    assert_eq!(problem(format!("FROM x\nRUN {long}").as_bytes()), too_long);
    assert_eq!(problem(format!("FROM x\nRUN a \\\n{long}").as_bytes()), too_long);
    assert_eq!(problem(format!("FROM x\nRUN <<E\n{long}\nE\n").as_bytes()), too_long);
    assert_eq!(problem(&vec![b'\n'; MAX_TEXT + 1]), Problem::TooLarge { limit: MAX_TEXT });
    assert!(parse(format!("FROM x\nRUN {}", &long[10..]).as_bytes(), "D").is_ok());
}

#[test]
fn a_large_file_takes_linear_time() {
    let start = Instant::now();
    let text = "FROM x\n".to_owned() + &"RUN apt-get install \\\n  one two\n".repeat(50_000);
    assert_eq!(file(&text).stages[0].instructions.len(), 50_000);
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}
