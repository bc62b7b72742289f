//! The grammar (cel-go `parser/gen/CEL.g4`), one function a rule that nests.

use std::ops::Range;

use super::Syntax;
use super::builder::{Builder, Place, Stop};
use super::cursor::starts_operand;
use super::lexer::{self, Kind, Token};
use super::literals;
use super::logic::{Waiting, binary};
use super::macros::{self, Expanded};
use crate::ast::{Expr, ExprKind, Literal, MapEntry, RESERVED_WORDS, StructField, operators};
use crate::limits::MAX_ISSUES;
use crate::source::Span;

/// What an operand may start with, in ANTLR's words and order; optional syntax adds `'?'`.
const OPERAND: &str = "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', \
                       NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}";

pub(super) type Parsed<T> = Result<T, Stop>;

pub(super) struct Parser<'t> {
    pub(super) text: &'t str,
    pub(super) tokens: Vec<Token>,
    pub(super) at: usize,
    syntax: Syntax,
    pub(super) builder: Builder,
    /// How often each of cel-go's nesting rules is open here.
    pub(super) depth: Depth,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Depth {
    pub(super) expr: usize,
    pub(super) relation: usize,
    pub(super) calc: usize,
}

impl<'t> Parser<'t> {
    pub(super) fn new(text: &'t str, syntax: Syntax) -> Self {
        let mut builder = Builder::default();
        let tokens = lexer::tokens(text, &mut builder.issues, MAX_ISSUES);
        Self { text, tokens, at: 0, syntax, builder, depth: Depth::default() }
    }

    /// The whole text. None when an issue was recorded that left no tree.
    pub(super) fn whole(&mut self) -> Option<Expr> {
        let root = self.expr().ok()?;
        let token = self.peek();
        if token.kind == Kind::End {
            return Some(root);
        }
        let single = self.second().kind == Kind::End;
        let fault = if single { "extraneous" } else { "mismatched" };
        // Nothing follows, so it does not matter whether this reaches the limit of issues.
        let _ = self.fault(&format!("{fault} input '{}' expecting <EOF>", self.name(token)));
        None
    }

    // Functions that recurse leave all other work to ones that do not: their frames stay small in debug builds too.

    /// `or ? or : expr`
    fn expr(&mut self) -> Parsed<Expr> {
        let outer = self.depth;
        self.depth.expr += 1;
        self.check_depth()?;
        let mut parsed = self.operators();
        if parsed.is_ok() && self.peek().kind == Kind::Question {
            parsed = self.conditional(parsed);
        }
        self.depth = outer;
        parsed
    }

    fn conditional(&mut self, test: Parsed<Expr>) -> Parsed<Expr> {
        let question = self.next();
        let yes = self.operators()?;
        self.expect(Kind::Colon, "':'")?;
        let no = self.expr()?;
        self.chosen(test?, question, yes, no)
    }

    fn chosen(&mut self, test: Expr, question: Token, yes: Expr, no: Expr) -> Parsed<Expr> {
        let place = Place { anchor: question.span.start, span: Span::new(test.span.start, no.span.end) };
        let call = self.builder.conditional(place, test, yes, no)?;
        self.builder.visited(call)
    }

    /// Operands joined by binary operators.
    fn operators(&mut self) -> Parsed<Expr> {
        let outer = self.depth;
        let mut waiting = Waiting::default();
        loop {
            let (relations, sums) = waiting.nesting();
            self.depth.relation = outer.relation + 1 + relations;
            self.depth.calc = outer.calc + 1 + sums;
            self.check_depth()?;
            let operand = self.unary()?;
            let token = self.peek();
            let Some(operator) = binary(token.kind) else {
                self.depth = outer;
                return waiting.finish(&mut self.builder, operand);
            };
            self.at += 1;
            waiting.push(&mut self.builder, operand, operator, token.span.start)?;
        }
    }

    /// `!!member`, `--member`; one minus before a number belongs to the number.
    fn unary(&mut self) -> Parsed<Expr> {
        let first = self.peek();
        match first.kind {
            Kind::Exclamation => {}
            Kind::Minus if !matches!(self.second().kind, Kind::Int | Kind::Float) => {}
            _ => return self.member(),
        }
        let mut odd = false;
        while self.eat(first.kind).is_some() {
            odd = !odd;
        }
        if first.kind == Kind::Minus && self.peek().kind == Kind::Exclamation {
            return self.no_alternative("-");
        }
        if first.kind == Kind::Exclamation
            && self.peek().kind == Kind::Minus
            && !matches!(self.second().kind, Kind::Int | Kind::Float)
        {
            self.at += 1;
            return self.no_alternative("-");
        }
        let operand = self.member()?;
        if odd { self.inverted(first, operand) } else { Ok(operand) }
    }

