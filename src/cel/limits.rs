//! Every bound of the language, with its reason. Upstream: apiserver `pkg/apis/cel/config.go` and `limits.go`.

/// Longest expression in bytes. Upstream has no limit of its own below the object's 3 MiB; cel-go stops at
/// 100,000 code points, so what it accepts we accept.
pub const MAX_EXPRESSION_BYTES: usize = 400_000;

/// Longest expression in Unicode scalar values (cel-go `expressionSizeCodePointLimit`).
pub const MAX_EXPRESSION_CODE_POINTS: usize = 100_000;

/// cel-go's `maxRecursionDepth`, which it applies twice: to each grammar rule's nesting while it parses (parentheses,
/// brackets, arguments) and to the nesting of operators, selections and member calls when it builds the tree.
pub const MAX_RECURSION_DEPTH: usize = 250;

/// Deepest syntax tree after macro expansion. Every later walk (checker, planner, evaluator, `Drop`) recurses once a
/// level and must fit a thread's 2 MiB in debug builds too: at most 6 KiB of stack a level. cel-go has no such bound,
/// but what it accepts and this refuses is deeper than 100 nested macros or mixes lists and operators that deep.
pub const MAX_TREE_DEPTH: usize = 320;

/// Most problems reported of one expression (cel-go `errorReportingLimit` 100).
pub const MAX_ISSUES: usize = 100;

/// Most tree nodes of one expression after macro expansion: nested macros multiply what they copy.
pub const MAX_NODES: u32 = 200_000;

/// Largest type of an expression, in type names: `{a: a}` doubles its type, and nested macros can repeat that.
pub const MAX_TYPE_SIZE: usize = 1_000;

/// Runtime cost one evaluation may spend (upstream `PerCallLimit`).
pub const PER_CALL_COST: u64 = 1_000_000;

/// Runtime cost of all expressions of one policy binding (upstream `RuntimeCELCostBudget`).
pub const POLICY_COST_BUDGET: u64 = 10_000_000;

/// Runtime cost of all matchConditions of one policy binding (upstream `RuntimeCELCostBudgetMatchConditions`).
pub const MATCH_CONDITIONS_COST_BUDGET: u64 = 2_500_000;

/// Bytes of temporaries that one evaluation may put into the arena. Upstream bounds memory only through cost; a
/// doubling string reaches its cost limit after this much, so no verdict differs.
pub const MAX_EVALUATION_BYTES: usize = 64 << 20;

/// Longest result of a messageExpression in bytes (upstream `MaxEvaluatedMessageExpressionSizeBytes`).
pub const MAX_MESSAGE_BYTES: usize = 5 * 1024;

/// Deepest nesting of a decoded document. The API server's JSON decoder stops at 10,000; nothing that it stores is
/// this deep.
pub const MAX_DOCUMENT_DEPTH: usize = 512;

/// Deepest nesting of an evaluation: of the expression itself and of the variables that it is the first to select,
/// added up. A level takes up to 3 KiB of stack in a debug build, so that a request thread of 2 MiB has room to spare;
/// no single expression is deeper than [`MAX_TREE_DEPTH`]. Upstream has no such bound.
pub const MAX_EVALUATION_DEPTH: usize = 400;
