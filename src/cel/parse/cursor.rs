//! The parser's place among the tokens, and what it says and does when one does not fit.

use super::builder::Stop;
use super::grammar::{Depth, Parsed, Parser};
use super::lexer::{Kind, Token};
use crate::ast::{Expr, Literal};
use crate::limits::MAX_RECURSION_DEPTH;
use crate::source::Span;

impl<'t> Parser<'t> {
    pub(super) fn peek(&self) -> Token {
        self.nth(0)
    }

    pub(super) fn second(&self) -> Token {
        self.nth(1)
    }

    pub(super) fn nth(&self, ahead: usize) -> Token {
        let end = Span::new(self.text.len() as u32, self.text.len() as u32);
        self.tokens.get(self.at + ahead).copied().unwrap_or(Token { kind: Kind::End, span: end })
    }

    pub(super) fn next(&mut self) -> Token {
        let token = self.peek();
        self.at += 1;
        token
    }

    pub(super) fn eat(&mut self, kind: Kind) -> Option<Token> {
        (self.peek().kind == kind).then(|| self.next())
    }

    pub(super) fn slice(&self, token: Token) -> &'t str {
        &self.text[token.span.start as usize..token.span.end as usize]
    }

    /// A token as messages show it.
    pub(super) fn name(&self, token: Token) -> &'t str {
        if token.kind == Kind::End { "<EOF>" } else { self.slice(token) }
    }

    /// End of the last token that was taken.
    pub(super) fn end(&self) -> u32 {
        self.at.checked_sub(1).and_then(|i| self.tokens.get(i)).map_or(0, |token| token.span.end)
    }

    /// Records a syntax error at the next token.
    pub(super) fn fault(&mut self, message: &str) -> Parsed<()> {
        let span = self.peek().span;
        self.builder.issue(span, format!("Syntax error: {message}"))
    }

    pub(super) fn mismatch<T>(&mut self, expected: &str) -> Parsed<T> {
        let found = self.name(self.peek());
        self.fault(&format!("mismatched input '{found}' expecting {expected}"))?;
        Err(Stop::Syntax)
    }

    /// Takes a token that must stand here. One token too many, or a colon too few, is reported and overlooked.
    pub(super) fn expect(&mut self, kind: Kind, shown: &str) -> Parsed<Token> {
        if let Some(token) = self.eat(kind) {
            return Ok(token);
        }
        let token = self.peek();
        if (token.kind == Kind::End && kind != Kind::Colon) || (kind == Kind::Colon && starts_operand(token.kind)) {
            let found = self.name(token);
            self.fault(&format!("missing {shown} at '{found}'"))?;
            return if kind == Kind::Colon { Ok(token) } else { Err(Stop::Syntax) };
        }
        if self.second().kind == kind && token.kind != Kind::End {
            self.unwanted(shown)?;
            return Ok(self.next());
        }
        self.mismatch(shown)
    }

    /// Reports the next token as one too many and goes on behind it.
    pub(super) fn unwanted(&mut self, expected: &str) -> Parsed<()> {
        let found = self.name(self.peek());
        self.fault(&format!("extraneous input '{found}' expecting {expected}"))?;
        self.at += 1;
        Ok(())
    }

    /// Skips to the comma or bracket that ends the current element, and says whether there is one.
    pub(super) fn recover(&mut self) -> bool {
        let mut open = 0usize;
        loop {
            match self.peek().kind {
                Kind::End => return false,
                Kind::Comma if open == 0 => return true,
                Kind::LeftBracket | Kind::LeftBrace | Kind::LeftParen => open += 1,
                Kind::RightBracket | Kind::RightBrace | Kind::RightParen => match open.checked_sub(1) {
                    None => return true,
                    Some(less) => open = less,
                },
                _ => {}
            }
            self.at += 1;
        }
    }

    /// Nothing in the grammar goes on like this after `before`.
    pub(super) fn no_alternative<T>(&mut self, before: &str) -> Parsed<T> {
        let token = self.peek();
        let text = if token.kind == Kind::End { "" } else { self.slice(token) };
        self.fault(&format!("no viable alternative at input '{before}{text}'"))?;
        Err(Stop::Syntax)
    }

    pub(super) fn null(&mut self) -> Parsed<Expr> {
        let span = self.peek().span;
        self.builder.literal(span, Literal::Null)
    }

    /// Records that a literal or name is wrong and goes on with `null` in its place.
    pub(super) fn wrong(&mut self, span: Span, message: &str) -> Parsed<Expr> {
        self.builder.issue(span, message)?;
        self.builder.literal(span, Literal::Null)
    }

    pub(super) fn check_depth(&mut self) -> Parsed<()> {
        let Depth { expr, relation, calc } = self.depth;
        if expr.max(relation).max(calc) <= MAX_RECURSION_DEPTH {
            return Ok(());
        }
        let span = self.peek().span;
        Err(self.builder.limit(span, format!("expression recursion limit exceeded: {MAX_RECURSION_DEPTH}")))
    }
}

/// Whether an operand may start with a token.
pub(super) fn starts_operand(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::LeftBracket
            | Kind::LeftBrace
            | Kind::LeftParen
            | Kind::Dot
            | Kind::Minus
            | Kind::Exclamation
            | Kind::True
            | Kind::False
            | Kind::Null
            | Kind::Float
            | Kind::Int
            | Kind::Uint
            | Kind::String
            | Kind::Bytes
            | Kind::Ident
    )
}
