//! Decisions: which ways a condition, a `case` or a loop's first question leaves open.

use super::ask::{self, Answer, Open};
use super::flow::{Ends, Follower, WAYS};
use super::state::{Fact, Hint, Question, Way, Ways};
use crate::template::syntax::Span;
use crate::template::syntax::expression::{Condition, Expression, Logic};
use crate::template::syntax::tree::{Branch, Case};

impl<'t> Follower<'t> {
    pub fn branches(&mut self, branches: &'t [Branch], ways: Ways) -> Ends {
        let mut ends = Ends::default();
        let mut rest = ways;
        for branch in branches {
            let (taken, left) = match &branch.condition {
                Some(condition) => {
                    let (yes, no) = self.decide(condition, rest);
                    if branch.negated { (no, yes) } else { (yes, no) }
                }
                None => (std::mem::take(&mut rest), Ways::default()),
            };
            let after = self.block(&branch.block, taken);
            ends.next.extend(after.next);
            ends.breaks.extend(after.breaks);
            ends.continues.extend(after.continues);
            rest = left;
        }
        ends.next.extend(rest);
        ends
    }

    /// The ways on which a condition holds, and those on which it does not.
    fn decide(&mut self, condition: &'t Condition, ways: Ways) -> (Ways, Ways) {
        let (mut yes, mut no) = (Ways::default(), Ways::default());
        for way in ways.into_list() {
            let mut due = vec![(way, 0)];
            while let Some((way, at)) = due.pop() {
                let comparison = match at {
                    0 => Some(&condition.first),
                    at => condition.rest.get(at - 1).map(|(_, next)| next),
                };
                let Some(comparison) = comparison else {
                    continue;
                };
                if !self.spend(way.weight(), comparison.left.span) {
                    return (Ways::default(), Ways::default());
                }
                if ask::may_mix(&way, &self.survey.counters, comparison) {
                    let right = comparison.right.as_ref();
                    let span = right.map(|(_, right)| comparison.left.span.to(right.span));
                    self.mixed.extend(span.map(|span| self.origin(span)));
                }
                let answer = ask::ask(&way, &self.survey.counters, comparison);
                let end = comparison
                    .right
                    .as_ref()
                    .map_or(comparison.left.span, |r| comparison.left.span.to(r.1.span));
                for (way, holds) in self.answer(way, answer, (end, self.text(end)), false) {
                    match (condition.rest.get(at).map(|(logic, _)| logic), holds) {
                        (None | Some(Logic::Or), true) => {
                            yes.add(way);
                        }
                        (None | Some(Logic::And), false) => {
                            no.add(way);
                        }
                        (Some(_), _) => due.push((way, at + 1)),
                    }
                }
                if due.len() + yes.len() + no.len() > 4 * WAYS {
                    self.give_up(end, "a condition has too many ways to come out");
                    return (Ways::default(), Ways::default());
                }
            }
        }
        let span = condition.first.left.span;
        (self.bound(yes, span), self.bound(no, span))
    }

    /// The way once for each answer that there can be; `question` is how the template puts it. `keep`: whether the answer
    /// is remembered though it is asked once.
    pub fn answer(
        &self,
        way: Way,
        answer: Answer,
        (span, question): (Span, &str),
        keep: bool,
    ) -> Vec<(Way, bool)> {
        let Open {
            fact,
            source,
            negated,
        } = match answer {
            Answer::Known(known) => return vec![(way, known)],
            Answer::Open(open) => open,
        };
        let origin = self.origin(span);
        [true, false]
            .into_iter()
            .map(|holds| {
                let mut way = way.clone();
                let is = holds != negated;
                let mut hint = None;
                let mut what = format!(
                    "`{question}` {}",
                    if holds { "holds" } else { "does not hold" }
                );
                if let Some(fact) = &fact {
                    hint = source.clone().and_then(|source| match &fact.question {
                        Question::Truthy => Some(Hint::Set(source, is)),
                        Question::Equals(known) if is => Some(Hint::Is(source, known.clone())),
                        _ => None,
                    });
                    if fact.question == Question::Truthy {
                        what = format!("{question} is {}", if is { "set" } else { "not set" });
                    }
                    if keep || self.survey.asked_again(&fact.subject) {
                        way.learn(Fact {
                            holds: is,
                            ..fact.clone()
                        });
                    }
                }
                way.decide(origin, what, hint);
                (way, holds)
            })
            .collect()
    }

    pub fn case(&mut self, case: &'t Case, ways: Ways) -> Ends {
        let mut ends = Ends::default();
        // Ways that no arm has taken so far, and those that one has.
        let (mut fresh, mut matched) = (ways, Ways::default());
        for arm in &case.arms {
            let Some(values) = &arm.values else {
                let after = self.block(&arm.block, std::mem::take(&mut fresh));
                ends.breaks.extend(after.breaks);
                ends.continues.extend(after.continues);
                // An `else` does not count as a match.
                fresh = after.next;
                continue;
            };
            for value in values {
                let (yes, no) = self.matches(&case.subject, value, std::mem::take(&mut fresh));
                let (again, still) =
                    self.matches(&case.subject, value, std::mem::take(&mut matched));
                let mut taken = yes;
                taken.extend(again);
                let after = self.block(&arm.block, taken);
                ends.breaks.extend(after.breaks);
                ends.continues.extend(after.continues);
                fresh = no;
                matched = after.next;
                matched.extend(still);
                fresh = self.bound(fresh, value.span);
                matched = self.bound(matched, value.span);
            }
        }
        ends.next.extend(fresh);
        ends.next.extend(matched);
        if let Some(subject) = ask::spelling(&case.subject, &mut Vec::new())
            && !self.survey.asked_again(&subject)
        {
            return ends
                .each(|ways| self.map(ways, |_, way| way.facts.retain(|f| f.subject != subject)));
        }
        ends
    }

    /// The ways on which the subject equals the value, and those on which it does not.
    fn matches(
        &mut self,
        subject: &'t Expression,
        value: &'t Expression,
        ways: Ways,
    ) -> (Ways, Ways) {
        let (mut yes, mut no) = (Ways::default(), Ways::default());
        let question = format!("{} == {}", self.text(subject.span), self.text(value.span));
        for way in ways.into_list() {
            if !self.spend(way.weight(), value.span) {
                break;
            }
            let answer = ask::equal(&way, &self.survey.counters, subject, value);
            for (way, holds) in self.answer(way, answer, (value.span, &question), true) {
                if holds {
                    yes.add(way);
                } else {
                    no.add(way);
                }
            }
        }
        (yes, no)
    }
}
