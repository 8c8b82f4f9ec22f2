//! Any text behind RUN, COPY, ADD and their ONBUILD: what is stored of a trigger reads back as the same.
#![no_main]

use dockerfile::{Instruction, Kind, parse, parse_trigger};
use libfuzzer_sys::fuzz_target;

fn visit(instruction: &Instruction) {
    let _ = instruction.summary();
    match &instruction.kind {
        Kind::Run(run) => drop(run.command()),
        Kind::OnBuild(on_build) => {
            visit(&on_build.instruction);
            // A last backslash continues a line that is not there: BuildKit drops it when it reads a trigger, too.
            if on_build.expression.trim_end().ends_with('\\') {
                return;
            }
            let again = parse_trigger(&on_build.expression, '\\')
                .unwrap_or_else(|error| panic!("{:?}: {error}", on_build.expression));
            assert_eq!(again.kind, on_build.instruction.kind);
        }
        _ => {}
    }
}

fuzz_target!(|text: &[u8]| {
    for name in ["RUN ", "COPY ", "ADD ", "ONBUILD RUN ", "ONBUILD COPY "] {
        let text = [b"FROM a\n", name.as_bytes(), text].concat();
        if let Ok(file) = parse(&text, "Dockerfile") {
            file.stages.iter().flat_map(|stage| &stage.instructions).for_each(visit);
        }
    }
});
