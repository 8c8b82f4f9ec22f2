//! Which earlier step a person would compare a step with.

use std::collections::BTreeSet;

use super::Trace;

/// The trace that is most like this one, and differs least; of several the last that a build met.
pub(crate) fn nearest<'a>(trace: &Trace, earlier: &'a [Trace]) -> Option<&'a Trace> {
    let known = earlier.iter().filter(|other| other.key != trace.key);
    let alike = known.filter_map(|other| likeness(trace, other).map(|points| (points, other)));
    let nearness = |(points, other): &(u32, &Trace)| (*points, in_common(trace, other), other.met);
    alike.max_by_key(nearness).map(|(_, nearest)| nearest)
}

/// How many fields are the same, less those that are not.
fn in_common(one: &Trace, other: &Trace) -> i64 {
    let fields = |trace: &Trace| trace.fields.iter().cloned().collect::<BTreeSet<_>>();
    let (one, other) = (fields(one), fields(other));
    let same = one.intersection(&other).count();
    2 * same as i64 - one.len() as i64 - other.len() as i64
}

/// How much alike two steps are; nothing where they have too little in common.
fn likeness(one: &Trace, other: &Trace) -> Option<u32> {
    let kind = |trace: &Trace| trace.value("kind").split('/').next().map(str::to_owned);
    let (a, b) = (&one.place, &other.place);
    let text = a.text == b.text;
    let stage = a.stage == b.stage;
    let parent = one.value("parent") == other.value("parent");
    let number = stage && a.number == b.number && a.context == b.context;
    if kind(one) != kind(other) || !(text || number || (stage && parent)) {
        return None;
    }
    let same = |yes: bool, weight: u32| if yes { weight } else { 0 };
    let points = same(text, 8) + same(parent, 4) + same(stage, 3);
    Some(points + same(a.context == b.context, 2) + same(a.number == b.number, 1))
}

#[cfg(test)]
mod tests {
    use super::super::Place;
    use super::*;
    use crate::key::{Definition, scratch};

    fn trace(text: &str, number: usize, env: &str) -> Trace {
        let parent = scratch();
        let definition = Definition::new("run/3").field("parent", parent.as_bytes());
        let (key, fields) = definition.field("text", text).field("env", env).parts();
        Trace::new(key, fields, Place { text: text.into(), number, ..Place::default() })
    }

    #[test]
    fn the_same_text_before_the_same_place() {
        let earlier =
            [trace("RUN a", 1, "V=1"), trace("RUN b", 2, "V=1"), trace("RUN c", 3, "V=1")];
        let near = |trace: &Trace| nearest(trace, &earlier).map(|it| it.place.text.clone());
        assert_eq!(near(&trace("RUN b", 3, "V=2")).unwrap(), "RUN b");
        assert_eq!(near(&trace("RUN d", 3, "V=1")).unwrap(), "RUN c");
        let copy = Trace::new(scratch(), Vec::new(), Place::default());
        assert_eq!(near(&copy), None, "another kind of step");
    }
}