    fn inverted(&mut self, operator: Token, operand: Expr) -> Parsed<Expr> {
        let function = if operator.kind == Kind::Minus { operators::NEGATE } else { operators::LOGICAL_NOT };
        let place = Place { anchor: operator.span.start, span: Span::new(operator.span.start, operand.span.end) };
        self.builder.call(place, function, vec![operand])
    }

    /// An operand with selections, calls and indexing behind it.
    fn member(&mut self) -> Parsed<Expr> {
        let mut left = self.primary();
        loop {
            left = match (&left, self.peek().kind) {
                (Ok(_), Kind::Dot) if self.second().kind == Kind::Ident && self.nth(2).kind == Kind::LeftParen => {
                    self.at += 1;
                    let name = self.next();
                    self.call(Some(left), name, "")
                }
                (Ok(_), Kind::Dot) => self.select(left),
                (Ok(_), Kind::LeftBracket) => self.index(left),
                _ => return left,
            };
        }
    }

    fn select(&mut self, operand: Parsed<Expr>) -> Parsed<Expr> {
        let operand = operand?;
        let dot = self.next();
        let optional = self.eat(Kind::Question);
        let name = self.peek();
        match name.kind {
            Kind::Ident | Kind::EscapedIdent => self.at += 1,
            Kind::True | Kind::False | Kind::Null => return self.mismatch("IDENTIFIER"),
            _ => return self.no_alternative("."),
        }
        let place = Place { anchor: dot.span.start, span: Span::new(operand.span.start, name.span.end) };
        let field = self.field_name(name)?;
        let selected = if optional.is_some() {
            self.optional_syntax(dot.span, "unsupported syntax '.?'")?;
            let field = self.builder.literal(name.span, Literal::String(field))?;
            self.builder.call(place, operators::OPT_SELECT, vec![operand, field])?
        } else {
            let kind = ExprKind::Select { operand: Box::new(operand), field, test_only: false };
            self.builder.node(place.anchor, place.span, kind)?
        };
        self.builder.visited(selected)
    }

    /// `(args)` behind a name. `dot` is what stood before the name of a function without receiver.
    fn call(&mut self, target: Option<Parsed<Expr>>, name: Token, dot: &str) -> Parsed<Expr> {
        let open = self.next();
        let args = self.separated(Kind::RightParen, false, "')'", Self::expr)?;
        self.called(target.transpose()?, name, dot, open, args)
    }

    /// A call of a function, or what it expands to when it is a macro.
    fn called(&mut self, target: Option<Expr>, name: Token, dot: &str, open: Token, args: Vec<Expr>) -> Parsed<Expr> {
        let function = format!("{dot}{}", self.slice(name));
        let member = target.is_some();
        let start = target.as_ref().map_or(name.span.start - dot.len() as u32, |target| target.span.start);
        let place = Place { anchor: open.span.start, span: Span::new(start, self.end()) };
        let call = match macros::expand(&mut self.builder, self.syntax, place, &function, target, args)? {
            Expanded::Yes(expr) => expr,
            Expanded::No(Some(target), args) => self.builder.member_call(place, target, &function, args)?,
            Expanded::No(None, args) => self.builder.call(place, &function, args)?,
        };
        if member { self.builder.visited(call) } else { Ok(call) }
    }

    fn index(&mut self, operand: Parsed<Expr>) -> Parsed<Expr> {
        let open = self.next();
        let optional = self.eat(Kind::Question);
        let index = self.bracketed(Kind::RightBracket, "']'")?;
        self.indexed(operand?, open, optional.is_some(), index)
    }

    fn indexed(&mut self, operand: Expr, open: Token, optional: bool, index: Expr) -> Parsed<Expr> {
        if optional {
            self.optional_syntax(open.span, "unsupported syntax '[?'")?;
        }
        let function = if optional { operators::OPT_INDEX } else { operators::INDEX };
        let place = Place { anchor: open.span.start, span: Span::new(operand.span.start, self.end()) };
        let call = self.builder.call(place, function, vec![operand, index])?;
        self.builder.visited(call)
    }

    /// One expression and the bracket that closes it.
    fn bracketed(&mut self, close: Kind, shown: &str) -> Parsed<Expr> {
        let inner = self.expr();
        if inner.is_ok() && self.eat(close).is_some() {
            return inner;
        }
        self.unclosed(inner, close, shown)
    }

    /// Goes on behind a fault in brackets.
    fn unclosed(&mut self, inner: Parsed<Expr>, close: Kind, shown: &str) -> Parsed<Expr> {
        let inner = match inner {
            Err(Stop::Syntax) if self.recover() => self.null()?,
            inner => inner?,
        };
        match self.expect(close, shown) {
            Ok(_) => Ok(inner),
            Err(Stop::Syntax) if self.recover() && self.eat(close).is_some() => Ok(inner),
            Err(stop) => Err(stop),
        }
    }

