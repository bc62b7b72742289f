//! The reports of `stockade net`.

pub mod connectivity;
pub mod decision;
pub mod explain;
pub mod flow;
pub mod flows;
pub mod lint;
mod picture;
pub mod recommend;
pub mod replay;
pub mod status;

pub use picture::{MAX_PICTURED, dot, svg};

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
