//! A look before anything is begun: each thing that can be wrong is one line, judged or left open, with what mends it.
//!
//! Each side looks at itself (`okta`, `teleport`) and answers lines; nothing here or there writes anything.

use serde::Serialize;

use crate::failure::Failure;

/// What a look at one thing came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Verdict {
    /// As it should be.
    Passed,
    /// It stops nothing, but somebody should know.
    Warned,
    /// Passes cannot work like this.
    Failed,
    /// Not judged: it does not matter here, or something that it needs has failed.
    Skipped,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// What was looked at, such as `token` or `user:list`. Does not change from release to release.
    pub name: String,
    /// What came of it.
    pub verdict: Verdict,
    /// What was found, or why it was not judged.
    pub found: String,
    /// What mends it; empty where nothing has to be mended.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

/// A list of things to look at, filled in one by one.
///
/// A thing that is told twice counts as told last; things that nobody told are skipped in the end.
#[derive(Clone, Debug)]
pub struct Checklist {
    lines: Vec<(String, Option<Line>)>,
}

impl Checklist {
    /// A list of these things, in this order.
    pub fn new<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Self {
        Self { lines: names.into_iter().map(|name| (name.into(), None)).collect() }
    }

    /// It is as it should be.
    pub fn pass(&mut self, name: &str, found: impl Into<String>) {
        self.tell(name, Verdict::Passed, found, "");
    }

    /// It stops nothing, but somebody should know.
    pub fn warn(&mut self, name: &str, found: impl Into<String>, remedy: impl Into<String>) {
        self.tell(name, Verdict::Warned, found, remedy);
    }

    /// Passes cannot work like this.
    pub fn fail(&mut self, name: &str, found: impl Into<String>, remedy: impl Into<String>) {
        self.tell(name, Verdict::Failed, found, remedy);
    }

    /// A failure made it so.
    pub fn refuse(&mut self, name: &str, failure: &Failure) {
        self.tell(name, Verdict::Failed, failure.message.clone(), failure.remedy.clone());
    }

    /// It is not judged.
    pub fn skip(&mut self, name: &str, why: impl Into<String>) {
        self.tell(name, Verdict::Skipped, why, "");
    }

    /// It cannot be judged because another thing failed.
    pub fn skip_after(&mut self, name: &str, failed: &str) {
        self.skip(name, not_judged(failed));
    }

    /// What a thing came to, if it was told.
    #[must_use]
    pub fn verdict(&self, name: &str) -> Option<Verdict> {
        self.lines.iter().find(|(known, _)| known == name)?.1.as_ref().map(|line| line.verdict)
    }

    /// All lines in their order; what was not told could not be judged because `failed` did.
    #[must_use]
    pub fn finish(self, failed: &str) -> Vec<Line> {
        let untold = |name| Line { name, verdict: Verdict::Skipped, found: not_judged(failed), remedy: String::new() };
        self.lines.into_iter().map(|(name, line)| line.unwrap_or_else(|| untold(name))).collect()
    }

    fn tell(&mut self, name: &str, verdict: Verdict, found: impl Into<String>, remedy: impl Into<String>) {
        let line = Line { name: name.to_owned(), verdict, found: found.into(), remedy: remedy.into() };
        match self.lines.iter_mut().find(|(known, _)| known == name) {
            Some((_, place)) => *place = Some(line),
            None => self.lines.push((name.to_owned(), Some(line))),
        }
    }
}

fn not_judged(failed: &str) -> String {
    format!("not judged, because {failed} failed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_order_and_what_was_not_told_is_skipped_with_its_reason() {
        let mut list = Checklist::new(["reachable", "token", "app"]);
        list.fail("token", "no", "mend it");
        list.pass("reachable", "yes");
        assert_eq!(list.verdict("token"), Some(Verdict::Failed));
        assert_eq!(list.verdict("app"), None);
        let lines = list.finish("token");
        let told: Vec<_> = lines.iter().map(|line| (line.name.as_str(), line.verdict)).collect();
        assert_eq!(told, [("reachable", Verdict::Passed), ("token", Verdict::Failed), ("app", Verdict::Skipped)]);
        assert_eq!(lines[2].found, "not judged, because token failed");
    }

    #[test]
    fn what_is_told_last_counts() {
        let mut list = Checklist::new(["clock"]);
        list.pass("clock", "agrees");
        list.fail("clock", "does not", "mend it");
        let lines = list.finish("");
        assert_eq!((lines.len(), lines[0].verdict), (1, Verdict::Failed));
    }

    #[test]
    fn each_thing_is_told_once_with_what_was_found_and_what_to_do() {
        let mut list = Checklist::new(["warned", "refused", "skipped", "after", "untold"]);
        list.warn("warned", "old", "renew it");
        let failure = crate::failure::Failure::new(
            crate::failure::Side::Okta,
            crate::failure::Class::Permission,
            "Denied",
            "may not",
            "allow it",
        );
        list.refuse("refused", &failure);
        list.skip("skipped", "no Proxy tells it");
        list.skip_after("after", "warned");
        assert_eq!((list.verdict("refused"), list.verdict("untold")), (Some(Verdict::Failed), None));
        let told: Vec<_> = list.finish("refused").into_iter().map(|l| (l.verdict, l.found, l.remedy)).collect();
        let line = |verdict, found: &str, remedy: &str| (verdict, found.to_owned(), remedy.to_owned());
        assert_eq!(
            told[..3],
            [
                line(Verdict::Warned, "old", "renew it"),
                line(Verdict::Failed, "may not", "allow it"),
                line(Verdict::Skipped, "no Proxy tells it", ""),
            ]
        );
        assert!(told[3].1.contains("warned") && told[4].1.contains("refused"), "{told:?}");
    }
}