    fn optional_syntax(&mut self, at: Span, message: &str) -> Parsed<()> {
        if self.syntax.optionals { Ok(()) } else { self.builder.issue(at, message) }
    }

    /// Text of a field name, without backquotes.
    fn field_name(&mut self, token: Token) -> Parsed<String> {
        let text = self.slice(token);
        if token.kind == Kind::EscapedIdent && !self.syntax.escaped_identifiers {
            self.builder.issue(token.span, "unsupported syntax: '`'")?;
        }
        Ok(text.trim_matches('`').to_owned())
    }

    fn primary(&mut self) -> Parsed<Expr> {
        let token = self.peek();
        match token.kind {
            Kind::LeftParen => {
                self.at += 1;
                self.bracketed(Kind::RightParen, "')'")
            }
            Kind::LeftBracket => self.list(),
            Kind::LeftBrace => self.map(),
            Kind::Ident => self.name_or_struct(""),
            Kind::Dot if self.second().kind == Kind::Ident => {
                self.at += 1;
                self.name_or_struct(".")
            }
            Kind::Minus if matches!(self.second().kind, Kind::Int | Kind::Float) => {
                self.at += 1;
                self.literal(Some(token))
            }
            Kind::Int | Kind::Uint | Kind::Float | Kind::String | Kind::Bytes => self.literal(None),
            Kind::True | Kind::False | Kind::Null => self.literal(None),
            Kind::End => self.mismatch(OPERAND),
            Kind::Dot => {
                self.at += 1;
                match self.peek().kind {
                    Kind::True | Kind::False | Kind::Null => self.mismatch("IDENTIFIER"),
                    _ => self.no_alternative("."),
                }
            }
            _ if starts_operand(self.second().kind) => {
                self.unwanted(OPERAND)?;
                self.unary()
            }
            _ => self.mismatch(OPERAND),
        }
    }

    fn literal(&mut self, minus: Option<Token>) -> Parsed<Expr> {
        let token = self.next();
        let text = self.slice(token);
        let negative = minus.is_some();
        let span = Span::new(minus.unwrap_or(token).span.start, token.span.end);
        let value = match token.kind {
            Kind::Int => literals::int(text, negative),
            Kind::Float => literals::double(text, negative),
            Kind::Uint => literals::uint(text),
            Kind::String => literals::string(text),
            Kind::Bytes => literals::bytes(text),
            Kind::True => Ok(Literal::Bool(true)),
            Kind::False => Ok(Literal::Bool(false)),
            _ => Ok(Literal::Null),
        };
        match value {
            Ok(value) => self.builder.literal(span, value),
            Err(message) => self.wrong(span, message),
        }
    }

    /// A variable, a call of a function, or `a.b.C{…}`; `dot` is what stood before it.
    fn name_or_struct(&mut self, dot: &'static str) -> Parsed<Expr> {
        if let Some(tokens) = self.struct_name_length() {
            return self.structure(tokens, dot);
        }
        let name = self.next();
        let reserved = RESERVED_WORDS.contains(&self.slice(name));
        let calls = self.peek().kind == Kind::LeftParen;
        let called = if calls { Some(self.call(None, name, dot)?) } else { None };
        match called {
            Some(call) if !reserved => Ok(call),
            _ => self.variable(name, dot, reserved),
        }
    }

    fn variable(&mut self, name: Token, dot: &str, reserved: bool) -> Parsed<Expr> {
        let text = self.slice(name);
        let span = Span::new(name.span.start - dot.len() as u32, name.span.end);
        if reserved {
            return self.wrong(span, &format!("reserved identifier: {text}"));
        }
        self.builder.ident(Place { anchor: name.span.start, span }, &format!("{dot}{text}"))
    }

    /// How many tokens make up a qualified name with `{` behind it, when one stands here.
    fn struct_name_length(&self) -> Option<usize> {
        let mut tokens = 1;
        loop {
            match self.nth(tokens).kind {
                Kind::LeftBrace => return Some(tokens),
                Kind::Dot if self.nth(tokens + 1).kind == Kind::Ident => tokens += 2,
                _ => return None,
            }
        }
    }

    fn structure(&mut self, tokens: usize, dot: &'static str) -> Parsed<Expr> {
        let first = self.at;
        self.at += tokens;
        let open = self.next();
        let fields = self.separated(Kind::RightBrace, true, "{'}', ','}", Self::struct_field)?;
        self.structured(first..first + tokens, dot, open, fields)
    }

