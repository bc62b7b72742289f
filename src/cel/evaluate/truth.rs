//! Nodes that yield true or false, without the detour over a [`crate::value::Value`]: most of what policies consist of.

use super::{Answer, Fail, Run};
use crate::ast::ExprId;
use crate::error::ErrorKind;
use crate::library::standard::traversal;
use crate::plan::node::{Loop, Node, Path, Set, TextTest};
use crate::value::Value;

/// What a node yields as far as logic is concerned. Two registers, where a result with a value takes memory.
#[derive(Clone, Copy)]
pub(super) struct Verdict<'a> {
    truth: Truth,
    /// Why there is no truth.
    failure: Option<Fail<'a>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Truth {
    No,
    Yes,
    /// A value that is neither true nor false, or a failure.
    Neither,
}

impl<'a> Verdict<'a> {
    #[inline]
    fn of(value: &Value<'a>) -> Self {
        let truth = match value {
            Value::Bool(false) => Truth::No,
            Value::Bool(true) => Truth::Yes,
            _ => Truth::Neither,
        };
        Self { truth, failure: None }
    }

    #[inline]
    fn decided(result: Result<bool, Fail<'a>>) -> Self {
        match result {
            Ok(b) => Self { truth: if b { Truth::Yes } else { Truth::No }, failure: None },
            Err(e) => Self { truth: Truth::Neither, failure: Some(e) },
        }
    }

    #[inline]
    fn open(self) -> Result<Option<bool>, Fail<'a>> {
        match (self.truth, self.failure) {
            (Truth::No, _) => Ok(Some(false)),
            (Truth::Yes, _) => Ok(Some(true)),
            (Truth::Neither, None) => Ok(None),
            (Truth::Neither, Some(e)) => Err(e),
        }
    }

    /// As an answer, of a node that yields true or false if anything.
    #[inline]
    pub(super) fn as_answer(self) -> Answer<'a> {
        match self.failure {
            None => Ok(Value::Bool(self.truth == Truth::Yes)),
            Some(e) => Err(e),
        }
    }
}

impl<'a> Run<'a, '_> {
    /// Evaluates a node for one who can use nothing but true or false; `None` for any other value.
    #[inline]
    pub(super) fn truth(&mut self, node: &'a Node) -> Result<Option<bool>, Fail<'a>> {
        self.decide(node).open()
    }

    /// Evaluates a node as far as it is true or false. Nothing but a table of jumps: what it jumps to is kept out of
    /// line, so that a small test does not pay for the registers and the stack of a large loop.
    pub(super) fn decide(&mut self, node: &'a Node) -> Verdict<'a> {
        match node {
            // What evaluates no other node here is not counted as nested.
            Node::Test(p) => self.presence_test(p),
            Node::Text(t) => self.text_test(t),
            Node::And { at, terms } => self.junction(*at, terms, false),
            Node::Or { at, terms } => self.junction(*at, terms, true),
            Node::Not { at, operand } => self.not(*at, operand),
            Node::Equal { at, negated, sides } => self.equality(*at, *negated, sides),
            Node::Member { operand, set } => self.membership(operand, set),
            Node::Loop(l) if node.decides() => self.nested_loop(l),
            other => self.any(other),
        }
    }

    #[inline(never)]
    fn presence_test(&mut self, p: &'a Path) -> Verdict<'a> {
        Verdict::decided(self.test(p))
    }

    #[inline(never)]
    fn equality(&mut self, at: ExprId, negated: bool, sides: &'a [Node; 2]) -> Verdict<'a> {
        self.nested(|run| run.equal(at, negated, sides))
    }

    #[inline(never)]
    fn membership(&mut self, operand: &'a Node, set: &'a Set) -> Verdict<'a> {
        self.nested(|run| Ok(set.contains(run.eval(operand)?)))
    }

    #[inline(never)]
    fn nested_loop(&mut self, l: &'a Loop) -> Verdict<'a> {
        self.nested(|run| run.decisive_loop(l))
    }

    #[inline]
    fn nested(&mut self, decide: impl FnOnce(&mut Self) -> Result<bool, Fail<'a>>) -> Verdict<'a> {
        if let Err(e) = self.enter() {
            return Verdict::decided(Err(e));
        }
        let result = decide(self);
        self.depth -= 1;
        Verdict::decided(result)
    }

    /// Evaluates a node that may yield anything.
    #[inline(never)]
    fn any(&mut self, node: &'a Node) -> Verdict<'a> {
        let answer = match node {
            Node::Path(p) => match self.glance(p) {
                Some(value) => return Verdict::of(value),
                None => self.path(p),
            },
            Node::Constant(c) => Ok(c.value()),
            other => self.composite(other),
        };
        match answer {
            Ok(value) => Verdict::of(&value),
            Err(e) => Verdict::decided(Err(e)),
        }
    }

    /// `&&` (decided by false) and `||` (decided by true): a deciding term absorbs the errors of all others.
    #[inline(never)]
    fn junction(&mut self, at: ExprId, terms: &'a [Node], decisive: bool) -> Verdict<'a> {
        self.nested(|run| {
            let mut failure: Option<Fail<'a>> = None;
            for term in terms {
                match run.truth(term) {
                    Ok(Some(b)) if b == decisive => return Ok(decisive),
                    Ok(Some(_)) => {}
                    Ok(None) => {
                        if failure.is_none() {
                            failure = Some(run.fail(ErrorKind::NoSuchOverload, at));
                        }
                    }
                    Err(e) if e.kind.is_fatal() => return Err(e),
                    Err(e) => failure = failure.or(Some(e)),
                }
            }
            failure.map_or(Ok(!decisive), Err)
        })
    }

    #[inline(never)]
    fn not(&mut self, at: ExprId, operand: &'a Node) -> Verdict<'a> {
        self.nested(|run| {
            let value = run.truth(operand);
            run.tick(1)?;
            match value? {
                Some(b) => Ok(!b),
                None => Err(run.fail(ErrorKind::NoSuchOverload, at)),
            }
        })
    }

    #[inline(never)]
    fn text_test(&mut self, t: &'a TextTest) -> Verdict<'a> {
        if let Node::Path(p) = &t.subject
            && let Some(subject) = self.glance(p)
        {
            return Verdict::decided(match subject {
                Value::String(text) => self.text_holds(t, text),
                other => self.no_text(t, Ok(*other)),
            });
        }
        Verdict::decided(match self.eval(&t.subject) {
            Ok(Value::String(text)) => self.text_holds(t, text),
            other => self.no_text(t, other),
        })
    }

    #[cold]
    fn no_text(&mut self, t: &'a TextTest, subject: Answer<'a>) -> Result<bool, Fail<'a>> {
        if let Err(e) = subject
            && e.kind.is_fatal()
        {
            return Err(e);
        }
        // An error has no size, which counts as 1.
        self.tick(traversal(subject.unwrap_or_default().cost_size()).saturating_mul(t.cost))?;
        subject?;
        Err(self.fail(ErrorKind::Function("no such overload"), t.at))
    }

    #[inline]
    fn text_holds(&mut self, t: &'a TextTest, text: &str) -> Result<bool, Fail<'a>> {
        self.tick(traversal(Value::String(text).cost_size()).saturating_mul(t.cost))?;
        Ok(t.part.is_in(text))
    }
}