    fn structured(&mut self, name: Range<usize>, dot: &str, open: Token, fields: Vec<StructField>) -> Parsed<Expr> {
        let parts = &self.tokens[name];
        let start = parts.first().map_or(open.span.start, |token| token.span.start) - dot.len() as u32;
        let text: String = std::iter::once(dot).chain(parts.iter().map(|part| self.slice(*part))).collect();
        let kind = ExprKind::Struct { name: text, fields };
        self.builder.node(open.span.start, Span::new(start, self.end()), kind)
    }

    fn struct_field(&mut self) -> Parsed<StructField> {
        let optional = self.eat(Kind::Question);
        let token = self.peek();
        if !matches!(token.kind, Kind::Ident | Kind::EscapedIdent) {
            return self.mismatch("{'}', ',', '?', IDENTIFIER, ESC_IDENTIFIER}");
        }
        self.at += 1;
        let name = self.field_name(token)?;
        if let Some(question) = optional {
            self.optional_syntax(question.span, "unsupported syntax '?'")?;
        }
        let colon = self.expect(Kind::Colon, "':'")?;
        let id = self.builder.entry(colon.span.start, token.span)?;
        Ok(StructField { id, span: token.span, name, value: self.expr()?, optional: optional.is_some() })
    }

    fn list(&mut self) -> Parsed<Expr> {
        let open = self.next();
        let parsed = self.separated(Kind::RightBracket, true, "{']', ','}", Self::optional_expr)?;
        self.listed(open, parsed)
    }

    fn listed(&mut self, open: Token, parsed: Vec<(Expr, bool)>) -> Parsed<Expr> {
        let mut elements = Vec::with_capacity(parsed.len());
        let mut optional = Vec::new();
        for (i, (element, marked)) in parsed.into_iter().enumerate() {
            elements.push(element);
            if marked {
                optional.push(i as u32);
            }
        }
        let span = Span::new(open.span.start, self.end());
        self.builder.node(open.span.start, span, ExprKind::List { elements, optional })
    }

    /// An expression and whether `?` stands before it.
    fn optional_expr(&mut self) -> Parsed<(Expr, bool)> {
        let question = self.eat(Kind::Question);
        if let Some(question) = question {
            self.optional_syntax(question.span, "unsupported syntax '?'")?;
        }
        Ok((self.expr()?, question.is_some()))
    }

    fn map(&mut self) -> Parsed<Expr> {
        let open = self.next();
        let entries = self.separated(Kind::RightBrace, true, "{'}', ','}", Self::map_entry)?;
        self.builder.node(open.span.start, Span::new(open.span.start, self.end()), ExprKind::Map { entries })
    }

    fn map_entry(&mut self) -> Parsed<MapEntry> {
        let (key, optional) = self.optional_expr()?;
        let colon = self.expect(Kind::Colon, "':'")?;
        let id = self.builder.entry(colon.span.start, key.span)?;
        Ok(MapEntry { id, key, value: self.expr()?, optional })
    }

    /// Elements up to the closing bracket, which is taken. `trailing` allows a comma before it.
    fn separated<T>(
        &mut self,
        close: Kind,
        trailing: bool,
        expected: &str,
        element: impl Fn(&mut Self) -> Parsed<T>,
    ) -> Parsed<Vec<T>> {
        let mut parsed = Vec::new();
        if trailing && self.peek().kind == Kind::Comma && self.second().kind == close {
            self.at += 1;
        }
        if self.eat(close).is_some() {
            return Ok(parsed);
        }
        loop {
            match element(self) {
                Ok(value) => parsed.push(value),
                Err(Stop::Syntax) if self.recover() => {}
                Err(stop) => return Err(stop),
            }
            if self.ends(close, trailing, expected)? {
                return Ok(parsed);
            }
        }
    }

    /// Takes what stands behind an element; whether that closes the bracket.
    fn ends(&mut self, close: Kind, trailing: bool, expected: &str) -> Parsed<bool> {
        if self.peek().kind != Kind::Comma && self.peek().kind != close {
            match self.misplaced(close, expected) {
                Err(Stop::Syntax) if self.recover() => {}
                other => other?,
            }
        }
        if self.eat(close).is_some() {
            return Ok(true);
        }
        match self.eat(Kind::Comma) {
            Some(_) => Ok(trailing && self.eat(close).is_some()),
            None => Err(Stop::Syntax),
        }
    }
    /// Reports a token behind an element that neither separates nor closes.
    fn misplaced(&mut self, close: Kind, expected: &str) -> Parsed<()> {
        let next = self.second().kind;
        let single =
            self.peek().kind != Kind::End && (next == close || (next == Kind::Comma && close != Kind::RightParen));
        if single {
            return self.unwanted(expected);
        }
        if close == Kind::RightParen && self.peek().kind == Kind::End {
            self.fault("missing ')' at '<EOF>'")?;
            return Err(Stop::Syntax);
        }
        self.mismatch(expected)
    }
}
